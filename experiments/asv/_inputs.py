"""Seeded inputs that the benchmarks share, made once a process, and what the engine's parts were called.

asv runs today's benchmarks against the commits of the past, where a part may have another name or place.
"""

from __future__ import annotations

import time
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import scipy.ndimage  # noqa: F401
from numba import njit
from numpy.typing import NDArray

from gembench.engine.fft import FFTLibrary, fft_library
from gembench.errors import InputError

Array = NDArray[Any]
LIBRARIES = ["numpy", "scipy", "ducc0", "fftw", "mkl"]
METHODS = ["exact", "paper"]
PLACES = {  # today's first, then those before
    "TemplateBank": ("engine.bank", "engine.templates"),
    "grid_angles": ("engine.bank", "engine.templates"),
    "CPUSearch": ("engine.exact.producer", "engine.exact.search", "engine.exact.search:Search",
                  "engine.search:Search"),
    "search": ("engine.exact.producer", "engine.exact.search", "engine.search"),
    "BandedSearch": ("engine.banded.search", "engine.banded"),
    "make_plan": ("engine.exact.plan", "engine.plan"),
    "variance_floor": ("engine.normalise", "engine.exact.correlate", "engine.correlate"),
    "merge": ("engine.score_map", "engine.exact.fold", "engine.fold"),
    "transpose": ("engine.exact.kernels", "engine.exact.transpose", "engine.transpose"),
    **dict.fromkeys(("BLOCK", "fold", "inverse_sigma", "load_columns"),
                    ("engine.exact.kernels", "engine.exact.fold", "engine.fold")),
}


def part(name: str) -> Any:
    """The part of the engine that is called `name` today, wherever it is at the commit that is measured.

    Raises ImportError if that commit has none.
    """
    for place in PLACES[name]:
        module, _, former = place.partition(":")
        try:
            return getattr(import_module(f"gembench.{module}"), former or name)
        except (ModuleNotFoundError, AttributeError):
            continue
    raise ImportError(f"no {name} at this commit")


TemplateBank, CPUSearch = part("TemplateBank"), part("CPUSearch")
ONE_THREAD = time.process_time  # the timer where one thread works and waits for nothing

# asv forks every benchmark from one process that has imported the suite: what is slow to start, starts there.
njit(lambda: 0)()


def library(name: str) -> FFTLibrary:
    """The FFT library with one thread; where it is missing, NotImplementedError, asv's word for 'skip'."""
    try:
        return fft_library(name)
    except InputError as error:
        raise NotImplementedError(str(error)) from error


@cache
def noise(*shape: int) -> Array:
    """White noise of unit variance, float32."""
    return np.random.default_rng(20130).standard_normal(shape, np.float32)


@cache
def bank(size: int, angles: int = 2) -> TemplateBank:
    """One view for micrographs of `size` pixels, as wide as an eighth of them, under a rectangular mask.

    The angles are `angles` steps of 180 / `angles` degrees and their half turns.
    """
    box = size // 8
    y, x = np.indices((box, box)) - box // 2
    view = np.exp(-((y / (0.30 * box)) ** 4) - (x / (0.20 * box)) ** 4) * (1 + 0.2 * np.sign(y * x))
    mask = (abs(y) < 0.42 * box) & (abs(x) < 0.34 * box)
    return TemplateBank(view, mask, np.arange(0, 360, 180 / angles))


@cache
def searched(method: str, library_name: str, size: int, threads: int = 1) -> CPUSearch:
    """A search that has run once: planned, its kernels compiled and its templates turned."""
    library(library_name if library_name != "auto" else "scipy")
    search = CPUSearch(bank(size), method=method, library=library_name, threads=threads)  # type: ignore[arg-type]
    search.run(noise(size, size))
    return search
