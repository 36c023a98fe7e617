"""Plain text: one micrograph, a row per particle: x y, and the score if there is a third column."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gembench.engine.picks import Picks
from gembench.io.atomic import atomic_text
from gembench.io.coordinates.rows import malformed, numbers, text_rows

_ROW = "a row 'x y' or 'x y score'"


def read_plain(path: Path, micrograph: str) -> Picks:
    """The picks of a text file with columns x y or x y score, separated by white space or commas.

    # begins a comment; a file with comments only holds no picks; a score may be 'nan'.

    Raises InputError if the file is missing or empty, or a row is malformed.
    """
    picked = []
    for line, row in text_rows(path):
        if len(row) not in (2, 3):
            raise malformed(path, line, row, _ROW)
        x, y = numbers(path, line, row, row[:2], _ROW)
        unknown = len(row) == 2 or row[2].lower() == "nan"
        score = np.nan if unknown else numbers(path, line, row, row[2:], _ROW)[0]
        picked.append((x, y, score))
    x_y_score = np.array(picked, dtype=np.float64).reshape(-1, 3)
    return Picks(micrograph, *x_y_score.T)


def write_plain(path: Path, picks: Picks) -> None:
    """Write positions and, where any is known, scores; nothing else fits the format.

    Raises InputError if the file cannot be written.
    """
    columns = [picks.x, picks.y]
    heading = "# x y"
    if not np.isnan(picks.score).all():
        columns.append(picks.score)
        heading += " score"
    rows = [" ".join(f"{float(value)!r}" for value in row) for row in zip(*columns, strict=True)]
    atomic_text(path, "\n".join([heading, *rows]) + "\n")
