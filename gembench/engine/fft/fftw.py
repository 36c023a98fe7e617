"""FFTW, as pyfftw brings it: its C functions, called from Python and from compiled code."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from importlib import metadata
from importlib.util import find_spec
from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike

from gembench.engine.fft import planner
from gembench.engine.fft.library import FFTLibrary
from gembench.engine.fft.rows import ALIGNMENT, Array, Native, RowTransforms, aligned_zeros, complex_dtype


class FFTW(FFTLibrary):
    """FFTW with measured plans; those of all processes are the same, see `planner`."""

    name = "fftw"
    modules = ("pyfftw",)
    native = True
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

    def rfft2(self, a: Array) -> Array:
        spectrum = aligned_zeros((a.shape[0], a.shape[1] // 2 + 1), complex_dtype(a.dtype))
        self._execute(a, spectrum, a.shape, rows=False, forward=True)
        return spectrum

    def irfft2(self, spectrum: Array, shape: tuple[int, int]) -> Array:
        a = aligned_zeros(shape, spectrum.real.dtype)
        self._execute(spectrum, a, shape, rows=False, forward=False)
        return a

    def rfft_rows(self, real: Array, half: Array) -> None:
        self._execute(real, half, real.shape, rows=True, forward=True)

    def irfft_rows(self, half: Array, real: Array) -> None:
        self._execute(half, real, real.shape, rows=True, forward=False)

    def fft_rows(self, full: Array, *, inverse: bool) -> None:
        self._execute(full, full, full.shape, rows=True, forward=not inverse)

    def knowledge(self) -> dict[bool, str]:
        return planner.wisdom()

    def learn(self, knowledge: dict[bool, str]) -> None:
        planner.learn(knowledge)

    def row_transforms(self, n: int, rows: int, dtype: DTypeLike) -> RowTransforms:
        return _FFTWRows(self, n, rows, dtype)

    def address(self, problem: planner.Problem) -> Native:
        """A transform for compiled code."""
        execute = planner.functions(problem.single).execute(problem.kind)
        function = ctypes.cast(execute, ctypes.c_void_p).value
        assert function is not None
        return Native(function, planner.plan(problem, self.effort), has_status=False)

    def _execute(
        self, source: Array, target: Array, shape: tuple[int, ...], *, rows: bool, forward: bool
    ) -> None:
        """Transform `source` into `target`, for data of `shape` in space; other layouts are copied."""
        if not _plannable(target):
            whole = _laid_out(target)
            self._execute(whole if source is target else source, whole, shape, rows=rows, forward=forward)
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


class _FFTWRows(RowTransforms):
    """The transforms for compiled code; their plans are made when they are asked for."""

    library: FFTW

    def native_fft(self) -> Native:
        return self._complex(forward=True)

    def native_ifft(self) -> Native:
        return self._complex(forward=False)

    def native_rfft(self) -> Native:
        return self._real(self.n, self.n // 2 + 1, forward=True)

    def native_irfft(self, distance: int) -> Native:
        return self._real(distance, self.n, forward=False)

    def _complex(self, *, forward: bool) -> Native:
        return self._native(planner.Problem(
            (self.rows, self.n), True, forward, False, True, self._single, self.n, self.n,
            self.library.threads,
        ))

    def _real(self, source: int, target: int, *, forward: bool) -> Native:
        return self._native(planner.Problem(
            (self.rows, self.n), True, forward, True, False, self._single, source, target,
            self.library.threads,
        ))

    def _native(self, problem: planner.Problem) -> Native:
        return self.library.address(problem)

    @property
    def _single(self) -> bool:
        return self.dtype.char == "f"


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
