"""STAR files of particle positions: the columns of RELION, crYOLO and Xmipp, and the reader.

rlnCoordinateX and rlnCoordinateY are the particle's centre in micrograph pixels from 0, and rlnAnglePsi
turns counter-clockwise as displayed with row 0 on top: both as ours. rlnClassNumber is our view + 1, 0 if
unknown. The template's index, the label and what is beside a pick have no RELION name: they go into
_gembenchTemplate, _gembenchLabel and _gembenchBeside, which RELION keeps unread, and are written only where
known. RELION counts the rows of a TIFF from the bottom: for such a micrograph rlnCoordinateY and rlnAnglePsi
are turned over, and _gembenchTopY keeps our own y.

The evidence is RELION 3.1.3's: relion_autopick finds what scipy.ndimage.rotate turned by +a at
rlnAnglePsi = a in [0, 360), at the very pixel; relion_project --psi turns the same way;
relion_stack_create --apply_transformation turns it back; and relion_preprocess --extract puts (x, y) at
pixel (n // 2, n // 2) of the box, the fraction of a pixel cut off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gembench.engine.picks import FloatArray, IntArray, Picks, full_turn
from gembench.errors import InputError
from gembench.io.coordinates.notes import Notes
from gembench.io.coordinates.rows import (
    UNSET,
    Names,
    NotCoordinatesError,
    by_micrograph,
    indices,
    usable_scores,
)
from gembench.io.coordinates.star.optics import MICROGRAPH, pixel_sizes
from gembench.io.coordinates.star.scan import Loop, scan_loops
from gembench.io.names import extension

X, Y, Z = "rlnCoordinateX", "rlnCoordinateY", "rlnCoordinateZ"
IMAGE = "rlnImageName"
SCORE, CLASS, PSI = "rlnAutopickFigureOfMerit", "rlnClassNumber", "rlnAnglePsi"
TEMPLATE, LABEL, BESIDE = "gembenchTemplate", "gembenchLabel", "gembenchBeside"
TOP_Y = "gembenchTopY"
_UNNAMED = ("", "particles", "particle", "images", "coordinates", "cryolo", "header", "picks")


@dataclass(frozen=True)
class Dialect:
    """The columns of one program; `size` are those of width and height if x and y are a box's corner."""

    x: str
    y: str
    score: tuple[str, ...]
    micrograph: tuple[str, ...] = ()
    size: tuple[str, ...] = ()


RELION = Dialect(X, Y, (SCORE, "rlnParticleFigureOfMerit"), (MICROGRAPH, IMAGE))
CRYOLO = Dialect("CoordinateX", "CoordinateY", ("Confidence",), size=("Width", "Height"))
XMIPP = Dialect("xcoor", "ycoor", ("cost",), ("micrograph",))
DIALECTS = (RELION, CRYOLO, XMIPP)


def relion_view(path: Path, class_number: FloatArray) -> IntArray:
    """RELION's class number, from 1, 0 or NaN if unknown, as our view, from 0, -1 if unknown."""
    return indices(path, "class", np.maximum(class_number, 0) - 1)


def read_star(path: Path, micrograph: str, notes: Notes | None = None) -> list[Picks]:
    """The picks of a STAR file, one Picks per micrograph, named with its folder.

    Read is every block that holds rlnCoordinateX and rlnCoordinateY, or crYOLO's or Xmipp's columns. The
    micrograph is rlnMicrographName, else the stack of rlnImageName (with a note), else, of several blocks
    with names of their own, the block's name, else `micrograph`. Origin shifts of refined particles are not
    applied. psi is given in [0, 360). The pixel size is the micrograph's, see `optics.pixel_sizes`.

    Raises InputError if the file is missing or empty, has no such block, or a row is malformed.
    """
    notes = notes or Notes()
    loops = scan_loops(path)
    chosen = [(loop, dialect) for loop in loops for dialect in DIALECTS
              if dialect.x in loop.columns and dialect.y in loop.columns]
    if not chosen:
        columns = ", ".join(column for loop in loops for column in loop.columns[:12]) or "no loop at all"
        raise NotCoordinatesError(f"{path}: no block with {X} and {Y} (found: {columns[:300]}); give a STAR"
                                  " file of particles")
    blocks = [loop.name for loop, _ in chosen]
    each_a_micrograph = (len(set(blocks)) == len(blocks) > 1 and not {b.lower() for b in blocks} & {*_UNNAMED}
                         and not any({*dialect.micrograph} & {*loop.columns} for loop, dialect in chosen))
    parts = []
    for number, (loop, dialect) in enumerate(chosen):
        name = loop.name if each_a_micrograph else micrograph
        read = _read_relion if dialect is RELION else _read_other
        if (part := read(path, loop, dialect, name, notes)) is not None:
            picks, names = part
            sizes = pixel_sizes(path, loop, loops, (number, len(chosen)), extracted=IMAGE in loop.columns)
            parts.append((picks, names, sizes))
    if not parts:
        return []
    names = Names.of(name for _, part, _ in parts for name in part.distinct)
    index = np.concatenate([_codes(names, part) for _, part, _ in parts])
    if not len(index):
        return [Picks(micrograph, np.empty(0), np.empty(0))]
    return by_micrograph(path, Names(names.distinct, index), _joined([picks for picks, _, _ in parts]),
                         np.concatenate([sizes for _, _, sizes in parts]))


