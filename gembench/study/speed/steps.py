"""From the paper's method to the fastest: a search a step, beside float64 maps of the method exact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gembench.data.workload import FAINT, VISIBLE, MaskKind, Pace, Workload, egg_bank
from gembench.engine.banded.search import BandedSearch
from gembench.engine.bank import TemplateBank
from gembench.engine.exact.producer import CPUSearch, search
from gembench.engine.filters import lowpass
from gembench.engine.peaks import PeakSettings, find_picks
from gembench.engine.score_map import ScoreMap
from gembench.engine.search import Method, Search
from gembench.machine import cores
from gembench.study.declare.cases import Case
from gembench.study.speed.transforms import share_of_transforms

LOWPASS = 20.0  # A, of the micrographs that the banded method searches, as RELION is run
PIXEL_SIZE = 2.2  # A, KLH's
PEAKS = PeakSettings("nms", threshold=0.25, distance=80)

Inputs = tuple[Workload, Search, ScoreMap]
Output = tuple[ScoreMap, Pace]


@dataclass(frozen=True)
class Step:
    """How one case searches: its templates' masks and angles, and what the search may use."""

    method: Method
    mask: MaskKind = "own"
    circle: float = 180.0
    batch: int = 4
    templates: int = 16

    def open(self, bank: TemplateBank) -> Search:
        """The search, on one thread."""
        if self.method == "banded":
            return BandedSearch(bank, peaks=PEAKS)
        return CPUSearch(bank, method=self.method, batch=self.batch)


@dataclass(frozen=True)
class Steps:
    """The functions that the experiment needs; the axis `step` of a case names one of `steps`."""

    steps: Mapping[str, Step]

    def setup(self, case: Case) -> Inputs:
        """A micrograph, the search, and float64 maps of the exact method to compare with."""
        step = self.steps[case.step]
        bank = egg_bank(case.template, step.templates, step.mask, step.circle)
        visible = FAINT if step.method == "banded" else VISIBLE
        work = Workload.make((case.n, case.n), bank, places=50, visible=visible)
        if step.method == "banded":
            work = replace(work, micrograph=lowpass(work.micrograph, LOWPASS, PIXEL_SIZE))
        reference = search(work.micrograph, bank, dtype="float64", threads=cores())
        return work, step.open(bank), reference

    def run(self, inputs: Inputs, case: Case) -> Output:
        """The search of one micrograph on one thread."""
        work, opened, _ = inputs
        pace = Pace(threads=1)
        return opened.run(work.micrograph, on_template=pace), pace

    def check(self, output: Output, inputs: Inputs, case: Case) -> dict[str, float]:
        """Scores and templates at fifty places are those of the direct sum; of banded, the picks."""
        work, opened, reference = inputs
        if opened.method != "banded":
            return work.check(output[0], "float32")
        picks, exact = (find_picks(maps, opened.bank, PEAKS, "") for maps in (output[0], reference))
        if len(picks) != len(exact):
            raise ValueError(f"{len(picks)} picks, {len(exact)} by the method exact")
        distance = np.hypot(picks.x - exact.x, picks.y - exact.y).max(initial=0)
        if distance > 1:
            raise ValueError(f"a pick is {distance:.1f} px from where the method exact has it")
        return {"picks": len(picks), "pick_distance": distance,
                "pick_score_difference": np.abs(picks.score - exact.score).max(initial=0)}

    def seconds(self, output: Output, inputs: Inputs, case: Case) -> float:
        """Seconds a template at the steady pace; of banded, which takes all at once, of the micrograph."""
        opened = inputs[1]
        if opened.method == "banded":
            return opened.statistics.seconds / len(opened.bank)
        return output[1].seconds_per_template

    def metrics(self, output: Output, inputs: Inputs, case: Case) -> dict[str, Any]:
        """Transforms counted, what of the paper's time they take, and how far the maps are from float64's."""
        maps, (work, opened, reference) = output[0], inputs
        counts, difference = opened.statistics.counts, np.abs(maps.score - reference.score)
        values: dict[str, Any] = {"method": opened.method, "templates": len(opened.bank)}
        if opened.method == "banded":
            return values
        if opened.method == "paper":
            with self.steps[case.step].open(work.bank) as clocked:
                values |= share_of_transforms(clocked, work.micrograph)
        return values | {
            "forward": counts.forward, "inverse": counts.inverse,
            "transforms": counts.forward + counts.inverse, "score_difference": difference.max(),
            "score_difference_rms": np.sqrt(np.mean(difference**2)),
            "index_differences": np.count_nonzero(maps.index != reference.index),
        }
