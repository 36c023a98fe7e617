"""EMAN1 .box files: one micrograph, a row per particle: x y width height, the corner; some add a score."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gembench.engine.picks import FloatArray, Picks
from gembench.errors import InputError
from gembench.io.atomic import atomic_text
from gembench.io.checks import read_text
from gembench.io.coordinates.notes import Notes
from gembench.io.coordinates.rows import is_number, malformed, numbers, usable_scores

_ROW = "a .box row 'x y width height'"
# EMAN1 writes -3 for a particle, and -1, 0, -2 for the first, middle and last box of a filament.
_PARTICLE, _MARKS = -3.0, {-1.0, 0.0, -2.0}


def read_box(path: Path, micrograph: str, notes: Notes) -> Picks:
    """The picks of a .box file; the centre is the corner + size // 2, a fifth column that differs the score.

    A heading is passed over; a file of blank lines says that there are no particles.

    Raises InputError if the file is missing or empty, a row is malformed, or boxes are those of filaments.
    """
    centres: list[tuple[float, float]] = []
    fifth: list[float] = []
    for line, text in enumerate(read_text(path).split("\n"), 1):
        if text.lstrip().lower().startswith(("#helix", "#segment length")):
            raise _filaments(path, line, text.strip())
        row = text.split("#")[0].replace(",", " ").split()
        if not row or (not centres and not any(is_number(cell) for cell in row)):
            continue
        if len(row) < 4:
            raise malformed(path, line, row, _ROW)
        x, y, width, height = numbers(path, line, row, row[:4], _ROW)
        if width < 1 or height < 1:
            raise malformed(path, line, row, _ROW + " with a positive size")
        centres.append((x + width // 2, y + height // 2))
        fifth.append(float(row[4]) if len(row) > 4 and is_number(row[4]) else np.nan)
    x_y = np.array(centres, dtype=np.float64).reshape(-1, 2)
    return Picks(micrograph, x_y[:, 0], x_y[:, 1], _scores(path, np.array(fifth), notes))


def write_box(path: Path, picks: Picks, box_size: int | None) -> None:
    """Write positions, rounded to whole pixels, as boxes of `box_size` px; nothing else fits the format.

    Raises InputError if `box_size` is missing or not positive, or the file cannot be written.
    """
    size = need_box_size(path, box_size)
    rows = [f"{int(x) - size // 2}\t{int(y) - size // 2}\t{size}\t{size}\n"
            for x, y in np.floor(picks.xy + 0.5).tolist()]
    atomic_text(path, "".join(rows) or "\n")


def need_box_size(path: Path, box_size: int | None) -> int:
    """The side of a box in pixels; raises InputError if it is not given, or not positive."""
    if box_size is None or box_size < 1:
        raise InputError(f"{path}: {path.suffix or 'this format'} holds a box size and {box_size} was given;"
                         " give it in pixels")
    return box_size


def _scores(path: Path, fifth: FloatArray, notes: Notes) -> FloatArray:
    """What the fifth column says, NaN if it is none, or EMAN1's mark of a particle."""
    values = set(fifth[~np.isnan(fifth)].tolist())
    if not values or values == {_PARTICLE}:
        return np.full(len(fifth), np.nan)
    if values <= _MARKS | {_PARTICLE}:
        if -1.0 in values and -2.0 in values:
            at = int(np.argmax(fifth == -1.0))
            raise _filaments(path, at + 1, f"{fifth[at]:g} in column 5")
        return np.full(len(fifth), np.nan)
    return usable_scores(path, fifth, notes)


def _filaments(path: Path, line: int, mark: str) -> InputError:
    return InputError(f"{path}:{line}: '{mark}' marks a filament, and gembench judges single particles;"
                      " export"
                      " particles without filaments")
