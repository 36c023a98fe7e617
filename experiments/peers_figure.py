"""What the peers study draws: time of a template beside gembench's, and what is picked."""

from __future__ import annotations

from gembench.drawing import style
from gembench.peers.base import PEERS
from gembench.study.tell import bands
from gembench.study.tell.tables import speed_up
from gembench.study.tell.text import seconds_text

PANELS = {
    ("own", 0): "A mask of its own, turned with the template",
    ("disc", 0): "One disc for all templates",
    ("disc", 20): "One disc, everything low-passed at 20 Å",
}
REFERENCES = ("gembench-banded", "gembench")  # the first that is there; banded only where all is low-passed
DOTS = {"recall": (style.BLUE, "o"), "precision": (style.VERMILION, "s"), "f1": (style.BLACK, "D")}
PAPER = {  # seconds for 82 micrographs of 2048 x 2048 with 180 templates, masks of their own
    "FindEM, a core": 9430, "gEMpicker, a core": 5972, "gEMpicker, a C2075": 223,
}
PAPER_PAIRS = 82 * 180  # of a micrograph and a template, which those seconds are for
PAPER_STEP = 4  # degrees between their templates
# Side views on 82 micrographs: of 1,042 that Mouche marked, picked and how many picks in all
PICKED = {"FindEM, a core": (1011, 1282), "gEMpicker, a core": (979, 1249)}
MARKED = 1042
AS_THEN = {"gembench": "2013 method, gembench", "gembench-2003": "FindEM's method, gembench"}


def figure(rows):
    """The figures that these rows can give, by name, each with the rows it shows."""
    speed = [row for row in rows if row["task"] == "speed"]
    picks = [row for row in rows if row["task"] == "picks"]
    figures = {}
    for n in sorted({row["n"] for row in speed}):
        shown = [row for row in speed if row["n"] == n]
        figures[f"speed_{n}"] = _speed(shown), shown
    then = [row for row in rows if row["task"] == "picks-2013"]
    for data in sorted({row["data"] for row in then}):
        shown = [row for row in then if row["data"] == data]
        figures[f"findem_{data}"] = _picks(shown, PICKED), shown
    for data, step in sorted({(row["data"], row["angle_step"]) for row in picks}):
        shown = [row for row in picks if row["data"] == data and row["angle_step"] == step]
        figures[f"picks_{data}_{step:g}deg"] = _picks(shown), shown
    return figures


def label(picker):
    """A picker's name as figures spell it."""
    return PEERS[picker].label if picker in PEERS else style.label(picker)


def look(picker):
    """The look of a picker's dot; the engine's other methods are gembench's, in other markers."""
    family = bands.look(picker.split("-")[0] if picker.startswith("gembench") else picker)
    marker = {"gembench-paper": "<", "gembench-banded": ">", "gembench-gpu": "*"}.get(picker, family.marker)
    return style.Series(family.color, family.dash, marker, family.hatch)


def _speed(rows):
    """Dots of a template's time on a logarithmic axis, a panel a kind of work, with ratios to gembench's."""
    panels = {key: [row for row in rows if (row["mask"], row["lowpass"]) == key] for key in PANELS}
    panels = {key: group for key, group in panels.items() if group}
    paper = {key: PAPER if key == ("own", 0) and rows[0]["n"] == 2048 else {} for key in panels}
    lines = [len({row["picker"] for row in group}) + len(paper[key]) for key, group in panels.items()]
    drawn, axes = style.figure(
        len(panels), 1, width=style.PAGE, height=0.5 + 0.35 * len(panels) + 0.19 * sum(lines), sharex=True,
        squeeze=False, gridspec_kw={"height_ratios": [count + 0.4 for count in lines]},
    )
    every = [row.median for row in rows] + [total / PAPER_PAIRS for chosen in paper.values()
                                            for total in chosen.values()]
    for ax, (key, group) in zip(axes[:, 0], panels.items(), strict=True):
        _panel(ax, group, paper[key])
        ax.set_title(PANELS[key])
    axes[-1, 0].set(xlabel="Time of a template", xlim=(min(every) / 1.6, max(every) * 16))
    _key(drawn, {row["cores"] for row in rows}, any(paper.values()))
    return drawn


def _panel(ax, rows, paper):
    """One kind of work: the fastest on top, on one core a dot with its range, on all cores a ring."""
    single = {row["picker"]: row for row in rows if row["cores"] == "one"}
    every = {row["picker"]: row for row in rows if row["cores"] == "all"}
    times = {picker: row.median for picker, row in {**every, **single}.items()}
    times |= {name: total / PAPER_PAIRS for name, total in paper.items()}
    names = REFERENCES if rows[0]["lowpass"] else REFERENCES[1:]
    reference = next((single[name] for name in names if name in single), None)
    order = sorted(times, key=lambda name: times[name])
    for place, name in enumerate(order):
        if name in paper:
            style.paper_value(ax, times[name], place, f"{seconds_text(times[name])}, the paper's")
            continue
        if name in every:
            ax.plot(every[name].median, place, "o", markersize=5, markerfacecolor="white",
                    markeredgecolor=style.INK, zorder=2)
        if name in single:
            _dot(ax, place, single[name], every.get(name), reference)
    bands.times(ax)
    bands.lines_of_cases(ax, [label(name) for name in order])


