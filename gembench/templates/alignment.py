"""Two-dimensional alignment of particle images without a reference: shift and in-plane angle of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.ncc import sigma_squared
from gembench.engine.normalise import normalised_weights
from gembench.engine.turning import disc_mask, rotate
from gembench.templates.boxes import resampled
from gembench.templates.symmetry import parabola, rotational_average

Array = NDArray[Any]

COARSE, FINE = 6, 2  # degrees between angles: everywhere, and then about the best; the fit does the rest
GROWTH = (0.25, 0.5, 1.0)  # of the images, the best so many, that make the average in turn
SAMPLE = 128  # images that the starts are tried on
SEED_BLUR = 1.5  # px: a single image is mostly noise beyond


@dataclass(frozen=True, eq=False)
class Poses:
    """How images lie. Each is the reference turned by psi about its centre pixel and moved by (y, x).

    psi: (n,) degrees, counter-clockwise as displayed with y down, as `rotate` takes it
    shift: (n, 2) of the particle's centre from the image's centre pixel, (y, x) in pixels
    score: (n,) normalised cross-correlation with the reference under a disc
    """

    psi: Array
    shift: Array
    score: Array

    def __len__(self) -> int:
        return len(self.psi)

    def __getitem__(self, chosen: Array) -> Poses:
        return Poses(self.psi[chosen], self.shift[chosen], self.score[chosen])

    def moved(self, y: float, x: float) -> Poses:
        """The poses that make the reference's point (y, x), pixels from its centre, its new centre."""
        return replace(self, shift=self.shift + _turned(self.psi, np.array([[y, x]])))

    def turned(self, psi: float) -> Poses:
        """The poses that turn the reference by psi degrees."""
        return replace(self, psi=self.psi - psi)

    def centred(self, marks: Array) -> Poses:
        """The poses whose centre is where the marks, (n, 2) as `shift`, lie on average in the reference."""
        return self.moved(*_turned(-self.psi, marks - self.shift).mean(0))


@dataclass(frozen=True, eq=False)
class Alignment:
    """Aligned images: their poses and the average (m, m) that these give."""

    poses: Poses
    average: Array


def align(
    images: Array, marks: Array, box: int, *, iterations: int = 5, rotational: bool = False, starts: int = 4,
    tell: Callable[[str], None] = lambda text: None,
) -> Alignment:
    """Align images to their own running average, which starts from the best of a few single images.

    images: (n, L, L) float, n >= 2, each `normalised`, the particle within (L - box) / 2 pixels of the
        centre pixel; L and box are both odd or both even, and L larger
    marks: (n, 2) where each particle was said to be, (y, x) in pixels from the centre pixel; on average
        the reference's centre
    box: side of the average in pixels
    iterations: passes over all images after the start
    rotational: the average is that over all turns, psi is 0 and only shifts are looked for
    starts: images tried as first reference; the average with the highest mean correlation is kept
    tell: is given a line on what is being done

    Returns the alignment. Deterministic: the starts are spread evenly over the images.
    """
    aligner = _Aligner(np.asarray(images, np.float32), np.asarray(marks, np.float64), box, rotational)
    reference = _best_start(aligner, starts, tell)
    for iteration in range(iterations):
        tell(f"iteration {iteration + 1} of {iterations}")
        poses = aligner.poses(reference)
        reference = aligner.average(poses)
    return Alignment(poses, reference)


def _best_start(aligner: _Aligner, starts: int, tell: Callable[[str], None]) -> Array:
    """The average that the best of several first references leads to, on a sample of the images."""
    n = len(aligner.images)
    sample = np.unique(np.linspace(0, n - 1, min(n, SAMPLE)).astype(int))
    seeds = np.unique(sample[np.linspace(0, len(sample) - 1, starts + 2).astype(int)][1:-1])
    best, best_score = None, -np.inf
    for number, seed in enumerate(seeds, 1):
        tell(f"start {number} of {len(seeds)}")
        reference = aligner.seed(int(seed))
        for part in GROWTH:
            poses = aligner.poses(reference, sample, step=COARSE)
            kept = np.argsort(-poses.score, kind="stable")[: max(2, round(part * len(sample)))]
            reference = aligner.average(poses[kept], sample[kept])
        if poses.score.mean() > best_score:
            best, best_score = reference, float(poses.score.mean())
    assert best is not None
    return best


