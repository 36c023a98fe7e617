"""Single against double precision drawn: the share of pixels whose score differs by more than so much."""

from __future__ import annotations

from gembench.drawing import style
from gembench.study.tell import bands

THRESHOLD = 0.3  # the paper's, of a pick


def figure(rows):
    """The figures that these rows can give, by name, each with the rows it shows.

    KLH's has no name, or that of the simulated micrographs where there are no real ones.
    """
    shown = {}
    for row in rows:
        shown.setdefault(_data(row), []).append(row)
    main = next((data for data in bands.PAPER_SETS if data in shown), "")
    return {"" if data == main else data: (_differences(own), own) for data, own in shown.items()}


def _data(row):
    return row.case.get("data", "simulated")


def _differences(rows):
    """One curve for each FFT library, left of the threshold if single precision will do."""
    drawn, ax = style.figure(width=style.COLUMN, height=2.9)
    for row in rows:
        name, edges, share = row["library"], row.arrays["edges"], row.arrays["share"]
        label = f"{style.label(name)}: {row['picks_changed']} of {row['picks']} picks"
        ax.plot(edges[share > 0], share[share > 0], label=label, markevery=4, **bands.look(name).line)
    ax.axvline(THRESHOLD, color=style.INK, linewidth=0.9, linestyle=(0, (4, 2)))
    ax.set(xscale="log", yscale="log", xlim=(1e-10, 1), xlabel="Score difference, float32 to float64",
           ylabel="Share of pixels\nthat differ by more")
    style.paper_value(ax, THRESHOLD, 1, "picks score\nabove 0.3", offset=(-7, -1), va="top", ha="right")
    title = bands.micrographs_of(_data(rows[0]))
    ax.set_title(title[0].upper() + title[1:])
    drawn.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2,
                 title="Picks that change with the precision")
    return drawn
