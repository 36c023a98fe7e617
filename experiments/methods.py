"""The methods of the search against each other: transforms, time and agreement."""

from __future__ import annotations

from gembench.data.workload import Pace, Workload, egg_bank
from gembench.study import bands, style
from gembench.study.experiment import Experiment, grid
from gembench.study.tables import speed_up

METHODS = ["paper", "exact"]
MASKS = {"own": "a mask of its own", "disc": "one disc for all"}
TEMPLATES = 12


def setup(case):
    """A micrograph, the search, and float64 maps of the exact method to compare with."""
    from gembench.engine.search import Search, search

    bank = egg_bank(case.template, TEMPLATES, case.mask)
    work = Workload.make((case.n, case.n), bank, places=50)
    reference = search(work.micrograph, bank, dtype="float64")
    return work, Search(bank, method=case.method), reference


def run(inputs, case):
    """The search of one micrograph with twelve templates, on one thread."""
    work, search, _ = inputs
    pace = Pace(threads=1)
    return search.run(work.micrograph, on_template=pace), pace


def check(output, inputs, case):
    """Scores and templates at fifty places are those of the direct sum."""
    return inputs[0].check(output[0], "float32")


def seconds(output, inputs, case):
    """Seconds a template at the steady pace, what is done once a micrograph left out."""
    return output[1].seconds_per_template


def metrics(output, inputs, case):
    """Transforms counted, and how far the maps are from those in float64."""
    import numpy as np

    maps, (_, search, reference) = output[0], inputs
    counts, difference = search.statistics.counts, np.abs(maps.score - reference.score)
    return {
        "templates": counts.templates, "forward": counts.forward, "inverse": counts.inverse,
        "transforms": counts.forward + counts.inverse,
        "score_difference": difference.max(), "score_difference_rms": np.sqrt(np.mean(difference**2)),
        "index_differences": np.count_nonzero(maps.index != reference.index),
    }


def figure(rows):
    """Time of a template by method, a group of bars a kind of mask, with the speed-up over the paper's."""
    drawn, ax = style.figure(width=style.COLUMN, height=2.4)
    methods = [method for method in METHODS if any(row["method"] == method for row in rows)]
    height = 0.8 / len(methods)
    base = {row["mask"]: row for row in rows if row["method"] == "paper"}
    for row in rows:
        place = list(MASKS).index(row["mask"]) + (methods.index(row["method"]) + 0.5) * height - 0.4
        middle, (low, high) = 1e3 * row.median, (1e3 * t for t in row.band)
        label = row["method"] if row["mask"] == "own" else None
        ax.barh(place, middle, 0.88 * height, label=label, **bands.look(row["method"]).bar)
        ax.errorbar(middle, place, xerr=[[middle - low], [high - middle]], fmt="none", ecolor=style.GREY,
                    elinewidth=0.7, capsize=1.5)
        over = base.get(row["mask"], row)
        faster = f", {speed_up(over, row)[0]:.1f}×" if over is not row else ""
        ax.annotate(f"{middle:.0f} ms{faster}", (high, place), xytext=(4, 0), textcoords="offset points",
                    va="center", fontsize="small")
    ax.set_yticks(range(len(MASKS)), MASKS.values())
    ax.set(xlabel="Time of a template (ms)", ylim=(len(MASKS) - 0.5, -0.5))
    ax.margins(x=0.3)
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
    drawn.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=len(methods))
    return drawn


def cases(n, template, mask=tuple(MASKS)):
    """The grid of one size of micrograph and template."""
    return grid(mask=mask, n=n, template=template, method=METHODS)


experiment = Experiment(
    name="methods", title="The engine's methods: transforms, time and agreement",
    about="One core, float32. Time is seconds a template at the steady pace; the counts are of all transforms"
    " for twelve templates and one micrograph, 5 K + 2 by the paper's method. Differences are to float64 maps"
    " of the exact method, and all scores are also checked against direct sums.",
    grids={"quick": cases(512, 64), "default": cases(2048, 160), "paper": cases(4096, 160)},
    setup=setup, run=run, check=check, seconds=seconds, metrics=metrics, figure=figure,
    compare="method", baseline="paper", rounds=4,
    columns=["templates", "forward", "inverse", "transforms", "score_difference", "index_differences"],
)
