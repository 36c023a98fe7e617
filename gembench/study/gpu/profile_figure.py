"""Where the time of a template goes on one GPU, and how near to a copy its bytes are moved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gembench.drawing import style
from gembench.study.gpu.looks import LOOKS, MASKS, Rows, chosen
from gembench.study.tell import bands

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SMALLEST = 1024  # pixels; below, launching costs as much as computing
# What is done for a template, in its order: how it is called, colour, hatch, and the engine's names for it.
STAGES = {
    "turn": ("turn, forward rows", style.ORANGE, "....", ("turn templates", "turn masks")),
    "columns": ("forward columns", style.SKY, "----", ("template spectra", "mask spectra")),
    "products": ("multiply, inverse columns", style.VERMILION, "\\\\\\\\", ("products",)),
    "fold": ("inverse rows, normalise, fold", style.GREEN, "xxxx", ("rows and fold",)),
    "micrograph": ("the micrograph's spectra", style.BLUE, "////", ("frame", "shared sigma")),
    "copies": ("copies", style.PURPLE, "++++", ("copies",)),
}


def profile(rows: Rows) -> Any:
    """Two panels, a bar a case: shares of a template's time, and bytes a second beside a plain copy's."""
    single = chosen(rows, device="gpu", devices=1, mask=..., spectra=...)
    shown = [row for row in single if "stage_seconds" in row.metrics and row["n"] >= SMALLEST]
    if not shown:
        return None
    shown.sort(key=lambda row: (row["precision"], row["n"], row["mask"] != "own", row["spectra"] != "single"))
    figure, (left, right) = style.figure(1, 2, width=style.PAGE, height=1.1 + 0.21 * len(shown), sharey=True,
                                         width_ratios=(1.4, 1))
    for place, row in enumerate(shown):
        _stacked(left, place, row["stage_seconds"])
        _moved(right, place, row)
    copy = max(row["copy_bandwidth"] for row in shown) / 1e12
    right.axvline(copy, color=style.INK, linestyle=(0, (4, 2)), linewidth=0.9, label="device-to-device copy")
    bands.lines_of_cases(left, [case_text(row) for row in shown])
    left.grid(axis="y", visible=False)
    left.set(title="a  Where the time goes", xlabel="Share of a template's time (%)", xlim=(0, 100))
    right.set(title="b  Least bytes of the method", xlabel="TB / s",
              xlim=(0, 1.2 * max(copy, *(row["bandwidth"] / 1e12 for row in shown))))
    right.grid(axis="y", visible=False)
    right.tick_params(axis="y", length=0)
    handles = [*left.get_legend_handles_labels()[0], *right.get_legend_handles_labels()[0]]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def case_text(row: Any) -> str:
    """What distinguishes a bar."""
    extra = ", half" if row["spectra"] == "half" else ", double" if row["precision"] == "float64" else ""
    return f"{row['n']}, {MASKS[row['mask']]}{extra}"


def _stacked(ax: Axes, place: int, seconds: Mapping[str, float]) -> None:
    """One bar of shares, in the engine's order; what it calls otherwise comes last, in grey."""
    named = {name for *_, names in STAGES.values() for name in names}
    rest = sum(value for name, value in seconds.items() if name not in named)
    bars = [(label, color, hatch, sum(seconds.get(name, 0.0) for name in names))
            for label, color, hatch, names in STAGES.values()]
    bars += [("the rest", style.GREY, "", rest)] if rest else []
    whole, left = sum(seconds.values()), 0.0
    for label, color, hatch, value in bars:
        ax.barh(place, 100 * value / whole, 0.72, left=left, facecolor=color, hatch=hatch, edgecolor="white",
                label=label if place == 0 else None)
        left += 100 * value / whole


def _moved(ax: Axes, place: int, row: Any) -> None:
    """One dot of bytes a second, with its share of the copy's."""
    moved = row["bandwidth"] / 1e12
    bands.dots(ax, {place: (moved, moved, moved)}, LOOKS["one GPU"], across=True)
    ax.annotate(f"{100 * row['bandwidth_share']:.0f} %", (moved, place), xytext=(7, 0),
                textcoords="offset points", va="center", fontsize="small", annotation_clip=False)
