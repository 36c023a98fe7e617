"""From the paper's method to the fastest: transforms, time and agreement, one step after another."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gembench.data.workload import FAINT, VISIBLE, Pace, Workload, egg_bank
from gembench.engine.peaks import PeakSettings, find_picks
from gembench.machine import cores
from gembench.study.declare.experiment import Experiment, grid
from gembench.study.measure.transforms import share_of_transforms

LOWPASS = 20.0  # A, of the micrographs that the banded method searches, as RELION is run
PIXEL_SIZE = 2.2  # A, KLH's
PEAKS = PeakSettings("nms", threshold=0.25, distance=80)


@dataclass(frozen=True)
class Step:
    """How one case searches: its templates' masks and angles, and what the search may use."""

    method: str
    mask: str = "own"
    circle: float = 180.0
    batch: int = 4
    templates: int = 16


STEPS = {
    "paper": Step("paper", templates=8),  # 2 forward and 3 inverse transforms
    "blocks": Step("exact", batch=1),  # past the caches, forward transforms pruned
    "batches": Step("exact"),  # four templates at a time
    "opposite": Step("exact", circle=360.0),  # psi and psi + 180 degrees share a forward transform
    "ellipse": Step("exact", "ellipse", 360.0),  # and a map of 1/sigma, their mask being symmetric
    "disc": Step("exact", "disc", 360.0),  # one mask for all
    "banded": Step("banded", "disc", 360.0, templates=180),  # the band that LOWPASS leaves
}


def setup(case):
    """A micrograph, the search, and float64 maps of the exact method to compare with."""
    from gembench.engine.exact.search import search
    from gembench.engine.filters import lowpass

    step = STEPS[case.step]
    bank = egg_bank(case.template, step.templates, step.mask, step.circle)
    visible = FAINT if step.method == "banded" else VISIBLE
    work = Workload.make((case.n, case.n), bank, places=50, visible=visible)
    if step.method == "banded":
        work = replace(work, micrograph=lowpass(work.micrograph, LOWPASS, PIXEL_SIZE))
    reference = search(work.micrograph, bank, dtype="float64", threads=cores())
    return work, opened(step, bank), reference


def opened(step, bank):
    """The search of one step, on one thread."""
    from gembench.engine.banded.search import BandedSearch
    from gembench.engine.exact.search import CPUSearch

    if step.method == "banded":
        return BandedSearch(bank, peaks=PEAKS)
    return CPUSearch(bank, method=step.method, batch=step.batch)


def run(inputs, case):
    """The search of one micrograph on one thread."""
    work, search, _ = inputs
    pace = Pace(threads=1)
    return search.run(work.micrograph, on_template=pace), pace


def check(output, inputs, case):
    """Scores and templates at fifty places are those of the direct sum; of banded, the picks."""
    work, search, reference = inputs
    if STEPS[case.step].method != "banded":
        return work.check(output[0], "float32")
    picks, exact = (find_picks(maps, search.bank, PEAKS, "") for maps in (output[0], reference))
    if len(picks) != len(exact):
        raise ValueError(f"{len(picks)} picks, {len(exact)} by the method exact")
    distance = np.hypot(picks.x - exact.x, picks.y - exact.y).max(initial=0)
    if distance > 1:
        raise ValueError(f"a pick is {distance:.1f} px from where the method exact has it")
    return {"picks": len(picks), "pick_distance": distance,
            "pick_score_difference": np.abs(picks.score - exact.score).max(initial=0)}


def seconds(output, inputs, case):
    """Seconds a template at the steady pace; of banded, which takes all at once, of the whole micrograph."""
    search = inputs[1]
    if STEPS[case.step].method == "banded":
        return search.statistics.seconds / len(search.bank)
    return output[1].seconds_per_template


def metrics(output, inputs, case):
    """Transforms counted, what of the paper's time they take, and how far the maps are from float64's."""
    maps, (work, search, reference) = output[0], inputs
    counts, difference = search.statistics.counts, np.abs(maps.score - reference.score)
    step = STEPS[case.step]
    values = {"method": step.method, "templates": len(search.bank)}
    if step.method == "banded":
        return values
    if step.method == "paper":
        with opened(step, work.bank) as clocked:
            values |= share_of_transforms(clocked, work.micrograph)
    return values | {
        "forward": counts.forward, "inverse": counts.inverse, "transforms": counts.forward + counts.inverse,
        "score_difference": difference.max(), "score_difference_rms": np.sqrt(np.mean(difference**2)),
        "index_differences": np.count_nonzero(maps.index != reference.index),
    }


def cases(n, template):
    """The grid of one size of micrograph and template."""
    return grid(n=n, template=template, step=list(STEPS))


experiment = Experiment(
    name="methods", title="From the paper's method to the fastest",
    about="One core, float32. Each step keeps what the steps before it brought; the first three have masks"
    " that differ at every angle. Time is seconds a template at the steady pace; of banded, which takes all"
    " templates at once, a 180th of the whole search. The counts are of all transforms of one micrograph,"
    " 5 K + 2 for K templates by the paper's method; share_of_transforms is what of its time they take, the"
    " rest being products, the normalisation and the maximum. Differences are to float64 maps of the method"
    " exact; scores are also checked against direct sums, the picks of banded against those of exact.",
    grids={"quick": cases(512, 64), "default": cases(2048, 160), "paper": cases(4096, 160)},
    setup=setup, run=run, check=check, seconds=seconds, metrics=metrics,
    compare="step", baseline="paper", rounds=4, time_limit=900,
    columns=["method", "templates", "forward", "inverse", "transforms", "share_of_transforms",
             "score_difference", "index_differences", "picks"],
)
