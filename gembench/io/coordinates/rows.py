"""Rows of coordinate files: numbers with their place in the file, scores, and rows gathered by micrograph."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gembench.engine.picks import FloatArray, IntArray, Picks
from gembench.errors import InputError
from gembench.io.checks import read_text
from gembench.io.coordinates.notes import Notes
from gembench.io.names import with_slashes

UNSET = -999.0  # what RELION and crYOLO write for a value that they do not know


class NotCoordinatesError(InputError):
    """A file that holds no coordinates at all; a folder may hold such files, which are then left out."""


def text_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and columns of each row of a text file.

    Columns are separated by white space or commas; # begins a comment; blank lines are passed over.

    Raises InputError if the file is missing, empty or not text.
    """
    for line, row in enumerate(read_text(path).splitlines(), 1):
        columns = row.split("#")[0].replace(",", " ").split()
        if columns:
            yield line, columns


def is_number(text: str) -> bool:
    """Whether the text is a number, nan and inf included."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def malformed(path: Path, line: int, row: Sequence[str], needed: str) -> InputError:
    """The error for a row that is not what the format asks for."""
    return InputError(f"{path}:{line}: '{_shown(row)}' is not {needed}; correct or delete the row")


def _shown(row: Sequence[str]) -> str:
    """The beginning of a row."""
    text = " ".join(row)
    return text if len(text) <= 160 else text[:160] + "..."


def numbers(path: Path, line: int, row: Sequence[str], columns: Sequence[str], needed: str) -> list[float]:
    """The finite numbers that `columns`, taken from `row`, hold; raises InputError otherwise."""
    try:
        values = [float(column) for column in columns]
    except ValueError as error:
        raise malformed(path, line, row, needed) from error
    if not all(map(math.isfinite, values)):
        raise InputError(f"{path}:{line}: '{_shown(row)}' holds a number that is not finite;"
                         " correct or delete the row")
    return values


def usable_scores(path: Path, values: FloatArray, notes: Notes) -> FloatArray:
    """The scores (n,), NaN where there is none: nan, inf, and what stands for unset. They are noted."""
    unknown = ~np.isfinite(values) | (values == UNSET)
    if unknown.any() and notes.scores:
        text = ("none of {total} picks has a score (nan, inf, -999 or empty)" if unknown.all() else
                "{count} of {total} picks have no score (nan, inf, -999 or empty): they count, and are not"
                " ranked")
        notes.add(path, text, int(np.count_nonzero(unknown)), len(values))
    return np.where(unknown, np.nan, values)


def indices(path: Path, name: str, values: FloatArray) -> IntArray:
    """The whole numbers (n,) of a column as they are stored, -1 for NaN.

    Raises InputError for a number that 32 bits do not hold.
    """
    filled = np.nan_to_num(values, nan=-1.0)
    wrong = np.abs(filled) >= 2.0**31
    if wrong.any():
        raise InputError(f"{path}: {name} {filled[np.argmax(wrong)]:g} is beyond a number of 32 bits;"
                         " correct or delete the row")
    return filled.astype(np.int32)


@dataclass(frozen=True)
class Names:
    """The micrograph of every row: names that differ, and for each row (n,) the index of its name."""

    distinct: list[str]
    index: NDArray[np.int64]

    @classmethod
    def of(cls, names: Iterable[str]) -> Names:
        """From the name of every row."""
        seen: dict[str, int] = {}
        index = [seen.setdefault(name, len(seen)) for name in names]
        return cls(list(seen), np.array(index, np.int64))

    @classmethod
    def same(cls, name: str, count: int) -> Names:
        """One name for `count` rows."""
        return cls([name] if count else [], np.zeros(count, np.int64))


def by_micrograph(
    path: Path, names: Names, picks: Picks, pixel_sizes: NDArray[np.float64] | None = None
) -> list[Picks]:
    """The rows of one table as one Picks per micrograph, in the order in which micrographs appear.

    names: the micrograph of each row, with its folder
    picks: all rows; its own micrograph name is not used
    pixel_sizes: A/px of each row, NaN if unknown

    Raises InputError if a name is empty, or if one micrograph has rows of several pixel sizes.
    """
    if not len(names.index):
        return []
    counts = np.bincount(names.index, minlength=len(names.distinct))
    groups = np.split(np.argsort(names.index, kind="stable"), np.cumsum(counts)[:-1])
    gathered = []
    for full, rows in zip(names.distinct, groups, strict=True):
        name = with_slashes(full)
        if not name.rpartition("/")[2]:
            raise InputError(f"{path}: a row has no micrograph name; name it in every row")
        chosen = replace(picks[rows], micrograph=name)
        if pixel_sizes is not None:
            chosen = replace(chosen, pixel_size=_shared_pixel_size(path, name, pixel_sizes[rows]))
        gathered.append(chosen)
    return gathered


def _shared_pixel_size(path: Path, name: str, sizes: NDArray[np.float64]) -> float | None:
    """The pixel size that all rows of a micrograph share; None if unknown."""
    distinct = np.unique(sizes)
    if len(distinct) > 1:
        raise InputError(f"{path}: micrograph {name} has rows of {distinct[0]:g} and {distinct[1]:g} A/px;"
                         " give it one pixel size")
    return float(distinct[0]) if distinct[0] > 0 else None
