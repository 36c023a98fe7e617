"""FFTW, as pyfftw brings it: its C functions, called from Python and from compiled code."""

from __future__ import annotations

from functools import lru_cache
from importlib import metadata
from importlib.util import find_spec
from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike

from gembench.engine.fft import planner
from gembench.engine.fft.library import CalledLibrary
from gembench.engine.fft.rows import (
    ALIGNMENT,
    Array,
    CalledRows,
    Native,
    RowTransforms,
    address_of,
    aligned_zeros,
)


class FFTW(CalledLibrary):
    """FFTW with measured plans; those of all processes are the same, see `planner`."""

    name = "fftw"
    modules = ("pyfftw",)
    install = "pip install pyfftw"
    effort: ClassVar[int] = planner.MEASURE

    @classmethod
    def unavailable(cls) -> str | None:
        return _problem(cls.install)

    @classmethod
    def version(cls) -> str:
        try:
            return metadata.version("pyfftw")
        except metadata.PackageNotFoundError:
            return "unknown"

    def knowledge(self) -> dict[bool, str]:
        return planner.wisdom()

    def learn(self, knowledge: dict[bool, str]) -> None:
        planner.learn(knowledge)

    def row_transforms(self, n: int, rows: int, dtype: DTypeLike) -> RowTransforms:
        return _FFTWRows(self, n, rows, dtype)

    def address(self, problem: planner.Problem) -> Native:
        """A transform for compiled code."""
        function = address_of(planner.functions(problem.single).execute(problem.kind))
        return Native(function, planner.plan(problem, self.effort), has_status=False)

    def transform(
        self, source: Array, target: Array, shape: tuple[int, ...], *, rows: bool, forward: bool
    ) -> None:
        """Transform `source` into `target`; arrays that no plan can take as they lie are copied."""
        if not _plannable(target):
            whole = _laid_out(target)
            self.transform(whole if source is target else source, whole, shape, rows=rows, forward=forward)
            target[:] = whole
            return
        if not _plannable(source):
            source = _laid_out(source)
        in_place, item = source is target, source.itemsize
        problem = planner.Problem(
            (shape[0], shape[1]), rows, forward, not in_place, in_place, source.dtype.char in "fF",
            source.strides[0] // item, target.strides[0] // target.itemsize, self.threads,
        )
        execute = planner.functions(problem.single).execute(problem.kind)
        execute(planner.plan(problem, self.effort), source.ctypes.data, target.ctypes.data)


class FFTWEstimate(FFTW):
    """FFTW with estimated plans, as gEMpicker used it."""

    name = "fftw-estimate"
    effort = planner.ESTIMATE


class _FFTWRows(CalledRows):
    """FFTW's plans for rows."""

    library: FFTW

    def native(self, source: int, target: int, *, forward: bool, in_place: bool) -> Native:
        return self.library.address(planner.Problem(
            (self.rows, self.n), True, forward, not in_place, in_place, self.single, source, target,
            self.library.threads,
        ))


@lru_cache
def _problem(install: str) -> str | None:
    """Why FFTW cannot be used."""
    if find_spec("pyfftw") is None:
        return f"not installed: {install}"
    try:
        for single in (True, False):
            planner.functions(single)
    except (OSError, AttributeError) as error:
        return f"installed but broken: {error}"
    return None


def _plannable(a: Array) -> bool:
    """Whether a plan can take the array as it lies: on a 64-byte boundary, in rows of adjacent elements."""
    row, element = a.strides
    return (a.ctypes.data % ALIGNMENT == 0 and element == a.itemsize and row % element == 0
            and row >= a.shape[1] * element)


def _laid_out(a: Array) -> Array:
    """A copy that a plan can take."""
    copy = aligned_zeros(a.shape, a.dtype)
    np.copyto(copy, a)
    return copy
