"""Filters: values, the shift of an even averaging filter, outliers, contrast."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from gembench.engine.filters import (
    average,
    limit_outliers,
    lowpass,
    matched_contrast,
    template_contrast,
)
from gembench.engine.turning import disc_mask
from gembench.errors import InputError


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 9])
def test_average_is_the_mean_of_k_by_k_pixels_mirrored_at_the_edges(k, dtype):
    image = np.random.default_rng(0).normal(size=(13, 17)).astype(dtype)
    filtered, _ = average(image, k)
    assert filtered.dtype == dtype
    mirrored = np.pad(image.astype(float), k, mode="symmetric")
    for y, x in np.ndindex(image.shape):
        top, left = y + k - k // 2, x + k - k // 2
        assert filtered[y, x] == pytest.approx(mirrored[top : top + k, left : left + k].mean(), abs=1e-6)


@pytest.mark.parametrize(("dtype", "limit"), [(np.float32, 2e-6), (np.float64, 1e-14)])
@pytest.mark.parametrize(("resolution", "shape"), [(8.0, (40, 51)), (20.0, (64, 33)), (70.0, (47, 52))])
def test_lowpass_is_the_gaussian_convolution_mirrored_at_the_edges(dtype, limit, resolution, shape):
    image = np.random.default_rng(2).normal(30, 1, shape).astype(dtype)
    kept = image.copy()
    sigma = np.sqrt(np.log(2) / 2) / np.pi * resolution / 2.2
    expected = ndimage.gaussian_filter(image.astype(float), sigma, mode="reflect")
    for threads in (1, 2):
        filtered = lowpass(image, resolution, 2.2, threads)
        assert filtered.dtype == dtype
        np.testing.assert_allclose(filtered, expected, rtol=0, atol=30 * limit)
    np.testing.assert_array_equal(image, kept)


def test_lowpass_halves_the_amplitude_at_its_resolution():
    x = np.arange(400)
    wave = np.tile(np.cos(2 * np.pi * (x + 0.5) * 2.0 / 16), (30, 1))  # of 16 A at 2 A/px
    np.testing.assert_allclose(lowpass(wave, 16.0, 2.0)[:, 50:350], 0.5 * wave[:, 50:350], atol=2e-3)
    assert lowpass(wave, 0.0, 2.0) is wave
    with pytest.raises(InputError, match="low-pass filter at -1"):
        lowpass(wave, -1.0, 2.0)


@pytest.mark.parametrize("k", [1, 2, 3, 4, 7, 8])
def test_the_shift_is_that_of_a_planted_feature(k):
    image = np.zeros((41, 51))
    image[20, 30] = 1
    filtered, shift = average(image, k)
    assert ndimage.center_of_mass(filtered) == pytest.approx((20 + shift, 30 + shift))
    assert filtered.sum() == pytest.approx(1)


@pytest.mark.parametrize("k", [0, -4, 14])
def test_a_filter_that_does_not_fit_is_an_error(k):
    with pytest.raises(InputError, match=f"averaging filter of {k} px: choose 1"):
        average(np.zeros((13, 17)), k)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_outliers_are_set_to_the_limit_and_counted(dtype):
    image = np.random.default_rng(1).normal(100, 10, size=(60, 60)).astype(dtype)
    clean = image.copy()
    image[3, 4], image[50, 7] = 1e6, -1e6
    limited, number = limit_outliers(image, 8)
    assert number == 2
    assert limited.dtype == dtype
    spread = 1.4826 * np.median(np.abs(image - np.median(image)))
    assert limited[3, 4] == pytest.approx(np.median(image) + 8 * spread)
    assert limited[50, 7] == pytest.approx(np.median(image) - 8 * spread)
    clean[3, 4], clean[50, 7] = limited[3, 4], limited[50, 7]
    np.testing.assert_array_equal(limited, clean)
    assert spread == pytest.approx(10, rel=0.1)  # the robust standard deviation is the standard deviation


def test_without_a_spread_nothing_is_limited():
    image = np.zeros((20, 20))
    image[3, 3] = 5
    limited, number = limit_outliers(image, 3)
    assert number == 0
    np.testing.assert_array_equal(limited, image)


BLOB = np.exp(-((np.indices((21, 21)) - 10) ** 2).sum(0) / 30)


@pytest.mark.parametrize("mask", [disc_mask((21, 21), 6), np.ones((21, 21), bool)])
def test_contrast_is_that_of_the_particle_against_its_surroundings(mask):
    assert template_contrast(BLOB, mask) == "bright"
    assert template_contrast(-BLOB, mask) == "dark"
    assert template_contrast(1000 - 0.01 * BLOB, mask) == "dark"


def test_contrast_of_noise_is_unknown():
    checks = np.indices((20, 20)).sum(0) % 2.0
    mask = np.zeros((20, 20), bool)
    mask[5:15, 5:15] = True
    assert template_contrast(checks, mask) is None
    assert template_contrast(np.ones((20, 20)), mask) is None


def test_templates_get_the_contrast_of_the_micrograph():
    templates = np.stack([BLOB, -BLOB, 3 + BLOB])
    masks = np.broadcast_to(disc_mask((21, 21), 6), (3, 21, 21))
    matched, inverted = matched_contrast(templates, masks, "dark")
    assert inverted == [0, 2]
    np.testing.assert_array_equal(matched, [-BLOB, -BLOB, -3 - BLOB])
    np.testing.assert_array_equal(templates[0], BLOB)
    matched, inverted = matched_contrast(templates, masks, "bright", stated="bright")
    assert inverted == []
    np.testing.assert_array_equal(matched, templates)
    assert matched_contrast(templates, masks, "bright", stated="dark")[1] == [0, 1, 2]


def test_unknown_contrast_must_be_given():
    flat = np.indices((1, 20, 20)).sum(0) % 2.0
    mask = np.zeros((1, 20, 20), bool)
    mask[0, 5:15, 5:15] = True
    with pytest.raises(InputError, match="template 0 does not show whether its particle is dark or bright"):
        matched_contrast(flat, mask, "dark")
    assert matched_contrast(flat, mask, "dark", stated="dark")[1] == []


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (4, 7), (60, 61)])
def test_the_limit_is_that_of_numpys_median(shape, dtype):
    image = np.random.default_rng(3).normal(1e3, 1, shape).astype(dtype)
    median = np.median(image)
    spread = 1.4826 * np.median(np.abs(image - median))
    limited, number = limit_outliers(image, 1.0)
    expected = np.clip(image, median - spread, median + spread) if spread > 0 else image
    assert limited.dtype == expected.dtype
    assert limited.tobytes() == expected.tobytes()
    assert number == (expected != image).sum()
    image[0, 0] = np.nan
    assert limit_outliers(image, 1.0)[0] is image
