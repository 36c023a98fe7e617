"""How the engine's loops over pixels are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

Kernel = Callable[..., Any]


def kernel(function: Kernel) -> Kernel:
    """Compiled without the GIL and kept on disk; IEEE division, since a zero divisor is masked afterwards."""
    return _compiled(function)


def summing(function: Kernel) -> Kernel:
    """The same for sums that may be added up in any order, several terms at a time."""
    return _compiled(function, fastmath={"reassoc", "contract", "nsz"})


def _compiled(function: Kernel, **options: Any) -> Kernel:
    try:
        compiled: Kernel = njit(nogil=True, error_model="numpy", cache=True, **options)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        compiled = njit(nogil=True, error_model="numpy", **options)(function)
    return compiled
