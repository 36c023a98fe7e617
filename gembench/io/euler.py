"""Euler angles of projections: plain text, a row 'rot tilt psi' each, or a RELION STAR file."""

from __future__ import annotations

from pathlib import Path

from gembench.errors import InputError
from gembench.io.coordinates.rows import numbers, text_rows
from gembench.io.coordinates.star.scan import scan_loops

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
    angles = _read_star(path) if path.suffix.lower() == ".star" else _read_text(path)
    if not angles:
        raise InputError(f"{path}: holds no Euler angles; give rows of 'rot tilt psi' in degrees")
    return angles


def _read_text(path: Path) -> list[Euler]:
    """Three numbers a row."""
    return [_angles(path, line, row) for line, row in text_rows(path)]


def _read_star(path: Path) -> list[Euler]:
    """The first loop that has all three columns."""
    for loop in scan_loops(path):
        if set(ANGLES) <= set(loop.columns):
            columns = loop.numbers(ANGLES, ANGLES)
            return [(float(rot), float(tilt), float(psi))
                    for rot, tilt, psi in zip(*(columns[name] for name in ANGLES), strict=True)]
    raise InputError(f"{path}: no loop with {', '.join(ANGLES)}; give a STAR file that has them")


def _angles(path: Path, line: int, row: list[str]) -> Euler:
    """Three finite numbers; raises InputError naming the line otherwise."""
    values = numbers(path, line, row, row if len(row) == 3 else ["not three"], _ROW)
    return values[0], values[1], values[2]
