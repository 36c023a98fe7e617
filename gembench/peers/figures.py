"""What the peers study draws: time of a template beside gembench's, and what is found on KLH."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gembench.peers.base import PEERS
from gembench.study.tell import bands, style
from gembench.study.tell.tables import speed_up
from gembench.study.tell.text import seconds_text

PANELS = {
    ("own", 0): "A mask of its own, turned with the template",
    ("disc", 0): "One disc for all templates",
    ("disc", 20): "One disc, everything low-passed at 20 Å",
}
REFERENCES = ("gembench-banded", "gembench")  # the first that is there; banded only where all is low-passed
START = 1e-6  # seconds at which bars begin on a logarithmic axis, far to the left of what is shown
DOTS = {"recall": (style.BLUE, "o"), "precision": (style.VERMILION, "s"), "f1": (style.BLACK, "D")}


def label(picker: str) -> str:
    """A picker's name as figures spell it."""
    return PEERS[picker].label if picker in PEERS else picker


def bar(picker: str) -> dict[str, Any]:
    """The look of a picker's bar; the engine's other methods are gembench's, paler."""
    family = picker.split("-")[0] if picker.startswith("gembench") else picker
    return bands.look(family).bar | {"alpha": 1 if picker == family else 0.45}


def draw(rows: list[Any]) -> dict[str, Any]:
    """The figures that these rows can give, by name."""
    speed = [row for row in rows if row["task"] == "speed"]
    picks = [row for row in rows if row["task"] == "picks"]
    figures = {f"speed_{n}": _speed([row for row in speed if row["n"] == n])
               for n in sorted({row["n"] for row in speed})}
    for data, step in sorted({(row["data"], row["angle_step"]) for row in picks}):
        chosen = [row for row in picks if row["data"] == data and row["angle_step"] == step]
        figures[f"picks_{data}_{step:g}deg"] = _picks(chosen)
    return figures


def _speed(rows: list[Any]) -> Any:
    """Bars of a template's time on a logarithmic axis, a panel a kind of work, with ratios to gembench's."""
    panels = {key: [row for row in rows if (row["mask"], row["lowpass"]) == key] for key in PANELS}
    panels = {key: found for key, found in panels.items() if found}
    pickers = [len({row["picker"] for row in found}) for found in panels.values()]
    figure, axes = style.figure(
        len(panels), 1, width=style.PAGE, height=0.5 + 0.45 * len(panels) + 0.2 * sum(pickers), sharex=True,
        squeeze=False, gridspec_kw={"height_ratios": [count + 0.4 for count in pickers]},
    )
    for ax, (key, found) in zip(axes[:, 0], panels.items(), strict=True):
        _panel(ax, found)
        ax.set_title(PANELS[key])
    low, high = (pick(row.median for row in rows) for pick in (min, max))
    axes[-1, 0].set(xlabel="Time of a template (s)", xlim=(low / 1.6, high * 7))
    _key(figure, rows)
    return figure


def _panel(ax: Any, rows: list[Any]) -> None:
    """One kind of work: the fastest on top, on one core a bar and on all cores a ring."""
    one = {row["picker"]: row for row in rows if row["cores"] == "one"}
    every = {row["picker"]: row for row in rows if row["cores"] == "all"}
    known = {**every, **one}
    names = REFERENCES if rows[0]["lowpass"] else REFERENCES[1:]
    reference = next((one[name] for name in names if name in one), None)
    order = sorted(known, key=lambda picker: known[picker].median)
    for place, picker in enumerate(order):
        if picker in every:
            ax.plot(every[picker].median, place, "o", markersize=5, markerfacecolor="white",
                    markeredgecolor=style.INK, zorder=4)
        if picker not in one:
            continue
        row = one[picker]
        low, high = row.band
        ax.barh(place, row.median - START, 0.72, left=START, **bar(picker))
        ax.errorbar(row.median, place, xerr=[[row.median - low], [high - row.median]], fmt="none",
                    ecolor=style.GREY, elinewidth=0.7, capsize=1.5, zorder=3)
        end = max(high, every[picker].median if picker in every else 0)
        ax.annotate(seconds_text(row.median) + _ratio(reference, row), (end, place), xytext=(6, 0),
                    textcoords="offset points", va="center", fontsize="small")
    ax.set_xscale("log")
    ax.set_yticks(range(len(order)), [label(picker) for picker in order])
    ax.set_ylim(len(order) - 0.4, -0.6)
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)


def _ratio(reference: Any, row: Any) -> str:
    """How many times as long as the reference, one of gembench's methods, the picker takes."""
    if reference is None or reference is row:
        return ""
    times = 1 / speed_up(reference, row)[0]
    name = "gembench" if reference["picker"] == "gembench" else "gembench, banded"
    return f"   {times:.1f} × {name}" if times >= 1 else f"   {times:.2f} × {name}"


def _key(figure: Any, rows: Iterable[Any]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    kinds = {row["cores"] for row in rows}
    bars = Patch(facecolor=style.GREY, label="one core")
    ring = Line2D([], [], marker="o", linestyle="none", markersize=5, markerfacecolor="white",
                  markeredgecolor=style.INK, label="all cores")
    shown = [mark for kind, mark in (("one", bars), ("all", ring)) if kind in kinds]
    figure.legend(handles=shown, loc="outside upper right", ncols=len(shown))


def _picks(rows: list[Any]) -> Any:
    """Recall, precision and F1 of every picker, beside the seconds it takes a micrograph."""
    rows = sorted(rows, key=lambda row: (-row["f1"], row["picker"]))
    figure, (left, right) = style.figure(
        1, 2, width=style.PAGE, height=1.1 + 0.22 * len(rows), sharey=True, width_ratios=[3, 2]
    )
    for place, row in enumerate(rows):
        shown = [row[name] for name in DOTS]
        left.plot([min(shown), max(shown)], [place, place], color=style.GREY, linewidth=0.8, linestyle="-",
                  marker="")
        for name, (colour, marker) in DOTS.items():
            left.plot(row[name], place, marker, color=colour, markersize=5,
                      label={"f1": "F1"}.get(name, name) if place == 0 else None)
        right.barh(place, row.median - START, 0.66, left=START, **bar(row["picker"]))
        right.annotate(seconds_text(row.median), (row.median, place), xytext=(4, 0),
                       textcoords="offset points", va="center", fontsize="small")
    left.set_yticks(range(len(rows)), [label(row["picker"]) for row in rows])
    left.set(xlabel="Share", ylim=(len(rows) - 0.5, -0.5))
    left.set_title("a  Side views found")
    right.set(xlabel="Time of a micrograph (s)", xscale="log")
    right.set_xlim(min(row.median for row in rows) / 2, 4 * max(row.median for row in rows))
    right.set_title(f"b  Time, templates every {rows[0]['angle_step']:g}°")
    for ax in (left, right):
        ax.tick_params(axis="y", length=0)
    left.grid(axis="y", visible=True)
    right.grid(axis="y", visible=False)
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=len(DOTS))
    return figure