class _Aligner:
    """The images, and what of them does not change with the reference."""

    def __init__(self, images: Array, marks: Array, box: int, rotational: bool) -> None:
        self.images, self.marks, self.box, self.rotational = images, marks, box, rotational
        self.mask = disc_mask((box, box))
        self.window = images.shape[1] - box + 1
        self.inverse_sigma = np.stack([self._inverse_sigma(image) for image in images])

    def _inverse_sigma(self, image: Array) -> Array:
        """1 / sigma of the image under the disc at every shift, (window, window)."""
        weights = _spectrum(self.mask / self.mask.sum(), image.shape)
        mean, square = (self._correlation(weights, _spectrum(power, image.shape))
                        for power in (image, image**2))
        inverse: Array = 1 / np.sqrt(np.maximum(sigma_squared(mean, square), 1e-3))
        return inverse

    def _correlation(self, weights: Array, spectrum: Array) -> Array:
        """sum_x W(x) T(x + v) for the shifts v of the window, (..., window, window)."""
        from scipy import fft

        rows = fft.ifft(spectrum * weights.conj(), axis=-2)[..., : self.window, :]
        return np.asarray(fft.irfft(rows, self.images.shape[2], axis=-1)[..., : self.window])

    def seed(self, index: int) -> Array:
        """A single image as a reference."""
        from scipy.ndimage import gaussian_filter

        alone = Poses(np.zeros(1), self.marks[[index]], np.ones(1))
        return np.asarray(gaussian_filter(self.average(alone, np.array([index])), SEED_BLUR))

    def average(self, poses: Poses, which: Array | None = None) -> Array:
        """The mean of the images, turned back and centred, (box, box)."""
        chosen = range(len(self.images)) if which is None else which
        total = np.zeros((self.box, self.box))
        for i, psi, shift in zip(chosen, poses.psi, poses.shift, strict=True):
            total += resampled(self.images[i], psi, shift + self.images.shape[1] // 2, self.box)
        return rotational_average(total / len(poses)) if self.rotational else total / len(poses)

    def poses(self, reference: Array, which: Array | None = None, step: int = FINE) -> Poses:
        """The best pose of each image; unless rotational, the reference is then centred on the marks.

        step: degrees, `FINE` or `COARSE`, between the angles that psi is fitted through
        """
        chosen = np.arange(len(self.images)) if which is None else which
        angles = np.zeros(1, int) if self.rotational else np.arange(0, 360, step)
        spectra = self._turned_spectra(reference, angles)
        rows = np.array([self._pose(spectra, int(i)) for i in chosen])
        poses = Poses(rows[:, 0], rows[:, 1:3], rows[:, 3])
        # A rotational average has its own centre, which the marks' errors would only blur.
        return poses if self.rotational else poses.centred(self.marks[chosen])

    def _turned_spectra(self, reference: Array, angles: Array) -> Array:
        """Spectra of the reference at every angle, normalised under the disc."""
        turned = (normalised_weights(rotate(reference, psi), self.mask, "the average") for psi in angles)
        return np.stack([_spectrum(image, self.images.shape[1:]) for image in turned])

    def _pose(self, spectra: Array, i: int) -> tuple[float, float, float, float]:
        """psi, shift (y, x) and score of one image: all coarse angles, then the fine ones about the best."""
        spectrum = _spectrum(self.images[i], self.images.shape[1:])
        count = len(spectra)
        every = max(1, count * COARSE // 360)
        score = self._scores(spectra[::every], spectrum, i)
        near = _largest(score)[0] * every + np.arange(-every, every + 1)
        score = self._scores(spectra[near % count], spectrum, i) if every > 1 else score[near % count]
        best, y, x = _largest(score[1:-1])
        best += 1
        psi = 360 / count * (near[best] + parabola(*score[best - 1 : best + 2, y, x]))
        dy, dx = (_vertex(line, at) for line, at in ((score[best, :, x], y), (score[best, y], x)))
        centre = self.window // 2
        return psi % 360, float(y - centre + dy), float(x - centre + dx), float(score[best, y, x])

    def _scores(self, weights: Array, spectrum: Array, i: int) -> Array:
        """Normalised cross-correlation of an image with references, (angles, window, window)."""
        return np.asarray(self._correlation(weights, spectrum) * self.inverse_sigma[i])


def _largest(score: Array) -> tuple[int, int, int]:
    """Where the largest score is."""
    angle, y, x = np.unravel_index(np.argmax(score), score.shape)
    return int(angle), int(y), int(x)


def _vertex(line: Array, at: int) -> float:
    """The vertex about the largest value of a line, in pixels from it; 0 at its ends."""
    return parabola(*line[at - 1 : at + 2]) if 0 < at < len(line) - 1 else 0.0


def _turned(psi: Array, points: Array) -> Array:
    """Points (y, x) of the reference where an image turned by psi degrees has them, (n, 2)."""
    angle = np.deg2rad(psi)
    cosine, sine = np.cos(angle), np.sin(angle)
    y, x = points[:, 0], points[:, 1]
    return np.column_stack([cosine * y - sine * x, sine * y + cosine * x])


def _spectrum(image: Array, shape: tuple[int, ...]) -> Array:
    """The half spectrum of an image set into a corner of `shape`, complex64."""
    from scipy import fft

    return np.asarray(fft.rfft2(image.astype(np.float32, copy=False), shape))
