"""What FFTW and MKL share: transforms between two arrays, by plans that compiled code can use too."""

from __future__ import annotations

import ctypes
from abc import abstractmethod
from typing import Any

from gembench.engine.fft.library import FFTLibrary
from gembench.engine.fft.rows import Array, Native, RowTransforms, aligned_zeros, complex_dtype


class CalledLibrary(FFTLibrary):
    """A library whose C functions are called directly. It has no name: its subclasses are registered."""

    native = True

    @abstractmethod
    def transform(
        self, source: Array, target: Array, shape: tuple[int, ...], *, rows: bool, forward: bool
    ) -> None:
        """Transform `source` into `target`, for data of `shape` in space; both may be one complex array.

        rows: whether each row is transformed on its own
        """

    def rfft2(self, a: Array) -> Array:
        spectrum = aligned_zeros((a.shape[0], a.shape[1] // 2 + 1), complex_dtype(a.dtype))
        self.transform(a, spectrum, a.shape, rows=False, forward=True)
        return spectrum

    def irfft2(self, spectrum: Array, shape: tuple[int, int]) -> Array:
        a = aligned_zeros(shape, spectrum.real.dtype)
        self.transform(spectrum, a, shape, rows=False, forward=False)
        return a

    def rfft_rows(self, real: Array, half: Array) -> None:
        self.transform(real, half, real.shape, rows=True, forward=True)

    def irfft_rows(self, half: Array, real: Array) -> None:
        self.transform(half, real, real.shape, rows=True, forward=False)

    def fft_rows(self, full: Array, *, inverse: bool) -> None:
        self.transform(full, full, full.shape, rows=True, forward=not inverse)


class CalledRows(RowTransforms):
    """Its transforms of rows for compiled code; plans are made when they are asked for."""

    @abstractmethod
    def native(self, source: int, target: int, *, forward: bool, in_place: bool) -> Native:
        """The transform of rows that begin `source` numbers apart into rows `target` numbers apart.

        in_place: complex rows, which become their own transforms
        """

    def native_fft(self) -> Native:
        return self.native(self.n, self.n, forward=True, in_place=True)

    def native_ifft(self) -> Native:
        return self.native(self.n, self.n, forward=False, in_place=True)

    def native_rfft(self) -> Native:
        return self.native(self.n, self.n // 2 + 1, forward=True, in_place=False)

    def native_irfft(self, distance: int) -> Native:
        return self.native(distance, self.n, forward=False, in_place=False)

    @property
    def single(self) -> bool:
        """Whether the rows are of single precision."""
        return self.dtype.char == "f"


def address_of(function: Any) -> int:
    """Where a function of ctypes lies."""
    address = ctypes.cast(function, ctypes.c_void_p).value
    assert address is not None
    return address
