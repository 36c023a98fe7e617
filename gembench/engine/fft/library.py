"""FFT libraries behind one small interface.

Every transform is unnormalised in both directions, so a forward and an inverse one multiply by the number
of points; the engine folds that factor into its templates. A library is imported when it is first used,
and one that is installed but broken is unavailable with a reason.

A new library is one subclass of `FFTLibrary` with a `name`; it registers itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property, lru_cache
from importlib import import_module
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gembench.engine.fft.sizes import fast_size
from gembench.errors import InputError

Array = NDArray[Any]
ALIGNMENT = 64  # bytes: one AVX-512 register; rounding then does not depend on where a buffer lies

LIBRARIES: dict[str, type[FFTLibrary]] = {}


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
    """A transform that compiled code can call: the addresses of a function and of its plan, see `fused`."""

    function: int
    plan: int


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

    def native_ifft(self) -> Native | None:
        """`ifft` of any such rows for compiled code, if the library allows it."""
        return None

    def native_irfft(self, distance: int) -> Native | None:
        """`irfft` for compiled code, of rows that lie `distance` numbers apart."""
        return None


class FFTLibrary(ABC):
    """One FFT library.

    `threads` is the number of threads inside one transform; the engine uses 1 and threads over templates.
    """

    name: ClassVar[str]
    device: ClassVar[str] = "cpu"
    modules: ClassVar[tuple[str, ...]] = ()
    install: ClassVar[str] = ""

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        LIBRARIES[cls.name] = cls

    @classmethod
    def unavailable(cls) -> str | None:
        """Why this library cannot be used here, or None if it can."""
        return _import_problem(cls.modules, cls.install)

    @classmethod
    def version(cls) -> str:
        """The version of the library's Python package."""
        return str(getattr(import_module(cls.modules[0].split(".")[0]), "__version__", "unknown"))

    @abstractmethod
    def rfft2(self, a: Array) -> Array:
        """Two-dimensional transform of real `a`, shape (h, w) to (h, w // 2 + 1)."""

    @abstractmethod
    def irfft2(self, spectrum: Array, shape: tuple[int, int]) -> Array:
        """Unnormalised inverse of `rfft2`, to real `shape`; `spectrum` may be destroyed."""

    @abstractmethod
    def rfft_rows(self, real: Array, half: Array) -> None:
        """Transform every row of `real` (b, n) into `half` (b, n // 2 + 1)."""

    @abstractmethod
    def irfft_rows(self, half: Array, real: Array) -> None:
        """Unnormalised inverse of `rfft_rows`; `half` may be destroyed, and its rows may lie apart."""

    @abstractmethod
    def fft_rows(self, full: Array, *, inverse: bool) -> None:
        """Transform every row of complex `full` (b, n) in place, unnormalised."""

    def row_transforms(self, n: int, rows: int, dtype: DTypeLike) -> RowTransforms:
        """Buffers and transforms for blocks of `rows` rows of length `n`."""
        return RowTransforms(self, n, rows, dtype)

    def fast_size(self, n: int) -> int:
        """The size >= n whose transform costs least by the measured table."""
        return fast_size(n)


class NumpyFFT(FFTLibrary):
    """numpy.fft (pocketfft)."""

    name = "numpy"
    modules = ("numpy.fft",)

    @classmethod
    def version(cls) -> str:
        return np.__version__

    def rfft2(self, a: Array) -> Array:
        return np.fft.rfft2(a)

    def irfft2(self, spectrum: Array, shape: tuple[int, int]) -> Array:
        return np.fft.irfft2(spectrum, s=shape, axes=(0, 1), norm="forward")

    def rfft_rows(self, real: Array, half: Array) -> None:
        np.fft.rfft(real, axis=1, out=half)

    def irfft_rows(self, half: Array, real: Array) -> None:
        np.fft.irfft(half, n=real.shape[1], axis=1, norm="forward", out=real)

    def fft_rows(self, full: Array, *, inverse: bool) -> None:
        if inverse:
            np.fft.ifft(full, axis=1, norm="forward", out=full)
        else:
            np.fft.fft(full, axis=1, out=full)


