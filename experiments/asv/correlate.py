"""A search: one micrograph against a bank of four templates that fit an eighth of it.

Its threads hand templates on through a queue, so that the time is the clock's, waiting included.
"""

from __future__ import annotations

import os

from scipy.ndimage import gaussian_filter

from ._inputs import LIBRARIES, METHODS, CPUSearch, bank, noise, part, searched


class Correlate:
    """Each method on each FFT library, one thread."""

    params = (METHODS, LIBRARIES, [512, 1024])
    param_names = ("method", "library", "size")
    rounds, repeat, warmup_time = 2, (3, 5, 0.6), 0.0

    def setup(self, method: str, library: str, size: int) -> None:
        self.search, self.micrograph = searched(method, library, size), noise(size, size)

    def time_search(self, method: str, library: str, size: int) -> None:
        self.search.run(self.micrograph)


class Masks:
    """The default method, eight templates: each with a mask of its own, one for two turns, one for all."""

    params = (["own", "ellipse", "disc"],)
    param_names = ("mask",)
    rounds, repeat, warmup_time = 2, (3, 5, 0.6), 0.0

    def setup(self, mask: str) -> None:
        try:
            from gembench.data.workload import egg_bank

            templates = egg_bank(128, 8, mask)  # type: ignore[arg-type]
        except (ImportError, TypeError):
            raise NotImplementedError from None  # this commit knows one kind of mask only
        self.search, self.micrograph = CPUSearch(templates), noise(1024, 1024)
        self.search.run(self.micrograph)

    def time_search(self, mask: str) -> None:
        self.search.run(self.micrograph)


class Threads:
    """The default method at the size of KLH data set I, over consumer threads."""

    params = ([1, 2, 4],)
    param_names = ("threads",)
    rounds, repeat, warmup_time = 2, (3, 5, 2.0), 0.0

    def setup(self, threads: int) -> None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        if threads > cores:
            raise NotImplementedError(f"{threads} threads on {cores} cores")
        self.search, self.micrograph = searched("exact", "auto", 2048, threads), noise(2048, 2048)

    def time_search(self, threads: int) -> None:
        self.search.run(self.micrograph)


class Banded:
    """The method banded: a micrograph low-passed so far that a quarter of its band is left, 90 templates."""

    rounds, repeat, warmup_time = 2, (3, 5, 0.6), 0.0

    def setup(self) -> None:
        try:
            banded = part("BandedSearch")
        except ImportError:
            raise NotImplementedError from None  # this commit has none

        self.micrograph = gaussian_filter(noise(1024, 1024), 2.0)
        self.search = banded(bank(1024, 45), library="scipy")
        self.search.run(self.micrograph)

    def time_search(self) -> None:
        self.search.run(self.micrograph)
