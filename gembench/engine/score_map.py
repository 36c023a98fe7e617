"""ScoreMap: the best score at every pixel of a micrograph, and which template gave it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.kernel import kernel

Array = NDArray[Any]
NO_SCORE = np.float32(-2.0)  # below every correlation: 'no template was scored here'


@dataclass(frozen=True, eq=False)
class ScoreMap:
    """NCC and IND of one micrograph (gEMpicker 2013, eq. 1 and 2).

    score: (H, W) float32 or float64, max over templates of NCC, within [-1, 1]; a particle centred at pixel
        (y, x) has a peak there; 0 where no template was scored
    index: (H, W) int32, the template's index in the bank; the lowest of equals; -1 where none was scored
    """

    score: Array
    index: Array


def finished(partial: ScoreMap, exclude: Array | None = None) -> ScoreMap:
    """The map that a search returns, of the maximum over all templates; a copy.

    Scores are clipped to [-1, 1] against rounding, and 0 where no template was scored or `exclude`, (H, W)
    bool, is true.
    """
    unscored = partial.index < 0
    if exclude is not None:
        unscored |= exclude
    score = np.clip(partial.score, -1, 1)
    score[unscored] = 0
    return ScoreMap(score, np.where(unscored, np.int32(-1), partial.index))


@kernel
def merge(score: Array, index: Array, other_score: Array, other_index: Array) -> None:
    """Fold another pair of maps into `score` and `index`; ties keep the lowest index."""
    for j in range(score.shape[0]):
        for i in range(score.shape[1]):
            new, k = other_score[j, i], other_index[j, i]
            better = (new > score[j, i]) | ((new == score[j, i]) & (k < index[j, i]))
            score[j, i] = new if better else score[j, i]
            index[j, i] = k if better else index[j, i]


def quadratic_offsets(maps: ScoreMap, rows: Array, columns: Array) -> tuple[Array, Array]:
    """The vertex of the parabola through a peak and its two neighbours along each axis, within half a pixel.

    A peak beside a pixel without a score, or on the map's edge, stays where it is.
    """
    score, index = maps.score, maps.index
    height, width = score.shape
    here = score[rows, columns].astype(np.float64)
    offsets = []
    for dy, dx in ((1, 0), (0, 1)):
        beside, usable = [], np.ones(len(rows), bool)
        for sign in (-1, 1):
            y, x = rows + sign * dy, columns + sign * dx
            usable &= (y >= 0) & (y < height) & (x >= 0) & (x < width)
            place = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
            usable &= index[place] >= 0
            beside.append(score[place].astype(np.float64))
        before, after = beside
        curvature = before - 2 * here + after
        usable &= curvature < 0
        vertex = 0.5 * (before - after) / np.where(usable, curvature, 1)
        offsets.append(np.where(usable, np.clip(vertex, -0.5, 0.5), 0.0))
    return offsets[0], offsets[1]
