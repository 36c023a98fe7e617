"""The KLH model has the symmetry and the size that are known of KLH."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from gembench.data.volume import BOX, VOXEL, decamer, didecamer
from gembench.engine.projection import project

C = BOX // 2


@pytest.fixture(scope="module")
def klh() -> np.ndarray:
    return didecamer()


def test_five_turns_about_z_change_nothing_and_fewer_do(klh):
    top = project(klh, (0, 0, 0), order=3)
    fifth = ndimage.rotate(top[1:, 1:], 72, reshape=False, order=3)  # odd size: about the centre voxel
    tenth = ndimage.rotate(top[1:, 1:], 36, reshape=False, order=3)
    assert np.abs(fifth - top[1:, 1:]).max() < 0.01 * top.max()
    assert np.abs(tenth - top[1:, 1:]).max() > 0.02 * top.max()


def test_a_two_fold_axis_lies_along_x(klh):
    inner = klh[1:, 1:, 1:]
    np.testing.assert_allclose(inner[::-1, ::-1], inner, atol=1e-7)


def test_it_is_a_hollow_cylinder_of_the_known_size(klh):
    top, side = project(klh, (0, 0, 0)), project(klh, (0, 90, -90))
    radius = np.abs(np.arange(BOX) - C) * VOXEL
    assert top[C, C] < 0.02 * top.max()
    ring = top[C].copy()
    assert 125 < radius[ring.argmax()] < 155
    assert top[C, radius > 200].max() < 0.01 * top.max()
    length = np.ptp(np.flatnonzero(side.sum(1) > 0.25 * side.sum(1).max())) * VOXEL
    width = np.ptp(np.flatnonzero(side.sum(0) > 0.25 * side.sum(0).max())) * VOXEL
    assert 340 < length < 400
    assert 290 < width < 350
    assert length > width


def test_the_side_view_shows_six_bands(klh):
    profile = project(klh, (0, 90, -90)).sum(1)
    inner = (profile[1:-1] > profile[:-2]) & (profile[1:-1] > profile[2:])
    assert np.count_nonzero(inner & (profile[1:-1] > 0.2 * profile.max())) == 6


def test_two_decamers_make_the_didecamer(klh):
    assert 2 * decamer().sum() == pytest.approx(klh.sum(), rel=1e-5)


def test_the_decamers_collar_is_towards_plus_z():
    density = decamer()
    near_axis = np.hypot(*(np.mgrid[:BOX, :BOX] - C)) * VOXEL < 95
    mass = density[:, near_axis].sum(1)
    assert mass[C + 5:].sum() > 5 * mass[:C - 5].sum()
