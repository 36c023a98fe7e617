"""Intervals of curves: none where micrographs are alike, wide where they differ."""

from __future__ import annotations

import numpy as np

from gembench.evaluate import precision_recall_ribbon, roc_ribbon
from gembench.evaluate.ranking import Ranking

SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
TRUE = np.array([1, 1, 0, 1, 0, 0], bool)


def ranking(*true: np.ndarray, n_truth: int = 4) -> Ranking:
    """Micrographs whose picks have the same scores; one particle of each is never picked."""
    return Ranking.pooled([SCORES] * len(true), list(true), [n_truth] * len(true))


def test_micrographs_that_are_alike_have_one_curve():
    pooled = ranking(TRUE, TRUE, TRUE)
    roc, ribbon = pooled.roc(), roc_ribbon(pooled, 50)
    np.testing.assert_allclose(ribbon.low, np.interp(ribbon.at, roc.fpr, roc.tpr), atol=1e-12)
    np.testing.assert_allclose(ribbon.high, ribbon.low, atol=1e-12)
    ribbon = precision_recall_ribbon(pooled, 50)
    np.testing.assert_allclose(ribbon.high, ribbon.low, atol=1e-12)
    height = dict(zip(np.round(ribbon.at, 3), ribbon.low, strict=True))
    assert height[0.5] == 1  # two of four are picked first
    assert height[0.75] == 0.75  # the third after one that is false
    assert height[0.755] == 0  # and the fourth never
    assert height[0] == 1


def test_the_roc_of_a_resample_ends_at_its_own_top_picks():
    pooled = ranking(TRUE, TRUE, n_truth=2)  # 4 marks a pair: of 12 picks the best 8 count
    ribbon, roc = roc_ribbon(pooled, 20), pooled.roc()
    assert roc.n_picks == 8
    np.testing.assert_allclose(ribbon.high, np.interp(ribbon.at, roc.fpr, roc.tpr), atol=1e-12)


def test_micrographs_that_differ_widen_the_interval():
    worse = np.array([0, 0, 1, 0, 1, 1], bool)
    for made in (roc_ribbon(ranking(TRUE, worse), 200), precision_recall_ribbon(ranking(TRUE, worse), 200)):
        middle = made.at.searchsorted(0.4)
        assert made.low[middle] < made.high[middle] - 0.2


def test_a_single_micrograph_tells_no_interval():
    assert roc_ribbon(ranking(TRUE)) is None
    assert precision_recall_ribbon(ranking(TRUE)) is None
    nothing = ranking(np.zeros(6, bool), np.zeros(6, bool))
    assert roc_ribbon(nothing) is None
    assert precision_recall_ribbon(nothing) is None
