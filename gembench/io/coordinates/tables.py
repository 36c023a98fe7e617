"""Tables with named columns: picks of any number of micrographs, with everything a pick has."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gembench.engine.picks import FloatArray, IntArray, Picks
from gembench.errors import InputError
from gembench.io.atomic import atomic_text
from gembench.io.checks import read_text
from gembench.io.coordinates.columns import Columns, find_columns, is_heading, plain_name
from gembench.io.coordinates.notes import Notes
from gembench.io.coordinates.rows import (
    Names,
    by_micrograph,
    indices,
    malformed,
    numbers,
    usable_scores,
)
from gembench.io.coordinates.star.read import relion_view
from gembench.io.coordinates.star.write import Shape
from gembench.text import printable

FIELDS = ("micrograph", "x", "y", "score", "template", "view", "psi", "label", "pixel_size")
_TEXT_FIELDS = ("micrograph", "label")
_NO_VALUE = ("", "nan", "-nan", "+nan", "inf", "-inf", "+inf", "na", "n/a", "<na>", "none", "null")
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
# Columns that no reader can name, and that look like names of micrographs.
_NAMELIKE = ("mic", "image", "name", "file", "img", "photo", "frame", "source")


def read_table(path: Path, micrograph: str, notes: Notes, shape: Shape | None = None) -> list[Picks]:
    """The picks of a table with a heading, one Picks per micrograph.

    Columns are separated by commas, semicolons (then numbers may have decimal commas), tabs or blanks, and
    found by name, whatever their case: a centre x and y, or a corner and a size, or fractions of the frame
    (scaled by `shape`), and if present micrograph, score, template, view, psi, label, pixel_size and the
    common synonyms of each. RELION's class numbers count from 1; views from 0. Other columns are not used,
    and named in a note. An empty cell is an unknown value. Without a micrograph column all rows are of
    `micrograph`.

    Raises InputError if the file is missing or empty, a column is missing or ambiguous, a row malformed, or
    positions are fractions and the frame's size is not known.
    """
    sheet = _Sheet.of(path)
    columns = find_columns(path, sheet.heading)
    values: dict[str, list[Any]] = {name: [] for name in columns.at}
    for line, row in sheet.rows(path, max(columns.at.values())):
        for name, at in columns.at.items():
            values[name].append(_cell(path, line, row, name, row[at].strip(), sheet.decimal_comma))
    _say_unused(path, columns, notes)
    return _to_picks(path, values, columns, micrograph, notes, shape)


def looks_like_table(path: Path) -> bool:
    """Whether the first row of a text names the columns of positions."""
    sheet = _Sheet.of(path)
    first = next((line for line in read_text(path).split("\n") if line.strip()), "")
    return is_heading(sheet.heading) and not (first.startswith("#") and len(sheet.heading) < 4)


def write_table(path: Path, picks: Sequence[Picks], *, delimiter: str) -> None:
    """Write every value of every pick, full precision, unknown values as empty cells.

    What is beside a pick has a column only where it is known of one.

    Raises InputError if the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    has_beside = any(np.isfinite(part.beside).any() for part in picks)
    writer.writerow([*FIELDS, *["beside"] * has_beside])
    for part in picks:
        for n in range(len(part)):
            writer.writerow([
                part.micrograph, float(part.x[n]), float(part.y[n]), _or_empty(part.score[n]),
                "" if part.template[n] < 0 else part.template[n], "" if part.view[n] < 0 else part.view[n],
                _or_empty(part.psi[n]), part.label[n], part.pixel_size or "",
                *[_or_empty(part.beside[n])] * has_beside,
            ])
    atomic_text(path, text.getvalue())


