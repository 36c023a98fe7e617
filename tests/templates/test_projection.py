"""Projections: planted voxels land where the angles say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from gembench.errors import InputError
from gembench.templates.projection import VIEWS, project, view_matrix

D = 16
C = D // 2


def volume_with(*offsets: tuple[int, int, int]) -> np.ndarray:
    """A volume with voxels 1, 2, ... at (x, y, z) offsets from the centre."""
    volume = np.zeros((D, D, D), np.float32)
    for value, (x, y, z) in enumerate(offsets, start=1):
        volume[C + z, C + y, C + x] = value
    return volume


def test_no_rotation_sums_over_z():
    volume = np.random.default_rng(1).normal(size=(D, D, D)).astype(np.float32)
    np.testing.assert_allclose(project(volume, (0, 0, 0)), volume.sum(0), atol=1e-5)


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize(("euler", "x_lands", "y_lands", "z_lands"), [
    # where the volume's axes x (3 voxels), y (4) and z (5) land, as (dx, dy) in the image, y down
    ((0, 0, 0), (3, 0), (0, 4), (0, 0)),
    ((0, 0, 90), (0, -3), (4, 0), (0, 0)),
    ((90, 0, 0), (0, -3), (4, 0), (0, 0)),
    ((0, 90, 0), (0, 0), (0, 4), (-5, 0)),
    ((90, 90, 0), (0, -3), (0, 0), (-5, 0)),
    ((0, 90, 90), (0, 0), (4, 0), (0, 5)),
    ((0, 90, -90), (0, 0), (-4, 0), (0, -5)),
    ((0, 180, 0), (-3, 0), (0, 4), (0, 0)),
])
def test_axes_land_at_exact_pixels(euler, x_lands, y_lands, z_lands, order):
    volume = volume_with((3, 0, 0), (0, 4, 0), (0, 0, 5))
    expected = np.zeros((D, D))
    for value, (dx, dy) in enumerate((x_lands, y_lands, z_lands), start=1):
        expected[C + dy, C + dx] += value
    np.testing.assert_allclose(project(volume, euler, order=order), expected, atol=1e-4)


def test_the_side_view_stands_upright_with_plus_z_on_top():
    assert project(volume_with((0, 0, 5)), VIEWS["side"])[C - 5, C] == pytest.approx(1, abs=1e-5)


def test_psi_has_the_sign_of_ndimage_rotate():
    volume = np.zeros((33, 33, 33), np.float32)
    volume[16, 8:22, 18] = volume[16, 12, 18:24] = 1  # an F-like stroke, no symmetry
    volume = ndimage.gaussian_filter(volume, 1.5)
    upright = project(volume, (0, 0, 0))
    turned = project(volume, (0, 0, 30))
    same = ndimage.rotate(upright, 30, reshape=False, order=1)
    opposite = ndimage.rotate(upright, -30, reshape=False, order=1)
    np.testing.assert_allclose(turned, same, atol=1e-5)
    assert np.abs(turned - opposite).max() > 0.1


@settings(max_examples=50, deadline=None)
@given(st.tuples(*[st.floats(-360, 360)] * 3))
def test_the_viewing_direction_is_the_one_of_the_convention(euler):
    rot, tilt, _ = np.radians(euler)
    direction = [np.sin(tilt) * np.cos(rot), np.sin(tilt) * np.sin(rot), np.cos(tilt)]
    np.testing.assert_allclose(view_matrix(euler)[2], direction, atol=1e-9)


@settings(max_examples=15, deadline=None)
@given(st.tuples(*[st.floats(-180, 180)] * 3))
def test_a_blob_lands_where_the_matrix_takes_it(euler):
    volume = ndimage.gaussian_filter(volume_with((2, -1, 3)), 1.0)
    x, y, _ = view_matrix(euler) @ (2, -1, 3)
    image = project(volume, euler).astype(float)
    assert ndimage.center_of_mass(image) == pytest.approx((C + y, C + x), abs=0.05)


@pytest.mark.parametrize(("shape", "euler"), [((4, 4, 5), (0, 0, 0)), ((4, 4), (0, 0, 0)),
                                              ((4, 4, 4), (0, np.nan, 0)), ((4, 4, 4), (0, 0))])
def test_bad_input_is_one_line(shape, euler):
    with pytest.raises(InputError) as error:
        project(np.zeros(shape), euler)
    assert "\n" not in str(error.value)
