"""Preparation of templates and micrographs, the floor of sigma, and the kernels."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gembench.engine.bank import TemplateBank
from gembench.engine.exact.blocks import BlockedTransform
from gembench.engine.exact.kernels import BLOCK, STEP, fold, inverse_sigma, transpose
from gembench.engine.exact.producer import search
from gembench.engine.fft import aligned_zeros, fft_library
from gembench.engine.kernel import kernel
from gembench.engine.normalise import normalised_weights, standardised, variance_floor
from gembench.engine.score_map import NO_SCORE, merge
from gembench.engine.turning import disc_mask
from gembench.errors import InputError


@pytest.mark.parametrize("mean", [0, 1e4, -1e7])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_standardised_micrograph_and_its_square(mean, dtype):
    micrograph = 20 * np.random.default_rng(1).normal(size=(30, 41)) + mean
    image, square = standardised(micrograph, dtype)
    assert image.dtype == square.dtype == np.dtype(dtype)
    tolerance = 1e-6 if dtype == "float32" else 1e-8
    T = (micrograph - micrograph.mean()) / micrograph.std()
    np.testing.assert_allclose(image, T, atol=tolerance)
    np.testing.assert_allclose(square, T**2 - 1, atol=10 * tolerance)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e30, 3])
def test_a_constant_micrograph_is_an_error(value):
    with pytest.raises(InputError, match="constant"):
        standardised(np.full((37, 53), value), "float32")


def test_weights_of_a_template_that_is_constant_up_to_rounding():
    with pytest.raises(InputError, match="template 7 is constant under its mask"):
        normalised_weights(np.full((5, 5), 0.1) + 1e-17, np.ones((5, 5), bool), "template 7")
    weights = normalised_weights(1e6 + np.arange(4.0).reshape(2, 2), np.ones((2, 2), bool))
    np.testing.assert_allclose(weights, (np.arange(4) - 1.5).reshape(2, 2) / np.sqrt(1.25) / 4)


def test_the_floor_grows_with_the_outliers():
    quiet, loud = np.random.default_rng(2).normal(size=(2, 64, 64))
    loud[5, 5] = 1e4
    (local, least), (same, more) = (variance_floor(standardised(T, "float32")[1]) for T in (quiet, loud))
    assert local == same == np.float32(128 * 2.0**-23)
    assert least == pytest.approx(8 * 2.0**-23 * np.sqrt(2), rel=0.1)
    assert more == pytest.approx(8 * 2.0**-23 * 64, rel=0.01)  # T^2 is n in one pixel of n, and 0 elsewhere


HARD = {
    "ramp": lambda y, x, noise: noise + 3000 * x / 160,
    "edge": lambda y, x, noise: noise + 1000 * (x > 140),
    "corner": lambda y, x, noise: noise + 3000 * (x + y > 290),
    "border": lambda y, x, noise: np.where((y < 12) | (x < 12), 0, noise + 1000),
    "hot pixel": lambda y, x, noise: noise + 65535 * ((y == 50) & (x == 60)),
    "hot pixels": lambda y, x, noise: noise + 1000 * (noise > 3.3),
}


@pytest.fixture(scope="module")
def hard_case(direct_scores):
    """A micrograph, a bank, 400 positions, their scores and how far sigma^2 is above its floor there."""
    @cache
    def of(name: str, radius: int):
        rng = np.random.default_rng(3)
        y, x = np.indices((160, 160))
        micrograph = HARD[name](y, x, rng.normal(size=(160, 160)))
        bank = TemplateBank(rng.normal(size=(31, 31)), disc_mask((31, 31), radius))
        rows, columns = rng.integers(radius, 160 - radius, (2, 400))
        expected = direct_scores(micrograph, bank.templates[0], bank.masks[0], rows, columns)
        T, square = standardised(micrograph, "float32")
        dy, dx = np.nonzero(bank.masks[0])
        under = T.astype(float)[rows[:, None] + dy - 15, columns[:, None] + dx - 15]
        local, least = variance_floor(square)
        return micrograph, bank, rows, columns, expected, under.var(1) / (local * (under**2).mean(1) + least)

    return of


@pytest.mark.parametrize("radius", [6, 15])
@pytest.mark.parametrize("name", HARD)
def test_accuracy_where_sigma_is_small_is_what_the_floor_says(hard_case, library_name, name, radius):
    """Good to 0.1 above the floor, to 1e-3 above a hundred times it, by the float64 sum."""
    micrograph, bank, rows, columns, expected, height = hard_case(name, radius)
    for method in ("exact", "paper"):
        score = search(micrograph, bank, method=method, library=library_name).score[rows, columns]
        error = np.abs(score - expected)
        assert error[score != 0].max(initial=0) < 0.1
        assert error[height > 100].max(initial=0) < 1e-3
        assert not score[height < 0.1].any()
        assert score[height > 10].all()


def test_flat_patches_score_exactly_zero():
    micrograph = np.random.default_rng(4).normal(size=(80, 80))
    micrograph[10:50, 20:70] = 30.0
    bank = TemplateBank(np.random.default_rng(5).normal(size=(11, 11)))
    for method in ("exact", "paper"):
        for dtype in ("float32", "float64"):
            maps = search(micrograph, bank, method=method, dtype=dtype)
            assert not maps.score[15:45, 25:65].any()
            assert not maps.index[15:45, 25:65].any()


def test_inverse_sigma_against_the_formula():
    rng = np.random.default_rng(6)
    mean, moment = rng.normal(size=(12, 20)), 1 + rng.random((12, 20))
    local, least = np.float64(0.3), np.float64(0.05)
    out = np.full((9, 18), np.nan)
    inverse_sigma(mean, moment - 1, 2, 3, local, least, out, 1, 7, 15)
    m, q = mean[2:9, 3:18], moment[2:9, 3:18]
    variance = q - m**2
    above = variance > local * q + least
    assert 10 < above.sum() < above.size - 10
    np.testing.assert_allclose(out[1:8, :15], np.where(above, 1 / np.sqrt(np.where(above, variance, 1)), 0))
    assert np.isnan(out[[0, 8]]).all()
    assert np.isnan(out[:, 15:]).all()


values = arrays(np.float32, (4, 5), elements=st.sampled_from([-1.0, -0.5, 0.0, 0.25, 0.5, 1.0]))


@settings(max_examples=60, deadline=None)
@given(st.lists(values, min_size=1, max_size=6), st.randoms(use_true_random=False), st.integers(1, 3))
def test_fold_and_merge_keep_the_lowest_of_the_best_in_any_order(scores, random, groups):
    ones = np.ones((4, 5), np.float32)
    maps = [(np.full((4, 5), NO_SCORE), np.full((4, 5), -1, np.int32)) for _ in range(groups)]
    order = list(range(len(scores)))
    random.shuffle(order)
    for k in order:
        score, index = maps[random.randrange(groups)]
        fold(scores[k], 0, 0, ones, 0, 0, np.int32(k), score, index, 0, 0, 4, 5)
    random.shuffle(maps)
    (score, index), *others = maps
    for other in others:
        merge(score, index, *other)
    np.testing.assert_array_equal(score, np.max(scores, axis=0))
    np.testing.assert_array_equal(index, np.argmax(scores, axis=0))


def test_fold_reads_and_writes_at_the_given_places_only():
    rng = np.random.default_rng(7)
    numerator, inverse = rng.random((9, 9)), rng.random((8, 10))
    score, index = np.full((7, 7), -2.0), np.full((7, 7), -1, np.int32)
    fold(numerator, 1, 2, inverse, 3, 4, np.int32(5), score, index, 2, 1, 4, 5)
    expected = np.full((7, 7), -2.0)
    expected[2:6, 1:6] = numerator[1:5, 2:7] * inverse[3:7, 4:9]
    np.testing.assert_array_equal(score, expected)
    np.testing.assert_array_equal(index, np.where(expected > -2, 5, -1))


def test_kernels_compile_where_no_cache_can_be_written(monkeypatch):
    from numba.core import caching

    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    uncached = kernel(merge.py_func)
    score, index = np.zeros((2, 2)), np.zeros((2, 2), np.int32)
    uncached(score, index, np.eye(2), np.ones((2, 2), np.int32))
    assert score.tolist() == index.tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("shape", [(32, 48), (33, 47), (20, 15), (66, 34)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_blocked_transform_is_the_two_dimensional_one(library_name, shape, dtype):
    transform = BlockedTransform(fft_library(library_name), shape, dtype)
    image = np.random.default_rng(8).normal(size=(shape[0] - 3, shape[1] - 2)).astype(dtype)
    expected = np.fft.rfft2(image.astype(float), s=shape)
    spectrum = transform.forward(image)
    assert len(spectrum) % BLOCK == 0
    limit = 1e-4 if dtype == "float32" else 1e-11
    np.testing.assert_allclose(spectrum[: shape[1] // 2 + 1].T, expected, atol=limit)
    assert not spectrum[shape[1] // 2 + 1 :].any()


@pytest.mark.parametrize("height", [1, 8, 16, 30, 50])
def test_blocked_correlation_is_the_circular_one(library_name, height):
    rng = np.random.default_rng(9)
    frames, templates = rng.normal(size=(2, 50, 36)), [rng.normal(size=(7, 11)), rng.normal(size=(50, 36))]
    transform = BlockedTransform(fft_library(library_name), (50, 36), "float64")
    spectra = [transform.forward(frame) for frame in frames]
    rows, halves = transform.empty_rows(2, 50), transform.empty_halves(4)
    for image, out in zip(templates, rows, strict=True):
        transform.rows(image, out[: len(image)])
    steps = np.array([
        (k, len(image), not square, False, square, 0, 2 * k + square)
        for k, image in enumerate(templates) for square in (False, True)
    ], STEP)
    transform.correlate(steps, np.conjugate(rows), *spectra, halves, height)
    for k, template in enumerate(templates):
        for frame, half in zip(frames, halves[2 * k : 2 * k + 2], strict=True):
            rows = np.concatenate([
                transform.inverse_rows(half, y, buffer=1).copy() for y in range(0, height, BLOCK)
            ])[:height]
            expected = sum(
                template[y, x] * np.roll(frame, (-y, -x), (0, 1)) for y, x in np.ndindex(template.shape)
            )
            np.testing.assert_allclose(rows / frame.size, expected[:height], atol=1e-11)


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
@pytest.mark.parametrize(("height", "y", "x"), [(40, 0, 0), (37, 3, 16), (7, 0, 8), (1, 38, 24), (8, 1, 0)])
def test_transposition_of_a_block(dtype, height, y, x):
    rng = np.random.default_rng(10)
    source, target = aligned_zeros((16, 45), dtype), aligned_zeros((height, 48), dtype)
    source[:] = rng.normal(size=source.shape) + 1j * rng.normal(size=source.shape)
    transpose(source, y, target, x)
    expected = np.zeros_like(target)
    expected[:, x : x + 16] = source[:, y : y + height].T
    assert target.tobytes() == expected.tobytes()
