"""Rate and dead time of a search, T = N / r + k, and the score error of its maps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from statistics import linear_regression

import numpy as np

from gembench.data.workload import Workload, direct_scores
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


def score_error(work: Workload, maps: ScoreMap, tolerance: float, sample: int = 48) -> float:
    """The largest error of the maps at the places of `work`, against float64 direct sums.

    A bank may hold thousands of templates: summed are the templates that the maps name, and `sample` others
    of the bank, which must not score more.

    Raises ValueError if a score is off by more than `tolerance`, another template is better by more than
    that, or a place has no score.
    """
    y, x = work.places.T
    named, image, bank = maps.index[y, x], work.micrograph, work.bank
    if named.min() < 0:
        raise ValueError(f"{np.count_nonzero(named < 0)} places of {len(named)} were not scored")
    exact = np.concatenate([direct_scores(image, bank, int(index), place[None])
                            for index, place in zip(named, work.places, strict=True)])
    others = np.unique(np.linspace(0, len(bank) - 1, sample).round().astype(int))
    best = np.max([direct_scores(image, bank, int(index), work.places) for index in others], axis=0)
    error, lost = float(np.abs(maps.score[y, x] - exact).max()), float((best - exact).max())
    if not max(error, lost) <= tolerance:
        raise ValueError(f"scores are off by {error:.1e} of the direct sum, other templates better by"
                         f" {lost:.1e}; {tolerance:.0e} is allowed")
    return error
