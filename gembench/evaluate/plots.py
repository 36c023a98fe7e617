"""The figures of `gembench score`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from gembench.drawing import curves as draw
from gembench.drawing import style
from gembench.evaluate import Evaluation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SQUARE = 3.0  # inches high, for unit squares a column wide


def plot(evaluation: Evaluation, folder: Path) -> dict[str, str]:
    """Draw pr, roc, scores and distance into `folder`; returns what could not be drawn, with the reason.

    Raises InputError if a file cannot be written.
    """
    drawn = {"pr": _precision_recall, "roc": _roc, "scores": _scores, "distance": _distance}
    reasons = {}
    with style.context():
        for name, figure_of in drawn.items():
            if reason := _reason(evaluation, name):
                reasons[name] = reason
            else:
                style.save(figure_of(evaluation), folder / name)
    return reasons


def _reason(evaluation: Evaluation, name: str) -> str | None:
    """Why a figure cannot be drawn; None if it can."""
    if name == "distance":
        return None if evaluation.true_positives else "no pick is true"
    if evaluation.ranking is None:
        return "the picks have no score"
    if not len(evaluation.ranking.score):
        return "no pick is true or false"
    if name == "roc" and evaluation.roc is None:
        return "the top-scoring picks are all true or all false"
    return None


def _precision_recall(evaluation: Evaluation) -> Figure:
    figure, ax = style.figure(height=_SQUARE)
    curve, threshold = evaluation.precision_recall, evaluation.settings["threshold"]
    assert curve is not None
    here = "all picks" if threshold is None else f"score ≥ {threshold:g}"
    label = _with_interval(evaluation, "Average precision", "average_precision")
    point = {} if math.isnan(evaluation.precision) else {here: (evaluation.recall, evaluation.precision)}
    draw.precision_recall(ax, {label: (curve.recall, curve.precision)}, point)
    return figure


def _roc(evaluation: Evaluation) -> Figure:
    figure, ax = style.figure(height=_SQUARE)
    curve = evaluation.roc
    assert curve is not None
    draw.roc(ax, {_with_interval(evaluation, "AUC", "auc"): (curve.fpr, curve.tpr)})
    ax.set_title(f"The {curve.n_picks:,} top-scoring picks", weight="normal")
    return figure


def _scores(evaluation: Evaluation) -> Figure:
    figure, ax = style.figure()
    ranking = evaluation.ranking
    assert ranking is not None
    draw.scores(ax, ranking.score[ranking.true], ranking.score[~ranking.true],
                threshold=evaluation.settings["threshold"])
    return figure


def _distance(evaluation: Evaluation) -> Figure:
    figure, ax = style.figure()
    draw.distances(ax, evaluation.distances, evaluation.settings["radius_px"])
    return figure


def _with_interval(evaluation: Evaluation, label: str, name: str) -> str:
    """The legend's 'label value [low, high]'."""
    interval = evaluation.intervals[name]
    spread = "" if interval is None else f"  [{interval[0]:.3f}, {interval[1]:.3f}]"
    return f"{label} {getattr(evaluation, name):.3f}{spread}"
