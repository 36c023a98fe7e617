"""Searches against the direct sum: scores, indices, edges, counts, planted particles."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from gembench.engine.bank import TemplateBank, grid_angles
from gembench.engine.exact.plan import make_plan
from gembench.engine.exact.producer import CPUSearch, search
from gembench.engine.score_map import finished, merge
from gembench.engine.turning import disc_mask, rotate, rotate_mask
from gembench.errors import InputError

METHODS = ["exact", "paper"]
POSITIONS = 220


def smooth(rng: np.random.Generator, shape: tuple[int, ...], sigma: float = 1.5) -> np.ndarray:
    image = ndimage.gaussian_filter(rng.normal(size=shape), (0,) * (len(shape) - 2) + (sigma, sigma))
    return image / image.std()


def a_mask(kind: str, shape: tuple[int, int]) -> np.ndarray:
    h, w = shape
    mask = np.zeros(shape, bool)
    if kind == "rectangle":
        mask[h // 4 : h // 4 + h // 2, w // 3 : w // 3 + max(w // 3, 2)] = True
    elif kind == "disc":
        mask = disc_mask(shape)
    elif kind == "irregular":
        mask = smooth(np.random.default_rng(h * w), shape, 2) > 0.2
    else:
        mask[:] = True
    return mask


CASES = {  # micrograph, its mean, template box, mask, edge rule
    "odd": ((97, 121), 0.0, (20, 20), "rectangle", "mask"),
    "even": ((96, 128), 1e4, (21, 21), "disc", "mask"),
    "square": ((110, 110), 0.0, (24, 18), "irregular", "box"),
    "tiny template": ((64, 81), 1e4, (8, 8), "full", "mask"),
    "wide template": ((70, 90), 0.0, (9, 60), "irregular", "mask"),
    "whole": ((47, 52), 0.0, (47, 52), "full", "mask"),
    "whole box": ((48, 48), 1e4, (48, 48), "rectangle", "box"),
    "mirrored": ((75, 64), 1e4, (16, 22), "irregular", "reflect"),
    "mirrored whole": ((40, 51), 0.0, (40, 51), "disc", "reflect"),
}


@cache
def a_case(name: str):
    """A micrograph, a bank of two views at five angles, and what the micrograph is mirrored by."""
    shape, mean, box, kind, edges = CASES[name]
    rng = np.random.default_rng(len(name))
    micrograph = 3 * smooth(rng, shape) + rng.normal(size=shape) + mean
    bank = TemplateBank(smooth(rng, (2, *box)), a_mask(kind, box), [0.0, 30.0, 90.0, 180.0, 211.0])
    return micrograph, bank, min(shape) - 1 if edges == "reflect" else 0


def turned(bank: TemplateBank) -> list[tuple[np.ndarray, np.ndarray]]:
    """Every template of the bank, turned in its box, with its mask: what the direct sum is given."""
    return [
        (rotate(bank.templates[i // len(bank.angles)], bank.angles[i % len(bank.angles)]), bank.mask(i))
        for i in range(len(bank))
    ]


@pytest.fixture(scope="module")
def reference(best_scores, best_rounding):
    """Of a case by the direct sum: positions, scores, indices, leads, and what rounding may do in float32."""
    @cache
    def of(name: str):
        micrograph, bank, margin = a_case(name)
        rng = np.random.default_rng(5)
        rows, columns = (rng.integers(0, n, POSITIONS) for n in micrograph.shape)
        rows[:5], columns[:5] = micrograph.shape[0] // 2, micrograph.shape[1] // 2 + np.arange(-2, 3)
        padded = np.pad(micrograph, margin, mode="reflect") if margin else micrograph
        score, index, lead = best_scores(padded, turned(bank), rows + margin, columns + margin)
        if CASES[name][4] == "box":
            (h, w), (H, W) = bank.box, micrograph.shape
            top, left = rows - h // 2, columns - w // 2
            outside = (top < 0) | (left < 0) | (top + h > H) | (left + w > W)
            score, index, lead = np.where(outside, 0, score), np.where(outside, -1, index), lead + outside
        rounding = best_rounding(padded, turned(bank), rows + margin, columns + margin)
        return rows, columns, score, index, lead, rounding

    return of


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", CASES)
def test_scores_and_indices_are_those_of_the_direct_sum(reference, library_name, method, dtype, name):
    micrograph, bank, _ = a_case(name)
    rows, columns, score, index, lead, rounding = reference(name)
    tolerance = rounding if dtype == "float32" else np.full(POSITIONS, 1e-10)
    maps = search(micrograph, bank, method=method, library=library_name, dtype=dtype, edges=CASES[name][4])
    assert (index >= 0).any()
    assert maps.score.dtype == np.dtype(dtype)
    assert maps.index.dtype == np.int32
    assert maps.score.shape == maps.index.shape == micrograph.shape
    np.testing.assert_array_less(np.abs(maps.score[rows, columns] - score)[index >= 0], tolerance[index >= 0])
    clear = lead > 2 * tolerance
    np.testing.assert_array_equal(maps.index[rows, columns][clear], index[clear])
    np.testing.assert_array_equal(maps.index[rows, columns] < 0, index < 0)
    assert not maps.score[maps.index < 0].any()


def test_exact_and_paper_agree_everywhere():
    for name in CASES:
        micrograph, bank, _ = a_case(name)
        exact, paper = (
            search(micrograph, bank, method=method, dtype="float64", edges=CASES[name][4])
            for method in METHODS
        )
        np.testing.assert_allclose(exact.score, paper.score, rtol=0, atol=1e-10)
        np.testing.assert_array_equal(exact.index < 0, paper.index < 0)


@pytest.mark.parametrize("method", METHODS)
def test_maps_are_the_same_bits_for_any_number_of_threads(library_name, method):
    for name in ("odd", "even"):
        micrograph, bank, _ = a_case(name)
        first = search(micrograph, bank, method=method, library=library_name)
        for threads in (2, 3, 5, 8):
            maps = search(micrograph, bank, method=method, library=library_name, threads=threads)
            assert maps.score.tobytes() == first.score.tobytes()
            assert maps.index.tobytes() == first.index.tobytes()


@pytest.mark.parametrize("threads", range(1, 9))
@pytest.mark.parametrize("method", METHODS)
def test_equal_scores_keep_the_lowest_index(method, threads):
    rng = np.random.default_rng(6)
    first, other = smooth(rng, (2, 12, 12))
    views = np.stack([first, other, first, first, other])
    maps = search(smooth(rng, (60, 71)), TemplateBank(views, angles=[0, 90]), method=method, threads=threads)
    scored = maps.index >= 0
    assert scored.any()
    assert set(np.unique(maps.index[scored])) == {0, 1, 2, 3}


@pytest.mark.parametrize("method", METHODS)
def test_opposite_templates_in_a_flat_micrograph_keep_the_lowest_index(method):
    rng = np.random.default_rng(7)
    view = smooth(rng, (10, 10))
    micrograph = np.zeros((60, 60))
    micrograph[50:, 50:] = rng.normal(size=(10, 10))
    maps = search(micrograph, TemplateBank(np.stack([view, -view, view])), method=method, threads=3)
    flat = maps.score[6:40, 6:40]
    assert not flat.any()
    assert not maps.index[6:40, 6:40].any()


@pytest.mark.parametrize("shape", [(66, 80), (75, 64)])
def test_paper_does_five_transforms_a_template_and_two_a_micrograph(shape):
    rng = np.random.default_rng(8)
    bank = TemplateBank(smooth(rng, (3, 14, 14)), a_mask("rectangle", (14, 14)), grid_angles(60))
    with CPUSearch(bank, method="paper", threads=2) as engine:
        for _ in range(2):
            engine.run(rng.normal(size=shape))
            counts = engine.statistics.counts
            assert counts.templates == len(bank) == 18
            assert (counts.forward, counts.inverse) == (2 * 18 + 2, 3 * 18)
            assert counts.forward + counts.inverse == 5 * 18 + 2


@pytest.mark.parametrize("parts", [1, 2, 3, 5, 40])
@pytest.mark.parametrize("method", ["exact", "paper"])
def test_shares_of_the_bank_merge_to_the_same_bits(method, parts):
    micrograph, bank, _ = a_case("odd")
    whole = search(micrograph, bank, method=method)
    shares = [CPUSearch(bank, method=method, share=(part, parts)) for part in range(parts)]
    first, *others = [share.partial(micrograph) for share in shares]
    for other in others:
        merge(first.score, first.index, other.score, other.index)
    together = finished(first)
    assert sorted(i for share in shares for i in share.indices) == list(range(len(bank)))
    assert together.score.tobytes() == whole.score.tobytes()
    assert together.index.tobytes() == whole.index.tobytes()


def symmetric(height: int, width: int, box: int) -> np.ndarray:
    """A rectangle about the centre pixel of an odd box, or about the middle of an even one."""
    mask = np.zeros((box, box), bool)
    top, left = (box - height) // 2, (box - width) // 2
    mask[top : top + height, left : left + width] = True
    return mask


@pytest.mark.parametrize(("mask", "masks"), [
    (disc_mask((21, 21)), 1),  # one sigma map for all angles
    (symmetric(13, 7, 21), 6),  # one for every two
    (symmetric(12, 6, 20), 10),  # about the middle, which turns about the centre pixel: right angles only
    (a_mask("irregular", (21, 21)), 12),  # one for every angle
])
def test_exact_shares_what_equal_masks_and_opposite_angles_need(mask, masks):
    bank = TemplateBank(smooth(np.random.default_rng(9), mask.shape), mask, grid_angles(30))
    for threads in (1, 3):
        with CPUSearch(bank, threads=threads) as engine:
            engine.run(np.random.default_rng(9).normal(size=(64, 70)))
        counts = engine.statistics.counts
        assert (counts.inverse, counts.templates) == (12 + 2 * masks, 12)
        assert counts.forward == 2 + 6 + min(masks, 6)  # psi and psi + 180 share theirs


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("box", [20, 23])
def test_planted_templates_are_found_at_their_pixel_with_their_index(method, box):
    rng = np.random.default_rng(10)
    bank = TemplateBank(smooth(rng, (2, box, box), 2), symmetric(box - 6, box // 2, box), grid_angles(30))
    planted = {(30, 30): 3, (30, 75): 17, (75, 40): 0, (80, 90): 23, (60, 110): 12}
    clean = np.zeros((112, 131))
    for (y, x), k in planted.items():
        image = rotate(bank.templates[k // 12], bank.angles[k % 12])
        clean[y - box // 2 : y - box // 2 + box, x - box // 2 : x - box // 2 + box] = image
    maps = search(1e4 + 50 * clean, bank, method=method)
    for (y, x), k in planted.items():
        assert maps.score[y, x] == pytest.approx(1, abs=1e-5)
        assert maps.index[y, x] == k
    noisy = search(1e4 + 50 * (clean + 0.5 * rng.normal(size=clean.shape)), bank, method=method, threads=2)
    for (y, x), k in planted.items():
        window = noisy.score[y - 5 : y + 6, x - 5 : x + 6]
        assert np.unravel_index(window.argmax(), window.shape) == (5, 5)
        assert noisy.index[y, x] == k
        assert noisy.score[y, x] > 0.7


def test_score_does_not_change_with_the_scale_and_mean_of_micrograph_and_template():
    micrograph, bank, _ = a_case("odd")
    first = search(micrograph, bank, dtype="float64")
    other = TemplateBank(bank.templates * 7 - 400, bank.masks, bank.angles)
    again = search(micrograph * 1e-3 + 5, other, dtype="float64")
    np.testing.assert_allclose(again.score, first.score, rtol=0, atol=1e-8)
    np.testing.assert_array_equal(again.index, first.index)


@st.composite
def hard_micrographs(draw):
    """Noise of any scale with flat pieces, a step, a ramp and hot pixels."""
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    image = rng.normal(size=(48, 53)) * draw(st.sampled_from([0, 1e-6, 1, 1e4]))
    image[:, : draw(st.integers(0, 30))] = draw(st.sampled_from([0.0, 1.0, 1e6]))
    image[draw(st.integers(0, 40)) :] += draw(st.sampled_from([0.0, 1e2, 1e5]))
    image += np.linspace(0, draw(st.sampled_from([0.0, 10.0, 1e6])), 53)
    image[20, draw(st.integers(0, 52))] += draw(st.sampled_from([0.0, 1e3, 65535.0, 1e9]))
    image[40, 40] += 1
    return image


@settings(max_examples=60, deadline=None)
@given(hard_micrographs(), st.sampled_from(METHODS), st.sampled_from(["float32", "float64"]))
def test_scores_are_finite_and_within_one(micrograph, method, dtype):
    rng = np.random.default_rng(11)
    bank = TemplateBank(smooth(rng, (10, 10)), a_mask("rectangle", (10, 10)), [0, 45])
    maps = search(micrograph, bank, method=method, dtype=dtype, library="scipy")
    assert np.isfinite(maps.score).all()
    assert np.abs(maps.score).max() <= 1


@settings(max_examples=25, deadline=None)
@given(hard_micrographs(), st.sampled_from(METHODS))
def test_float32_scores_are_right_or_zero(micrograph, method):
    """What `correlate` says of its floor: scores near it are good to 0.1, whatever the micrograph."""
    bank = TemplateBank(smooth(np.random.default_rng(12), (10, 10)), a_mask("rectangle", (10, 10)))
    fine, coarse = (search(micrograph, bank, method=method, dtype=dtype, library="scipy").score
                    for dtype in ("float64", "float32"))
    assert np.abs(coarse - fine)[coarse != 0].max(initial=0) < 0.1


def test_excluded_pixels_are_not_scored_and_do_not_reach_the_others():
    micrograph, bank, _ = a_case("odd")
    exclude = np.zeros(micrograph.shape, bool)
    exclude[10:40, 20:60] = True
    with CPUSearch(bank) as engine:
        plain = engine.run(micrograph, exclude=exclude)
        blob = micrograph.copy()
        blob[exclude] = 1e9
        blob[15, 30] = np.nan
        masked = engine.run(blob, exclude=exclude.astype(np.uint8))
    np.testing.assert_array_equal(masked.score, plain.score)
    np.testing.assert_array_equal(masked.index, plain.index)
    assert (plain.index[exclude] == -1).all()
    assert not plain.score[exclude].any()
    without = search(micrograph, bank)
    far = ~ndimage.binary_dilation(exclude, iterations=2 * bank.reach)
    np.testing.assert_allclose(plain.score[far], without.score[far], rtol=0, atol=1e-5)
    assert (plain.index[far] >= 0).any()


ONE = TemplateBank(smooth(np.random.default_rng(13), (9, 9)))
NOISE = np.random.default_rng(14).normal(size=(32, 40))


@pytest.mark.parametrize(("micrograph", "options", "message"), [
    (NOISE[0], {}, r"two dimensions, this array has shape \(40,\)"),
    (NOISE[None], {}, "two dimensions"),
    (np.where(NOISE > 2, np.nan, NOISE), {}, r"holds \d+ NaN or infinite pixels"),
    (np.where(NOISE > 2, -np.inf, NOISE), {}, r"holds \d+ NaN or infinite pixels"),
    (np.zeros((32, 40)), {}, "the micrograph is constant"),
    (np.full((32, 40), 0.1), {}, "the micrograph is constant"),
    (np.full((32, 40), 0.1, np.float32), {}, "the micrograph is constant"),
    (NOISE[:8], {}, "template box of 9 x 9 px is larger than the micrograph of 40 x 8 px"),
    (NOISE, {"method": "fast"}, "method 'fast' is unknown: choose from exact, paper"),
    (NOISE, {"dtype": "float16"}, "precision 'float16' is unknown"),
    (NOISE, {"edges": "wrap"}, "edge rule 'wrap' is unknown"),
    (NOISE, {"threads": 0}, "0 threads"),
    (NOISE, {"queue_depth": 0}, "queue depth 0"),
    (NOISE, {"library": "fftq"}, "'fftq' is unknown"),
])
def test_unusable_input_is_named(micrograph, options, message):
    with pytest.raises(InputError, match=message):
        search(micrograph, ONE, **options)


@pytest.mark.parametrize(("micrograph", "exclude", "message"), [
    (NOISE, np.zeros((32, 41), bool), r"excluded area has shape \(32, 41\), the micrograph \(32, 40\)"),
    (NOISE, np.ones((32, 40), bool), "whole micrograph is excluded"),
    (np.where(NOISE > 2, 1.0, 0.1), NOISE > 2, "the micrograph is constant"),
    (np.where(NOISE > 2, np.nan, NOISE), NOISE < 0, "NaN or infinite"),
])
def test_unusable_excluded_areas_are_named(micrograph, exclude, message):
    with CPUSearch(ONE) as engine, pytest.raises(InputError, match=message):
        engine.run(micrograph, exclude=exclude)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float16, np.float32, ">f4", bool])
def test_micrographs_of_any_real_type(dtype):
    micrograph = (NOISE > 0).astype(dtype)
    np.testing.assert_array_equal(search(micrograph, ONE).score, search(micrograph.astype(float), ONE).score)


def test_reference_masks_are_the_turned_masks():
    bank = a_case("odd")[1]
    np.testing.assert_array_equal(bank.mask(1), rotate_mask(bank.masks[0], 30))
    assert make_plan((97, 121), bank, CPUSearch(bank).library).box == bank.box


@pytest.mark.parametrize("threads", [1, 4])
def test_views_with_different_discs_do_not_share_a_sigma_map(threads):
    rng = np.random.default_rng(15)
    masks = np.stack([disc_mask((21, 21), radius) for radius in (5, 9, 7)])
    bank = TemplateBank(smooth(rng, (3, 21, 21)), masks, grid_angles(40))
    assert bank.disc_views == (True, True, True)
    micrograph = rng.normal(size=(60, 70))
    exact = search(micrograph, bank, dtype="float64", threads=threads, edges="box")
    paper = search(micrograph, bank, dtype="float64", method="paper", edges="box")
    np.testing.assert_allclose(exact.score, paper.score, rtol=0, atol=1e-10)
