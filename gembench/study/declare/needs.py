"""The cores and the memory that a case needs: why it is skipped where they are not, '' where they are."""

from __future__ import annotations

import os

ROOM = 0.9  # of the machine's memory that a case may take
ITEM = {"float32": 4, "float64": 8}  # bytes


def no_cores(count: int) -> str:
    """Why there are not `count` cores."""
    there = os.cpu_count() or 1
    return f"this machine has {there} cores" if count > there else ""


def no_memory(who: str, numbers: float, precision: str = "float32") -> str:
    """Why so many numbers of a precision do not fit; `who` needs them, a plural."""
    from gembench.machine import memory

    need, there = numbers * ITEM[precision] / 2**30, memory() / 2**30
    return f"{who} need {need:.0f} GiB of {there:.0f}" if need > ROOM * there else ""
