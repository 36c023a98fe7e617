"""Euler angles of projections: plain text, a row 'rot tilt psi' each, or a RELION STAR file."""

from __future__ import annotations

import shlex
from pathlib import Path

from gembench.errors import InputError
from gembench.io.checks import read_text
from gembench.io.coordinates.rows import malformed, numbers, text_rows
from gembench.io.coordinates.starscan import scan_loops

Euler = tuple[float, float, float]

ANGLES = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
_ROW = "three angles 'rot tilt psi' in degrees"


def read_euler(path: str | Path) -> list[Euler]:
    """The (rot, tilt, psi) of every row of a file, in degrees, ZYZ as RELION has them.

    path: a .star file with the columns of `ANGLES`; any other is text with three numbers a row, separated
        by white space or commas, # beginning a comment

    Raises InputError if the file is missing or empty, holds no angles, or a row is malformed.
    """
    path = Path(path)
    found = _read_star(path) if path.suffix.lower() == ".star" else _read_text(path)
    if not found:
        raise InputError(f"{path}: holds no Euler angles; give rows of 'rot tilt psi' in degrees")
    return found


def _read_text(path: Path) -> list[Euler]:
    """Three numbers a row."""
    return [_angles(path, line, row) for line, row in text_rows(path)]


def _read_star(path: Path) -> list[Euler]:
    """The first loop that has all three columns."""
    for loop in scan_loops(path):
        if set(ANGLES) <= set(loop.columns):
            at = [loop.columns.index(name) for name in ANGLES]
            text = read_text(path).split("\n")
            rows = [(line, _columns(path, line, text[line - 1], len(loop.columns))) for line in loop.lines]
            return [_angles(path, line, [row[i] for i in at]) for line, row in rows]
    raise InputError(f"{path}: no loop with {', '.join(ANGLES)}; give a STAR file that has them")


def _columns(path: Path, line: int, row: str, count: int) -> list[str]:
    """The values of a row, which may be quoted."""
    try:
        values = shlex.split(row, comments=True)
    except ValueError:  # an open quote
        values = []
    if len(values) != count:
        raise malformed(path, line, row.split(), f"a row of {count} values")
    return values


def _angles(path: Path, line: int, row: list[str]) -> Euler:
    """Three finite numbers; raises InputError naming the line otherwise."""
    values = numbers(path, line, row, row if len(row) == 3 else ["not three"], _ROW)
    return values[0], values[1], values[2]
