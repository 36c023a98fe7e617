"""Libraries that score one template at a time: gembench turns the templates and keeps the best scores."""

from __future__ import annotations

import threading
from abc import abstractmethod
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gembench.engine.bank import RotatedTemplate, TemplateBank
from gembench.engine.score_map import NO_SCORE, ScoreMap, finished, merge
from gembench.peers.base import Matched, Peer, SteadyPace

Array = NDArray[Any]


class Library(Peer):
    """A Python package, named by the module it brings and the distribution it comes in."""

    module: ClassVar[str]
    distribution: ClassVar[str]

    @classmethod
    def unavailable(cls) -> str | None:
        try:
            import_module(cls.module)
        except ModuleNotFoundError as error:
            if error.name == cls.module.split(".")[0]:
                return f"{cls.distribution} is not installed: {cls.install}"
            return f"installed but broken: {error}"
        except Exception as error:  # a broken binary package may raise anything while it loads
            return f"installed but broken: {error}"
        return None

    @classmethod
    def version(cls) -> str:
        from importlib.metadata import version

        return version(cls.distribution)


class TemplateByTemplate(Library):
    """A library that takes a turned template and its mask; templates are shared out among threads."""

    tolerance = 1e-3

    def __init__(self, bank: TemplateBank, **options: Any) -> None:
        super().__init__(bank, **options)
        self._turned = [bank.rotated(index, np.float32) for index in bank.search_order()]

    @abstractmethod
    def correlate(self, micrograph: Array, template: RotatedTemplate) -> Array:
        """Scores (H - h + 1, W - w + 1) wherever the template (h, w) lies inside the micrograph (H, W)."""

    def match(self, micrograph: Array) -> Matched:
        pace = SteadyPace(self.threads, self.clock)
        start = self.clock()
        image = np.ascontiguousarray(micrograph - micrograph.mean(), np.float32)
        score = np.full(image.shape, NO_SCORE, np.float32)
        index = np.full(image.shape, -1, np.int32)
        folding = threading.Lock()

        def work(template: RotatedTemplate) -> None:
            scores = np.ascontiguousarray(self.correlate(image, template), np.float32)
            (height, width), (y, x) = scores.shape, template.offset
            place = np.s_[-y : height - y, -x : width - x]
            with folding:
                merge(score[place], index[place], scores, np.full(scores.shape, template.index, np.int32))
                pace()

        with ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(work, self._turned))
        maps = finished(ScoreMap(score, index))
        seconds = self.clock() - start
        return Matched(maps, None, len(self._turned), seconds, pace.steady(seconds, len(self._turned)))
