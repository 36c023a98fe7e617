"""Judging by halves: the threshold that is best on one half of the micrographs, judged on the other."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from gembench.engine.picks import FloatArray, Picks
from gembench.errors import InputError
from gembench.evaluate import Evaluation, best_f1, evaluate, split_halves
from gembench.evaluate.bootstrap import Interval, interval, resampled
from gembench.evaluate.matching import FALSE, TRUE
from gembench.evaluate.partners import find_partners
from gembench.evaluate.ranking import ratio
from gembench.evaluate.result import Counts
from gembench.io.coordinates import read_coordinates

STANDARD_ERROR = 0.683  # of a normal distribution lies within one
NOTHING = 1.0  # a threshold for what is judged by its curve, which has all picks: the counts take their time


@dataclass(frozen=True)
class Judging:
    """What picks are judged by.

    truth: file or folder of annotations, or what was read of them
    radius: largest distance between a pick and its particle, pixels; None for a quarter of its width
    labels, ignore_labels, views: see `evaluate.evaluate`; resamples, seed: of the bootstrap
    """

    truth: Path | Sequence[Picks]
    radius: float | None = None
    labels: Collection[str] | None = None
    ignore_labels: Collection[str] = ("unsure",)
    views: Collection[int] | None = None
    resamples: int = 1000
    seed: int = 0


@dataclass(frozen=True, eq=False)
class ByHalves:
    """Picks of both halves of the micrographs, each judged at the other's best threshold.

    thresholds: that the first and the second half are judged at
    chosen_f1: what each is worth on the half that it was chosen on, the other one
    counts: (3, micrographs), true picks, false picks and annotated particles of each
    average_precision: of all picks, whatever the threshold
    """

    thresholds: tuple[float, float]
    chosen_f1: tuple[float, float]
    counts: Counts
    average_precision: float

    @cached_property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        return f1_of_all(self.counts)

    @property
    def precision(self) -> float:
        """True picks / (true + false picks); NaN without any."""
        true, false, _ = self.counts.sum(axis=1, keepdims=True)
        return float(ratio(true, true + false)[0])

    @property
    def recall(self) -> float:
        """Particles found / annotated particles."""
        true, _, annotated = self.counts.sum(axis=1)
        return float(true / annotated)


def f1_of(counts: Counts) -> FloatArray:
    """F1 (n,) of true picks, false picks and annotated particles (3, n)."""
    true, false, particles = counts
    return ratio(2 * true, true + false + particles)


def f1_of_all(counts: Counts) -> float:
    """F1 of all micrographs of (3, micrographs)."""
    return float(f1_of(counts.sum(axis=1, keepdims=True))[0])


class Judge:
    """Judges picks of annotated micrographs.

    truth: the annotations of each; radius: pixels; by: the other rules
    Raises InputError if they cannot be halved, or a half holds no particle.
    """

    def __init__(self, truth: Sequence[Picks], radius: float, by: Judging) -> None:
        self.truth, self.radius, self.by = list(truth), radius, by
        names = [marks.micrograph for marks in self.truth]
        self.halves = split_halves(names)
        self.place = {name: number for number, name in enumerate(names)}
        if not all(self.halves):
            raise InputError(f"{len(names)} annotated micrograph{'s' * (len(names) > 1)} of one field cannot"
                             " be halved, and options are judged by halves: annotate a second"
                             f" {'field' if len(names) > 1 else 'micrograph'}")
        for half in self.halves:
            try:
                self.judge([], half)
            except InputError as error:
                raise InputError(f"{', '.join(half[:3])}{', ...' * (len(half) > 3)}, half of the annotated"
                                 f" micrographs: {error}") from None
        self.weights = resampled(len(names), by.resamples, by.seed)

    def judge(self, picks: Sequence[Picks], names: Collection[str], threshold: float | None = None
              ) -> Evaluation:
        """The picks of these micrographs, judged; raises InputError if there is no particle on them."""
        by = self.by
        return evaluate(
            [rows for rows in picks if rows.micrograph in names],
            [marks for marks in self.truth if marks.micrograph in names], self.radius, labels=by.labels,
            ignore_labels=by.ignore_labels, views=by.views, threshold=threshold, resamples=0,
        )

    def all(self, picks: Sequence[Picks], threshold: float | None = None) -> Evaluation:
        """The picks of all micrographs, judged."""
        return self.judge(picks, self.place, threshold)

    def by_halves(self, picks: Sequence[Picks], lowest: float) -> ByHalves:
        """The picks of each half, judged at the threshold that is best on the other; lowest: see `best`."""
        counts = np.zeros((3, len(self.truth)), np.int64)
        thresholds, chosen = [], []
        for reported, other in (self.halves, self.halves[::-1]):
            (low, high), f1 = self.best(picks, other, lowest)
            threshold = (low + high) / 2
            judged = self.judge(picks, reported, threshold) if f1 else self.judge([], reported)
            for part in judged.judged:
                counts[:, self.place[part.micrograph]] = part.count(TRUE), part.count(FALSE), part.n_truth
            thresholds.append(threshold)
            chosen.append(f1)
        ranking = self.all(picks, NOTHING).ranking
        precision = float(ranking.average_precision()[0]) if ranking else 0.0
        return ByHalves((thresholds[0], thresholds[1]), (chosen[0], chosen[1]), counts, precision)

    def best(self, picks: Sequence[Picks], names: Collection[str], lowest: float
             ) -> tuple[tuple[float, float], float]:
        """Between which scores the threshold lies that is best on some micrographs, and its F1.

        lowest: score that was looked at, below which is nothing. The F1 is 0 if no pick is true. The middle
        favours neither the picks of these micrographs nor the false ones below.
        """
        judged = self.judge(picks, names, NOTHING)
        try:
            high, f1 = best_f1(judged)
        except InputError:
            return (1.0, 1.0), 0.0
        assert judged.precision_recall is not None
        scores = judged.precision_recall.threshold
        return (float(scores[scores < high].max(initial=lowest)), high), f1

    def choice(self, trials: Sequence[ByHalves]) -> Counts:
        """The counts where each half has the trial and the threshold that are best on the other."""
        counts = np.zeros((3, len(self.truth)), np.int64)
        for number, names in enumerate(self.halves):
            best = max(trials, key=lambda trial: trial.chosen_f1[number])
            places = [self.place[name] for name in names]
            counts[:, places] = best.counts[:, places]
        return counts

    def f1_interval(self, counts: Counts) -> Interval | None:
        """The 95 % interval of F1 by bootstrap over micrographs; None without resamples."""
        return interval(self._resampled_f1(counts)) if len(self.weights) else None

    def difference_interval(self, better: Counts, worse: Counts) -> Interval | None:
        """That of the difference of two F1, of the same micrographs."""
        if not len(self.weights):
            return None
        return interval(self._resampled_f1(better) - self._resampled_f1(worse))

    def is_better(self, better: Counts, worse: Counts) -> bool:
        """Whether an F1 is higher than another of the same micrographs by more than a standard error."""
        if not len(self.weights):
            return bool(f1_of_all(better) > f1_of_all(worse))
        around = interval(self._resampled_f1(better) - self._resampled_f1(worse), STANDARD_ERROR)
        return around is not None and around[0] > 0

    def _resampled_f1(self, counts: Counts) -> FloatArray:
        return f1_of(counts @ self.weights.T)


def annotated(paths: Sequence[Path], by: Judging) -> tuple[list[Path], list[Picks]]:
    """The micrographs that are annotated, and the annotations of each.

    Raises InputError if the truth cannot be read, or names none of them.
    """
    truth = by.truth
    if isinstance(truth, Path):
        truth = read_coordinates(truth, folders=True, annotations=True)
    named = {marks.micrograph: marks for marks in truth}
    files = {path.as_posix(): path for path in paths}
    try:
        of = find_partners(list(files), list(named)).of
    except InputError:
        of = {}
    if not of:
        raise InputError(f"{by.truth if isinstance(by.truth, Path) else 'truth'}: annotates none of the"
                         f" {len(paths)} micrographs, such as {paths[0].name}"
                         f"{f'; it names {next(iter(named))}' if named else ''}: give annotations of these")
    pairs = sorted((files[file], named[name]) for name, file in of.items())
    return [path for path, _ in pairs], [marks for _, marks in pairs]
