"""Judging the picks of many micrographs against their annotations."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np

from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.evaluate.matching import IGNORED, TRUE, Method, judge
from gembench.evaluate.pairing import Pair, pair_up
from gembench.evaluate.ranking import Ranking
from gembench.evaluate.result import Evaluation, Judged


def evaluate(
    picks: Sequence[Picks],
    truth: Sequence[Picks],
    radius: float,
    *,
    method: Method = "optimal",
    labels: Collection[str] | None = None,
    ignore_labels: Collection[str] = ("unsure",),
    views: Collection[int] | None = None,
    threshold: float | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Judge picks against annotations, both one list a micrograph, paired by name without suffix.

    radius: largest distance between a pick and its particle, pixels
    method: how the counts match, 'optimal' or 'greedy'; see `gembench.evaluate.matching.match`
    labels: annotations that count as particles; None: all but `ignore_labels`. A pick on an annotation
        with any other label is false.
    ignore_labels: annotations that count neither way: a pick on one is neither true nor false (each takes
        one pick, and only one that no particle needs), and none is missed
    views: keep only picks of these views; None: all
    threshold: keep only picks with at least this score for the counts (curves use all that have one); None:
        all
    resamples, seed: of the bootstrap

    A micrograph of the truth without picks counts its particles as missed; one with picks that the truth
    does not list is reported in `unannotated_micrographs` and counts nowhere. Picks without a score (NaN or
    infinite) count as others do, but curves leave them out, and no threshold keeps them.

    Raises InputError for a negative radius, picks and truth without a common micrograph, two lists of one
    micrograph, unequal pixel sizes, no annotated particle, or a threshold or view the picks cannot answer.
    """
    pairing = pair_up(picks, truth, labels, ignore_labels, views)
    pairs = pairing.pairs
    if resamples < 0:
        raise InputError(f"{resamples} bootstrap resamples: give 0 or more")
    with_score = sum(int(np.isfinite(pair.picks.score).sum()) for pair in pairs)
    scored = with_score > 0 or not any(len(pair.picks) for pair in pairs)
    if threshold is not None and not math.isfinite(threshold):
        raise InputError(f"threshold {threshold:g}: give a finite score")
    if threshold is not None and not scored:
        raise InputError(f"threshold {threshold:g}: the picks have no score; leave the threshold out")
    ranked = [_judged(pair.with_score(), radius, "greedy") for pair in pairs] if scored else []
    settings = {
        "radius_px": float(radius), "method": method, "labels": None if labels is None else sorted(labels),
        "ignore_labels": sorted(ignore_labels), "views": None if views is None else sorted(views),
        "threshold": threshold, "resamples": resamples, "seed": seed,
    }
    return Evaluation(
        tuple(_judged(pair.at_threshold(threshold), radius, method) for pair in pairs),
        _pooled(ranked) if scored else None,
        pairing.unannotated,
        settings,
        pairing.without_picks,
        pairing.by_movie,
        sum(len(pair.picks) for pair in pairs) - with_score,
    )


def best_threshold(evaluation: Evaluation) -> float:
    """The score threshold with the highest F1 on the curve (the highest such one when several are equal).

    Choose it on one half of the micrographs and report the other: see `split_halves`.

    Raises InputError if the picks have no scores or none is true.
    """
    return best_f1(evaluation)[0]


def best_f1(evaluation: Evaluation) -> tuple[float, float]:
    """The threshold of `best_threshold`, and the curve's F1 there; raises InputError as it does."""
    curve = evaluation.precision_recall
    if curve is None or not curve.precision.any():
        raise InputError("no threshold can be chosen: the picks have no scores, or none lies on a particle")
    # 2 TP / (picks + N) with picks = TP / precision, all divided by N
    total = curve.precision + curve.recall
    f1 = np.divide(2 * curve.precision * curve.recall, total, out=np.zeros_like(total), where=total > 0)
    return float(curve.threshold[np.argmax(f1)]), float(f1.max())


def threshold_for_recall(evaluation: Evaluation, recall: float) -> float:
    """The highest score threshold at which the curve reaches `recall`.

    Raises InputError if the picks have no scores or do not reach it.
    """
    curve = evaluation.precision_recall
    if curve is None or not (curve.recall >= recall).any():
        raise InputError(f"no threshold gives a recall of {recall:g}: pick at a lower threshold")
    return float(curve.threshold[curve.recall >= recall].max())


def _judged(pair: Pair, radius: float, method: Method) -> Judged:
    outcome, distance = judge(pair.picks, pair.truth, pair.unsure, radius, method)
    return Judged(pair.micrograph, len(pair.truth), pair.picks.score, outcome, distance)


def _pooled(ranked: Sequence[Judged]) -> Ranking:
    """One ranking of all picks that are true or false."""
    kept = [part.outcome != IGNORED for part in ranked]
    return Ranking.pooled(
        [part.score[keep] for part, keep in zip(ranked, kept, strict=True)],
        [part.outcome[keep] == TRUE for part, keep in zip(ranked, kept, strict=True)],
        [part.n_truth for part in ranked],
    )