class ScipyFFT(FFTLibrary):
    """scipy.fft (pocketfft, vectorised)."""

    name = "scipy"
    modules = ("scipy.fft",)

    def rfft2(self, a: Array) -> Array:
        return np.asarray(_module("scipy.fft").rfft2(a, workers=self.threads))

    def irfft2(self, spectrum: Array, shape: tuple[int, int]) -> Array:
        return np.asarray(_module("scipy.fft").irfft2(
            spectrum, s=shape, norm="forward", overwrite_x=True, workers=self.threads
        ))

    def rfft_rows(self, real: Array, half: Array) -> None:
        half[:] = _module("scipy.fft").rfft(real, axis=1, workers=self.threads)

    def irfft_rows(self, half: Array, real: Array) -> None:
        real[:] = _module("scipy.fft").irfft(
            half, n=real.shape[1], axis=1, norm="forward", overwrite_x=True, workers=self.threads
        )

    def fft_rows(self, full: Array, *, inverse: bool) -> None:
        fft = _module("scipy.fft")
        transform, norm = (fft.ifft, "forward") if inverse else (fft.fft, "backward")
        result = transform(full, axis=1, norm=norm, overwrite_x=True, workers=self.threads)
        if not np.shares_memory(result, full):
            full[:] = result


class DuccFFT(FFTLibrary):
    """ducc0.fft, pocketfft's successor."""

    name = "ducc0"
    modules = ("ducc0",)

    def rfft2(self, a: Array) -> Array:
        return np.asarray(_module("ducc0").fft.r2c(a, axes=(0, 1), nthreads=self.threads))

    def irfft2(self, spectrum: Array, shape: tuple[int, int]) -> Array:
        return np.asarray(_module("ducc0").fft.c2r(
            spectrum, axes=(0, 1), lastsize=shape[1], forward=False, nthreads=self.threads,
            allow_overwriting_input=True,
        ))

    def rfft_rows(self, real: Array, half: Array) -> None:
        _module("ducc0").fft.r2c(real, axes=(1,), out=half, nthreads=self.threads)

    def irfft_rows(self, half: Array, real: Array) -> None:
        _module("ducc0").fft.c2r(
            half, axes=(1,), lastsize=real.shape[1], forward=False, out=real, nthreads=self.threads
        )

    def fft_rows(self, full: Array, *, inverse: bool) -> None:
        _module("ducc0").fft.c2c(full, axes=(1,), forward=not inverse, out=full, nthreads=self.threads)


def _module(name: str) -> Any:
    return import_module(name)


@lru_cache
def _import_problem(modules: tuple[str, ...], install: str) -> str | None:
    try:
        for module in modules:
            import_module(module)
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name in {m.split(".")[0] for m in modules}
        return f"not installed: {install}" if missing else f"installed but broken: {error}"
    except Exception as error:  # a broken binary package may raise anything while it loads
        return f"installed but broken: {error}"
    return None


# Fastest first for blocks of rows on an AVX-512 machine: the 1025 complex rows of 2048 points take MKL
# 3 ms, FFTW 3 to 6 (as well as it has planned), ducc0's wheel 18 (built for any x86-64); scipy lies between.
PREFERENCE = ("mkl", "fftw", "scipy", "ducc0", "numpy")


def fft_library(name: str = "auto", threads: int = 1) -> FFTLibrary:
    """The library called `name`; 'auto' takes the fastest that is installed.

    Raises InputError for an unknown name or a library that cannot be used here.
    """
    if name == "auto":
        name = next(n for n in PREFERENCE if LIBRARIES[n].unavailable() is None)
    if name not in LIBRARIES:
        raise InputError(f"FFT library '{name}' is unknown: choose from auto, {', '.join(sorted(LIBRARIES))}")
    reason = LIBRARIES[name].unavailable()
    if reason is not None:
        raise InputError(f"FFT library '{name}' cannot be used: {reason}")
    return LIBRARIES[name](threads)