def write_topaz(path: Path, picks: Sequence[Picks]) -> None:
    """Write positions as whole pixels and scores as Topaz does: names without extension, tabs between."""
    from gembench.io.names import micrograph_key

    lines = ["image_name\tx_coord\ty_coord\tscore"]
    for part in picks:
        name = part.micrograph.rpartition("/")[0:2] if "/" in part.micrograph else ("", "")
        stem = "".join(name) + micrograph_key(part.micrograph)
        lines += [f"{stem}\t{int(np.floor(x + 0.5))}\t{int(np.floor(y + 0.5))}\t{_or_empty(score)}"
                  for x, y, score in zip(part.x, part.y, part.score, strict=True)]
    atomic_text(path, "\n".join(lines) + "\n")


@dataclass(frozen=True)
class _Sheet:
    """A table's text, how it is cut into cells, and its heading."""

    text: str
    delimiter: str
    heading: list[str]
    decimal_comma: bool

    @classmethod
    def of(cls, path: Path) -> _Sheet:
        """Read a table; the heading is the first row that is neither blank nor a comment nor 'sep='."""
        text = read_text(path)
        lines = text.split("\n")
        start = 0
        delimiter = ""
        while start < len(lines) and (not lines[start].strip() or _is_preamble(lines[start])):
            if lines[start].strip('" ').lower().startswith("sep="):
                delimiter = lines[start].strip('" \r')[4:5]
            start += 1
        first = lines[start].lstrip("#% ") if start < len(lines) else ""
        delimiter = delimiter or max("\t;,", key=first.count)
        if delimiter not in first:
            delimiter = " " if " " in first.strip() else ","
        # csv keeps count of lines, so those before the heading stay, empty.
        body = "\n" * start + "\n".join([first, *lines[start + 1:]])
        if delimiter == " ":
            body = re.sub(r"[ \t]+", " ", re.sub(r"(?m)^[ \t]+|[ \t]+$", "", body))
        heading: list[str] = next((row for row in _reader(first, delimiter) if row), [])
        comma = delimiter != "," and any(
            _DECIMAL_COMMA.fullmatch(cell.strip()) for line in lines[start + 1:start + 20]
            for cell in line.split(delimiter))
        return cls(body, delimiter, [cell.strip() for cell in heading], comma)

    def rows(self, path: Path, last: int) -> Iterator[tuple[int, list[str]]]:
        """Line number and cells of the rows below the heading; blank rows and comments are passed over."""
        reader = _reader(self.text, self.delimiter)
        seen_heading = False
        try:
            for row in reader:
                if not any(cell.strip() for cell in row):
                    continue
                if not seen_heading or (row[0].startswith("#") and len(row) <= last):
                    seen_heading = True
                    continue
                if [cell.strip() for cell in row] == self.heading:
                    continue  # tables put one below the other
                if len(row) <= last:
                    raise malformed(path, reader.line_num, row, f"a row of at least {last + 1} columns")
                yield reader.line_num, row
        except csv.Error as error:
            place = f"{path}:{reader.line_num}"
            raise InputError(f"{place}: is not a table ({error}); correct the row") from error


def _reader(text: str, delimiter: str) -> Any:
    """Python's reader of tables, which else refuses cells of more than 131,072 characters."""
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    return csv.reader(io.StringIO(text), delimiter=delimiter)


def _is_preamble(line: str) -> bool:
    """Whether a line before the heading is 'sep=;' or a comment that names no columns."""
    bare = line.strip('" \r').lower()
    if bare.startswith("sep=") and len(bare) <= 6:
        return True
    if not bare.startswith("#"):
        return False
    return not is_heading([cell for cell in re.split(r"[\t;, ]+", bare.lstrip("# ")) if cell])


def _or_empty(value: float) -> str:
    return "" if math.isnan(value) else repr(float(value))


def _cell(path: Path, line: int, row: Sequence[str], name: str, cell: str, comma: bool) -> str | float:
    """One cell as text or number; an empty one is unknown unless a position is needed."""
    if name in _TEXT_FIELDS:
        return cell
    is_position = name not in ("score", "template", "view", "class_number", "psi", "pixel_size", "beside")
    if not is_position and cell.lower() in _NO_VALUE:
        return math.nan
    if comma and _DECIMAL_COMMA.fullmatch(cell):
        cell = cell.replace(",", ".")
    shown = {"left": "x", "top": "y", "center_x": "x", "center_y": "y", "fraction_x": "x", "fraction_y": "y"}
    return numbers(path, line, row, [cell], f"a row with a number for {shown.get(name, name)}")[0]


