"""The KLH study drawn: templates and masks (Fig. 6), score maps (Fig. 7), ROC and precision (Fig. 8)."""

from __future__ import annotations

from math import floor
from textwrap import fill

import numpy as np

from gembench.drawing import pictures, style
from gembench.study.tell import bands

VIEWS = ("side", "top")
CURVES = {  # protocol, angle step -> name, look of its line
    ("2013-method", 4): ("2013 method, 4°", {"color": style.BLUE, "linestyle": "-"}),
    ("2013-method", 9): ("2013 method, 9°", {"color": style.SKY, "linestyle": (0, (4, 1.5))}),
    ("gempicker", 4): ("2013 method, gEMpicker's settings", {"color": style.GREEN, "linestyle": "-"}),
    ("gembench", 4): ("gembench, 4°", {"color": style.VERMILION, "linestyle": "-"}),
    ("gembench", 9): ("gembench, 9°", {"color": style.ORANGE, "linestyle": (0, (4, 1.5))}),
}
SHADED = [("2013-method", 4), ("gempicker", 4), ("gembench", 4)]  # with intervals
USED = ("halves", "projections")  # templates of the curves
# Recall and precision as the paper prints them: on its own marks, and from the 3DEM Benchmark
PAPER = {"979 of 1,042": (979 / 1042, 979 / 1249), "Benchmark": (0.936, 0.788)}
BESIDE = 9  # pixels of the picture that a ring is marked outside of it
BRIGHT = 0.5  # score from which a map is white: peaks are brighter, rings half of it


def figure(rows):
    """The figures that these rows can give, by name, each with the rows it shows."""
    figures = {}
    for data in sorted({row["data"] for row in rows}):
        here = [row for row in rows if row["data"] == data]
        lines = [row for row in here if (row["protocol"], row["angle_step"]) in CURVES
                 and row["templates"] in USED and not row["symmetry"] and "device" not in row.case
                 and "recall" in row.arrays]
        if lines:
            figures[f"roc_{data}"] = _curves(lines), lines
        for row in here:
            if "zoom_micrograph" in row.arrays:
                figures[f"maps_{data}"] = _maps(row), [row]
                figures[f"templates_{data}"] = _templates(row), [row]
    return figures


def kind_of(row):
    """'41 KLH micrographs', '6 simulated micrographs', or '9 micrographs of mine'."""
    count = row.metrics.get("judged_micrographs", row["micrographs"])
    return f"{count} {bands.micrographs_of(row['data'])}"


def _curves(rows):
    """ROC and precision-recall in the corner where they live, with the whole square beside, small."""
    drawn, (left, right) = style.figure(1, 2, width=style.PAGE, height=4.3)
    for row in rows:
        key = row["protocol"], row["angle_step"]
        name, look = CURVES[key]
        if "roc_fpr" in row.arrays and row["protocol"] != "gempicker":
            _line(left, row, "roc", "roc_fpr", "roc_tpr", look, key in SHADED, name)
        _line(right, row, "pr", "recall", "precision", look, key in SHADED, name)
        if key in SHADED:
            _working_point(right, row, look["color"])
    low = min([0.5, *(floor(10 * row["recall"]) / 10 for row in rows)])
    for ax, corner in ((left, (0, 0.5, 0.5, 1)), (right, (low, 1, low, 1))):
        ax.set(xlim=corner[:2], ylim=corner[2:], aspect="equal")
        _whole(ax, corner)
    paper = PAPER if rows[0]["data"] in bands.PAPER_SETS else {}
    for name, (recall, precision) in paper.items():
        _paper_roc(left, recall, precision)
        offset = (-12, -22) if name == "Benchmark" else (-12, -10)
        style.paper_value(right, recall, precision, f"the paper, {name}", offset=offset)
    if paper:
        left.annotate("the paper's picks, within\nwhat it says of them", (0.26, 0.955), xytext=(9, -6),
                      va="top", textcoords="offset points", fontsize=6.5, fontstyle="italic")
    left.set(title=f"a  ROC, {kind_of(rows[0])}", ylabel="True positive rate",
             xlabel="False positive rate (of the best 2 N picks, N marks)")
    right.set(title=f"b  Precision, {kind_of(rows[0])}", xlabel="Recall", ylabel="Precision")
    handles = [*right.get_legend_handles_labels()[0], *([style.paper_key()] if paper else []), *_meaning()]
    drawn.legend(handles=handles, loc="outside upper left", ncols=3)
    _explain(drawn, rows[0])
    return drawn


