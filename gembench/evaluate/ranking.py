"""Curves over the ranked picks of all micrographs, and their areas for resampled micrographs.

Matching is greedy by score here, whatever the counts use: then the picks above a threshold match among
themselves as they do in the whole list, and one ranking serves every threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gembench.engine.picks import FloatArray

Weights = NDArray[np.int64]
Areas = Callable[[Weights], FloatArray]
_WEIGHTS = 2_000_000  # weights held at once: 16 MB per array


class PrecisionRecall(NamedTuple):
    """Precision and recall of the picks with score >= threshold; arrays of shape (distinct scores,)."""

    threshold: FloatArray
    precision: FloatArray
    recall: FloatArray


class Roc(NamedTuple):
    """True and false positive rates among the top-scoring picks; arrays of shape (points,), from (0, 0).

    n_picks: how many picks were classified
    """

    threshold: FloatArray
    fpr: FloatArray
    tpr: FloatArray
    n_picks: int


@dataclass(frozen=True, eq=False)
class Ranking:
    """All picks that are true or false (ignored ones left out), by falling score.

    score: shape (n,), float64, finite, falling
    true: shape (n,), bool
    micrograph: shape (n,), index of the micrograph of each pick
    n_truth: shape (micrographs,), annotated particles on each, found or not
    """

    score: FloatArray
    true: NDArray[np.bool_]
    micrograph: NDArray[np.intp]
    n_truth: NDArray[np.int64]

    @classmethod
    def pooled(
        cls, scores: Sequence[FloatArray], true: Sequence[NDArray[np.bool_]], n_truth: Sequence[int]
    ) -> Ranking:
        """One ranking from the lists of each micrograph; equal scores keep the given order."""
        score = np.concatenate(scores)
        order = np.argsort(-score, kind="stable")
        micrograph = np.repeat(np.arange(len(scores)), [len(s) for s in scores])
        return cls(score[order], np.concatenate(true)[order], micrograph[order], np.array(n_truth, np.int64))

    @cached_property
    def last(self) -> NDArray[np.intp]:
        """The last pick of each distinct score: where a threshold can fall."""
        return np.flatnonzero(np.diff(self.score, append=-np.inf))

    def precision_recall(self) -> PrecisionRecall:
        """The curve, from the highest score down; recall is relative to all annotated particles."""
        hits = np.cumsum(self.true)[self.last]
        return PrecisionRecall(self.score[self.last], hits / (self.last + 1), hits / self.n_truth.sum())

    def roc(self) -> Roc | None:
        """The receiver operating characteristic as Figure 8 of the gEMpicker paper draws it.

        The 2 N top-scoring picks (N annotated particles) are classified as true or false; the rates are
        relative to the true and the false ones among them. None unless there are some of both.
        """
        top = slice(2 * int(self.n_truth.sum()))
        true, score = self.true[top], self.score[top]
        if true.all() or not true.any():
            return None
        from sklearn.metrics import roc_curve

        fpr, tpr, threshold = roc_curve(true, score)
        return Roc(threshold, fpr, tpr, len(true))

    def average_precision(self, weights: Weights | None = None) -> FloatArray:
        """Sum of precision times gain in recall over all thresholds, shape (rows of weights,).

        A particle that no pick found adds to the recall's denominator and nothing to the sum. `weights`
        (rows, micrographs) says how often each micrograph is counted in each row; None: each once, one row.
        """
        return self._by_block(self._average_precision, weights)

    def auc(self, weights: Weights | None = None) -> FloatArray:
        """Area under `roc` by the trapezoid rule, shape (rows of weights,); NaN where it is undefined."""
        return self._by_block(self._auc, weights)

    def _by_block(self, area: Areas, weights: Weights | None) -> FloatArray:
        """`area` of all rows, a bounded number of rows at a time."""
        if weights is None:
            weights = np.ones((1, len(self.n_truth)), np.int64)
        rows = max(1, _WEIGHTS // max(1, len(self.score)))
        return np.concatenate([area(weights[i : i + rows]) for i in range(0, len(weights), rows)])

    def _average_precision(self, weights: Weights) -> FloatArray:
        counted = weights[:, self.micrograph]
        hits = np.cumsum(counted * self.true, axis=1)[:, self.last]
        made = np.cumsum(counted, axis=1)[:, self.last]
        precision = hits / np.maximum(made, 1)
        gain = np.diff(hits, axis=1, prepend=0)
        return ratio((precision * gain).sum(axis=1), weights @ self.n_truth)

    def _auc(self, weights: Weights) -> FloatArray:
        made = np.cumsum(weights[:, self.micrograph], axis=1)
        made = np.minimum(made, 2 * (weights @ self.n_truth)[:, None])  # the top 2 N of each row
        counted = np.diff(made, axis=1, prepend=0)
        tp = np.cumsum(counted * self.true, axis=1)[:, self.last]
        fp = made[:, self.last] - tp
        height = tp - np.diff(tp, axis=1, prepend=0) / 2  # halfway up where scores are equal
        area = (np.diff(fp, axis=1, prepend=0) * height).sum(axis=1)
        return ratio(area, (tp[:, -1:] * fp[:, -1:]).sum(axis=1))


def ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> FloatArray:
    """The quotient of two arrays of shape (n,), NaN where the denominator is 0."""
    quotient = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient
