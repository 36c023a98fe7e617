"""gEMpicker's own coordinate text: one micrograph, a heading line, then seven columns a particle.

Columns: 1 name or number, 2 correlation, 3 X, 4 Y, 5 box size, 6 number of the reference (from 1),
7 angle in degrees. The program's frame is turned against ours: our x is the micrograph's width - column 4,
our y is column 3, and our psi, like RELION's, is the negative of column 7. No document of the format is
known to us; this is what conversion scripts in public use say, and they leave about 1 px open in both
directions.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from gembench.engine.picks import FloatArray, Picks
from gembench.io.atomic import atomic_text
from gembench.io.checks import log, read_text
from gembench.io.coordinates.box import need_box_size
from gembench.io.coordinates.rows import indices, is_number, malformed, numbers

_COLUMNS = 7
_ROW = "a gEMpicker row of 7 columns (name, score, X, Y, box, reference, angle)"


def is_gempicker(path: Path) -> bool:
    """Whether the text is gEMpicker's: a heading and rows of 7 columns with its numbers, or the heading '0'.

    Others write rows of seven columns too, crYOLO without a heading; gEMpicker's hold a
    whole size of the box and the number of a reference.
    """
    rows = [row.split() for row in read_text(path).split("\n") if row.strip()]
    if len(rows) < 2:
        return rows == [["0"]]
    if len(rows[0]) == _COLUMNS and all(map(is_number, rows[0])):
        return False
    first = rows[1]
    if len(first) != _COLUMNS or not all(map(is_number, first[1:])):
        return False
    box, reference = float(first[4]), float(first[5])
    return box >= 1 and box.is_integer() and reference >= 0 and reference.is_integer()


def read_gempicker(path: Path, micrograph: str, width: int) -> Picks:
    """The picks of a gEMpicker text file on a micrograph of `width` columns, good to about 1 px.

    The reference becomes the view (from 0), the angle psi in [0, 360).

    Raises InputError if the file is missing or empty, or a row is malformed.
    """
    lines = read_text(path).splitlines()
    picked = []
    for line, row in enumerate(map(str.split, lines[1:]), 2):
        if not row:
            continue
        if len(row) != _COLUMNS:
            raise malformed(path, line, row, _ROW)
        picked.append(numbers(path, line, row, row[1:], _ROW))
    heading = lines[0].split()
    if heading and re.fullmatch("[0-9]{1,9}", heading[0]) and int(heading[0]) != len(picked):
        log.warning("%s: the heading says %s picks but there are %d; is the file whole?",
                    path, heading[0], len(picked))
    score, column_3, column_4, _, reference, angle = np.array(picked).reshape(-1, 6).T
    view = indices(path, "reference", reference - 1)
    return Picks(micrograph, width - column_4, column_3, score, view=view, psi=_reversed(angle))


def write_gempicker(path: Path, picks: Picks, width: int, box_size: int | None) -> None:
    """Write picks on a micrograph of `width` columns as gEMpicker does; template index and label do not fit.

    An unknown score, view or psi is written as 0.

    Raises InputError if `box_size` is missing or not positive, or the file cannot be written.
    """
    box_size = need_box_size(path, box_size)
    score, angle = np.nan_to_num(picks.score), _reversed(np.nan_to_num(picks.psi))
    rows = [f"{n + 1} {float(score[n])!r} {float(picks.y[n])!r} {float(width - picks.x[n])!r} {box_size}"
            f" {picks.view[n] + 1} {float(angle[n])!r}\n" for n in range(len(picks))]
    atomic_text(path, f"{len(picks)}\n" + "".join(rows))


def _reversed(angle: FloatArray) -> FloatArray:
    """The same angle counted the other way, in [0, 360), degrees rounded to 1e-9."""
    return np.round(-angle % 360, 9) % 360
