"""Templates and masks turned on the device are those of the CPU."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from gembench.engine.bank import TemplateBank, grid_angles
from gembench.engine.gpu.turned_bank import TurnedBank
from gembench.engine.gpu.turns import NONE, Batch, batches, turns
from gembench.engine.turning import disc_mask
from gembench.errors import InputError

RNG = np.random.default_rng(31)
ANGLES = [0.0, 1.0, 30.0, 44.9, 45.0, 60.0, 89.999, 90.0, 123.4, 180.0, 225.0, 270.0, 315.0, 359.0]


def smooth(shape):
    return ndimage.gaussian_filter(RNG.normal(size=shape), (0, 1.5, 1.5))


def masks(box):
    h, w = box
    square, bar = np.zeros(box, bool), np.zeros(box, bool)
    square[2:-3, 3:-2] = True
    bar[h // 2 - 3 : h // 2 + 4, 1 : w - 1] = True
    return np.stack([square, bar, disc_mask(box), RNG.random(box) > 0.4])


@pytest.mark.parametrize("interpolation", ["bilinear", "cubic"])
@pytest.mark.parametrize("box", [(20, 20), (21, 21), (15, 24)])
def test_every_mask_pixel_for_pixel_and_every_mean_and_scale(cupy, box, interpolation):
    bank = TemplateBank(smooth((4, *box)), masks(box), ANGLES, interpolation)
    turned = turns(bank)
    records = TurnedBank(cupy, bank, turned).surveyed
    for turn, record in zip(turned, records, strict=True):
        expected = bank.rotated(int(turn["index"]))
        rows, columns = expected.mask.shape
        top, left = expected.offset[0] + box[0] // 2, expected.offset[1] + box[1] // 2
        assert record["count"] == expected.mask.sum()
        assert (record["top"], record["bottom"]) == (top, top + rows - 1)
        assert (record["left"], record["right"]) == (left, left + columns - 1)
        assert record["scale"] == pytest.approx(_scale(bank, expected), rel=1e-12)


def _scale(bank, template):
    """1 / (sigma P), from weights that are (S - mean) / (sigma P) and the unturned pixel they belong to."""
    from gembench.engine.turning import rotate

    image = rotate(bank.templates[template.view], template.psi, bank.interpolation)
    inside = image[bank.mask(template.index)]
    return 1 / (inside.std() * inside.size)


@pytest.mark.parametrize("psi", np.linspace(0, 355, 72))
def test_masks_that_hang_on_one_half_are_turned_alike(cupy, psi):
    """A chessboard has values near one half everywhere: every rounding would show in the count."""
    board = np.indices((18, 19)).sum(0) % 2 == 0
    bank = TemplateBank(smooth((1, 18, 19)), board, [psi])
    assert TurnedBank(cupy, bank, turns(bank)).surveyed["count"][0] == bank.mask(0).sum()


def test_neighbours_with_equal_masks_are_known(cupy):
    bar = np.zeros((21, 21), bool)
    bar[4:17, 7:14] = True  # about the centre pixel: half a turn maps it onto itself
    bank = TemplateBank(smooth((1, 21, 21)), bar, grid_angles(30))
    records = TurnedBank(cupy, bank, turns(bank)).surveyed
    masks_of = [bank.mask(index) for index in bank.search_order()]
    expected = [place % 2 == 1 and np.array_equal(mask, masks_of[place - 1])
                for place, mask in enumerate(masks_of)]
    assert records["same"].tolist() == expected
    assert sum(expected) == 6


def test_an_empty_turned_mask_and_a_flat_template_are_named(cupy):
    corner = np.zeros((21, 21), bool)
    corner[0, 0] = corner[0, 1] = True
    bank = TemplateBank(smooth((1, 21, 21)), corner, [0.0, 45.0])
    with pytest.raises(InputError, match="mask of view 0 is empty when turned by 45 degrees: widen it"):
        TurnedBank(cupy, bank, turns(bank))
    flat = np.zeros((1, 12, 12))
    flat[0, 0, 0] = 1
    bank = TemplateBank(flat, np.ones((12, 12), bool), [0.0, 45.0])
    with pytest.raises(InputError, match="view 0 at 45 degrees is constant under its mask"):
        TurnedBank(cupy, bank, turns(bank))


def test_pairs_are_the_same_for_every_share():
    bank = TemplateBank(smooth((3, 12, 12)), angles=grid_angles(72))
    whole = turns(bank)
    assert len(whole) == 16
    assert whole["view"][15] == whole["index"][15] == NONE
    for parts in (2, 3, 7):
        shares = [turns(bank, (part, parts)) for part in range(parts)]
        for share in shares:
            np.testing.assert_array_equal(share["view"], whole["view"])
        owners = np.stack([share["index"] != NONE for share in shares])
        np.testing.assert_array_equal(owners.sum(0), whole["index"] != NONE)
        done = [sum(batch.templates for batch in batches(bank, share, 2)) for share in shares]
        assert done == [len(bank.share(part, parts)) for part in range(parts)]


def test_a_batch_has_masks_of_its_own_or_one_disc():
    box = (15, 15)
    shapes = np.stack([disc_mask(box, 6), disc_mask(box, 6), np.ones(box, bool), disc_mask(box, 5)])
    bank = TemplateBank(smooth((4, *box)), shapes, grid_angles(90))
    assert list(batches(bank, turns(bank), 3)) == [
        Batch(0, 3, 0, 6), Batch(3, 1, 0, 2), Batch(4, 2, NONE, 4), Batch(6, 2, 3, 4),
    ]
