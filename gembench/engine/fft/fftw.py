"""FFTW through pyfftw: plans made outside the clock, with wisdom kept in the user's cache."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any, ClassVar

from gembench.engine.fft.library import ALIGNMENT, Array, FFTLibrary, _module, aligned_zeros, complex_dtype


class FFTW(FFTLibrary):
    """FFTW with measured plans."""

    name = "fftw"
    modules = ("pyfftw",)
    install = "pip install 'gembench[fftw]'"
    effort: ClassVar[str] = "FFTW_MEASURE"

    def rfft2(self, a: Array) -> Array:
        spectrum = aligned_zeros((a.shape[0], a.shape[1] // 2 + 1), complex_dtype(a.dtype))
        self._execute("FFTW_FORWARD", (0, 1), a, spectrum)
        return spectrum

    def irfft2(self, spectrum: Array, shape: tuple[int, int]) -> Array:
        a = aligned_zeros(shape, spectrum.real.dtype)
        self._execute("FFTW_BACKWARD", (0, 1), spectrum, a)
        return a

    def rfft_rows(self, real: Array, half: Array) -> None:
        self._execute("FFTW_FORWARD", (1,), real, half)

    def irfft_rows(self, half: Array, real: Array) -> None:
        self._execute("FFTW_BACKWARD", (1,), half, real)

    def fft_rows(self, full: Array, *, inverse: bool) -> None:
        self._execute("FFTW_BACKWARD" if inverse else "FFTW_FORWARD", (1,), full, full)

    def _execute(self, direction: str, axes: tuple[int, ...], source: Array, target: Array) -> None:
        if not _plannable(source):
            copy = aligned_zeros(source.shape, source.dtype)
            copy[:] = source
            source = copy
        key = (direction, axes, source.shape, source.strides[0], target.shape, source.dtype.char,
               source is target, self.threads, self.effort)
        plan = _plans_of_this_thread.get(key)
        if plan is None:
            plan = _plans_of_this_thread[key] = _plan(key, source, target)
        plan.update_arrays(source, target)
        plan.execute()


class FFTWEstimate(FFTW):
    """FFTW with estimated plans, as gEMpicker used it."""

    name = "fftw-estimate"
    effort = "FFTW_ESTIMATE"


class _Plans(threading.local):
    """A pyfftw plan holds the arrays of its last call, so every thread has plans of its own."""

    def __init__(self) -> None:
        self._plans: dict[tuple[Any, ...], Any] = {}

    def get(self, key: tuple[Any, ...]) -> Any:
        return self._plans.get(key)

    def __setitem__(self, key: tuple[Any, ...], plan: Any) -> None:
        self._plans[key] = plan


_plans_of_this_thread = _Plans()
_planner_lock = threading.Lock()  # FFTW's planner is not thread-safe
_known_wisdom: set[tuple[Any, ...]] = set()


def _plannable(a: Array) -> bool:
    """Whether a plan can take the array as it lies: on a 64-byte boundary, in rows of adjacent elements."""
    row, element = a.strides
    return a.ctypes.data % ALIGNMENT == 0 and element == a.itemsize and row >= a.shape[1] * element


def _plan(key: tuple[Any, ...], source: Array, target: Array) -> Any:
    """A plan for arrays laid out like these; the same problem always gets the same plan, by wisdom."""
    direction, axes, *_, in_place, threads, effort = key
    pyfftw = _module("pyfftw")
    height, width = source.shape
    scratch_in = aligned_zeros((height, source.strides[0] // source.itemsize), source.dtype)[:, :width]
    scratch_out = scratch_in if in_place else aligned_zeros(target.shape, target.dtype)
    flags = (effort, "FFTW_DESTROY_INPUT") if direction == "FFTW_BACKWARD" else (effort,)
    with _planner_lock:
        if not _known_wisdom:
            _load_wisdom(pyfftw)
        plan = pyfftw.FFTW(scratch_in, scratch_out, axes, direction, flags, threads)
        if key not in _known_wisdom:
            _known_wisdom.add(key)
            _save_wisdom(pyfftw)
    return plan


def _wisdom_file() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "gembench" / "fftw-wisdom.json"


def _load_wisdom(pyfftw: Any) -> None:
    """Wisdom of another FFTW build or a damaged file is planned anew; nothing else depends on it."""
    try:
        pyfftw.import_wisdom(tuple(part.encode() for part in json.loads(_wisdom_file().read_text())))
    except (OSError, ValueError, TypeError, AttributeError, IndexError):
        pyfftw.forget_wisdom()


def _save_wisdom(pyfftw: Any) -> None:
    path = _wisdom_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps([part.decode() for part in pyfftw.export_wisdom()]))
        temporary.replace(path)
    except OSError:
        return  # a cache that cannot be written costs planning time only
