"""What is said of averages: halves that agree, alignments to nothing, neighbours at the rim."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from gembench.engine.bank import disc_mask
from gembench.templates.alignment import align
from gembench.templates.boxes import normalised
from gembench.templates.quality import (
    LOW_AGREEMENT,
    NEIGHBOUR,
    SplitHalf,
    rim_contrast,
    ring_correlation,
    split_half,
)

BOX, REACH = 40, 5
SIDE = BOX + 2 * REACH


def ring(side, at=(0.0, 0.0), radius=9.0):
    y, x = np.indices((side, side)) - side // 2
    away = np.hypot(y - at[0], x - at[1])
    return -gaussian_filter((abs(away - radius) < 2).astype(float), 1)


def images(count, noise, seed=0):
    """Normalised images of shifted rings; where each was said to be is within 2 px."""
    rng = np.random.default_rng(seed)
    shifts = rng.uniform(-2, 2, (count, 2))
    made = [ring(SIDE, at) + rng.normal(0, noise, (SIDE, SIDE)) for at in shifts]
    return np.stack([normalised(image) for image in made]), np.zeros((count, 2))


@pytest.mark.parametrize("place", [2, 10, 20, 30])
def test_a_bad_start_is_not_the_only_one(place):
    """Images about one place show a thin stripe instead of a ring: alignments begun there lead nowhere."""
    made, marks = images(41, 2.0)
    stripe = normalised(np.where(abs(np.indices((SIDE, SIDE))[1] - SIDE // 2) < 1, -1.0, 0.0))
    made[max(place - 3, 0) : place + 4] = stripe
    average = align(made, marks, BOX, rotational=True).average
    disc = disc_mask((BOX, BOX), 16)
    assert np.corrcoef(average[disc], ring(BOX)[disc])[0, 1] > 0.9


@pytest.mark.parametrize("rotational", [True, False])
def test_halves_of_particles_agree_and_halves_of_noise_do_not(rotational):
    made, marks = images(32, 0.3)
    assert split_half(made, marks, BOX, rotational=rotational).correlation > 0.9
    noise = np.random.default_rng(1).normal(0, 1, made.shape)
    noise = np.stack([normalised(image) for image in noise])
    assert split_half(noise, marks, BOX, rotational=rotational).correlation < LOW_AGREEMENT


def test_too_few_images_have_no_halves():
    made, marks = images(15, 0.3)
    assert split_half(made, marks, BOX, rotational=True) is None


def test_ring_correlation_is_1_where_images_agree_and_tells_the_resolution():
    rng = np.random.default_rng(0)
    image = rng.normal(0, 1, (64, 64))
    np.testing.assert_allclose(ring_correlation(image, image), 1)
    fine = rng.normal(0, 1, (64, 64))
    spectrum, other = np.fft.fft2(image), np.fft.fft2(fine)
    frequency = np.fft.fftfreq(64, 1 / 64)
    beyond = np.hypot(frequency[:, None], frequency) > 16
    shells = ring_correlation(image, np.fft.ifft2(np.where(beyond, other, spectrum)).real)
    assert shells[2:15].min() > 0.8
    assert abs(shells[19:].mean()) < 0.2
    at = SplitHalf(1.0, shells).resolution(3.0)
    assert 64 * 3 / 18 <= at <= 64 * 3 / 15  # ring r is a period of 64 / r pixels


def test_a_neighbour_at_the_rim_shows():
    alone = ring(BOX)
    assert rim_contrast(alone, "dark") < NEIGHBOUR
    assert rim_contrast(-alone, "bright") < NEIGHBOUR
    crowded = alone + ring(BOX, (0, 20), 4)
    assert rim_contrast(crowded, "dark") > NEIGHBOUR
    assert rim_contrast(-crowded, "bright") > NEIGHBOUR
