"""Intervals of whole curves: the bootstrap over micrographs, point by point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gembench.engine.picks import FloatArray
from gembench.evaluate.bootstrap import LEVEL, resampled
from gembench.evaluate.ranking import Ranking

POINTS = 201  # of an axis from 0 to 1


@dataclass(frozen=True, eq=False)
class Ribbon:
    """Where the resampled curves lie: the central 95 % of their heights `low` to `high` at each `at`."""

    at: FloatArray
    low: FloatArray
    high: FloatArray


def roc_ribbon(ranking: Ranking, resamples: int = 500, seed: int = 0) -> Ribbon | None:
    """The interval of the true positive rate at each false positive rate of `Ranking.roc`.

    Each resample classifies its own top 2 N picks. None if there is no curve, or a single micrograph.
    """
    from sklearn.metrics import roc_curve

    if ranking.roc() is None or len(ranking.n_truth) < 2:
        return None
    at = np.linspace(0, 1, POINTS)
    heights = []
    for weights in resampled(len(ranking.n_truth), resamples, seed):
        counted = _top(weights[ranking.micrograph], 2 * int(weights @ ranking.n_truth))
        if (counted[ranking.true] > 0).any() and (counted[~ranking.true] > 0).any():
            fpr, tpr, _ = roc_curve(ranking.true, ranking.score, sample_weight=counted)
            heights.append(np.interp(at, fpr, tpr))
    return _ribbon(at, heights)


def precision_recall_ribbon(ranking: Ranking, resamples: int = 500, seed: int = 0) -> Ribbon | None:
    """The interval of the precision at each recall of `Ranking.precision_recall`.

    A resample that never reaches a recall has a precision of 0 there. None without true picks, or with a
    single micrograph.
    """
    from sklearn.metrics import precision_recall_curve

    if not ranking.true.any() or len(ranking.n_truth) < 2:
        return None
    at = np.linspace(0, 1, POINTS)
    heights = []
    for weights in resampled(len(ranking.n_truth), resamples, seed):
        counted = weights[ranking.micrograph]
        hits, annotated = int(counted[ranking.true].sum()), int(weights @ ranking.n_truth)
        if hits:
            precision, share, _ = precision_recall_curve(ranking.true, ranking.score, sample_weight=counted)
            # From the lowest recall up, without scikit-learn's own point of precision 1 at recall 0.
            recall, precision = share[::-1][1:] * hits / annotated, precision[::-1][1:]
            place = np.minimum(np.searchsorted(recall, at - 1e-12), len(recall) - 1)
            heights.append(np.where(at <= recall[-1] + 1e-12, precision[place], 0.0))
    return _ribbon(at, heights)


def _top(counts: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """How often each pick of a ranking counts among the first `limit`: counts, (n,), as far as they go."""
    return np.diff(np.minimum(np.cumsum(counts), limit), prepend=0)


def _ribbon(at: FloatArray, heights: list[FloatArray]) -> Ribbon | None:
    if not heights:
        return None
    low, high = np.quantile(heights, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return Ribbon(at, low, high)
