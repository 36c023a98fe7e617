"""The KLH model has the symmetry and the size that are known of KLH, and projects as a volume does."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import KDTree

from gembench.data.molecule import REACH, decamer, didecamer, projected
from gembench.templates.projection import VIEWS, project

STEP = 4.4  # A
AXIS = np.arange(-64, 64) * STEP
C = 64
COARSE = AXIS[::2]  # still half of a functional unit's width


def view(units: np.ndarray, euler: tuple[float, float, float]) -> np.ndarray:
    """A projection (128, 128), the centre at pixel (C, C)."""
    return projected(units, euler, AXIS, AXIS)


def volume(units: np.ndarray) -> np.ndarray:
    """The units' Gaussians on voxels (64, 64, 64) of two steps, axes (z, y, x)."""
    density = np.zeros((64,) * 3, np.float32)
    for *place, width, mass in units:
        x, y, z = (np.exp(-0.5 * ((COARSE - at) / width) ** 2) / (width * np.sqrt(2 * np.pi)) for at in place)
        density += mass * np.einsum("i,j,k->ijk", z, y, x, dtype=np.float32, casting="same_kind")
    return density


@pytest.mark.parametrize("euler", [VIEWS["top"], VIEWS["side"], (31.0, 64.0, -17.0)])
def test_it_projects_like_its_volume(euler):
    units = decamer()[::7]  # no symmetry left
    of_volume = project(volume(units), euler, order=3) * 2 * STEP
    np.testing.assert_allclose(view(units, euler)[::2, ::2], of_volume, atol=2e-3 * of_volume.max())


def test_a_projection_holds_the_whole_mass():
    units = didecamer()
    for euler in (VIEWS["top"], VIEWS["side"], (31.0, 64.0, -17.0)):
        assert view(units, euler).sum() * STEP**2 == pytest.approx(units[:, 4].sum(), rel=1e-3)


def test_the_projection_of_one_unit_is_a_gaussian_where_it_lies():
    unit = np.array([[10.0, -20.0, 30.0, 15.0, 2.0]])
    image = projected(unit, VIEWS["top"], np.array([-20.0, -5.0]), np.array([10.0, 40.0]))
    peak = 2 / (2 * np.pi * 15**2)
    np.testing.assert_allclose(image, peak * np.exp(-0.5 * np.array([[0, 4], [1, 5]])), rtol=1e-6)


@pytest.mark.parametrize(("degrees", "same"), [(72, True), (36, False), (18, False)])
def test_five_turns_about_z_change_nothing_and_fewer_do(degrees, same):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turned = didecamer() @ np.block([[np.array([[c, s], [-s, c]]), np.zeros((2, 3))],
                                     [np.zeros((3, 2)), np.eye(3)]])
    distance, _ = KDTree(didecamer()).query(turned)
    assert (distance.max() < 1e-9) == same


def test_a_two_fold_axis_lies_along_x():
    distance, _ = KDTree(didecamer()).query(didecamer() * (1, -1, -1, 1, 1))
    assert distance.max() == 0


def test_two_decamers_make_the_didecamer():
    assert len(didecamer()) == 2 * len(decamer()) == 160
    assert 2 * decamer()[:, 4].sum() == pytest.approx(didecamer()[:, 4].sum())


def test_all_of_it_lies_within_reach():
    units = didecamer()
    assert (np.linalg.norm(units[:, :3], axis=1) + 3.9 * units[:, 3]).max() < REACH


def test_it_is_a_hollow_cylinder_of_the_known_size():
    top, side = view(didecamer(), VIEWS["top"]), view(didecamer(), VIEWS["side"])
    radius = np.abs(AXIS)
    assert top[C, C] < 0.02 * top.max()
    assert 125 < radius[top[C].argmax()] < 155
    assert top[C, radius > 200].max() < 0.01 * top.max()
    length = np.ptp(np.flatnonzero(side.sum(1) > 0.25 * side.sum(1).max())) * STEP
    width = np.ptp(np.flatnonzero(side.sum(0) > 0.25 * side.sum(0).max())) * STEP
    assert 340 < length < 400
    assert 290 < width < 350
    assert length > width


def test_the_side_view_shows_six_bands():
    profile = view(didecamer(), VIEWS["side"]).sum(1)
    inner = (profile[1:-1] > profile[:-2]) & (profile[1:-1] > profile[2:])
    assert np.count_nonzero(inner & (profile[1:-1] > 0.2 * profile.max())) == 6


def test_the_decamers_collar_is_towards_plus_z():
    x, y, z, _, mass = decamer().T
    near_axis = np.hypot(x, y) < 100
    assert mass[near_axis & (z > 22)].sum() > 5 * mass[near_axis & (z < -22)].sum()
    upper = view(decamer(), VIEWS["side"])[:, 54:75].sum(1)  # +z is on top
    assert upper[:C - 5].sum() > 1.2 * upper[C + 5:].sum()
