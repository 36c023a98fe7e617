"""What a tuning comes to: trials, the best of them, and what does not matter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gembench.evaluate.bootstrap import Interval
from gembench.picking.settings import PickSettings
from gembench.tuning.judging import ByHalves


@dataclass(frozen=True, eq=False)
class Trial:
    """Settings that were tried, and what they are worth.

    decoys: whether views of false picks competed, made from one half of the micrographs for the other
    """

    settings: PickSettings
    judged: ByHalves
    decoys: bool = False

    @property
    def f1(self) -> float:
        """F1 by halves."""
        return self.judged.f1

    def to_dict(self) -> dict[str, Any]:
        """What was tried, and what it is worth, JSON-ready."""
        at, judged = self.settings, self.judged
        return {
            "lowpass_A": at.lowpass, "average": at.average, "edges": at.edges, "angle_step": at.angle_step,
            "border_px": at.peaks.border, "distance_px": at.peaks.distance, "beside": at.beside,
            "decoys": self.decoys, "method": at.method, "lowest": at.peaks.threshold, "f1": judged.f1,
            "precision": _number(judged.precision), "recall": judged.recall,
            "average_precision": judged.average_precision, "thresholds": list(judged.thresholds),
        }


def _number(value: float) -> float | None:
    """None for NaN, which JSON does not have."""
    return value if value == value else None


@dataclass(frozen=True)
class Effect:
    """What an option is worth.

    values: F1 of the best trial with each of its values
    difference: of the best and the worst of these; interval: 95 %, by bootstrap over the same micrographs
    """

    option: str
    values: dict[str, float]
    difference: float
    interval: Interval | None

    @property
    def matters(self) -> bool:
        """Whether the difference is more than chance."""
        return self.interval is not None and self.interval[0] > 0


@dataclass(frozen=True)
class Misses:
    """Where the particles that were missed lie.

    edges: of bands along the edges, pixels from an edge, the last one open; annotated, missed: in each
    unsearched: pixels from an edge in which nothing can be picked; within: missed there
    """

    edges: tuple[float, ...]
    annotated: tuple[int, ...]
    missed: tuple[int, ...]
    unsearched: float
    within: int


@dataclass(frozen=True, eq=False)
class Tuning:
    """The result of `tune`.

    trials: all that were tried, best first; intervals: of F1, of the same
    best: of the trials, that with the highest F1, but for a finer angle step, `beside` and decoys that are
        better by no more than a standard error
    choice_f1, choice_interval: what choosing is worth: on each half the trial and threshold that are best on
        the other
    settings: of the best, with its threshold; decoys: the file of them, None without
    f1, precision, recall: of `settings` on all annotated micrographs, which they were chosen on
    effects: what each option is worth; notes: what could not be tried, and why
    radius, width: pixels; micrographs, unannotated: how many are judged, and are not
    command, score_command: words of the command line
    """

    best: Trial
    trials: list[Trial]
    intervals: list[Interval | None]
    choice_f1: float
    choice_interval: Interval | None
    settings: PickSettings
    decoys: Path | None
    f1: float
    precision: float
    recall: float
    effects: list[Effect]
    misses: Misses
    notes: list[str]
    radius: float
    width: float
    micrographs: int
    unannotated: int
    command: list[str]
    score_command: list[str]

    @property
    def rank(self) -> int:
        """The place of the best among the trials, from 0."""
        return next(number for number, trial in enumerate(self.trials) if trial is self.best)

    def to_dict(self) -> dict[str, Any]:
        """Everything, JSON-ready."""
        import shlex

        trials = [trial.to_dict() | {"f1_interval": around}
                  for trial, around in zip(self.trials, self.intervals, strict=True)]
        return {
            "command": shlex.join(self.command), "score_command": shlex.join(self.score_command),
            "threshold": self.settings.peaks.threshold, "f1": self.f1, "precision": self.precision,
            "recall": self.recall, "best": trials[self.rank], "choice_f1_by_halves": self.choice_f1,
            "choice_f1_interval": self.choice_interval,
            "decoys": None if self.decoys is None else str(self.decoys),
            "effects": [{"option": effect.option, "values": effect.values, "difference": effect.difference,
                         "interval": effect.interval, "matters": effect.matters} for effect in self.effects],
            "misses": {"edges_px": self.misses.edges, "annotated": self.misses.annotated,
                       "missed": self.misses.missed, "unsearched_px": self.misses.unsearched,
                       "within_unsearched": self.misses.within},
            "notes": self.notes, "radius_px": self.radius, "width_px": self.width,
            "micrographs": self.micrographs, "unannotated_micrographs": self.unannotated, "trials": trials,
        }