def _meaning():
    """What shade and circle mean, for the legend."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    return [Patch(facecolor=style.GREY, alpha=0.3, label="95 %, micrographs drawn anew"),
            Line2D([], [], marker="o", color=style.GREY, markerfacecolor="white", linestyle="none",
                   markersize=5, label="at the threshold that is used, 95 %")]


def _line(ax, row, prefix, x, y, look, shaded, name):
    """A curve, with the interval of its height where there is one."""
    ax.plot(row.arrays[x], row.arrays[y], label=name, marker="", linewidth=1.3, **look)
    if shaded and f"{prefix}_at" in row.arrays:
        at, low, high = (row.arrays[f"{prefix}_{part}"] for part in ("at", "low", "high"))
        reached = (at <= row.arrays[x].max() + 1e-9) & (low > 0)  # 0 where a resample never came so far
        ax.fill_between(at[reached], low[reached], high[reached], color=look["color"], alpha=0.13,
                        linewidth=0)


def _working_point(ax, row, colour):
    """Recall and precision at the threshold that is used, with their intervals."""
    x, y = row["recall"], row["precision"]
    spans = [row.metrics.get(f"{name}_interval") for name in ("recall", "precision")]
    errors = [[[max(value - span[0], 0)], [max(span[1] - value, 0)]] if span else None
              for value, span in zip((x, y), spans, strict=True)]
    ax.errorbar(x, y, xerr=errors[0], yerr=errors[1], marker="o", color=colour, markerfacecolor="white",
                markeredgewidth=1.1, markersize=5, elinewidth=0.8, capsize=2, zorder=4, linestyle="none")


def _paper_roc(ax, recall, precision):
    """Where a recall and a precision lie in the ROC, whose rates refer to the top 2 N picks.

    Among these, from `recall` N to N are true, so the false positive rate of what was picked lies between
    f / (2 - recall) and f, with f = recall (1 / precision - 1) the false picks a particle.
    """
    false = recall * (1 / precision - 1)
    x, y = (false / (2 - recall), false), (recall, 1.0)
    ax.errorbar(np.mean(x), np.mean(y), xerr=np.ptp(x) / 2, yerr=np.ptp(y) / 2, zorder=5, ecolor=style.INK,
                elinewidth=0.7, capsize=1.5, clip_on=False, **style.PAPER)


def _whole(ax, corner):
    """The whole square, small, with the corner that the panel shows."""
    inset = ax.inset_axes((0.04, 0.04, 0.3, 0.3) if corner[0] else (0.66, 0.04, 0.3, 0.3))
    for line in list(ax.lines):
        if line.get_marker() == "" and len(line.get_xdata()) > 2:
            inset.plot(line.get_xdata(), line.get_ydata(), marker="", linewidth=0.7, color=line.get_color())
    x0, x1, y0, y1 = corner
    inset.plot([x0, x1, x1, x0, x0], [y0, y0, y1, y1, y0], color=style.INK, linewidth=0.5, marker="",
               linestyle="-", clip_on=False)
    inset.set(xlim=(0, 1), ylim=(0, 1), xticks=[0, 1], yticks=[0, 1], aspect="equal")
    inset.tick_params(labelsize=5.5, length=2, pad=1)
    inset.grid(visible=False)
    inset.patch.set_alpha(0.9)


def _explain(drawn, row):
    """Whose annotations, and what the templates are, in small words under the figure."""
    said = {name: row.metrics.get(name, "not said") for name in ("annotations", "templates_from")}
    text = "Judged by {annotations}. Templates: {templates_from}.".format(**said)
    drawn.supxlabel(fill(text, 150), fontsize=5.5, color="#666666", x=0.01, ha="left")


def _maps(row):
    """Fig. 7: a micrograph and the maps of its views, whole above and a top view's neighbourhood below."""
    arrays, pixel = row.arrays, float(row.arrays["pixel_size"])
    drawn, axes = style.figure(2, 3, width=style.PAGE, height=5.3)
    corner, small = arrays["corner"], arrays["zoom_micrograph"].shape[0]
    kind = "simulated KLH" if row["data"] == "simulated" else "KLH"
    titles = (f"a  A {kind} micrograph", "b  Its map, side-view templates", "c  Its map, top-view templates")
    for line, (prefix, factor, origin) in enumerate((("", 4, (0, 0)), ("zoom_", 2, corner))):
        images = [arrays[f"{prefix}micrograph"], *(arrays[f"{prefix}{view}_map"] for view in VIEWS)]
        side = images[0].shape[0]
        for column, image in enumerate(images):
            ax = axes[line, column]
            title = titles[column] if line == 0 else ""
            if column == 0:
                pictures.micrograph(ax, image.astype(np.float32), title=title)
                pictures.scale_bar(ax, image.shape, pixel * factor, nanometres=100 if line == 0 else 20)
            else:
                shown = pictures.score_map(ax, image.astype(np.float32), title=title, limit=BRIGHT)
            _mark(ax, arrays, factor, np.asarray(origin), side, column)
            if line == 0:
                _frame(ax, np.asarray(corner) / factor, small * 2 / factor)
    drawn.colorbar(shown, ax=axes, orientation="horizontal", fraction=0.03, pad=0.02, aspect=60, extend="max",
                   label="Score (normalised cross-correlation)")
    drawn.legend(handles=_key(), loc="outside upper left", ncols=len(_key()))
    _explain(drawn, row)
    return drawn


