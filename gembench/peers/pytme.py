"""pyTME on the CPU: FLC with a mask that turns with the template, FLCSphericalMask with a disc for all."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.score_map import NO_SCORE, ScoreMap, finished, merge
from gembench.peers.base import Matched, SteadyPace
from gembench.peers.loop import Library

Array = NDArray[Any]


class PyTME(Library):
    """match_exhaustive, a view at a time, turning bilinearly; more threads are processes of its own.

    Turned masks keep their soft edges, so that scores under masks of their own differ in the third digit.
    """

    name = "pytme"
    label = "pyTME"
    turns = "peer"
    module = "tme"
    distribution = "pytme"
    tolerance = 1e-2
    install = "pip install 'gembench[peers]'"

    def match(self, micrograph: Array) -> Matched:
        image = np.ascontiguousarray(micrograph - micrograph.mean(), np.float32)
        start_up = self._start_up(image) if self.threads > 1 else 0.0
        bank, pace, start = self.bank, SteadyPace(1, self.clock), self.clock()
        score = np.full(image.shape, NO_SCORE, np.float32)
        index = np.full(image.shape, -1, np.int32)
        views = bank.view(np.arange(len(bank)))
        for view in range(len(bank.templates)):
            indices = np.flatnonzero(views == view)
            scores, turn = self._view(image, view, bank.psi(indices), pace)
            merge(score, index, scores, np.where(turn < 0, -1, indices[turn]).astype(np.int32))
        maps = finished(ScoreMap(score, index))
        seconds = self.clock() - start
        steady = pace.steady(seconds, len(bank))
        beyond = len(bank) - self.threads * len(bank.templates)  # templates that the start-up runs leave out
        if start_up and beyond > 0:
            steady = (seconds - start_up * len(bank.templates)) / beyond
        return Matched(maps, None, len(bank), seconds, steady)

    def _start_up(self, image: Array) -> float:
        """Seconds of a run with one template a process, once the processes are there."""
        psi, ignored = self.bank.psi(np.arange(min(self.threads, len(self.bank)))), SteadyPace(1, self.clock)
        self._view(image, 0, psi, ignored)
        start = self.clock()
        self._view(image, 0, psi, ignored)
        return self.clock() - start

    def _view(self, image: Array, view: int, psi: Array, pace: SteadyPace) -> tuple[Array, Array]:
        """Best score of one view's turns and the number of the turn, both (H, W)."""
        from tme.analyzer import MaxScoreOverRotations
        from tme.matching_data import MatchingData
        from tme.matching_exhaustive import MATCHING_EXHAUSTIVE_REGISTER, match_exhaustive

        class Timed(MaxScoreOverRotations):  # type: ignore[misc]
            """The usual analyser, and when it was called."""

            def __call__(self, *arguments: Any, **named: Any) -> Any:
                state = super().__call__(*arguments, **named)
                pace()
                return state

        bank = self.bank
        assert bank.masks is not None
        method = "FLCSphericalMask" if bank.disc_views[view] else "FLC"
        setup, scoring = MATCHING_EXHAUSTIVE_REGISTER[method]
        rotations = np.stack([rotation(angle) for angle in psi])
        data = MatchingData(
            target=image, template=centred(bank.templates[view], "edge"),
            template_mask=centred(bank.masks[view].astype(np.float32), "constant"), rotations=rotations,
        )
        together = self.threads > 1  # a class of this function cannot travel to other processes
        score, _, number, matrices, *_ = match_exhaustive(
            data, matching_score=scoring, matching_setup=setup, interpolation_order=1,
            callback_class=MaxScoreOverRotations if together else Timed, job_schedule=(1, self.threads),
        )
        turn = {key: int(np.abs(rotations - matrix).sum(axis=(1, 2)).argmin())
                for key, matrix in matrices.items()}
        table = np.array([turn.get(key, -1) for key in range(max(turn) + 1)] + [-1])
        return np.asarray(score, np.float32), table[np.asarray(number)]


def rotation(psi: float) -> Array:
    """The matrix from output to input (y, x) of a turn by psi degrees, counter-clockwise with y down."""
    cosine, sine = np.cos(np.deg2rad(psi)), np.sin(np.deg2rad(psi))
    return np.array([[cosine, sine], [-sine, cosine]], np.float32)


def centred(image: Array, mode: Any) -> Array:
    """An image (h, w) with sides made odd, so that its middle, which pyTME turns it about, is our centre."""
    return np.pad(image, [(0, 1 - side % 2) for side in image.shape], mode=mode).astype(np.float32)