def _codes(names: Names, part: Names) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The index of each row of `part` in the names of the whole file."""
    place = {name: n for n, name in enumerate(names.distinct)}
    return np.array([place[name] for name in part.distinct], np.int64)[part.index]


def _joined(parts: Sequence[Picks]) -> Picks:
    """The rows of several blocks, one below the other."""
    names = ("x", "y", "score", "template", "view", "psi", "label", "beside")
    columns: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts])
                               for name in names}
    return Picks("", **columns)


def _score_column(loop: Loop, dialect: Dialect) -> str:
    return next((name for name in dialect.score if name in loop.columns), dialect.score[0])


def _read_relion(
    path: Path, loop: Loop, dialect: Dialect, micrograph: str, notes: Notes
) -> tuple[Picks, Names] | None:
    """The rows of one block of RELION's columns; None if it names its micrographs and has none."""
    score = _score_column(loop, dialect)
    columns, texts = loop.read((X, Y, Z, score, CLASS, PSI, TEMPLATE, TOP_Y, BESIDE),
                               (MICROGRAPH, IMAGE, LABEL), (X, Y))
    if not len(loop) and (MICROGRAPH in texts or IMAGE in texts):
        return None
    y, psi = columns[Y], np.where(columns[PSI] == UNSET, np.nan, columns[PSI])
    if TOP_Y in loop.columns:  # RELION's y and psi are those of the frame turned over
        turned = np.isfinite(columns[TOP_Y])
        y, psi = np.where(turned, columns[TOP_Y], y), np.where(turned, -psi, psi)
    if np.nan_to_num(columns[Z]).any():
        notes.add(path, f"{Z} is not used: positions are those of micrographs, not of tomograms")
    label = texts.get(LABEL, Names.same("", len(loop)))
    names = _relion_names(path, loop, texts, micrograph, notes)
    if TOP_Y not in loop.columns and any(extension(name) in (".tif", ".tiff") for name in names.distinct):
        notes.add(path, "rows are taken as counted from the top; RELION counts those of a TIFF from the"
                  " bottom (if RELION wrote this file, give --flip-y)")
    picks = Picks(
        "", columns[X], y,
        usable_scores(path, columns[score], notes) if score in loop.columns else np.empty(0),
        view=relion_view(path, columns[CLASS]),
        template=indices(path, TEMPLATE, columns[TEMPLATE]), psi=full_turn(psi),
        label=np.array(label.distinct or [""], np.str_)[label.index],
        beside=np.where(np.isfinite(columns[BESIDE]), columns[BESIDE], np.nan),
    )
    return picks, names


def _relion_names(path: Path, loop: Loop, texts: dict[str, Names], micrograph: str, notes: Notes) -> Names:
    """The micrograph of each row."""
    if MICROGRAPH in texts:
        return texts[MICROGRAPH]
    if IMAGE in texts:
        notes.add(path, f"no {MICROGRAPH}; the stacks of {IMAGE} are taken for the micrographs")
        stacks = Names.of(name.rpartition("@")[2] for name in texts[IMAGE].distinct)
        return Names(stacks.distinct, stacks.index[texts[IMAGE].index])
    return Names.same(micrograph, len(loop))


def _read_other(
    path: Path, loop: Loop, dialect: Dialect, micrograph: str, notes: Notes
) -> tuple[Picks, Names] | None:
    """The rows of one block of crYOLO's or Xmipp's columns."""
    score = _score_column(loop, dialect)
    columns, texts = loop.read((dialect.x, dialect.y, score, *dialect.size, "enabled", "CoordinateZ"),
                               (*dialect.micrograph, "filamentid"), (dialect.x, dialect.y, *dialect.size))
    filaments = texts.get("filamentid", Names.same("", 0)).distinct
    if any(name.lower() not in ("<na>", "nan", "") for name in filaments):
        raise InputError(f"{path}: holds filaments (_filamentid), and gembench judges single particles;"
                         " export"
                         " particles without filaments")
    x, y = columns[dialect.x], columns[dialect.y]
    if dialect.size:
        x, y = x + columns[dialect.size[0]] / 2, y + columns[dialect.size[1]] / 2
    if np.nan_to_num(columns["CoordinateZ"]).any():
        notes.add(path, "_CoordinateZ is not used: positions are those of micrographs, not of tomograms")
    names = next((texts[name] for name in dialect.micrograph if name in texts),
                 Names.same(micrograph, len(loop)))
    keep = ~(columns["enabled"] < 0)
    if not keep.all():
        notes.add(path, "{count} of {total} picks are disabled (_enabled -1) and left out",
                  int(np.count_nonzero(~keep)), len(keep))
    scores = usable_scores(path, columns[score], notes) if score in loop.columns else np.full(len(loop),
                                                                                              np.nan)
    return Picks("", x[keep], y[keep], scores[keep]), Names(names.distinct, names.index[keep])
