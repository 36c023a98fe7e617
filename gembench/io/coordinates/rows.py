"""Rows of coordinate files: numbers with their place in the file, and rows gathered by micrograph."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.io.checks import read_text


def text_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and columns of each row of a text file.

    Columns are separated by white space or commas; # begins a comment; blank lines are passed over.

    Raises InputError if the file is missing, empty or not text.
    """
    for line, row in enumerate(read_text(path).splitlines(), 1):
        columns = row.split("#")[0].replace(",", " ").split()
        if columns:
            yield line, columns


def malformed(path: Path, line: int, row: Sequence[str], needed: str) -> InputError:
    """The error for a row that is not what the format asks for."""
    return InputError(f"{path}:{line}: '{' '.join(row)}' is not {needed}; correct or delete the row")


def numbers(path: Path, line: int, row: Sequence[str], columns: Sequence[str], needed: str) -> list[float]:
    """The finite numbers that `columns`, taken from `row`, hold; raises InputError otherwise."""
    try:
        values = [float(column) for column in columns]
    except ValueError as error:
        raise malformed(path, line, row, needed) from error
    if not all(map(math.isfinite, values)):
        raise InputError(f"{path}:{line}: '{' '.join(row)}' holds a number that is not finite;"
                         " correct or delete the row")
    return values


def by_micrograph(path: Path, names: Sequence[str], picks: Picks,
                  pixel_sizes: NDArray[np.float64] | None = None) -> list[Picks]:
    """The rows of one table as one Picks per micrograph, in the order in which micrographs appear.

    names: micrograph of each row, with or without its folder, which is dropped
    picks: all rows; its own micrograph name is not used
    pixel_sizes: A/px of each row, NaN if unknown

    Raises InputError if two folders hold a micrograph of one name, or if one has rows of several pixel sizes.
    """
    if not names:
        return []
    unique, first, inverse = np.unique(np.asarray(names), return_index=True, return_inverse=True)
    groups = np.split(np.argsort(inverse, kind="stable"), np.cumsum(np.bincount(inverse))[:-1])
    seen: dict[str, str] = {}
    gathered = []
    for at in np.argsort(first):
        full, name = str(unique[at]), PurePosixPath(str(unique[at])).name
        if not name:
            raise InputError(f"{path}: a row has no micrograph name; name it in every row")
        if name in seen:
            raise InputError(f"{path}: micrograph {name} stands for both {seen[name]} and {full};"
                             " rename one of them")
        seen[name] = full
        chosen = replace(picks[groups[at]], micrograph=name)
        if pixel_sizes is not None:
            chosen = replace(chosen, pixel_size=_one_pixel_size(path, name, pixel_sizes[groups[at]]))
        gathered.append(chosen)
    return gathered


def _one_pixel_size(path: Path, name: str, sizes: NDArray[np.float64]) -> float | None:
    """The pixel size that all rows of a micrograph share; None if unknown."""
    distinct = np.unique(sizes)
    if len(distinct) > 1:
        raise InputError(f"{path}: micrograph {name} has rows of {distinct[0]:g} and {distinct[1]:g} A/px;"
                         " give it one pixel size")
    return float(distinct[0]) if distinct[0] > 0 else None
