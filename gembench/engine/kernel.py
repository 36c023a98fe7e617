"""How the engine's loops over pixels are compiled, and kept on disk while their sources stay the same.

numba inlines kernels into each other and freezes constants, but looks only at the file of the kernel that it
loads: by itself it would go on with what an edited kernel in another file used to be. Ours are kept under a
stamp of the content of every file that has a part in them, whatever the time of the files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
from numba import njit
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.runtime.nrt import rtsys

Kernel = Callable[..., Any]


def kernel(function: Kernel) -> Kernel:
    """Compiled without the GIL and kept on disk; IEEE division, since a zero divisor is masked afterwards."""
    return _compiled(function)


def summing(function: Kernel) -> Kernel:
    """The same for sums that may be added up in any order, several terms at a time."""
    return _compiled(function, "contract", "nsz", "reassoc")


def _compiled(function: Kernel, *fastmath: str) -> Kernel:
    compiled: Any = njit(nogil=True, error_model="numpy", fastmath=set(fastmath))(function)
    try:
        _file_digest(function.__code__.co_filename)  # now, while the file is what was imported
        compiled._cache = _KernelCache(function, fastmath)
    except (RuntimeError, OSError):  # neither the package's folder nor the user's cache can be written
        pass
    return compiled  # type: ignore[no-any-return]


class _KernelCache(FunctionCache):
    """numba's cache of one kernel, stamped when first asked: by then all that the kernel calls is there."""

    def __init__(self, function: Kernel, fastmath: tuple[str, ...]) -> None:
        super().__init__(function)
        self._function, self._fastmath, self._stamped = function, fastmath, False

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The kept code for the arguments' types, or None.

        numba's own way first loads all that it could compile with, which takes a second; what is compiled
        needs only the memory of its arrays.
        """
        self._stamp()
        rtsys.initialize(target_context)
        return self._load_overload(sig, target_context)

    def save_overload(self, sig: Any, data: Any) -> None:
        self._stamp()
        super().save_overload(sig, data)

    def _stamp(self) -> None:
        if not self._stamped:
            own = (stamp(self._function), self._fastmath)
            self._cache_file = IndexDataCacheFile(self._cache_path, self._impl.filename_base, own)
            self._stamped = True


def stamp(function: Kernel) -> str:
    """SHA-256 of all that compiled code of `function` depends on.

    That is the files of the function and of every function of this package that it calls, directly or not,
    and the values of the constants that they name, wherever those are defined.
    """
    parts = sorted(set(_parts(function, set())))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@cache
def _file_digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _parts(function: Any, seen: set[CodeType]) -> Iterator[str]:
    """The files' digests and the constants of a function and what it calls."""
    code = function.__code__
    if code in seen:
        return
    seen.add(code)
    yield f"{function.__module__}: {_file_digest(code.co_filename)}"
    yield from _parts_of_names(_names(code), function.__globals__, function, seen)


def _names(code: CodeType) -> set[str]:
    """The names that code loads from its module or from another's, nested functions included."""
    nested = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*map(_names, nested))


def _parts_of_names(
    names: set[str], values: Mapping[str, Any], function: Any, seen: set[CodeType]
) -> Iterator[str]:
    """Those of the names in a module that `function` uses; other packages are known by their versions."""
    own = {__name__.split(".")[0], function.__module__.split(".")[0]}
    for name in names & values.keys():
        value = values[name]
        value = getattr(value, "py_func", getattr(value, "_defn", value))  # of a kernel, of an intrinsic
        if isinstance(value, FunctionType):
            if value.__module__.split(".")[0] in own:
                yield from _parts(value, seen)
        elif isinstance(value, ModuleType):
            if value.__name__.split(".")[0] in own:
                yield from _parts_of_names(names, vars(value), function, seen)
        elif isinstance(value, np.ndarray):
            yield f"{name} = {value.dtype} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
        else:
            yield f"{name} = {getattr(value, '__qualname__', repr(value))}"
