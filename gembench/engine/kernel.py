"""How the engine's loops over pixels are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

Kernel = Callable[..., Any]


def kernel(function: Kernel) -> Kernel:
    """Compiled without the GIL and kept on disk; IEEE division, since a zero divisor is masked afterwards."""
    try:
        compiled: Kernel = njit(nogil=True, error_model="numpy", cache=True)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        compiled = njit(nogil=True, error_model="numpy")(function)
    return compiled
