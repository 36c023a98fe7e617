"""The result of judging picks: counts, proportions, distances, curves and intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.picks import FloatArray
from gembench.evaluate.bootstrap import LEVEL, Interval, interval, resampled
from gembench.evaluate.matching import FALSE, IGNORED, TRUE
from gembench.evaluate.ranking import PrecisionRecall, Ranking, Roc, ratio

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Judged:
    """The picks of one micrograph, each found true, false or ignored; arrays of shape (picks,).

    n_truth: annotated particles, found or not
    outcome: int8, TRUE, FALSE or IGNORED of `gembench.evaluate.matching`
    distance: to the particle, pixels; NaN where the pick is not true
    """

    micrograph: str
    n_truth: int
    score: FloatArray
    outcome: NDArray[np.int8]
    distance: FloatArray

    def count(self, outcome: int) -> int:
        """How many picks are TRUE, FALSE or IGNORED."""
        return int(np.count_nonzero(self.outcome == outcome))

    def to_dict(self) -> dict[str, Any]:
        """The counts of this micrograph, JSON-ready."""
        hits = self.count(TRUE)
        return {
            "micrograph": self.micrograph, "n_picks": len(self.outcome), "n_truth": self.n_truth,
            "true_positives": hits, "false_positives": self.count(FALSE), "ignored": self.count(IGNORED),
            "missed": self.n_truth - hits,
        }


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What picks are worth, judged against annotations; made by `evaluate`.

    Counts, proportions and distances are those of the picks at the threshold, matched by `method`. Curves,
    average precision and AUC are those of all picks, matched greedily by score (see
    `gembench.evaluate.ranking`); they are of the picks that have a score, None or NaN if none has. Undefined
    values are NaN.

    judged: the picks at the threshold, one entry a micrograph of the truth
    ranking: all picks by falling score; None without scores
    unannotated_micrographs: micrographs with picks that the truth does not list; left out of everything
    settings: how it was made, JSON-ready
    micrographs_without_picks: micrographs of the truth without a single pick
    paired_by_movie: names of picks and annotations that differ by what motion correction and the like add
    unscored: picks that have no score
    """

    judged: tuple[Judged, ...]
    ranking: Ranking | None
    unannotated_micrographs: tuple[str, ...]
    settings: dict[str, Any]
    micrographs_without_picks: tuple[str, ...] = ()
    paired_by_movie: tuple[tuple[str, str], ...] = ()
    unscored: int = 0

    @cached_property
    def _counts(self) -> tuple[Counts, Counts, Counts, FloatArray]:
        """True, false and annotated particles and total distance in pixels, each (micrographs,)."""
        return (
            np.array([part.count(TRUE) for part in self.judged]),
            np.array([part.count(FALSE) for part in self.judged]),
            np.array([part.n_truth for part in self.judged]),
            np.array([np.nansum(part.distance) for part in self.judged]),
        )

    @property
    def true_positives(self) -> int:
        """Picks matched with a particle."""
        return int(self._counts[0].sum())

    @property
    def false_positives(self) -> int:
        """Picks matched with nothing."""
        return int(self._counts[1].sum())

    @property
    def n_truth(self) -> int:
        """Annotated particles."""
        return int(self._counts[2].sum())

    @property
    def missed(self) -> int:
        """Annotated particles without a pick."""
        return self.n_truth - self.true_positives

    @property
    def ignored(self) -> int:
        """Picks matched with an annotation that counts neither way."""
        return sum(part.count(IGNORED) for part in self.judged)

    @property
    def n_picks(self) -> int:
        """Picks at the threshold: true, false and ignored."""
        return sum(len(part.outcome) for part in self.judged)

    @property
    def precision(self) -> float:
        """True picks / (true + false picks)."""
        return self._statistics["precision"]

    @property
    def recall(self) -> float:
        """Particles found / annotated particles."""
        return self._statistics["recall"]

    @property
    def fdr(self) -> float:
        """False discovery rate, 1 - precision."""
        return self._statistics["fdr"]

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return self._statistics["f1"]

    @property
    def mean_distance(self) -> float:
        """Mean distance between true picks and their particles, pixels."""
        return self._statistics["mean_distance_px"]

    @property
    def median_distance(self) -> float:
        """Median distance between true picks and their particles, pixels."""
        return float(np.median(self.distances)) if self.true_positives else math.nan

    @property
    def average_precision(self) -> float:
        """Area under the precision-recall curve; what no pick found counts as never found."""
        return self._statistics["average_precision"]

    @property
    def auc(self) -> float:
        """Area under the ROC curve of the 2 N top-scoring picks."""
        return self._statistics["auc"]

    @property
    def distances(self) -> FloatArray:
        """Distance of each true pick to its particle, pixels."""
        distance: FloatArray = np.concatenate([part.distance for part in self.judged])
        return distance[~np.isnan(distance)]

    @cached_property
    def precision_recall(self) -> PrecisionRecall | None:
        """The precision-recall curve; None without scores."""
        return self.ranking.precision_recall() if self.ranking else None

    @cached_property
    def roc(self) -> Roc | None:
        """The ROC curve; None without scores or when its picks are all true or all false."""
        return self.ranking.roc() if self.ranking else None

    @cached_property
    def _statistics(self) -> dict[str, float]:
        each_once = np.ones((1, len(self.judged)), np.int64)
        return {name: float(value[0]) for name, value in self._weighted(each_once).items()}

    @cached_property
    def intervals(self) -> dict[str, Interval | None]:
        """95 % intervals by bootstrap over micrographs, by the statistic's name; None if undefined.

        One micrograph, or no resamples, tells nothing of the spread: then all are None.
        """
        if len(self.judged) < 2 or not self.settings["resamples"]:
            return dict.fromkeys(self._statistics)
        weights = resampled(len(self.judged), self.settings["resamples"], self.settings["seed"])
        return {name: interval(values) for name, values in self._weighted(weights).items()}

    def _weighted(self, weights: Counts) -> dict[str, FloatArray]:
        """Every statistic for each row of `weights` (rows, micrographs), how often a micrograph counts."""
        hits, false, n_truth, distance = (weights @ column for column in self._counts)
        undefined = np.full(len(weights), np.nan)
        precision = ratio(hits, hits + false)
        return {
            "precision": precision,
            "recall": ratio(hits, n_truth),
            "fdr": ratio(false, hits + false),
            "f1": ratio(2 * hits, hits + false + n_truth),
            "mean_distance_px": ratio(distance, hits),
            "average_precision": self.ranking.average_precision(weights) if self.ranking else undefined,
            "auc": self.ranking.auc(weights) if self.ranking else undefined,
        }

    def to_dict(self, curves: bool = False) -> dict[str, Any]:
        """Everything as JSON-ready values, undefined ones None; `curves` adds the points of the curves."""
        result: dict[str, Any] = {}
        for name, value in self._statistics.items():
            result[name] = value
            result[f"{name}_interval"] = self.intervals[name]
        result |= {"median_distance_px": self.median_distance, "interval_level": LEVEL}
        for name in ("n_picks", "n_truth", "true_positives", "false_positives", "ignored", "missed"):
            result[name] = getattr(self, name)
        result |= self.settings
        result["unannotated_micrographs"] = self.unannotated_micrographs
        result["micrographs_without_picks"] = self.micrographs_without_picks
        result["unscored"] = self.unscored
        result["n_micrographs"] = len(self.judged)
        result["micrographs"] = [part.to_dict() for part in self.judged]
        if curves:
            points = {"precision_recall_curve": self.precision_recall, "roc_curve": self.roc}
            result |= {name: curve and curve._asdict() for name, curve in points.items()}
        ready: dict[str, Any] = _json_ready(result)
        return ready


def _json_ready(value: Any) -> Any:
    """The same with arrays and tuples as lists, NumPy numbers as Python's, and None for NaN and inf."""
    if isinstance(value, dict):
        return {key: _json_ready(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _json_ready(value.tolist())
    if isinstance(value, list | tuple):
        return [_json_ready(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
