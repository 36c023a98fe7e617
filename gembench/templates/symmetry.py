"""In-plane symmetry of templates: its centre, its mirror axis, and averages over it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.turning import disc_mask, rotate
from gembench.errors import InputError
from gembench.templates.boxes import resampled

Array = NDArray[Any]

CENTRINGS = 3  # the disc that images are compared in draws the first fit towards its own centre
MIRROR_SEARCH = 20.0  # degrees either way of the long axis


@dataclass(frozen=True)
class Symmetry:
    """Turns by 360 / fold degrees and, with `mirror`, left and right exchanged about the vertical axis."""

    fold: int = 1
    mirror: bool = False

    @classmethod
    def parse(cls, text: str) -> Symmetry:
        """From '2' (two-fold), '2m' (and mirrored), 'm' (mirrored only); raises InputError otherwise."""
        parts = re.fullmatch(r"([1-9]\d*)?(m?)", text)
        if not text or not parts or len(parts[1] or "") > 3 or int(parts[1] or 1) > 360:
            raise InputError(f"symmetry '{text}' is unknown: give a number of folds such as 2 (at most 360),"
                             " with an m (2m) for a mirror besides, or m alone")
        return cls(int(parts[1] or 1), bool(parts[2]))

    def average(self, image: Array) -> Array:
        """The mean of an image (h, w) over the symmetry about its centre pixel."""
        turned = [rotate(image, 360 * k / self.fold, "cubic") for k in range(self.fold)]
        mean: Array = np.mean(turned, axis=0)
        return (mean + _mirrored(mean)) / 2 if self.mirror else mean


NO_SYMMETRY = Symmetry()


def rotational_average(image: Array) -> Array:
    """The mean of an image (h, w) over all turns about its centre pixel."""
    y, x = np.indices(image.shape)
    radius = np.hypot(y - image.shape[0] // 2, x - image.shape[1] // 2)
    # Each pixel is shared between the two whole radii beside its own, by nearness.
    inner = radius.astype(int)
    outer_share = radius - inner
    shared = np.bincount(inner.ravel(), ((1 - outer_share) * image).ravel(), inner.max() + 2)
    shared += np.bincount(inner.ravel() + 1, (outer_share * image).ravel(), inner.max() + 2)
    weight = np.bincount(inner.ravel(), (1 - outer_share).ravel(), inner.max() + 2)
    weight += np.bincount(inner.ravel() + 1, outer_share.ravel(), inner.max() + 2)
    covered = np.flatnonzero(weight > 0)
    averaged: Array = np.interp(radius, covered, shared[covered] / weight[covered])
    return averaged


def symmetry_centre(image: Array, fold: int, reach: int) -> tuple[float, float]:
    """(y, x) of the axis of a `fold`-fold symmetry of an image (n, n), pixels from the centre pixel.

    fold: 2 or more; reach: the axis lies within so many pixels along y and x

    The image turned by 360 / fold fits itself best when moved by t = c - A c, c being the axis and A the
    turn's matrix; fits to a fraction of a pixel.
    """
    angle = np.deg2rad(360 / fold)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle, axis = np.array(image.shape) // 2, np.zeros(2)
    for _ in range(CENTRINGS):
        moved = resampled(image, 0, middle + axis, len(image))
        t, _ = best_shift(moved, rotate(moved, 360 / fold, "cubic"), 2 * reach)
        axis = np.clip(axis + np.linalg.solve(np.eye(2) - turn, t), -reach, reach)
    return float(axis[0]), float(axis[1])


def mirror_axis(image: Array, reach: int) -> tuple[float, float, float]:
    """How to bring the mirror axis of an image (h, w), nearly upright already, onto the centre column.

    Returns the turn in degrees, within `MIRROR_SEARCH`, the x of the axis in the turned image, pixels from
    the centre pixel and within `reach`, and how well the mirrored image correlates there with itself.
    """
    turns = np.arange(-MIRROR_SEARCH, MIRROR_SEARCH + 0.5)
    fits = []
    for turn in turns:
        turned = rotate(image, turn)
        fits.append(best_shift(turned, _mirrored(turned), 2 * reach, along_y=0))
    best = int(np.argmax([fit for _, fit in fits]))
    offset = 0.0
    if 0 < best < len(turns) - 1:
        offset = parabola(*(fits[best + k][1] for k in (-1, 0, 1)))
    return float(turns[best] + offset), float(fits[best][0][1] / 2), fits[best][1]


def parabola(before: float, here: float, after: float) -> float:
    """The vertex of the parabola through three values, in steps from the middle one, within one half."""
    curvature = before - 2 * here + after
    return float(np.clip(0.5 * (before - after) / curvature, -0.5, 0.5)) if curvature < 0 else 0.0


def _mirrored(image: Array) -> Array:
    """Left and right exchanged about the centre column; what has no partner takes the nearest one's."""
    n = image.shape[1]
    mirrored: Array = image[:, np.clip(2 * (n // 2) - np.arange(n), 0, n - 1)]
    return mirrored


def best_shift(image: Array, other: Array, reach: int, along_y: int | None = None) -> tuple[Array, float]:
    """The (y, x) shift that makes `other` fit `image` best within a disc, and the correlation there."""
    from scipy import fft

    disc = disc_mask((image.shape[0], image.shape[1]))
    spectra = []
    for each in (image, other):
        centred = np.where(disc, each - each[disc].mean(), 0.0)
        spectra.append(fft.rfft2(centred / np.linalg.norm(centred), [2 * n for n in image.shape]))
    correlation = np.roll(fft.irfft2(spectra[0] * spectra[1].conj()), (reach + 1, reach + 1), (0, 1))
    rows = reach if along_y is None else along_y
    window = correlation[1 + reach - rows : 2 + reach + rows, 1 : 2 * reach + 2]
    y, x = (int(at) for at in np.unravel_index(np.argmax(window), window.shape))
    y, x = y + 1 + reach - rows, x + 1
    dy = 0.0 if along_y == 0 else parabola(*correlation[y - 1 : y + 2, x])
    dx = parabola(*correlation[y, x - 1 : x + 2])
    return np.array([y + dy, x + dx]) - reach - 1, float(correlation[y, x])
