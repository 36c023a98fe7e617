"""Positions of peaks between the pixels of a score map."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.score_map import ScoreMap

Array = NDArray[Any]


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
