"""`--memory`: what a process may hold, and what of it is left for the search."""

from __future__ import annotations

import argparse
import re
from math import inf

from gembench.errors import InputError

UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
RESERVE = 160 * 2**20  # bytes: compiled loops, FFT library and buffers that appear while the search runs


def size(text: str) -> int:
    """Bytes of a size such as 800M or 4G, in units of 1024.

    Raises argparse.ArgumentTypeError for anything else, and for 0.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", text.strip().lower())
    given = int(float(found[1]) * UNITS[found[2]]) if found else 0
    if not given:
        raise argparse.ArgumentTypeError(f"'{text}' is not a size such as 800M or 4G")
    return given


def left_for_search(limit: int | None) -> float:
    """Bytes of `limit` that this process does not hold yet; infinite without one.

    Raises InputError if there are none.
    """
    if limit is None:
        return inf
    import psutil

    held = int(psutil.Process().memory_info().rss) + RESERVE
    if held >= limit:
        raise InputError(f"--memory {limit / 2**20:.0f}M: a process holds {held / 2**20:.0f} MiB before it"
                         " searches: allow more")
    return limit - held