def _say_unused(path: Path, columns: Columns, notes: Notes) -> None:
    if not columns.unused or columns.is_own:
        return
    hint = ""
    if "micrograph" not in columns.at:
        names = [name for name in columns.unused if any(part in plain_name(name) for part in _NAMELIKE)]
        hint = f" (if '{printable(names[0])}' names micrographs, head it micrograph)" if names else ""
    notes.add(path, f"columns that are not used: {', '.join(map(printable, columns.unused[:12]))}"
              f"{', ...' if len(columns.unused) > 12 else ''}{hint}")


def _centres(columns: Columns, values: dict[str, FloatArray]) -> tuple[FloatArray, FloatArray]:
    """The centres by the table's geometry."""
    x, y, *rest = (values[name] for name in columns.geometry)
    if "right" in columns.geometry:
        return (x + rest[0]) / 2, (y + rest[1]) / 2
    return (x + rest[0] / 2, y + rest[1] / 2) if rest else (x, y)


def are_fractions(x: FloatArray, y: FloatArray) -> bool:
    """Whether positions are fractions of the frame: all in 0..1, and not all whole."""
    both = np.concatenate([x, y])
    return bool(len(x) > 0 and both.min() >= 0 and both.max() <= 1 and (both != np.round(both)).any())


def scaled(path: Path, picks: list[Picks], shape: Shape | None, notes: Notes) -> list[Picks]:
    """Picks whose positions are fractions of the frame, in pixels; raises InputError without its size."""
    from dataclasses import replace

    if shape is None:
        raise InputError(f"{path}: x and y are fractions of the frame, all within 0..1; give --micrographs"
                         " DIR,"
                         " from which the frame's size is read, or positions in pixels")
    notes.add(path, "x and y are fractions of the frame: they are scaled to pixels")
    pixels = []
    for part in picks:
        rows, columns = shape(part.micrograph) if callable(shape) else shape
        pixels.append(replace(part, x=part.x * columns, y=part.y * rows))
    return pixels


def _to_picks(
    path: Path, cells: dict[str, list[Any]], columns: Columns, micrograph: str, notes: Notes,
    shape: Shape | None,
) -> list[Picks]:
    """Columns as Picks."""
    n = len(next(iter(cells.values())))
    unknown = np.full(n, np.nan)

    def number(name: str) -> FloatArray:
        return np.asarray(cells.get(name, unknown), np.float64)

    def index(name: str) -> IntArray:
        return indices(path, name, number(name))

    x, y = _centres(columns, {name: number(name) for name in columns.geometry})
    if len(columns.geometry) == 4:
        notes.add(path, f"{', '.join(columns.geometry)} are taken for a box's corner and its"
                  f" {'opposite corner' if 'right' in columns.geometry else 'size'}: the particle is at its"
                  " centre")
    score = number("score")
    if not np.isnan(score).all():  # annotations have none, and an empty column says no more
        score = usable_scores(path, score, notes)
    view = index("view") if "view" in cells else relion_view(path, number("class_number"))
    label = np.asarray(cells.get("label", [""] * n), np.str_)
    picks = Picks("", x, y, score, index("template"), view, number("psi"), label, beside=number("beside"))
    if n == 0 and "micrograph" not in cells:
        return [Picks(micrograph, picks.x, picks.y)]
    names = Names.of(cells["micrograph"]) if "micrograph" in cells else Names.same(micrograph, n)
    tables = by_micrograph(path, names, picks, number("pixel_size"))
    if "fraction_x" in columns.geometry or (not columns.is_own and are_fractions(x, y)):
        return scaled(path, tables, shape, notes)
    return tables
