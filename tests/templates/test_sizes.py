"""Averages do not hang on the box, nor on the images that the alignment starts from."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from gembench.engine.turning import disc_mask
from gembench.templates.averages import AverageSettings, ParticleAverage

PITCH, RADIUS, GRID, MARGIN = 84, 27, 4, 30  # px; rings of 64 px that leave 20 px between them
NOISE = 3.0  # of a pixel, whose ring is 1
BOXES = [90, 98, 100, 101, 112, 130]  # from 128 on alignment is in bins of two


def ring(side):
    y, x = np.indices((side, side)) - side // 2
    return -gaussian_filter((abs(np.hypot(y, x) - RADIUS) < 5).astype(float), 2)


@pytest.fixture(scope="module")
def micrograph():
    """Sixteen rings in noise, and marks that miss them by up to three pixels."""
    rng = np.random.default_rng(5)
    image = rng.normal(0, NOISE, (GRID * PITCH + 2 * MARGIN,) * 2)
    centres = MARGIN + PITCH // 2 + PITCH * np.indices((GRID, GRID)).reshape(2, -1).T
    centres = centres + rng.integers(-4, 5, centres.shape)
    for y, x in centres:
        image[y - PITCH // 2 : y + PITCH // 2, x - PITCH // 2 : x + PITCH // 2] += ring(PITCH)
    return image, centres[:, ::-1] + rng.uniform(-3, 3, centres.shape)


def averaged(image, marks, box, order):
    """The average of the marked rings, which are given in this order."""
    view = ParticleAverage(AverageSettings(box, 5, rotational=True))
    view.gather(image, marks[order])
    view.align()
    view.add(image, marks[order])
    assert view.used == len(marks)
    return view.result()


def correlation(average):
    disc = disc_mask(average.shape, 38)
    return np.corrcoef(average[disc], ring(len(average))[disc])[0, 1]


@pytest.mark.parametrize("box", BOXES)
def test_any_box_gives_the_particle(micrograph, box):
    order = np.random.default_rng(box).permutation(len(micrograph[1]))
    assert correlation(averaged(*micrograph, box, order)) > 0.97


@pytest.mark.parametrize("seed", range(3))
def test_any_start_gives_the_particle(micrograph, seed):
    """Starts are spread over the images: another order makes others the first references."""
    order = np.random.default_rng(seed).permutation(len(micrograph[1]))
    assert correlation(averaged(*micrograph, 99, order)) > 0.97
