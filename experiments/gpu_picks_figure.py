"""The picks on the GPU beside the CPU's, drawn: seconds of a micrograph, and how many picks both have."""

from __future__ import annotations

from gembench.drawing import style
from gembench.study.tell import bands
from gembench.study.tell.text import seconds_text

PROTOCOLS = {"paper": "the paper's protocol", "gembench": "our protocol"}
PAPER = {"a core of Dirac": 5972 / 82, "one C2075": 223 / 82}  # seconds a micrograph with 180 templates


def figure(rows):
    """One line for each data set and protocol, the GPU's time and the CPU's; the paper's times below."""
    names = [f"{style.label(row['data'])} micrographs,\n{PROTOCOLS[row['protocol']]}" for row in rows]
    drawn, ax = style.figure(width=style.PAGE, height=1.0 + 0.38 * (len(rows) + 1))
    gpu, cpu = style.series("cufft"), style.series("mkl")
    for place, row in enumerate(rows):
        each = searched(row)
        bands.dots(ax, {place: tuple(time / each for time in (row.median, *row.band))}, gpu,
                   "one GPU" if place == 0 else None, across=True)
        seconds = row["cpu_seconds_per_micrograph"]
        bands.dots(ax, {place: (seconds, seconds, seconds)}, cpu,
                   "all cores, timed once" if place == 0 else None, across=True)
        ax.annotate(_agreement(row), (seconds, place), xytext=(7, 0), textcoords="offset points", va="center",
                    fontsize="small")
    for name, seconds in PAPER.items():
        style.paper_value(ax, seconds, len(rows), f"{seconds_text(seconds)}, {name}", offset=(7, 0))
    bands.times(ax)
    bands.lines_of_cases(ax, [*names, "KLH, the paper's times"])
    fastest = min(row.band[0] / searched(row) for row in rows)
    ax.set(xlabel=f"Time of a micrograph, {rows[0]['templates']} templates", xlim=(fastest / 2, 2000))
    handles = [*ax.get_legend_handles_labels()[0], style.paper_key()]
    drawn.legend(handles=handles, loc="outside lower right", ncols=len(handles))
    return drawn


def searched(row):
    """How many micrographs there were: at most as many as the case would take."""
    return row.metrics.get("micrographs_searched", row["micrographs"])


def _agreement(row):
    """How many picks are the same."""
    only = row["picks_on_gpu_only"] + row["picks_on_cpu_only"]
    return f"{row['picks_on_both']} picks on both, {only} on one only"
