"""Plain text: one micrograph, a row per particle: x y, and the score if there is a third column."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gembench.engine.picks import FloatArray, Picks
from gembench.io.atomic import atomic_text
from gembench.io.checks import read_text
from gembench.io.coordinates.notes import Notes
from gembench.io.coordinates.rows import (
    NotCoordinatesError,
    is_number,
    malformed,
    numbers,
    text_rows,
    usable_scores,
)
from gembench.io.coordinates.star.write import Shape
from gembench.io.coordinates.tables import are_fractions, scaled

_ROW = "a row 'x y' or 'x y score'"
_OWN = ("# x y, pixels", "# x y score, pixels")
_OLD_CRYOLO = 7  # x y width height confidence, and two estimated sizes
_YOLO = (5, 6)  # class x y width height, fractions of the frame, and the confidence


def read_plain(path: Path, micrograph: str, notes: Notes, shape: Shape | None = None) -> list[Picks]:
    """The picks of a text file with columns x y or x y score, separated by white space or commas.

    # begins a comment; a file with comments only holds no picks; a heading of words is passed over; an
    unknown score may be 'nan'. A third column that is 0 throughout, or that a heading calls z, is no score.
    Seven columns are crYOLO's old boxes (corner, size, confidence, two estimated sizes); five or six within
    0..1 behind a class are YOLO's fractions of the frame.

    Raises InputError if the file is missing or empty, or a row is malformed.
    """
    picked: list[list[float]] = []
    heading: list[str] = []
    width = 0
    for line, row in text_rows(path):
        if not picked and not heading and not any(is_number(cell) for cell in row):
            heading = row
            continue
        width = width or _checked_width(path, line, row)
        if len(row) != width and not {len(row), width} <= {2, 3}:
            raise malformed(path, line, row, _ROW if width < 4 else f"a row of {width} columns")
        positions = numbers(path, line, row, row[:2] if width < 4 else row[:5], _ROW)
        score = row[2:3] if width < 4 else row[4:5] if width == _OLD_CRYOLO else row[5:6]
        if score and not is_number(score[0]):
            raise malformed(path, line, row, _ROW)
        picked.append([*positions, *map(float, score)] if score else [*positions, np.nan])
    if heading and not picked:
        raise NotCoordinatesError(f"{path}: holds no rows of numbers; give {_ROW}")
    if not picked:
        return [Picks(micrograph, np.empty(0), np.empty(0))]
    values = np.array(picked, dtype=np.float64)
    is_own = read_text(path).startswith(_OWN)
    if width in _YOLO:
        rest = Picks(micrograph, values[:, 1], values[:, 2], _scores(path, values[:, -1], notes))
        return scaled(path, [rest], shape, notes)
    if width == _OLD_CRYOLO:
        notes.add(path, "rows of seven columns are read as crYOLO's: corner, size, confidence, estimated"
                        " size")
        centres = values[:, :2] + values[:, 2:4] / 2
        return [Picks(micrograph, centres[:, 0], centres[:, 1], usable_scores(path, values[:, 4], notes))]
    if not is_own and _is_depth(path, values[:, 2], heading):
        notes.add(path, "the third column is z, not a score")
        values[:, 2] = np.nan
    picks = Picks(micrograph, values[:, 0], values[:, 1], _scores(path, values[:, 2], notes))
    if not is_own and are_fractions(picks.x, picks.y):
        return scaled(path, [picks], shape, notes)
    return [picks]


def write_plain(path: Path, picks: Picks) -> None:
    """Write positions and, where any is known, scores; nothing else fits the format.

    Raises InputError if the file cannot be written.
    """
    columns = [picks.x, picks.y]
    has_scores = not np.isnan(picks.score).all()
    if has_scores:
        columns.append(picks.score)
    rows = [" ".join(f"{float(value)!r}" for value in row) for row in zip(*columns, strict=True)]
    atomic_text(path, "\n".join([_OWN[has_scores], *rows]) + "\n")


def _checked_width(path: Path, line: int, row: list[str]) -> int:
    """How many columns the rows have, judged by the first; raises InputError if none of ours has so many."""
    if len(row) in (2, 3):
        return len(row)
    if len(row) == _OLD_CRYOLO and all(map(is_number, row)):
        return len(row)
    if len(row) in _YOLO and all(map(is_number, row)) and all(0 <= float(cell) <= 1 for cell in row[1:5]):
        return len(row)
    error = malformed(path, line, row, _ROW)
    raise error if all(map(is_number, row)) else NotCoordinatesError(str(error))


def _scores(path: Path, values: FloatArray, notes: Notes) -> FloatArray:
    """The scores, without a word if there are none at all."""
    return values if np.isnan(values).all() else usable_scores(path, values, notes)


def _is_depth(path: Path, third: FloatArray, heading: list[str]) -> bool:
    """Whether a third column is z: crYOLO's .coords, 0 throughout, or called so by a heading."""
    first = heading or read_text(path).split("\n", 1)[0].lstrip("#% ").replace(",", " ").split()
    called = first[2].lower() if len(first) > 2 else ""
    numbers = third[~np.isnan(third)]
    return len(numbers) > 0 and (
        path.suffix.lower() == ".coords" or called.startswith(("z", "coordinatez")) or not numbers.any()
    )
