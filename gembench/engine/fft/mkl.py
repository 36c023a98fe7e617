"""Intel MKL: its DFTI functions called directly, and the package mkl_fft.

mkl_fft lets one thread transform at a time and spends 15 to 19 us a call; a call through ctypes takes 1 us
and releases the GIL.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property, lru_cache, partial
from importlib import import_module, metadata
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from gembench.engine.fft.library import CalledLibrary, FFTLibrary
from gembench.engine.fft.rows import Array, CalledRows, Native, RowTransforms, address_of, aligned_zeros

# Of mkl_dfti.h
_NUMBER_OF_TRANSFORMS, _CONJUGATE_EVEN_STORAGE, _PLACEMENT = 7, 10, 11
_INPUT_STRIDES, _OUTPUT_STRIDES, _INPUT_DISTANCE, _OUTPUT_DISTANCE, _THREAD_LIMIT = 12, 13, 14, 15, 27
_COMPLEX, _REAL, _SINGLE, _DOUBLE, _COMPLEX_COMPLEX, _INPLACE, _NOT_INPLACE = 32, 33, 35, 36, 39, 43, 44
_Long = ctypes.c_long


class MKL(CalledLibrary):
    """Intel MKL through its DFTI functions."""

    name = "mkl"
    modules = ("mkl", "mkl_fft")
    install = "pip install 'gembench[mkl]'"

    @classmethod
    def unavailable(cls) -> str | None:
        return super().unavailable() or _problem()

    def rfft2(self, a: Array) -> Array:
        if len(a) < 64:  # oneMKL 2026.2 is wrong for 40 and for 48 rows, but not one axis at a time
            mkl_fft = import_module("mkl_fft")
            return np.asarray(mkl_fft.fft(mkl_fft.rfft(a, axis=1), axis=0))
        return super().rfft2(a)

    def row_transforms(self, n: int, rows: int, dtype: DTypeLike) -> RowTransforms:
        return _MKLRows(self, n, rows, dtype)

    def transform(
        self, source: Array, target: Array, shape: tuple[int, ...], *, rows: bool, forward: bool
    ) -> None:
        """Transform `source` into `target`; other layouts than MKL is told of are copied."""
        if not target.flags.c_contiguous:
            whole = aligned_zeros(target.shape, target.dtype)
            self.transform(source, whole, shape, rows=rows, forward=forward)
            target[:] = whole
            return
        if not (source.strides[-1] == source.itemsize if rows else source.flags.c_contiguous):
            source = np.ascontiguousarray(source)
        descriptor = _descriptor(_Problem(
            (shape[0], shape[1]), rows, forward, source is target, source.dtype.char in "fF",
            source.strides[0] // source.itemsize, self.threads,
        ))
        compute = _library().DftiComputeForward if forward else _library().DftiComputeBackward
        _require(compute(descriptor, source.ctypes.data, target.ctypes.data))


class _MKLRows(CalledRows):
    """The transforms in place bound to their buffer, for 1 us a call instead of 4."""

    def fft(self) -> None:
        _require(self._bound[0]())

    def ifft(self) -> None:
        _require(self._bound[1]())

    def native(self, source: int, target: int, *, forward: bool, in_place: bool) -> Native:
        problem = _Problem((self.rows, self.n), True, forward, in_place, self.single, source,
                           self.library.threads)
        compute = _library().DftiComputeForward if forward else _library().DftiComputeBackward
        plan = _descriptor(problem).value
        assert plan is not None
        return Native(address_of(compute), plan, has_status=True)

    @cached_property
    def _bound(self) -> tuple[Callable[[], int], Callable[[], int]]:
        mkl, address = _library(), self.full.ctypes.data
        forward = _Problem(self.full.shape, True, True, True, self.single, self.n, self.library.threads)
        backward = forward._replace(forward=False)
        return (partial(mkl.DftiComputeForward, _descriptor(forward), address, address),
                partial(mkl.DftiComputeBackward, _descriptor(backward), address, address))


class MKLPackage(FFTLibrary):
    """Intel MKL through the package mkl_fft."""

    name = "mkl-fft"
    modules = ("mkl_fft", "mkl")
    install = "pip install 'gembench[mkl]'"

    def __init__(self, threads: int = 1) -> None:
        super().__init__(threads)
        import_module("mkl").set_num_threads(threads)

    def rfft2(self, a: Array) -> Array:
        mkl_fft = import_module("mkl_fft")
        if len(a) < 64:  # as above
            return np.asarray(mkl_fft.fft(mkl_fft.rfft(a, axis=1), axis=0))
        return np.asarray(mkl_fft.rfft2(a))

    def irfft2(self, spectrum: Array, shape: tuple[int, int]) -> Array:
        return np.asarray(import_module("mkl_fft").irfft2(spectrum, s=shape, norm="forward"))

    def rfft_rows(self, real: Array, half: Array) -> None:
        import_module("mkl_fft").rfft(real, axis=1, out=half)

    def irfft_rows(self, half: Array, real: Array) -> None:
        import_module("mkl_fft").irfft(half, n=real.shape[1], axis=1, norm="forward", out=real)

    def fft_rows(self, full: Array, *, inverse: bool) -> None:
        if inverse:
            import_module("mkl_fft").ifft(full, axis=1, norm="forward", out=full)
        else:
            import_module("mkl_fft").fft(full, axis=1, out=full)


@lru_cache
def _library() -> Any:
    """The MKL runtime that mkl-service has loaded. Raises OSError if it cannot be found."""
    for file in _runtimes():
        with suppress(OSError, AttributeError):
            library = ctypes.CDLL(file)
            for compute in (library.DftiComputeForward, library.DftiComputeBackward):
                compute.argtypes = [ctypes.c_void_p] * 3
            return library
    raise OSError("libmkl_rt, which mkl-service has loaded, is not found")


def _runtimes() -> Iterator[str]:
    """What may be the runtime: pip's file, what mkl-service's own module is linked to, a system's."""
    with suppress(metadata.PackageNotFoundError):
        yield from (str(file.locate()) for file in metadata.files("mkl") or () if "libmkl_rt" in file.name)
    for name in ("_py_mkl_service", "_mklinit"):
        yield str(getattr(getattr(import_module("mkl"), name, None), "__file__", "libmkl_rt.so"))
    yield from ("libmkl_rt.so.3", "libmkl_rt.so.2", "libmkl_rt.so", "mkl_rt.2.dll")


