"""From the 2013 method to the fastest, drawn: a ladder of the time of a template."""

from __future__ import annotations

from gembench.drawing import style
from gembench.study.tell import bands
from gembench.study.tell.tables import speed_up
from gembench.study.tell.text import seconds_text

PAPER = 1 / 0.25  # seconds a template on one core of Dirac, 4096 x 4096 with 160 x 160
STEPS = {  # step -> method, and what it brings
    "paper": ("paper", "2013 method: 2 forward, 3 inverse transforms"),
    "blocks": ("exact", "in blocks past the caches, forward transforms pruned"),
    "batches": ("exact", "four templates at a time"),
    "opposite": ("exact", "psi and psi + 180° share a forward transform"),
    "ellipse": ("exact", "… and a map of 1/σ, their mask being symmetric"),
    "disc": ("exact", "one disc for all"),
    "banded": ("banded", "20 Å band, one disc for all"),
}


def figure(rows):
    """One line for each step: its time with the range, and what it gained over the step before."""
    rows = sorted(rows, key=lambda row: list(STEPS).index(row["step"]))
    drawn, ax = style.figure(width=style.PAGE, height=0.75 + 0.27 * len(rows))
    before = None
    for place, row in enumerate(rows):
        bands.dots(ax, {place: (row.median, *row.band)}, bands.look(STEPS[row["step"]][0]), across=True)
        gained = f"   {speed_up(before, row)[0]:.2g}× the step before" if before else ""
        ax.annotate(seconds_text(row.median) + gained, (row.band[1], place), xytext=(7, 0),
                    textcoords="offset points", va="center", fontsize="small")
        before = row
    bands.lines_of_cases(ax, [STEPS[row["step"]][1] for row in rows])
    bands.times(ax)
    ax.set(xlabel=f"Time of a template on one core, {rows[0]['n']} × {rows[0]['n']} pixels",
           xlim=(min(row.band[0] for row in rows) / 1.6, max(row.band[1] for row in rows) * 5))
    if rows[0]["n"] == 4096 and rows[0]["step"] == "paper":
        ax.set_xlim(right=2.5 * PAPER)
        style.paper_value(ax, PAPER, 0, "4 s on Dirac", offset=(0, -5))
    return drawn