def _dot(ax, place, row, every, reference):
    """One picker on one core, with its time and its ratio to the reference."""
    bands.dots(ax, {place: (row.median, *row.band)}, look(row["picker"]), across=True, zorder=3)
    end = max(row.band[1], every.median if every else 0)
    ax.annotate(seconds_text(row.median) + _ratio(reference, row), (end, place), xytext=(7, 0),
                textcoords="offset points", va="center", fontsize="small")


def _ratio(reference, row):
    """How many times as long as the reference, one of gembench's methods, the picker takes."""
    if reference is None or reference is row:
        return ""
    times = 1 / speed_up(reference, row)[0]
    name = "gembench" if reference["picker"] == "gembench" else "gembench, banded"
    return f"   {times:.1f} × {name}" if times >= 1 else f"   {times:.2f} × {name}"


def _key(drawn, kinds, paper):
    from matplotlib.lines import Line2D

    dot = Line2D([], [], marker="s", linestyle="-", color=style.BLUE, markersize=4,
                 label="one core, min..max")
    ring = Line2D([], [], marker="o", linestyle="none", markersize=5, markerfacecolor="white",
                  markeredgecolor=style.INK, label="all cores")
    shown = [mark for kind, mark in (("one", dot), ("all", ring)) if kind in kinds]
    shown += [style.paper_key()] if paper else []
    drawn.legend(handles=shown, loc="outside upper right", ncols=len(shown))


def _picks(rows, picked=()):
    """Recall, precision and F1 of every picker, beside the seconds it takes a micrograph.

    picked: of the paper's pickers, how many marked particles they picked, and how many picks they made
    """
    rows = sorted(rows, key=lambda row: (-row["f1"], row["picker"]))
    of_paper = rows[0]["data"] in bands.PAPER_SETS
    timed = of_paper and rows[0]["angle_step"] == PAPER_STEP
    what = "Side views" if of_paper else "Particles"
    paper = {name: total for name, total in PAPER.items() if timed or name in picked}
    drawn, (left, right) = style.figure(
        1, 2, width=style.PAGE, height=1.1 + 0.22 * (len(rows) + len(paper)), sharey=True, width_ratios=[3, 2]
    )
    for place, row in enumerate(rows):
        shown = [row[name] for name in DOTS]
        left.plot([min(shown), max(shown)], [place, place], color=style.GREY, linewidth=0.8, linestyle="-",
                  marker="")
        for name, (colour, marker) in DOTS.items():
            low, high = row.metrics.get(f"{name}_interval") or (row[name], row[name])
            shift = 0.0 if low == high else {"recall": -0.18, "precision": 0.18, "f1": 0.0}[name]
            bands.dots(left, {place + shift: (row[name], low, high)}, style.Series(colour, "-", marker, ""),
                       {"f1": "F1"}.get(name, name) if place == 0 else None, across=True, elinewidth=0.7)
        bands.dots(right, {place: (row.median, *row.band)}, look(row["picker"]), across=True)
        right.annotate(seconds_text(row.median), (row.band[1], place), xytext=(6, 0),
                       textcoords="offset points", va="center", fontsize="small")
    for place, (name, total) in enumerate(paper.items(), len(rows)):
        if name in picked:
            true, made = picked[name]
            for share, text in ((true / MARKED, f"recall {true / MARKED:.2f}"),
                                (true / made, f"precision {true / made:.2f}")):
                style.paper_value(left, share, place, text, offset=(0, 5))
        if timed:
            style.paper_value(right, total / 82, place, f"{seconds_text(total / 82)}, the paper's")
    names = AS_THEN if picked else {}
    bands.lines_of_cases(left, [*(names.get(row["picker"], label(row["picker"])) for row in rows), *paper])
    left.margins(x=0.13)
    bands.times(right)
    kind = {"klh": "real ", "simulated": "simulated "}.get(rows[0]["data"], "")
    of = "" if kind else f" of {style.label(rows[0]['data'])}"
    count = rows[0].metrics.get("micrographs_judged", rows[0]["micrographs"])
    picked = f"{count} {kind}micrographs{of}"
    left.set(xlabel="Share", title=f"a  {what} picked, {picked}")
    every = [row.median for row in rows] + [total / 82 for total in paper.values() if timed]
    right.set(xlabel="Time of a micrograph", title=f"b  Time, templates every {rows[0]['angle_step']:g}°",
              xlim=(min(every) / 2, 8 * max(every)))
    right.tick_params(axis="y", length=0)
    drawn.legend(*left.get_legend_handles_labels(), loc="outside lower left", ncols=len(DOTS))
    return drawn
