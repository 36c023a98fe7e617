"""STAR text: which loops a file has, on which line each row stands, and the values of the columns.

The scanner is our own: programs of the field write files that no grammar of CIF allows (blocks of one name,
names that begin with data_, apostrophes and # within names), and RELION reads them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gembench.engine.picks import FloatArray
from gembench.errors import InputError
from gembench.io.checks import read_text
from gembench.io.coordinates.rows import Names, NotCoordinatesError

_CHUNK = 10_000  # rows whose values are held as text at once: 10 MB
_END = "\0"  # between rows that are split at once, so that each is seen to have its number of values
# Lines that may be something else than a row.
_SPECIAL = re.compile(r"\s*(?:[#;_]|data_|loop_|$)")
# A quote closes before white space only, so that O'Brien is a word, and 'O'Brien' another.
_VALUE = re.compile(r"""'((?:[^']|'(?=\S))*)'(?=\s|$)|"((?:[^"]|"(?=\S))*)"(?=\s|$)|(\S+)""")
_UNKNOWN = ("<na>", "?", ".", "none", "null", "n/a", "")
_Row = Sequence[str]


@dataclass
class Loop:
    """One loop_, or the single values of a block: its rows, read when they are asked for.

    name: of the block, without 'data_'; block: which block of the file, from 0
    columns: without '_'; lines: number of the line of each row, from 1
    """

    path: Path
    name: str
    block: int
    text: list[str] = field(repr=False)
    columns: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    single: list[str] | None = None  # the values of a block without loop_, its one row

    def rows(self) -> Iterator[_Row]:
        """The values of each row; raises InputError for a row with too many or too few."""
        if self.single is not None:
            yield self.single
            return
        for number in self.lines:
            yield self._row(number)

    def numbers(self, columns: Sequence[str], needed: Sequence[str] = ()) -> dict[str, FloatArray]:
        """Columns as float64 (n,), NaN where one is absent or a value is unknown.

        needed: columns whose values must be finite. Raises InputError, naming the line, if one is not.
        """
        return self.read(columns, (), needed)[0]

    def read(
        self, columns: Sequence[str], texts: Sequence[str], needed: Sequence[str] = ()
    ) -> tuple[dict[str, FloatArray], dict[str, Names]]:
        """Columns of numbers, as `numbers` gives them, and those columns of text that are there."""
        self._refuse_repeated([*columns, *texts])
        at = {name: self.columns.index(name) for name in columns if name in self.columns}
        arrays = {name: np.full(len(self), np.nan) for name in columns}
        seen: dict[str, dict[str, int]] = {name: {} for name in texts if name in self.columns}
        index = {name: np.empty(len(self), np.int64) for name in seen}
        for start, cells in self._chunks():
            stop = start + len(cells[0])
            for name, column in at.items():
                arrays[name][start:stop] = self._floats(name, cells[column], start)
            for name, codes in seen.items():
                index[name][start:stop] = [
                    codes.setdefault(value, len(codes)) for value in cells[self.columns.index(name)]
                ]
        for name in needed:
            wrong = ~np.isfinite(arrays[name])
            if wrong.any() and name not in at:
                raise InputError(f"{self.path}: block data_{self.name} has no column _{name}; add it")
            if wrong.any():
                self._refuse(name, int(np.argmax(wrong)), "finite number")
        return arrays, {name: Names(list(codes), index[name]) for name, codes in seen.items()}

    def __len__(self) -> int:
        return 1 if self.single is not None else len(self.lines)

    def _chunks(self) -> Iterator[tuple[int, Sequence[Sequence[str]]]]:
        """The values of each column, of some rows at a time, and which row is the first of them."""
        if self.single is not None:
            yield 0, [(value,) for value in self.single]
            return
        for start in range(0, len(self.lines), _CHUNK):
            yield start, self._cells(self.lines[start:start + _CHUNK])

    def _cells(self, numbers: Sequence[int]) -> Sequence[Sequence[str]]:
        """The values of each column on these lines."""
        joined = f" {_END} ".join([self.text[number - 1] for number in numbers])
        if "'" not in joined and '"' not in joined:
            cells, width = joined.split(), len(self.columns) + 1
            if len(cells) == width * len(numbers) - 1 and {*cells[width - 1::width]} <= {_END}:
                return [cells[column::width] for column in range(width - 1)]
        return list(zip(*map(self._row, numbers), strict=True))

    def _row(self, number: int) -> _Row:
        line = self.text[number - 1]
        if "'" not in line and '"' not in line:
            row = line.split()
            if len(row) == len(self.columns):
                return row
        return self._quoted_row(number, line)

    def _quoted_row(self, number: int, line: str) -> _Row:
        """A row with quotes, or a comment, or blanks that only Unicode knows, or a malformed one."""
        count = len(self.columns)
        values = [next(group for group in match.groups() if group is not None)
                  for match in _VALUE.finditer(line)]
        if len(values) == count:
            return values
        for at, word in enumerate(values):
            if at == count and word.startswith("#"):  # what follows is a comment
                return values[:count]
        plain = [word for word in re.split(r"[ \t]+", line.strip(" \t\r")) if word]
        if len(plain) == count:
            return plain
        if any(word[0] in "'\"" for word in plain) and line.count("'") % 2 + line.count('"') % 2:
            raise InputError(f"{self.path}:{number}: '{line.strip()}' has an open quote; close it")
        raise InputError(f"{self.path}:{number}: '{line.strip()}' has {len(values)} values for {count}"
                         " columns; correct or delete the row")

    def _floats(self, name: str, cells: Sequence[str], start: int) -> FloatArray:
        try:
            return np.fromiter(map(float, cells), np.float64, len(cells))
        except ValueError:
            values = np.full(len(cells), np.nan)
            for n, cell in enumerate(cells):
                try:
                    values[n] = float(cell)
                except ValueError:
                    if cell.lower() not in _UNKNOWN:
                        self._refuse(name, start + n, "number")
            return values

    def _refuse(self, name: str, row: int, needed: str) -> None:
        number = self.lines[row] if self.lines else 0
        values = self.single if self.single is not None else self._row(number)
        raise InputError(f"{self.path}:{number}: {name} is '{values[self.columns.index(name)]}', not a"
                         f" {needed}; correct or delete the row")

    def _refuse_repeated(self, columns: Sequence[str]) -> None:
        for name in columns:
            if self.columns.count(name) > 1:
                raise InputError(f"{self.path}: block data_{self.name} has the column _{name} twice;"
                                 " keep one of them")


def scan_loops(path: Path) -> list[Loop]:
    """The loops of a STAR file; a block of single values is one of a row.

    Raises InputError if the file is missing, empty or not STAR.
    """
    text = read_text(path).split("\n")
    loops: list[Loop] = []
    loop: Loop | None = None
    name, block = "", -1
    number = 0
    while number < len(text):
        number += 1
        if loop is not None and loop.single is None and loop.columns and not _SPECIAL.match(text[number - 1]):
            loop.lines.append(number)
            continue
        line = text[number - 1].strip()
        if not line or line[0] == "#":
            continue
        if line[0] == ";":
            number = _take_text_field(path, text, number, loop)
        elif line.startswith("data_") and not _is_row(path, number, line, loop):
            name, loop, block = line.split()[0][5:], None, block + 1
        elif line.startswith("loop_") and len(line.split("#")[0].split()) == 1:
            loop = Loop(path, name, max(block, 0), text)
            loops.append(loop)
        elif line[0] == "_" and (loop is None or not loop.lines):
            if loop is None or loop.single is not None:
                loop = _add_single(path, text, name, max(block, 0), line, loop, loops)
            else:
                loop.columns.append(line.split()[0][1:])
        elif loop is not None and loop.single is None and loop.columns:
            loop.lines.append(number)
    if block < 0 and not loops:
        raise NotCoordinatesError(f"{path}: has no data_ block, so it is not a STAR file; give one that is")
    return loops


def _is_row(path: Path, number: int, line: str, loop: Loop | None) -> bool:
    """Whether a line that begins with data_ is a row, whose first value is a name such as data_01.mrc."""
    words = line.split()
    if loop is None or len(words) == 1 or words[1].startswith("#"):
        return False
    if len(words) == len(loop.columns):
        return True
    raise InputError(f"{path}:{number}: '{line}' begins like a data_ block, and has {len(words)} values for"
                     f" {len(loop.columns)} columns; correct or delete the row")


def _add_single(
    path: Path, text: list[str], name: str, block: int, line: str, loop: Loop | None, loops: list[Loop]
) -> Loop:
    """A value that has its name beside it, into the loop of its block."""
    if loop is None:
        loop = Loop(path, name, block, text, single=[])
        loops.append(loop)
    assert loop.single is not None
    values = [next(group for group in match.groups() if group is not None)
              for match in _VALUE.finditer(line)]
    loop.columns.append(values[0][1:])
    loop.single.append(values[1] if len(values) > 1 and not values[1].startswith("#") else "")
    return loop


def _take_text_field(path: Path, text: list[str], number: int, loop: Loop | None) -> int:
    """Join the lines between two that begin with ; into the row they belong to; the number of the last."""
    end = next((n for n in range(number, len(text)) if text[n].startswith(";")), None)
    if end is None:
        if loop is None or not loop.lines:
            return number
        raise InputError(f"{path}:{number}: a text field begins here and does not end; close it by a ;")
    value = " ".join([text[number - 1].strip()[1:], *(line.strip() for line in text[number:end])]).strip()
    if loop is not None and loop.single is not None and loop.single:
        loop.single[-1] = value
    elif loop is not None and loop.columns:
        _extend_row(loop, text, number, '"' + value.replace('"', "'") + '"')
        following = text[end].strip()[1:]
        if following.strip():
            _extend_row(loop, text, number, following)
        row = loop.lines[-1]
        while _count(text[row - 1]) < len(loop.columns) and end + 1 < len(text):
            end += 1  # the row goes on below its text field
            if text[end].startswith(";"):
                return end
            text[row - 1] += " " + text[end]
    return end + 1


def _extend_row(loop: Loop, text: list[str], number: int, value: str) -> None:
    """Add a value to the last row if that is not complete, or begin a row with it."""
    if loop.lines and _count(text[loop.lines[-1] - 1]) < len(loop.columns):
        text[loop.lines[-1] - 1] += " " + value
    else:
        loop.lines.append(number)
        text[number - 1] = value


def _count(line: str) -> int:
    return sum(1 for _ in _VALUE.finditer(line))
