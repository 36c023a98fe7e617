"""Rate and dead time of a search, T = N / r + k, and the score error of its maps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from statistics import linear_regression

import numpy as np

from gembench.data.workload import Workload
from gembench.engine.score_map import ScoreMap


def rate_and_dead_time(
    done: Sequence[tuple[float, int]], seconds: float, templates: int
) -> tuple[float, float]:
    """Templates a second, r, and seconds that no template is to blame for, k, of T = N / r + k.

    done: (moment, templates since the last) pairs of the steady part of a search; seconds, templates: of all
    of it. 1 / r is the slope of a least-squares line through the moments; k is what the search took beyond
    N / r: the micrograph's own transforms, copies, merging.

    Raises ValueError for fewer than two moments, or if time does not grow with the templates.
    """
    if len(done) < 2:
        raise ValueError(f"{len(done)} moments of progress: a line needs two; search more templates")
    counts = list(accumulate(count for _, count in done))
    slope = linear_regression(counts, [moment - done[0][0] for moment, _ in done]).slope
    if not slope > 0:
        raise ValueError(f"{slope:.1e} s a template: time does not grow with the templates; search more")
    return 1 / slope, seconds - templates * slope


def score_error(work: Workload, maps: ScoreMap, tolerance: float) -> float:
    """The largest error of the maps at the places of `work`, against float64 direct sums.

    Raises ValueError if a score is off by more than `tolerance`, or if an index names a template that
    scores less than the best by more than that.
    """
    y, x = work.places.T
    best = work.exact.max(axis=1)
    error = float(np.abs(maps.score[y, x] - best).max())
    lost = float((best - work.exact[np.arange(len(y)), maps.index[y, x]]).max())
    if not max(error, lost) <= tolerance:
        raise ValueError(f"scores are off by {error:.1e}, templates by {lost:.1e}, of the direct sum;"
                         f" {tolerance:.0e} is allowed")
    return error
