"""The template bank: angles, centres, masks, weights and order."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from gembench.engine.bank import TemplateBank, grid_angles
from gembench.engine.turning import disc_mask, is_disc, rotate, rotate_mask
from gembench.errors import InputError

RNG = np.random.default_rng(10)


def turned_about_the_centre_pixel(image: np.ndarray, quarters: int) -> np.ndarray:
    """Quarter turns counter-clockwise pixel by pixel; pixels from beyond the box are NaN."""
    out = np.full(image.shape, np.nan)
    cy, cx = image.shape[0] // 2, image.shape[1] // 2
    for y, x in np.ndindex(image.shape):
        dy, dx = y - cy, x - cx
        for _ in range(quarters):
            dy, dx = -dx, dy  # y points down: right goes up, up goes left
        if 0 <= cy + dy < image.shape[0] and 0 <= cx + dx < image.shape[1]:
            out[cy + dy, cx + dx] = image[y, x]
    return out


@pytest.mark.parametrize("interpolation", ["bilinear", "cubic"])
@pytest.mark.parametrize("quarters", [0, 1, 2, 3, 4, 5, -1])
def test_right_angles_equal_rot90_for_odd_boxes(quarters, interpolation):
    image = RNG.normal(size=(15, 15))
    np.testing.assert_allclose(
        rotate(image, 90.0 * quarters, interpolation), np.rot90(image, quarters), atol=1e-12
    )


@pytest.mark.parametrize("shape", [(16, 16), (15, 15), (12, 17), (17, 12), (9, 8)])
@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_right_angles_turn_about_the_centre_pixel(shape, quarters):
    image = RNG.normal(size=shape)
    expected = turned_about_the_centre_pixel(image, quarters)
    finite = np.isfinite(expected)
    assert finite.sum() >= (min(shape) - 1) ** 2
    np.testing.assert_array_equal(rotate(image, 90 * quarters)[finite], expected[finite])
    assert not rotate(image, 90 * quarters, outside="constant")[~finite].any()


def test_even_box_at_90_degrees_is_rot90_moved_down_by_one_pixel():
    image = RNG.normal(size=(16, 16))
    np.testing.assert_array_equal(rotate(image, 90)[1:], np.rot90(image)[:-1])


def test_counter_clockwise_as_displayed_with_row_0_on_top():
    image = np.zeros((21, 21))
    image[10, 16] = 1  # right of the centre
    assert np.argwhere(rotate(image, 90) == 1).tolist() == [[4, 10]]  # above it
    y, x = np.unravel_index(rotate(image, 45).argmax(), image.shape)
    assert (y, x) == (6, 14)  # above and right


@pytest.mark.parametrize("psi", [10.0, 37.5, 90.0, 133.0, 271.0, -20.0])
def test_same_sign_as_scipy_rotate(psi):
    image = ndimage.gaussian_filter(RNG.normal(size=(31, 31)), 2)
    expected = ndimage.rotate(image, psi, reshape=False, order=1, mode="nearest")
    np.testing.assert_allclose(rotate(image, psi), expected, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(psi=st.floats(-400, 400), h=st.integers(3, 20), w=st.integers(3, 20))
def test_the_centre_pixel_stays(psi, h, w):
    image = np.random.default_rng(h * w).normal(size=(h, w))
    assert rotate(image, psi)[h // 2, w // 2] == pytest.approx(image[h // 2, w // 2], abs=1e-9)


@pytest.mark.parametrize("shape", [(16, 16), (15, 20), (21, 21)])
@pytest.mark.parametrize("psi", [0.0, 7.0, 45.0, 90.0, 201.0])
def test_turned_masks_are_the_bilinear_values_thresholded_again(shape, psi):
    mask = np.zeros(shape, bool)
    mask[4:12, 6:11] = True
    y, x = np.indices(shape) - np.array([shape[0] // 2, shape[1] // 2])[:, None, None]
    angle = np.deg2rad(psi)
    source_y = np.cos(angle) * y + np.sin(angle) * x + shape[0] // 2
    source_x = -np.sin(angle) * y + np.cos(angle) * x + shape[1] // 2
    values = ndimage.map_coordinates(np.pad(mask, 3).astype(float), [source_y + 3, source_x + 3], order=1)
    clear = np.abs(values - 0.5) > 1e-6
    turned = rotate_mask(mask, psi)
    assert turned.dtype == bool
    np.testing.assert_array_equal(turned[clear], (values > 0.5)[clear])


@pytest.mark.parametrize("size", [8, 16, 31, 64])
def test_discs_are_discs_about_the_centre_pixel_and_about_the_middle(size):
    y, x = np.indices((size, size))
    for radius in (size / 3, size / 2.5):
        for middle in (size // 2, (size - 1) / 2):
            assert is_disc(np.hypot(y - middle, x - middle) <= radius)
    assert is_disc(disc_mask((size, size)))


@pytest.mark.parametrize("side", [11, 13, 21])
def test_squares_and_other_shapes_are_no_discs(side):
    square = np.zeros((40, 40), bool)
    square[20 - side // 2 : 21 + side // 2, 20 - side // 2 : 21 + side // 2] = True
    assert not is_disc(square)
    assert not is_disc(rotate_mask(square, 45))
    assert not is_disc(np.roll(disc_mask((40, 40), side // 2), 2, axis=0))
    assert not is_disc(disc_mask((40, 40), side) & ~disc_mask((40, 40), side - 5))
    assert not is_disc(np.ones((side, side), bool))
    assert not is_disc(np.zeros((side, side), bool))


def test_disc_masks_are_kept_at_every_angle_and_others_turned():
    masks = np.zeros((2, 24, 24), bool)
    masks[0] = disc_mask((24, 24), 9)
    masks[1, 6:18, 9:14] = True
    bank = TemplateBank(RNG.normal(size=(2, 24, 24)), masks, grid_angles(30))
    assert bank.disc_views == (True, False)
    for index in range(12):
        np.testing.assert_array_equal(bank.mask(index), masks[0])
    np.testing.assert_array_equal(bank.mask(12 + 3), turned_about_the_centre_pixel(masks[1], 1) == 1)


def test_turned_masks_that_are_kept_are_the_same_and_few(monkeypatch):
    monkeypatch.setattr("gembench.engine.bank.MASK_BYTES", 2 * 11 * 9)
    mask = np.zeros((11, 9), bool)
    mask[2:9, 3:5] = True
    bank = TemplateBank(RNG.normal(size=(1, 11, 9)), mask[None], grid_angles(90))
    first = bank.mask(1)
    np.testing.assert_array_equal(first, rotate_mask(mask, 90.0))
    assert bank.mask(1) is first
    for index in (2, 3):
        np.testing.assert_array_equal(bank.mask(index), rotate_mask(mask, 90.0 * index))
    assert bank.mask(1) is not first
    with pytest.raises(ValueError, match="read-only"):
        bank.mask(1)[0, 0] = True
    again = pickle.loads(pickle.dumps(bank))
    np.testing.assert_array_equal(again.mask(1), first)


def test_default_mask_is_the_largest_disc_about_the_centre_pixel():
    bank = TemplateBank(RNG.normal(size=(12, 16)))
    assert bank.masks.shape == (1, 12, 16)
    assert np.argwhere(bank.masks[0]).min(0).tolist() == [1, 3]
    assert np.argwhere(bank.masks[0]).max(0).tolist() == [11, 13]


def test_grey_masks_count_from_half_their_peak():
    mask = np.zeros((9, 9))
    mask[2:7, 2:7], mask[0, 0], mask[4, 4] = 200.0, 100.0, 200.0
    assert TemplateBank(RNG.normal(size=(9, 9)), mask).masks.sum() == 25


def test_index_is_view_then_angle():
    bank = TemplateBank(RNG.normal(size=(3, 9, 9)), angles=[0, 10, 350, 77.5])
    assert len(bank) == 12
    index = np.arange(12)
    assert bank.view(index).tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert bank.psi(index).tolist() == [0, 10, 350, 77.5] * 3
    for i in index:
        turned = bank.rotated(int(i))
        assert (turned.index, turned.view, turned.psi) == (i, bank.view(i), bank.psi(i))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from([0, 10, 45, 90, 180, 190, 225, 270, 360, 370, -90, -180, 540, 0.3]),
        min_size=1, max_size=9,
    ),
    st.integers(1, 3),
)
def test_search_order_visits_every_index_once(angles, views):
    bank = TemplateBank(np.random.default_rng(0).normal(size=(views, 6, 6)), angles=angles)
    assert sorted(bank.search_order()) == list(range(len(bank)))


def test_search_order_puts_half_turns_next_to_each_other():
    order = list(TemplateBank(RNG.normal(size=(9, 9)), angles=grid_angles(4)).search_order())
    assert order[:6] == [0, 45, 1, 46, 2, 47]


@pytest.mark.parametrize("shape", [(16, 16), (15, 22), (31, 20)])
@pytest.mark.parametrize("psi", [0, 33, 90, 180, 222])
def test_weights_set_back_into_the_box_are_the_normalised_template(shape, psi):
    rng = np.random.default_rng(11)
    mask = np.zeros(shape, bool)
    mask[3:12, 5:13] = True
    mask[3, 5] = mask[4, 12] = False
    bank = TemplateBank(ndimage.gaussian_filter(rng.normal(size=shape), 1), mask, [psi])
    turned = bank.rotated(0)
    top, left = shape[0] // 2 + turned.offset[0], shape[1] // 2 + turned.offset[1]
    h, w = turned.weights.shape
    assert turned.mask.shape == (h, w)
    assert turned.mask[0].any()
    assert turned.mask[-1].any()
    assert turned.mask[:, 0].any()
    assert turned.mask[:, -1].any()
    M, SMP = np.zeros(shape, bool), np.zeros(shape)
    M[top : top + h, left : left + w] = turned.mask
    SMP[top : top + h, left : left + w] = turned.weights
    np.testing.assert_array_equal(M, rotate_mask(mask, psi))
    assert not SMP[~M].any()
    S = SMP[M] * M.sum()
    assert S.mean() == pytest.approx(0, abs=1e-12)
    assert (S**2).mean() == pytest.approx(1, abs=1e-12)
    image = rotate(bank.templates[0], psi)[M]
    np.testing.assert_allclose(S, (image - image.mean()) / image.std(), atol=1e-12)


def test_reach_covers_every_turned_mask():
    mask = np.zeros((30, 30), bool)
    mask[2:17, 11:15] = True
    bank = TemplateBank(RNG.normal(size=(30, 30)), mask, grid_angles(10))
    farthest = max(np.abs(np.argwhere(bank.mask(i)) - 15).max() for i in range(len(bank)))
    assert farthest <= bank.reach <= 13 + 4


GOOD = RNG.normal(size=(2, 8, 8))


@pytest.mark.parametrize(("make", "message"), [
    (lambda: TemplateBank(GOOD, np.zeros((8, 8))), "mask 0 is empty"),
    (lambda: TemplateBank(GOOD, np.stack([np.ones((8, 8)), np.zeros((8, 8))])), "mask 1 is empty"),
    (lambda: TemplateBank(GOOD, np.full((8, 8), np.nan)), "mask 0 is empty"),
    (lambda: TemplateBank(GOOD, np.ones((8, 9))), r"masks have shape \(1, 8, 9\), templates \(2, 8, 8\)"),
    (lambda: TemplateBank(GOOD, np.ones((3, 8, 8))), r"masks have shape \(3, 8, 8\)"),
    (lambda: TemplateBank(GOOD, np.ones(8)), r"masks have shape \(8,\)"),
    (lambda: TemplateBank(np.where(GOOD > 2, np.nan, GOOD) + np.nan), "NaN"),
    (lambda: TemplateBank(GOOD * np.inf), "infinite"),
    (lambda: TemplateBank(np.ones(8)), r"shape \(8,\)"),
    (lambda: TemplateBank(np.ones((0, 8, 8))), r"shape \(0, 8, 8\)"),
    (lambda: TemplateBank(np.stack([GOOD[0], np.full((8, 8), 0.1)])), "template 1 is constant under"),
    (lambda: TemplateBank(GOOD, angles=[0, np.nan]), "angles"),
    (lambda: TemplateBank(GOOD, angles=[]), "angles"),
    (lambda: grid_angles(0), r"angle step 0 degrees is outside \(0, 360\]"),
    (lambda: grid_angles(-4), "angle step -4"),
    (lambda: grid_angles(361), "angle step 361"),
    (lambda: grid_angles(np.nan), "angle step nan"),
])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_unusable_input_is_named(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_a_template_that_turns_constant_is_named():
    mask = np.zeros((9, 9), bool)
    mask[4, 4] = mask[4, 8] = True  # at 28 degrees the second pixel falls between four, none above one half
    bank = TemplateBank(RNG.normal(size=(9, 9)), mask, [0, 28])
    bank.rotated(0)
    with pytest.raises(InputError, match="template of view 0 at 28 degrees is constant under its mask"):
        bank.rotated(1)


def test_a_mask_that_turns_empty_is_named():
    mask = np.zeros((8, 8), bool)
    mask[0, :2] = True  # a quarter turn takes row 0 of an even box beyond its edge
    with pytest.raises(InputError, match="mask of view 0 is empty when turned by 135 degrees"):
        TemplateBank(GOOD, mask, [135]).rotated(0)


@pytest.mark.parametrize(("step", "number"), [
    (360, 1), (90, 4), (4, 90), (7, 52), (0.1, 3600), (1 / 3, 1080),
])
def test_grid_angles(step, number):
    angles = grid_angles(step)
    assert len(angles) == number
    np.testing.assert_allclose(angles, np.arange(number) * step)
    assert angles[-1] < 360
