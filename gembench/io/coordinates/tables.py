"""CSV and TSV tables with named columns: picks of any number of micrographs, with everything a pick has."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gembench.engine.picks import FloatArray, IntArray, Picks
from gembench.errors import InputError
from gembench.io.atomic import atomic_text
from gembench.io.checks import read_text
from gembench.io.coordinates.rows import by_micrograph, malformed, numbers
from gembench.io.coordinates.star import relion_view

FIELDS = ("micrograph", "x", "y", "score", "template", "view", "psi", "label", "pixel_size")

# Headings of other programs, in lower case and without anything but letters and digits.
_SYNONYMS = {
    "micrograph": ("micrograph", "micrographname", "rlnmicrographname", "filename", "image"),
    "x": ("x", "xcoordinate", "xcoord", "coordinatex", "rlncoordinatex", "centerx", "centrex", "xcenter",
          "xcentre"),
    "y": ("y", "ycoordinate", "ycoord", "coordinatey", "rlncoordinatey", "centery", "centrey", "ycenter",
          "ycentre"),
    "score": ("score", "fom", "figureofmerit", "autopickfigureofmerit", "rlnautopickfigureofmerit", "ncc",
              "correlation", "confidence", "probability"),
    "template": ("template", "templateindex"),
    "view": ("view",),
    "class_number": ("classnumber", "rlnclassnumber"),
    "psi": ("psi", "anglepsi", "rlnanglepsi"),
    "label": ("label", "class", "type"),
    "pixel_size": ("pixelsize", "apix", "rlnmicrographpixelsize"),
}
_FIELD_OF = {synonym: name for name, synonyms in _SYNONYMS.items() for synonym in synonyms}
_TEXT_FIELDS = ("micrograph", "label")


def read_table(path: Path, micrograph: str) -> list[Picks]:
    """The picks of a CSV (comma or semicolon) or TSV file, one Picks per micrograph.

    Columns are found by name, whatever their case: x and y, and if present micrograph, score, template,
    view, psi, label, pixel_size and the common synonyms of each. RELION's class numbers count from 1;
    views from 0. Other columns are not used. An empty cell is an unknown value. Without a micrograph column
    all rows are of `micrograph`.

    Raises InputError if the file is missing or empty, a column is missing or ambiguous, or a row malformed.
    """
    text = read_text(path)
    heading = text.lstrip().split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text), delimiter=max("\t,;", key=heading.count))
    found = _columns(path, next((row for row in reader if row), []))
    columns: dict[str, list[Any]] = {name: [] for name in found}
    for line, row in _data_rows(path, reader, max(found.values())):
        for name, at in found.items():
            columns[name].append(_cell(path, line, row, name, row[at].strip()))
    return _to_picks(path, columns, micrograph)


def write_table(path: Path, picks: Sequence[Picks], *, delimiter: str) -> None:
    """Write every value of every pick, full precision, unknown values as empty cells.

    Raises InputError if the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow(FIELDS)
    for one in picks:
        for n in range(len(one)):
            writer.writerow([
                one.micrograph, float(one.x[n]), float(one.y[n]), _known(one.score[n]),
                "" if one.template[n] < 0 else one.template[n], "" if one.view[n] < 0 else one.view[n],
                _known(one.psi[n]), one.label[n], one.pixel_size or "",
            ])
    atomic_text(path, text.getvalue())


def _known(value: float) -> str:
    return "" if math.isnan(value) else repr(float(value))


def _columns(path: Path, heading: Sequence[str]) -> dict[str, int]:
    """Which column holds which field."""
    found: dict[str, int] = {}
    for at, name in enumerate(heading):
        field = _FIELD_OF.get("".join(c for c in name.lower() if c.isalnum()))
        if field is None:
            continue
        if field in found:
            raise InputError(f"{path}: columns '{heading[found[field]]}' and '{name}' could both be {field};"
                             " rename one of them")
        found[field] = at
    if missing := [name for name in ("x", "y") if name not in found]:
        raise InputError(f"{path}: no column {' and '.join(missing)} among '{', '.join(heading)}';"
                         " name the columns in the first line")
    return found


def _data_rows(path: Path, reader: Any, last: int) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of the rows below the heading; blank rows are passed over."""
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if len(row) <= last:
                raise malformed(path, reader.line_num, row, f"a row of at least {last + 1} columns")
            yield reader.line_num, row
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: is not a table ({error}); correct the row") from error


def _cell(path: Path, line: int, row: Sequence[str], name: str, cell: str) -> str | float:
    """One cell as text or number; an empty one is unknown unless a position is needed."""
    if name in _TEXT_FIELDS:
        return cell
    if name not in ("x", "y") and cell.lower() in ("", "nan"):
        return math.nan
    return numbers(path, line, row, [cell], f"a row with a number for {name}")[0]


def _to_picks(path: Path, columns: dict[str, list[Any]], micrograph: str) -> list[Picks]:
    """Columns as Picks."""
    n = len(columns["x"])
    unknown = np.full(n, np.nan)

    def number(name: str) -> FloatArray:
        return np.asarray(columns.get(name, unknown), np.float64)

    def index(name: str) -> IntArray:
        return np.nan_to_num(number(name), nan=-1.0).astype(np.int32)

    view = index("view") if "view" in columns else relion_view(number("class_number"))
    label = np.asarray(columns.get("label", [""] * n), np.str_)
    picks = Picks("", number("x"), number("y"), number("score"), index("template"), view, number("psi"),
                  label)
    if n == 0 and "micrograph" not in columns:
        return [Picks(micrograph, picks.x, picks.y)]
    names = columns.get("micrograph", [micrograph] * n)
    return by_micrograph(path, names, picks, number("pixel_size"))
