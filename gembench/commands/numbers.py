"""Numbers and paths of the command line: whole or real, within bounds that say why they are there."""

from __future__ import annotations

import argparse
import math
import os
import re
from collections.abc import Callable
from pathlib import Path

from gembench.machine import cores
from gembench.text import printable

UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
PIXELS = 16384  # of a side: no camera has more, and the largest now has 11,520


def whole(low: int, high: int, reason: str) -> Callable[[str], int]:
    """A parser of whole numbers from `low` to `high`; reason: why no more."""
    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{_short(text)}' is not a whole number") from None
        _require_within(text, value, low, high, reason)
        return value

    return number


def real(text: str) -> float:
    """A finite number."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{_short(text)}' is not a number") from None
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"'{_short(text)}' is not a finite number")
    return value


def threads(text: str) -> int:
    """A number of threads that this computer could make use of, four times its cores and 64 in any case."""
    high = max(64, 4 * cores())
    return whole(-high, high, f"this process may use {cores()} cores")(text)


def angle_step(text: str) -> float:
    """Degrees between turns; 0.01 moves the corner of a box of 1000 px by a tenth of a pixel."""
    if 0 < (value := real(text)) < 0.01:
        raise argparse.ArgumentTypeError(f"{_short(text)} is below 0.01: a finer turn moves no pixel")
    return value


def pixels(text: str) -> int:
    """A side in pixels; what is below 1 is refused by those who know what it is for."""
    return whole(-PIXELS, PIXELS, "no camera has more pixels")(text)


def resamples(text: str) -> int:
    """Resamples of a bootstrap."""
    return whole(-1, 100_000, "10,000 settle an interval to 1 %")(text)


def many(text: str) -> int:
    """A number of things."""
    return whole(-1, 1_000_000, "no computer makes so many in a month")(text)


def rounds(text: str) -> int:
    """Timed calls of a case."""
    return whole(1, 10_000, "the median of 100 has settled")(text)


def time_limit(text: str) -> int:
    """Seconds that a case may take."""
    return whole(1, 10**7, "that is four months")(text)


def seed(text: str) -> int:
    """What a random number generator starts from."""
    return whole(0, 2**63 - 1, "a seed has 63 bits")(text)


def views(text: str) -> list[int]:
    """`0,1` as a list of view numbers."""
    view = whole(0, 2**31 - 2, "a view is stored in 32 bits")
    return [view(part) for part in text.split(",") if part.strip()]


def symmetry(text: str) -> tuple[int, ...]:
    """`2,0` as the folds of each view; 0 is a disc."""
    try:
        folds = tuple(int(n) for n in text.split(","))
    except ValueError:
        message = f"'{_short(text)}' is not a number for each view such as 2,0"
        raise argparse.ArgumentTypeError(message) from None
    if max(folds) > 360:
        raise argparse.ArgumentTypeError(f"{max(folds)} is above 360: give 0 for a disc")
    return folds


def size(text: str) -> int:
    """Bytes of a size such as 800M or 4G, in units of 1024."""
    parts = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*([kmgt]?)(?:i?b)?", text.strip().lower())
    count = int(float(parts[1]) * UNITS[parts[2]]) if parts else 0
    if not count:
        raise argparse.ArgumentTypeError(f"'{_short(text)}' is not a size such as 800M or 4G")
    return count


def readable(text: str) -> Path:
    """A file or folder to read; nothing is not the current folder."""
    return _path(text, "name what to read, or . for the current folder")


def folder(text: str) -> Path:
    """A folder, or a folder or file, to write; nothing is not the current folder."""
    return _path(text, "name what to write, or . for the current folder")


def file(text: str) -> Path:
    """A file to write; nothing is none, nor is what ends as the name of a folder does."""
    path = _path(text, "name the file to write")
    if text.endswith(("/", os.sep)):
        raise argparse.ArgumentTypeError(f"'{_short(text)}' is the name of a folder: name the file to write")
    return path


def _path(text: str, remedy: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError(f"is empty: {remedy}")
    if "\0" in text:
        raise argparse.ArgumentTypeError(f"'{_short(printable(text))}' is no name: {remedy}")
    return Path(text)


def _require_within(text: str, value: int, low: int, high: int, reason: str) -> None:
    if value < low:
        raise argparse.ArgumentTypeError(f"{_short(text)} is below {low:,}")
    if value > high:
        raise argparse.ArgumentTypeError(f"{_short(text)} is above {high:,}: {reason}")


def _short(text: str) -> str:
    return text if len(text) <= 24 else text[:20] + "..."