def _frame(ax, corner, side):
    from matplotlib.patches import Rectangle

    ax.add_patch(Rectangle(tuple(corner), side, side, fill=False, edgecolor="white", linewidth=0.7))


def _mark(ax, arrays, factor, origin, side, column):
    """Picks and annotations on the micrograph; in a map the ring around each top view."""
    from matplotlib.patches import Circle

    def place(xy):
        return (np.asarray(xy, float).reshape(-1, 2) - origin) / factor

    def visible(xy):
        return xy[(xy > 0).all(axis=1) & (xy < side).all(axis=1)]

    if column == 0:
        for view, colour in enumerate(pictures.VIEW_COLOURS[:2]):
            picks = arrays["picks"]
            for x, y in visible(place(picks[picks[:, 2] == view][:, :2])):
                ax.add_patch(Circle((x, y), 60 / factor, fill=False, color=colour, linewidth=1.0))
        marks = visible(place(arrays["marks"]))
        ax.plot(marks[:, 0], marks[:, 1], "+", color="white", markersize=5, markeredgewidth=0.9,
                linestyle="none")
    elif column == 1 and factor == 2:
        for (x, y), radius in zip(place(arrays["tops"]), arrays["ring_radius"] / factor, strict=True):
            ax.add_patch(Circle((x, y), radius + BESIDE, fill=False, color="white", linewidth=0.7,
                                linestyle=(0, (2, 3)), clip_on=True))


def _key():
    from matplotlib.lines import Line2D

    side, top = pictures.VIEW_COLOURS[:2]
    ring = {"linestyle": "none", "marker": "o", "markerfacecolor": "none", "markersize": 7}
    return [Line2D([], [], color=side, label="picked as side view, score ≥ 0.3", **ring),
            Line2D([], [], color=top, label="picked as top view", **ring),
            Line2D([], [], color="#777777", marker="+", linestyle="none", label="annotated side view"),
            Line2D([], [], color="#777777", linestyle=(0, (2, 2)), marker="", linewidth=0.8,
                   label="around the ring of a top view")]


def _templates(row):
    """Fig. 6: the templates, of both halves where there are two, and their masks."""
    arrays = row.arrays
    halves, made = arrays["templates"], "projection" if row["data"] == "simulated" else "average"
    drawn, axes = style.figure(1, 2 + 2 * len(halves), width=style.PAGE, height=1.3 + 1.4 / len(halves))
    panels = []
    for view, name in enumerate(VIEWS):
        for number, half in enumerate(halves):
            which = f" of half {'AB'[number]}" if len(halves) > 1 else ""
            panels.append((half[view], f"{name.capitalize()} view,\n{made}{which}"))
        panels.append((arrays["masks"][view].astype(np.float32), "Its\nmask"))
    for ax, (image, title) in zip(axes, panels, strict=True):
        pictures.plain(ax, image)
        ax.set_title(title, fontsize=7)
    _explain(drawn, row)
    return drawn
