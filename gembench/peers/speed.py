"""The work that peers are timed with: one micrograph and template for all, and how well their maps agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.data.workload import FAINT, VISIBLE, MaskKind, Workload, egg_bank, planted_micrograph
from gembench.engine.bank import TemplateBank
from gembench.engine.peaks import PeakSettings
from gembench.peers.base import Matched, Peer

Array = NDArray[Any]
TURNS = 180  # of the template; every peer gets as many of them, evenly spread, as show its pace
PIXEL_SIZE = 2.2  # A/px, as KLH
NEAR = 3.0  # px within which a pick of a program without maps is a planted particle


@dataclass
class Task:
    """A peer, its work, and which of the work's places are planted particles."""

    peer: Peer
    work: Workload
    planted: int

    def check(self, matched: Matched) -> dict[str, Any]:
        """How the peer's scores at the places differ from the float64 direct sum.

        Raises ValueError if a score is not finite, if they are off by more than the peer's tolerance, or if
        a program that tells only its picks misses a planted particle.
        """
        if matched.maps is None:
            return {"found": self._particles_found(matched)} if self.peer.finds else {}
        y, x = self.work.places.T
        exact, score = self.work.exact.max(axis=1), matched.maps.score[y, x].astype(np.float64)
        if not np.isfinite(matched.maps.score).all():
            raise ValueError("scores are not finite")
        error = float(np.abs(score - exact).max())
        if self.peer.tolerance is not None and not error <= self.peer.tolerance:
            raise ValueError(f"scores are off by {error:.1e} of the direct sum; {self.peer.label} is allowed"
                             f" {self.peer.tolerance:.0e}")
        index = matched.maps.index[y, x][: self.planted]
        right = index == self.work.exact[: self.planted].argmax(axis=1)
        return {"score_difference": error, "score_correlation": float(np.corrcoef(score, exact)[0, 1]),
                "templates_right": float(right.mean())}

    def _particles_found(self, matched: Matched) -> float:
        """The share of the planted places that have a pick, where all must have one."""
        from scipy.spatial import KDTree

        places = self.work.places[: self.planted, ::-1]
        if matched.picks is None or not len(matched.picks):
            raise ValueError(f"{self.peer.label} picked nothing")
        distance, _ = KDTree(matched.picks.xy).query(places)
        if distance.max() > NEAR:
            raise ValueError(f"{self.peer.label} missed {int((distance > NEAR).sum())} of {len(places)}")
        return 1.0


def turns_for(at_least: int, threads: int) -> int:
    """The least number of turns that divides TURNS evenly, is at least `at_least` and idles no thread."""
    least = max(at_least, 3 * threads if threads > 1 else 0)
    return next((n for n in range(least, TURNS) if TURNS % n == n % threads == 0), TURNS)


def speed_task(
    kind: type[Peer], n: int, template: int, mask: MaskKind, turns: int, *, lowpass: float = 0.0,
    threads: int = 1, places: int = 40,
) -> Task:
    """A peer with `turns` turned templates (template, template) and an (n, n) micrograph full of them.

    The micrograph holds particles at all TURNS angles, whichever of them are looked for.
    lowpass: resolution in A beyond which micrograph and template hold nothing, 0 for as they are
    """
    everything, some = egg_bank(template, TURNS, mask), egg_bank(template, turns, mask)
    micrograph, planted = planted_micrograph((n, n), everything, visible=FAINT if lowpass else VISIBLE)
    if lowpass:
        micrograph = limited(micrograph, lowpass).astype(np.float32)
        views = np.stack([limited(view, lowpass) for view in some.templates])
        some = TemplateBank(views, some.masks, some.angles)
    places_of = Workload.make((n, n), everything, places).places
    planted_places = min(places // 10, len(planted))
    work = Workload(micrograph, some, places_of)
    peaks = PeakSettings(threshold=0.25, distance=template / 2)
    peer = kind(some, threads=threads, pixel_size=PIXEL_SIZE, lowpass=lowpass, peaks=peaks)
    return Task(peer, work, planted_places)


def limited(image: Array, resolution: float) -> Array:
    """An image (h, w) without anything finer than `resolution` A: a cosine edge of a tenth below it."""
    margin = min(image.shape) // 2
    padded = np.pad(image, margin, mode="reflect")
    frequency = np.hypot(np.fft.fftfreq(padded.shape[0])[:, None], np.fft.rfftfreq(padded.shape[1]))
    edge = np.clip((1 - frequency * resolution / PIXEL_SIZE) / 0.1, 0, 1)
    passed = np.fft.irfft2(np.fft.rfft2(padded) * (0.5 - 0.5 * np.cos(np.pi * edge)), s=padded.shape)
    return np.asarray(passed[margin : margin + image.shape[0], margin : margin + image.shape[1]])
