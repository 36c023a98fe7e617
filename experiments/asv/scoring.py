"""Picks judged against annotations."""

from __future__ import annotations

from functools import cache

import numpy as np

from gembench.engine.picks import Picks
from gembench.evaluate import evaluate

from ._inputs import ONE_THREAD

MICROGRAPHS, PARTICLES, SIDE, RADIUS = 20, 100, 4096, 40.0


@cache
def judged() -> tuple[list[Picks], list[Picks]]:
    """Picks and annotations: on each micrograph, half of the picks lie near a particle."""
    rng = np.random.default_rng(20131)
    picks, truth = [], []
    for number in range(MICROGRAPHS):
        place = rng.uniform(0, SIDE, (2, PARTICLES))
        near = place + rng.normal(0, RADIUS / 4, place.shape)
        positions = np.where(np.arange(PARTICLES) % 2, near, rng.uniform(0, SIDE, place.shape))
        truth.append(Picks(f"{number}.mrc", *place, label=np.full(PARTICLES, "side")))
        picks.append(Picks(f"{number}.mrc", *positions, score=rng.random(PARTICLES)))
    return picks, truth


class Scoring:
    """Counts, curves and intervals of 20 micrographs with 100 particles each."""

    params = (["optimal", "greedy"],)
    param_names = ("matching",)
    rounds, repeat, warmup_time = 2, (3, 5, 0.6), 0.05
    timer = ONE_THREAD

    def setup(self, matching: str) -> None:
        self.picks, self.truth = judged()

    def time_evaluate(self, matching: str) -> None:
        evaluate(self.picks, self.truth, RADIUS, method=matching).to_dict()  # type: ignore[arg-type]
