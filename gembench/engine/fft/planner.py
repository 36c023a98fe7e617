"""FFTW's C functions in pyfftw's libraries: plans that all threads share, and that all processes make alike.

FFTW measures which plan is fastest, and another plan rounds otherwise. So what was measured is kept as wisdom
in the user's cache, and a process measures only while no other does, after it has read what they found.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gembench.engine.fft import cache
from gembench.engine.fft.rows import aligned_zeros, complex_dtype

# Of fftw3.h
_FORWARD, _BACKWARD = -1, 1
MEASURE, _DESTROY_INPUT, ESTIMATE, _WISDOM_ONLY = 0, 1 << 0, 1 << 6, 1 << 21
_PREFIX = {True: "fftwf", False: "fftw"}  # by single precision


class Problem(NamedTuple):
    """What a plan is made for.

    shape: (rows, columns) in space; rows: whether each row is transformed on its own
    real: whether the data in space are; in_place: complex rows then; single: precision
    source, target: numbers from one row to the next; threads: inside one transform
    """

    shape: tuple[int, int]
    rows: bool
    forward: bool
    real: bool
    in_place: bool
    single: bool
    source: int
    target: int
    threads: int

    @property
    def kind(self) -> str:
        """What FFTW calls it."""
        if not self.real:
            return "dft"
        return "dft_r2c" if self.forward else "dft_c2r"


class Functions:
    """FFTW's functions of one precision, by their names without the prefix.

    Raises OSError or AttributeError if pyfftw brings no FFTW that can be used.
    """

    def __init__(self, single: bool) -> None:
        library, prefix = ctypes.CDLL(str(_file(single))), _PREFIX[single]
        arrays: list[Any] = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int] * 2
        sign: list[Any]
        for kind, sign in (("dft", [ctypes.c_int]), ("dft_r2c", []), ("dft_c2r", [])):
            plan, execute = library[f"{prefix}_plan_many_{kind}"], library[f"{prefix}_execute_{kind}"]
            plan.restype = ctypes.c_void_p
            plan.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int, *arrays, *sign, ctypes.c_uint]
            execute.restype, execute.argtypes = None, [ctypes.c_void_p] * 3
            setattr(self, f"plan_many_{kind}", plan)
            setattr(self, f"execute_{kind}", execute)
        self.import_wisdom_from_string = library[f"{prefix}_import_wisdom_from_string"]
        self.export_wisdom_to_string = library[f"{prefix}_export_wisdom_to_string"]
        self.export_wisdom_to_string.restype = ctypes.c_void_p
        self.forget_wisdom = library[f"{prefix}_forget_wisdom"]
        # Where it can: use threads, and lock the planner against pyfftw's own use of it.
        for name in ("init_threads", "make_planner_thread_safe"):
            getattr(library, f"{prefix}_{name}", int)()
        self.plan_with_nthreads: Callable[[int], Any] = getattr(library, f"{prefix}_plan_with_nthreads", int)

    def plan_many(self, kind: str) -> Callable[..., int | None]:
        """The function that plans many 'dft', 'dft_r2c' or 'dft_c2r'."""
        function: Callable[..., int | None] = getattr(self, f"plan_many_{kind}")
        return function

    def execute(self, kind: str) -> Any:
        """The function that executes such a plan."""
        return getattr(self, f"execute_{kind}")


@lru_cache
def functions(single: bool) -> Functions:
    """FFTW of one precision, loaded once. Raises what `Functions` raises."""
    return Functions(single)


def _file(single: bool) -> Path:
    """What to load: the extension module, through which all that it needs is seen, but on Windows."""
    spec = find_spec("pyfftw")
    if spec is None or not spec.submodule_search_locations:
        raise OSError("no module named 'pyfftw'")
    folder = Path(next(iter(spec.submodule_search_locations)))
    windows = f"libfftw3{'f' if single else ''}-*.dll"
    files = sorted(folder.glob(windows if sys.platform == "win32" else "pyfftw.*.so"))
    if not files:
        raise OSError(f"{folder} holds no library of FFTW's")
    return files[0]


_lock = threading.RLock()  # FFTW's planner is not thread-safe
_plans: dict[tuple[Problem, int], int] = {}
_learnt: dict[bool, str] = {}  # another process's wisdom, by precision


def plan(problem: Problem, effort: int) -> int:
    """The address of the plan for a problem, made once for the process; threads may execute it at once.

    effort: MEASURE or ESTIMATE. Raises RuntimeError if FFTW cannot do it.
    """
    at_hand = _plans.get((problem, effort))
    if at_hand is None:
        with _lock:
            at_hand = _plans.get((problem, effort)) or _new(problem, effort)
            _plans[problem, effort] = at_hand
    return at_hand


def _new(problem: Problem, effort: int) -> int:
    single = problem.single
    if effort == ESTIMATE:
        _forget(single)  # what was measured would be taken
        return _made(problem, ESTIMATE)
    if single in _learnt:
        _start_from(single, _learnt[single])
        if made := _made(problem, effort | _WISDOM_ONLY, or_none=True):
            return made
    path = wisdom_file(single)
    with cache.alone(path.with_suffix(".lock")) as is_alone:
        read = _read(path)
        _start_from(single, read)
        if not is_alone:  # then what others measure is not seen: what all estimate alike, unless it is known
            return _made(problem, effort | _WISDOM_ONLY, or_none=True) or _made(problem, ESTIMATE)
        made = _made(problem, effort)
        wisdom = _wisdom(single)
        if wisdom != read:
            _keep(path, wisdom)
    return made


def wisdom_file(single: bool) -> Path:
    """Where the wisdom of one precision is kept."""
    return cache.machine_folder() / f"{_PREFIX[single]}.wisdom"


def wisdom() -> dict[bool, str]:
    """What has been measured here so far, by single precision, for another machine of the kind."""
    with _lock:
        return {single: _read(wisdom_file(single)) or _wisdom(single) for single in _PREFIX}


def learn(texts: dict[bool, str]) -> None:
    """Plan from now on as the process does whose `wisdom` this is, where it says how."""
    with _lock:
        _learnt.update(texts)


def library_takes(single: bool, text: str) -> bool:
    """Whether wisdom is of this build of FFTW on this kind of CPU; it is added to what there is."""
    take = functions(single).import_wisdom_from_string
    return bool(text and take(ctypes.c_char_p(text.encode())))


def _start_from(single: bool, text: str) -> None:
    """Start from this wisdom alone; that of another build and damaged wisdom are planned anew."""
    _forget(single)
    if not library_takes(single, text):
        _forget(single)


def _forget(single: bool) -> None:
    functions(single).forget_wisdom()


def _wisdom(single: bool) -> str:
    address: int = functions(single).export_wisdom_to_string()
    text = ctypes.string_at(address).decode()
    _free(address)
    return text


def _free(address: int) -> None:
    """Give back what FFTW has allocated by malloc; on Windows, of another run-time library, it is kept."""
    if sys.platform != "win32":
        free = ctypes.CDLL(None).free
        free.restype, free.argtypes = None, [ctypes.c_void_p]
        free(address)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def _keep(path: Path, text: str) -> None:
    try:
        cache.write(path, text)
    except OSError:
        return  # no space left: the next process plans anew


def _made(problem: Problem, flags: int, *, or_none: bool = False) -> int:
    """A plan for arrays that start on a cache line; measuring overwrites arrays of its own."""
    (height, width), fftw = problem.shape, functions(problem.single)
    real = np.dtype(np.float32 if problem.single else np.float64)
    source = aligned_zeros((height, problem.source),
                           real if problem.kind == "dft_r2c" else complex_dtype(real))
    target = source if problem.in_place else aligned_zeros(
        (height, problem.target), real if problem.kind == "dft_c2r" else complex_dtype(real)
    )
    sign = [_FORWARD if problem.forward else _BACKWARD] if problem.kind == "dft" else []
    sizes = [width] if problem.rows else [height, width]
    fftw.plan_with_nthreads(problem.threads)
    made = fftw.plan_many(problem.kind)(
        len(sizes), _integers(sizes), height if problem.rows else 1,
        source.ctypes.data, _integers([height, problem.source][-len(sizes) :]), 1, problem.source,
        target.ctypes.data, _integers([height, problem.target][-len(sizes) :]), 1, problem.target,
        *sign, flags if problem.forward else flags | _DESTROY_INPUT,
    )
    if not made and not or_none:
        raise RuntimeError(f"FFTW has no plan for {problem}")
    return made or 0


def _integers(values: list[int]) -> Any:
    return (ctypes.c_int * len(values))(*values)
