"""Annotated micrographs picked through a peer: our peaks in its score map, and its own picks if any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from gembench.data.annotated import Annotated
from gembench.data.target import Target
from gembench.engine.bank import TemplateBank
from gembench.engine.peaks import PeakSettings
from gembench.engine.picks import Picks
from gembench.evaluate import Evaluation, at_other_halfs_threshold, evaluate
from gembench.evaluate.bootstrap import interval, resampled
from gembench.io.images.micrographs import read_micrograph
from gembench.io.names import micrograph_key
from gembench.peers.base import Peer
from gembench.picking.picker import picks_as_read
from gembench.picking.prepare import prepare
from gembench.picking.settings import PickSettings

RECALL = 0.98  # that a threshold reaches on the half of the micrographs it is chosen on
STATISTICS = ("n_picks", "n_truth", "precision", "recall", "f1", "mean_distance_px", "average_precision")
INTERVALS = ("precision", "recall", "f1")


@dataclass
class Picking:
    """A peer and the micrographs it picks, a share a round; what it found so far.

    peaks: how peaks of its map become picks
    threshold: of the picks that are judged; None: for each half of the micrographs the one that finds RECALL
        of the other half's particles
    """

    peer: Peer
    data: Annotated
    settings: PickSettings
    share: int
    peaks: PeakSettings
    threshold: float | None = None
    picks: dict[str, Picks] = field(default_factory=dict)
    own: dict[str, Picks] = field(default_factory=dict)
    rounds: int = 0
    templates: int = 0
    memory: int = 0
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def border(self) -> int:
        """Half a template's box, which libraries want inside: nobody is asked to find a particle beyond."""
        return border_of(self.peer.bank)

    def next_share(self) -> list[float]:
        """Pick the next micrographs, the first again after the last; returns the seconds of each."""
        paths = self.data.micrographs
        first = self.rounds * self.share % len(paths)
        self.rounds += 1
        return [self._pick(path) for path in paths[first : first + self.share]]

    def _pick(self, path: Path) -> float:
        micrograph = read_micrograph(path, pixel_size=self.data.pixel_size)
        searched = prepare(micrograph, self.settings)
        matched = self.peer.match(searched.image)
        self.shapes[micrograph_key(path)] = searched.image.shape
        if matched.picks is not None:
            own = replace(matched.picks, micrograph=path.name, pixel_size=self.data.pixel_size)
            self.own[path.name] = own[self._far(own)].shifted(-searched.shift, -searched.shift)
        if matched.maps is None:
            self.picks[path.name] = self.own[path.name]
        else:
            self.picks[path.name] = picks_as_read(matched.maps, self.peer.bank, self.peaks, searched)[0]
        self.templates, self.memory = matched.templates, max(self.memory, matched.memory)
        return matched.seconds

    def _far(self, picks: Picks) -> Any:
        """Which picks keep the border from every edge: (n,) bool."""
        size = np.array(self.shapes[micrograph_key(picks.micrograph)][::-1])
        return np.minimum(picks.xy, size - 1 - picks.xy).min(axis=1) >= self.border

    def _inner(self, truth: Picks) -> Picks:
        return replace(truth, label=np.where(self._far(truth), truth.label, "unsure"))

    def metrics(self) -> dict[str, Any]:
        """Counts and statistics of our peaks and of the peer's own picks, and whose annotations judge them.

        Annotations nearer to an edge than the border count neither way.
        """
        truth = [self._inner(marks) for marks in self.data.truth
                 if micrograph_key(marks.micrograph) in self.shapes]
        numbers = {"templates_a_micrograph": self.templates, "micrographs_judged": len(self.picks),
                   "annotations": self.data.described(),
                   **statistics(list(self.picks.values()), truth, self.data.target, self.threshold)}
        if any(len(picks) for picks in self.own.values()):
            own = statistics(list(self.own.values()), truth, self.data.target, self.threshold)
            numbers |= {f"own_{name}": own[name] for name in ("n_picks", "precision", "recall", "f1")}
        return numbers


def border_of(bank: TemplateBank) -> int:
    """Half a template's box in pixels."""
    return bank.box[0] // 2


def rules(kind: type[Peer], bank: TemplateBank, target: Target) -> PeakSettings:
    """How peaks of a peer's score map become picks, the same way for all peers."""
    return PeakSettings(threshold=kind.least_score, high_threshold=np.inf, distance=target.distance,
                        border=border_of(bank))


def judged(
    picks: Sequence[Picks], truth: Sequence[Picks], target: Target, resamples: int = 0
) -> Evaluation:
    """Picks of a target's particles against the annotations of the same micrographs."""
    names = {micrograph_key(several.micrograph) for several in picks}
    marks = [several for several in truth if micrograph_key(several.micrograph) in names]
    return evaluate(picks, marks, target.radius, labels=target.labels, views=target.shown,
                    resamples=resamples)


def statistics(
    picks: Sequence[Picks], truth: Sequence[Picks], target: Target, threshold: float | None = None
) -> dict[str, Any]:
    """The statistics of the picks that reach `threshold`, with 95 % intervals of some.

    Without one, each half of the micrographs is judged at the threshold that finds RECALL of the other half's
    particles or, where a picker finds fewer at any, at that of all it finds.
    """
    if threshold is None:
        kept, thresholds = at_other_halfs_threshold(picks, lambda some: judged(some, truth, target), RECALL)
    else:
        kept, thresholds = [several[several.score >= threshold] for several in picks], [threshold]
    result = judged(kept, truth, target, resamples=1000)
    numbers = {name: getattr(result, name.removesuffix("_px")) for name in STATISTICS}
    return {
        **numbers, **{f"{name}_interval": result.intervals[name] for name in INTERVALS},
        "n_picks_interval": _interval_of_picks(result),
        "n_on_unsure": result.ignored, "true_positives": result.true_positives,
        "average_precision": judged(picks, truth, target).average_precision, "thresholds": thresholds,
    }


def _interval_of_picks(result: Evaluation, resamples: int = 1000) -> tuple[float, float] | None:
    """The 95 % interval of the number of picks, by drawing micrographs anew."""
    counts = np.array([len(part.outcome) for part in result.judged])
    if len(counts) < 2:
        return None
    return interval(np.asarray(resampled(len(counts), resamples, 0) @ counts, np.float64))
