"""Whether an average can be trusted: halves of its particles that agree, and a rim without neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.filters import Contrast
from gembench.engine.turning import rotate
from gembench.templates.alignment import align
from gembench.templates.symmetry import best_shift

Array = NDArray[Any]
LEAST_IMAGES = 8  # of a half: fewer always differ
MOST_IMAGES = 48  # of a half: the time of two more alignments is bounded
STARTS = 2  # where angles are searched too; 4 where only shifts are
# Rings of apoferritin agree by 0.999 at boxes of 90 to 130 px; aligned to nothing they did by 0.2.
LOW_AGREEMENT = 0.7
SMALLER = 2  # px that the second half's box is smaller by, so that a result of one box alone shows
RIM = 1 / 12  # of the box: the outermost ring
# Of the particle's contrast, at the rim: seen on planted neighbours (tests/templates).
NEIGHBOUR = 0.5


@dataclass(frozen=True)
class SplitHalf:
    """How two halves of the images agree that were aligned apart from each other.

    correlation: of their averages under a disc; shells: Fourier ring correlation, (box // 2,), ring 0 first
    """

    correlation: float
    shells: Array

    def resolution(self, pixel: float) -> float:
        """Where the rings fall below one half for the first time, in A; `pixel`: A of an average's pixel."""
        below = np.flatnonzero(self.shells < 0.5)
        ring = int(below[0]) if len(below) else len(self.shells)
        return 2 * len(self.shells) * pixel / max(ring, 1)


def split_half(images: Array, marks: Array, box: int, *, rotational: bool) -> SplitHalf | None:
    """Align two halves of the images apart from each other, in boxes of `box` and `SMALLER` less.

    images, marks, box, rotational: see `alignment.align`. Of each half `MOST_IMAGES` images are taken at
    most; None if a half has too few.
    """
    if len(images) < 2 * LEAST_IMAGES:
        return None
    averages = []
    for half, side in ((0, box), (1, box - SMALLER)):
        chosen = np.arange(half, len(images), 2)
        chosen = chosen[np.linspace(0, len(chosen) - 1, min(len(chosen), MOST_IMAGES)).astype(int)]
        aligned = align(images[chosen], marks[chosen], side, iterations=1, rotational=rotational,
                        starts=4 if rotational else STARTS)
        averages.append(aligned.average)
    first, second = _crop(averages[0], box - SMALLER), averages[1]
    reach = max(1, len(second) // 8)
    turns = [0] if rotational else range(0, 360, 2)
    turned = [rotate(second, psi) for psi in turns]
    fits = [best_shift(first, image, reach) for image in turned]
    best = int(np.argmax([fit for _, fit in fits]))
    moved = _moved(turned[best], fits[best][0])
    return SplitHalf(fits[best][1], ring_correlation(first, moved))


def ring_correlation(first: Array, second: Array) -> Array:
    """Fourier ring correlation of two images (n, n) under a soft disc: (n // 2,), the mean first.

    FRC(r) = sum A B* / sqrt(sum |A|^2 sum |B|^2) over the ring r (Saxton and Baumeister 1982).
    """
    n = len(first)
    radius = np.hypot(*(np.indices((n, n)) - n // 2))
    window = np.clip((0.5 * n - radius) / (0.1 * n), 0, 1)
    spectra = [np.fft.fft2((image - image.mean()) * window) for image in (first, second)]
    frequency = np.fft.fftfreq(n, 1 / n)
    ring = np.rint(np.hypot(frequency[:, None], frequency)).astype(int).ravel()
    cross, left, right = (
        np.bincount(ring, product.real.ravel())[: n // 2]
        for product in (spectra[0] * spectra[1].conj(), abs(spectra[0]) ** 2, abs(spectra[1]) ** 2)
    )
    shells: Array = cross / np.sqrt(np.maximum(left * right, 1e-300))
    return shells


def rim_contrast(template: Array, contrast: Contrast) -> float:
    """How much of the particle's contrast a place on the rim of a template (n, n) has at most.

    The rim is the outermost ring of the box's disc; an eighth of its turn is taken together. 0 is the
    median of the rim, 1 the contrast of the particle: the mean of the strongest fiftieth within.
    """
    from scipy.ndimage import gaussian_filter

    n = len(template)
    y, x = np.indices(template.shape) - n // 2
    radius = np.hypot(y, x)
    outer = (n - 1) // 2
    smooth = gaussian_filter(np.asarray(template, np.float64), n / 60) * (-1 if contrast == "dark" else 1)
    rim = (radius <= outer) & (radius >= outer - RIM * n)
    level = float(np.median(smooth[rim]))
    inner = smooth[radius < outer - 2 * RIM * n] - level
    strong = float(np.sort(inner)[-max(1, len(inner) // 50) :].mean())
    sector = ((np.arctan2(y, x) + np.pi) / (2 * np.pi) * 16).astype(int)[rim] % 16
    means = np.bincount(sector, smooth[rim] - level, 16) / np.maximum(np.bincount(sector, minlength=16), 1)
    return float(((means + np.roll(means, 1)) / 2).max() / strong) if strong > 0 else 0.0


def _crop(image: Array, side: int) -> Array:
    """The middle of an image, the centre pixel kept."""
    start = len(image) // 2 - side // 2
    return image[start : start + side, start : start + side]


def _moved(image: Array, shift: Array) -> Array:
    from scipy.ndimage import shift as moved

    return np.asarray(moved(image, shift, order=1, mode="nearest"))