@lru_cache
def _problem() -> str | None:
    """Why the runtime cannot be called."""
    try:
        _library()
    except OSError as error:
        return f"installed but broken: {error}"
    return None


class _Problem(NamedTuple):
    """What a descriptor is made for.

    shape: (rows, columns) in space; rows: whether each row is transformed on its own
    distance: numbers from one row of the source to the next
    """

    shape: tuple[int, ...]
    rows: bool
    forward: bool
    in_place: bool
    single: bool
    distance: int
    threads: int


_descriptors_lock = threading.Lock()
_descriptors: dict[_Problem, ctypes.c_void_p] = {}


def _descriptor(problem: _Problem) -> ctypes.c_void_p:
    """The committed descriptor of one transform, made once for the process; threads may share it."""
    descriptor = _descriptors.get(problem)
    if descriptor is None:
        with _descriptors_lock:
            descriptor = _descriptors.get(problem) or _new_descriptor(problem)
            _descriptors[problem] = descriptor
    return descriptor


def _new_descriptor(problem: _Problem) -> ctypes.c_void_p:
    mkl, handle = _library(), ctypes.c_void_p()
    height, width = problem.shape
    half = width // 2 + 1
    precision = _SINGLE if problem.single else _DOUBLE
    domain = _COMPLEX if problem.in_place else _REAL
    if problem.rows:
        _require(mkl.DftiCreateDescriptor(ctypes.byref(handle), precision, domain, 1, _Long(width)))
        out = width if problem.in_place or not problem.forward else half
        values = [(_NUMBER_OF_TRANSFORMS, height), (_INPUT_DISTANCE, problem.distance),
                  (_OUTPUT_DISTANCE, out)]
    else:
        lengths = (_Long * 2)(height, width)
        _require(mkl.DftiCreateDescriptor(ctypes.byref(handle), precision, domain, 2, lengths))
        values = []
        strides = [(_Long * 3)(0, width, 1), (_Long * 3)(0, half, 1)]
        source, target = strides if problem.forward else strides[::-1]
        for name, stride in ((_INPUT_STRIDES, source), (_OUTPUT_STRIDES, target)):
            _require(mkl.DftiSetValue(handle, name, stride))
    values += [(_PLACEMENT, _INPLACE if problem.in_place else _NOT_INPLACE), (_THREAD_LIMIT, problem.threads)]
    if domain == _REAL:
        values.append((_CONJUGATE_EVEN_STORAGE, _COMPLEX_COMPLEX))
    for name, value in values:
        _require(mkl.DftiSetValue(handle, name, _Long(value)))
    _require(mkl.DftiCommitDescriptor(handle))
    return handle


def _require(status: int) -> None:
    if status:
        message = _library().DftiErrorMessage
        message.restype = ctypes.c_char_p
        raise RuntimeError(f"MKL: {message(_Long(status)).decode()}")
