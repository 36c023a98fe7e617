"""Pure drawing: arrays onto given axes. Nothing here reads a file or computes a statistic.

Call inside `gembench.drawing.style.context()`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from gembench.drawing import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curve = tuple[ArrayLike, ArrayLike]
Looks = Mapping[str, Mapping[str, Any]]


def precision_recall(
    ax: Axes, curves: Mapping[str, Curve], points: Mapping[str, tuple[float, float]] | None = None,
    *, looks: Looks | None = None,
) -> None:
    """Precision against recall, over faint lines of equal F1.

    curves: (recall, precision) of each entry of the legend
    points: (recall, precision) of operating points by name, each marked on the curve it belongs to
    looks: arguments of Axes.plot per curve; those left out follow the style's cycle
    """
    _lines_of_equal_f1(ax)
    for name, (recall, precision) in curves.items():
        ax.plot(recall, precision, label=name, clip_on=False, **_look(looks, name))
    for name, (recall, precision) in (points or {}).items():
        ax.plot(recall, precision, "o", color="white", markeredgecolor=style.INK, markersize=5,
                markeredgewidth=1.2, label=name, zorder=3, clip_on=False)
    _unit_square(ax)
    ax.set(xlabel="Recall", ylabel="Precision")
    ax.grid(visible=False)
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 0.02))


def roc(ax: Axes, curves: Mapping[str, Curve], *, looks: Looks | None = None) -> None:
    """True against false positive rate, with the diagonal of picks drawn by lot.

    curves: (false positive rate, true positive rate) of each entry of the legend
    """
    ax.plot([0, 1], [0, 1], color=style.GREY, linestyle=(0, (1, 2)), linewidth=0.8)
    for name, (fpr, tpr) in curves.items():
        ax.plot(fpr, tpr, label=name, clip_on=False, **_look(looks, name))
    _unit_square(ax)
    ax.set(xlabel="False positive rate", ylabel="True positive rate")
    ax.legend(loc="lower right", bbox_to_anchor=(1.0, 0.02))


def scores(ax: Axes, true: ArrayLike, false: ArrayLike, *, threshold: float | None = None) -> None:
    """Histograms of the scores of true and false picks, and the threshold between them.

    true, false: scores, shape (n,) each; either may be empty, not both
    """
    true, false = np.asarray(true, float), np.asarray(false, float)
    both = np.concatenate([true, false])
    margin = 0.0 if np.ptp(both) else 0.5  # one single score still gets a bin around it
    bins = _bins(both.min() - margin, both.max() + margin, len(both))
    ax.hist(false, bins, histtype="stepfilled", facecolor="#f6c9a8", edgecolor=style.VERMILION,
            hatch="/////", linewidth=1.0, linestyle="-", label=f"false ({len(false):,})")
    ax.hist(true, bins, histtype="stepfilled", facecolor=style.BLUE + "66", edgecolor=style.BLUE,
            linewidth=1.0, linestyle="-", label=f"true ({len(true):,})")
    if threshold is not None:
        ax.axvline(threshold, color=style.INK, linewidth=0.9, linestyle=(0, (4, 2)))
        ax.annotate(f"threshold {threshold:.3g}", (threshold, 1), xycoords=("data", "axes fraction"),
                    xytext=(3, -2), textcoords="offset points", va="top", fontsize="small")
    _histogram_axes(ax, "Score", "Picks")
    ax.legend(loc="upper left", bbox_to_anchor=(0.0, 1.1), ncols=2, columnspacing=1.2, borderaxespad=0)


def distances(ax: Axes, distances: ArrayLike, radius: float) -> None:
    """Histogram of the distances in pixels between true picks and their particles, with its median.

    distances: shape (n,), n >= 1; the axis ends at the matching radius, in pixels
    """
    distances = np.asarray(distances, float)
    median = float(np.median(distances))
    ax.hist(distances, _bins(0, radius or 1, len(distances)), histtype="stepfilled",
            facecolor=style.BLUE + "66", edgecolor=style.BLUE, linewidth=1.0, linestyle="-")
    ax.axvline(median, color=style.INK, linewidth=0.9, linestyle=(0, (4, 2)))
    ax.annotate(f"median {median:.1f} px", (median, 1), xycoords=("data", "axes fraction"),
                xytext=(4, -2), textcoords="offset points", va="top", fontsize="small")
    ax.set_xlim(0, radius or 1)
    _histogram_axes(ax, "Distance to the annotated centre (px)", "True picks")


def _look(looks: Looks | None, name: str) -> dict[str, Any]:
    return dict((looks or {}).get(name, {}))


def _unit_square(ax: Axes) -> None:
    ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    ax.set_xticks(np.linspace(0, 1, 6))
    ax.set_yticks(np.linspace(0, 1, 6))


def _lines_of_equal_f1(ax: Axes) -> None:
    for f1 in (0.5, 0.6, 0.7, 0.8, 0.9):
        recall = np.linspace(f1 / (2 - f1), 1, 200)  # where precision is 1, to where recall is 1
        precision = f1 * recall / (2 * recall - f1)
        ax.plot(recall, precision, color="#dddddd", linestyle="-", linewidth=0.6, zorder=0)
        ax.annotate(f"F1 {f1:.1f}", (1, precision[-1]), xytext=(2, 0), textcoords="offset points",
                    va="center", fontsize=5.5, color=style.GREY, annotation_clip=False)


def _bins(low: float, high: float, count: int) -> list[float]:
    """Equal bins, finer for more values."""
    edges: list[float] = np.linspace(low, high, int(np.clip(1.5 * count**0.5, 10, 50)) + 1).tolist()
    return edges


def _histogram_axes(ax: Axes, xlabel: str, ylabel: str) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.margins(y=0.12)
    ax.grid(axis="x", visible=False)
