"""gembench itself, method by method and device by device, beside its peers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gembench.engine.bank import TemplateBank
from gembench.engine.gpu import device
from gembench.engine.search import open_search
from gembench.engine.turning import disc_mask
from gembench.peers.base import Matched, Peer, SteadyPace, mask_diameter

Array = NDArray[Any]


class Gembench(Peer):
    """The engine's `exact` method on the CPU."""

    name = "gembench"
    label = "gembench"
    method: ClassVar[str] = "exact"
    tolerance: ClassVar[float | None] = 1e-4

    def __init__(self, bank: TemplateBank, **options: Any) -> None:
        super().__init__(bank, **options)
        self._search = self._open()

    def _open(self) -> Any:
        return open_search(self.bank, method=self.method, threads=self.threads)

    @classmethod
    def unavailable(cls) -> str | None:
        return None

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


class Gembench2003(Gembench):
    """FindEM's method of 2003 by the engine: the same score under one disc for all templates."""

    name = "gembench-2003"
    label = "gembench, as in 2003"

    def __init__(self, bank: TemplateBank, **options: Any) -> None:
        assert bank.masks is not None
        disc = disc_mask(bank.box, mask_diameter(bank) // 2)
        super().__init__(replace(bank, masks=np.stack([disc] * len(bank.masks))), **options)


class GembenchBanded(Gembench):
    """The engine's `banded` method: a coarse grid where a filter allows it, exact sums where picks may be.

    Only scores that `peaks` look at are those of the direct sum. Its templates are compressed together, at
    the first micrograph, and its pace is its time for a later one, micrograph and all, by their number.
    """

    name = "gembench-banded"
    label = "gembench, banded"
    method = "banded"
    tolerance = None
    prepares = True

    @classmethod
    def unavailable(cls) -> str | None:
        try:
            import_module("gembench.engine.banded.search")
        except ImportError as error:
            return f"the engine's method 'banded' cannot be used: {error}"
        return None

    def _open(self) -> Any:
        banded = import_module("gembench.engine.banded.search")
        return banded.BandedSearch(self.bank, peaks=self.peaks, threads=self.threads)


class GembenchGPU(Gembench):
    """The engine's `exact` method on the first GPU, timed by the wall."""

    name = "gembench-gpu"
    label = "gembench, GPU"

    @classmethod
    def unavailable(cls) -> str | None:
        return device.unavailable() or None

    @property
    def clock(self) -> Callable[[], float]:
        return time.perf_counter

    def _open(self) -> Any:
        return open_search(self.bank, device="gpu")
