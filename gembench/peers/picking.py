"""Annotated micrographs picked through a peer: our peaks in its score map, and its own picks if any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from gembench.data.annotated import Annotated
from gembench.engine.bank import TemplateBank
from gembench.engine.peaks import PeakSettings
from gembench.engine.picks import Picks
from gembench.evaluate import Evaluation, evaluate, split_halves, threshold_for_recall
from gembench.io.images.micrographs import read_micrograph
from gembench.io.names import micrograph_key
from gembench.peers.base import Peer
from gembench.picking.picker import picks_of
from gembench.picking.prepare import prepare
from gembench.picking.settings import PickSettings

RADIUS = 40  # px within which a pick is an annotated particle
RECALL = 0.98  # that a threshold reaches on the half of the micrographs it is chosen on
DISTANCE = 120  # px between two picks
STATISTICS = ("n_picks", "n_truth", "precision", "recall", "f1", "mean_distance_px", "average_precision")


@dataclass
class Picking:
    """A peer and the micrographs it picks, a share a round; what it found so far.

    border: pixels from an edge nearer than which nobody is asked to find a particle
    """

    peer: Peer
    data: Annotated
    settings: PickSettings
    paths: Sequence[Path]
    share: int
    picks: dict[str, Picks] = field(default_factory=dict)
    own: dict[str, Picks] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    rounds: int = 0
    templates: int = 0
    memory: int = 0
    shape: tuple[int, ...] = (0, 0)

    @property
    def border(self) -> int:
        """Half a template's box, which libraries want inside the micrograph."""
        return border_of(self.peer.bank)

    def next_share(self) -> list[float]:
        """Pick the next micrographs, the first again after the last; returns the seconds of each."""
        first = self.rounds * self.share % len(self.paths)
        self.rounds += 1
        return [self._pick(path) for path in self.paths[first : first + self.share]]

    def _pick(self, path: Path) -> float:
        micrograph = read_micrograph(path, pixel_size=self.data.pixel_size)
        searched = prepare(micrograph, self.settings)
        shift = searched.shift
        matched = self.peer.match(searched.image)
        self.shape = searched.image.shape
        if matched.picks is not None:
            own = replace(matched.picks, micrograph=path.name, pixel_size=self.data.pixel_size)
            self.own[path.name] = own[self._far(own)].shifted(-shift, -shift)
        if matched.maps is None:
            self.picks[path.name] = self.own[path.name]
        else:
            peaks = rules(type(self.peer), self.peer.bank)
            self.picks[path.name] = picks_of(matched.maps, self.peer.bank, peaks, searched)
        self.seconds[path.name] = matched.seconds
        self.templates, self.memory = matched.templates, max(self.memory, matched.memory)
        return matched.seconds

    def _far(self, picks: Picks) -> Any:
        """Which picks keep the border from every edge: (n,) bool."""
        return np.minimum(picks.xy, np.array(self.shape[::-1]) - 1 - picks.xy).min(axis=1) >= self.border

    def _inner(self, truth: Picks) -> Picks:
        return replace(truth, label=np.where(self._far(truth), truth.label, "unsure"))

    def metrics(self) -> dict[str, Any]:
        """Counts and statistics at thresholds of the other half, for our peaks and its own picks.

        Annotations nearer to an edge than the border count neither way.
        """
        truth = [self._inner(one) for one in self.data.truth]
        told = {"templates_a_micrograph": self.templates, "micrographs_judged": len(self.picks),
                **statistics(list(self.picks.values()), truth)}
        if any(len(one) for one in self.own.values()):
            own = statistics(list(self.own.values()), truth)
            told |= {f"own_{name}": own[name] for name in ("n_picks", "precision", "recall", "f1")}
        return told


def border_of(bank: TemplateBank) -> int:
    """Half a template's box in pixels."""
    return bank.box[0] // 2


def rules(kind: type[Peer], bank: TemplateBank) -> PeakSettings:
    """How peaks of a peer's score map become picks."""
    return PeakSettings(
        threshold=kind.least_score, high_threshold=np.inf, distance=DISTANCE, border=border_of(bank)
    )


def judged(picks: Sequence[Picks], truth: Sequence[Picks], resamples: int = 0) -> Evaluation:
    """Side views against the annotations of the same micrographs."""
    names = {micrograph_key(one.micrograph) for one in picks}
    known = [one for one in truth if micrograph_key(one.micrograph) in names]
    return evaluate(picks, known, RADIUS, labels=["side"], views=[0], resamples=resamples)


def statistics(picks: Sequence[Picks], truth: Sequence[Picks]) -> dict[str, Any]:
    """The statistics of picks above the threshold that finds RECALL of the other half's particles.

    Where a picker finds fewer at any threshold, the threshold is that of all it finds.
    """
    halves, thresholds, kept = split_halves([one.micrograph for one in picks]), [], []
    for chosen, reported in (halves, halves[::-1]):
        if not chosen:  # a single micrograph is its own other half
            chosen = reported
        curve = judged([one for one in picks if one.micrograph in chosen], truth)
        reached = curve.precision_recall.recall.max() if curve.precision_recall is not None else 0.0
        thresholds.append(threshold_for_recall(curve, min(RECALL, float(reached))))
        kept += [one[one.score >= thresholds[-1]] for one in picks if one.micrograph in reported]
    result, everything = judged(kept, truth), judged(picks, truth)
    told = {name: getattr(result, name.removesuffix("_px")) for name in STATISTICS}
    return {**told, "average_precision": everything.average_precision, "thresholds": thresholds}
