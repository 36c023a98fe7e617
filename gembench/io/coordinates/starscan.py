"""The layout of a STAR file: which loops it has, and on which line each row stands.

The values are left to the starfile library, which neither says where a row is malformed nor that one is.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gembench.errors import InputError
from gembench.io.checks import read_text

_UNREADABLE = re.compile(r"\S#|\w'\w")  # starfile takes # for a comment and ' for a quote anywhere


@dataclass
class Loop:
    """One loop_ block: its name without 'data_', its columns without '_', the line number of each row."""

    name: str
    columns: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)


def scan_loops(path: Path) -> list[Loop]:
    """The loops of a STAR file, every row checked to have as many values as there are columns.

    Raises InputError if the file is missing, empty or not STAR, or a row is malformed.
    """
    loops: list[Loop] = []
    name: str | None = None
    loop: Loop | None = None
    for number, line in _lines(path):
        if line.startswith("data_"):
            if loop is not None and len(line.split()) > 1:
                raise InputError(f"{path}:{number}: '{line}' begins like a data_ block;"
                                 " put another column first")
            name, loop = line[5:], None
        elif name is not None and line.startswith("loop_"):
            loop = Loop(name)
            loops.append(loop)
        elif loop is not None and line.startswith("_") and not loop.lines:
            loop.columns.append(line.split()[0][1:])
        elif loop is not None:
            _check_row(path, number, line, len(loop.columns))
            loop.lines.append(number)
    if name is None:
        raise InputError(f"{path}: has no data_ block, so it is not a STAR file; give one that is")
    return loops


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines that are neither blank nor a comment."""
    for number, line in enumerate(read_text(path).split("\n"), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield number, stripped


def _check_row(path: Path, number: int, line: str, columns: int) -> None:
    """Raise InputError unless the row holds one value per column."""
    if _UNREADABLE.search(line):
        raise InputError(f"{path}:{number}: '{line}' has # or ' within a value; rename it")
    found = len(line.split(" #")[0].split())
    if found != columns:
        try:
            found = len(shlex.split(line, comments=True))
        except ValueError as error:
            raise InputError(f"{path}:{number}: '{line}' has an open quote; close it") from error
    if found != columns:
        raise InputError(f"{path}:{number}: '{line}' has {found} values for {columns} columns;"
                         " correct or delete the row")
