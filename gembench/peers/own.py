"""gembench itself, method by method, beside its peers."""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar

from numpy.typing import NDArray

from gembench.engine import plan
from gembench.engine.templates import TemplateBank
from gembench.peers.base import Matched, Peer, SteadyPace

Array = NDArray[Any]


class Gembench(Peer):
    """The engine's `exact` method on the CPU."""

    name = "gembench"
    label = "gembench"
    method: ClassVar[str] = "exact"
    tolerance = 1e-4

    def __init__(self, bank: TemplateBank, **options: Any) -> None:
        super().__init__(bank, **options)
        engine = import_module("gembench.engine.search")
        opened = getattr(engine, "open_search", engine.Search)  # a method may have a search of its own
        self._search = opened(bank, method=self.method, threads=self.threads)

    @classmethod
    def unavailable(cls) -> str | None:
        return None if cls.method in plan.METHODS else f"the engine has no method '{cls.method}' yet"

    @classmethod
    def version(cls) -> str:
        from gembench import __version__

        return __version__

    def match(self, micrograph: Array) -> Matched:
        pace, start = SteadyPace(self.threads, self.clock), self.clock()
        maps = self._search.run(micrograph, on_template=pace)
        seconds = self.clock() - start
        return Matched(maps, None, len(self.bank), seconds, pace.steady(seconds, len(self.bank)))


class GembenchPaper(Gembench):
    """The engine's `paper` method: whole frames, transform by transform as in 2013."""

    name = "gembench-paper"
    label = "gembench, as in 2013"
    method = "paper"


class GembenchBanded(Gembench):
    """The engine's `banded` method: the search on the band that filter and templates leave."""

    name = "gembench-banded"
    label = "gembench, banded"
    method = "banded"
