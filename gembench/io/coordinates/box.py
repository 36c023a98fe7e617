"""EMAN1 .box files: one micrograph, a row per particle: x y width height, the corner as integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.io.atomic import atomic_text
from gembench.io.coordinates.rows import malformed, numbers, text_rows

_ROW = "a .box row 'x y width height'"


def read_box(path: Path, micrograph: str) -> Picks:
    """The picks of a .box file; the centre is the corner + size // 2, further columns are not used.

    A file of blank lines only says that there are no particles.

    Raises InputError if the file is missing or empty, or a row is malformed.
    """
    centres = []
    for line, row in text_rows(path):
        if len(row) < 4:
            raise malformed(path, line, row, _ROW)
        x, y, width, height = numbers(path, line, row, row[:4], _ROW)
        if width < 1 or height < 1:
            raise malformed(path, line, row, _ROW + " with a positive size")
        centres.append((x + width // 2, y + height // 2))
    x_y = np.array(centres, dtype=np.float64).reshape(-1, 2)
    return Picks(micrograph, x_y[:, 0], x_y[:, 1])


def write_box(path: Path, picks: Picks, box_size: int | None) -> None:
    """Write positions, rounded to whole pixels, as boxes of `box_size` px; nothing else fits the format.

    Raises InputError if `box_size` is missing or not positive, or the file cannot be written.
    """
    if box_size is None or box_size < 1:
        raise InputError(f"{path}: .box files hold a box size and {box_size} was given; give it in pixels")
    corners = np.floor(picks.xy + 0.5).astype(np.int64) - box_size // 2
    rows = [f"{x}\t{y}\t{box_size}\t{box_size}\n" for x, y in corners]
    atomic_text(path, "".join(rows) or "\n")
