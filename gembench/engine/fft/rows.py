"""Aligned buffers, and the transforms of blocks of rows that lie in them."""

from __future__ import annotations

import ctypes
from abc import abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

if TYPE_CHECKING:
    from gembench.engine.fft.library import FFTLibrary

Array = NDArray[Any]
ALIGNMENT = 64  # bytes: one AVX-512 register; rounding then does not depend on where a buffer lies


def aligned_zeros(shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """A zeroed C-contiguous array that starts on a 64-byte boundary."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    raw = np.zeros(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)


def complex_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """complex64 for float32, complex128 for float64."""
    return np.result_type(np.dtype(dtype), np.complex64)


class Native(NamedTuple):
    """A transform that compiled code can call as function(plan, source, target), all of them addresses.

    has_status: whether it returns an integer, 0 for success, and takes any number of arguments; else it
        returns nothing
    """

    function: int
    plan: int
    has_status: bool


class RowTransforms:
    """Transforms of `rows` rows of length `n`, in buffers of its own; one object per thread.

    real: (rows, n) float; half: (rows, n // 2 + 1) complex; full: (rows, n) complex
    """

    def __init__(self, library: FFTLibrary, n: int, rows: int, dtype: DTypeLike) -> None:
        self.library, self.n, self.rows = library, n, rows
        self.dtype = np.dtype(dtype)

    @cached_property
    def real(self) -> Array:
        """Values in space."""
        return aligned_zeros((self.rows, self.n), self.dtype)

    @cached_property
    def half(self) -> Array:
        """Values in frequency of real rows."""
        return aligned_zeros((self.rows, self.n // 2 + 1), complex_dtype(self.dtype))

    @cached_property
    def full(self) -> Array:
        """Complex rows, transformed in place."""
        return aligned_zeros((self.rows, self.n), complex_dtype(self.dtype))

    def rfft(self) -> None:
        """`real` to `half`."""
        self.library.rfft_rows(self.real, self.half)

    def irfft(self, half: Array | None = None) -> None:
        """`half` to `real`; `half` may be destroyed.

        half: (rows, n // 2 + 1), rows of a larger array; by default the buffer
        """
        self.library.irfft_rows(self.half if half is None else half, self.real)

    def fft(self) -> None:
        """`full` in place, exponent -1."""
        self.library.fft_rows(self.full, inverse=False)

    def ifft(self) -> None:
        """`full` in place, exponent +1."""
        self.library.fft_rows(self.full, inverse=True)

    def native_fft(self) -> Native | None:
        """`fft` of any such rows for compiled code, if the library allows it."""
        return None

    def native_ifft(self) -> Native | None:
        """`ifft` of any such rows for compiled code."""
        return None

    def native_rfft(self) -> Native | None:
        """`rfft` of any such rows for compiled code."""
        return None

    def native_irfft(self, distance: int) -> Native | None:
        """`irfft` for compiled code, of rows that lie `distance` numbers apart."""
        return None


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
