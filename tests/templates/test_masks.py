"""Masks of templates: the shape that fits, its extent, and its symmetry."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from gembench.engine.turning import rotate, rotate_mask
from gembench.errors import InputError
from gembench.templates.masks import MASK_SHAPES, mask_of, silhouette, upright_turn

N = 65


def offsets(n=N):
    return np.indices((n, n)) - n // 2


def upright_block(n=N, height=31, width=21):
    y, x = offsets(n)
    return ((abs(y) <= height // 2) & (abs(x) <= width // 2)).astype(float)


def round_block():
    return (np.hypot(*offsets()) <= 15.2).astype(float)


def angle_block():
    block = np.zeros((N, N))
    block[20:46, 20:28] = block[38:46, 20:46] = 1
    return block


def blurred(block):
    return gaussian_filter(block, 1.0)


@pytest.mark.parametrize(("block", "shape"), [
    (upright_block(), "rectangle"), (round_block(), "disc"), (angle_block(), "silhouette"),
])
def test_auto_takes_the_shape_that_fits(block, shape):
    mask, chosen = mask_of(blurred(block), "bright")
    assert chosen == shape
    assert mask[block > 0].all()
    assert mask.sum() < 1.35 * block.sum()


def test_dark_particles_and_an_offset_change_nothing():
    bright, _ = mask_of(blurred(angle_block()), "bright", "silhouette", 2)
    dark, _ = mask_of(7 - 3 * blurred(angle_block()), "dark", "silhouette", 2)
    np.testing.assert_array_equal(bright, dark)


@pytest.mark.parametrize("n", [64, 65])
@pytest.mark.parametrize("shape", ["rectangle", "disc"])
@pytest.mark.parametrize("margin", [0, 3.5, 50])
def test_half_a_turn_maps_rectangle_and_disc_onto_themselves(n, shape, margin):
    block = np.roll(upright_block(n), (3, -2), (0, 1))  # not even centred
    mask, _ = mask_of(blurred(block), "bright", shape, margin)
    np.testing.assert_array_equal(rotate_mask(mask, 180), mask)
    assert mask[n // 2, n // 2]
    assert (np.ptp(np.flatnonzero(mask.any(0))) + 1) % 2 == 1
    assert mask[block > 0].all()


def test_margin_widens_by_so_many_pixels():
    extents = {}
    for margin in (0, 4):
        mask, _ = mask_of(blurred(upright_block()), "bright", "rectangle", margin)
        extents[margin] = [np.ptp(np.flatnonzero(mask.any(axis))) + 1 for axis in (1, 0)]
    assert np.subtract(extents[4], extents[0]).tolist() == [8, 8]
    tight, _ = mask_of(blurred(angle_block()), "bright", "silhouette", 0)
    wide, _ = mask_of(blurred(angle_block()), "bright", "silhouette", 3)
    y, x = np.nonzero(wide)
    distance = np.min(np.hypot(y[:, None] - np.nonzero(tight)[0], x[:, None] - np.nonzero(tight)[1]), axis=1)
    assert 2.5 < distance.max() <= 3


def test_a_ring_is_filled_and_noise_left_out():
    y, x = offsets()
    ring = (abs(np.hypot(y, x) - 14) <= 3).astype(float)
    ring[5, 5] = 1
    inside = silhouette(blurred(ring), "bright")
    assert inside[N // 2, N // 2]
    assert not inside[5, 5]


@pytest.mark.parametrize("turn", [-80, -30, 0, 17, 45, 90])
def test_upright_turn_undoes_a_turn(turn):
    turned = rotate(upright_block(), turn, outside="constant") > 0.5
    back = upright_turn(turned)
    assert -90 < back <= 90
    assert (back + turn + 90) % 180 == pytest.approx(90, abs=1.5)


@pytest.mark.parametrize("shape", ["auto", *MASK_SHAPES])
def test_nothing_to_see_is_an_error(shape):
    with pytest.raises(InputError, match="no dark particle stands out"):
        mask_of(np.full((N, N), 3.0), "dark", shape)
