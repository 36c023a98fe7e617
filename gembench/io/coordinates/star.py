"""RELION STAR files of particle positions: the columns and their conventions, and the reader.

rlnCoordinateX and rlnCoordinateY are the particle's centre in micrograph pixels from 0, and rlnAnglePsi
turns counter-clockwise as displayed with row 0 on top: both as ours. rlnClassNumber is our view + 1, 0 if
unknown. The template's index and the label have no RELION name: they go into _gembenchTemplate and
_gembenchLabel, which RELION keeps unread, and are written only where known.

The evidence is RELION 3.1.3's: relion_autopick finds what scipy.ndimage.rotate turned by +a at
rlnAnglePsi = a in [0, 360), at the very pixel; relion_project --psi turns the same way;
relion_stack_create --apply_transformation turns it back; and relion_preprocess --extract puts (x, y) at
pixel (n // 2, n // 2) of the box, the fraction of a pixel cut off.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gembench.engine.picks import FloatArray, IntArray, Picks
from gembench.errors import InputError
from gembench.io.checks import log
from gembench.io.coordinates.rows import by_micrograph
from gembench.io.coordinates.starscan import Loop, scan_loops

if TYPE_CHECKING:
    import pandas as pd

X, Y, MICROGRAPH, IMAGE = "rlnCoordinateX", "rlnCoordinateY", "rlnMicrographName", "rlnImageName"
SCORE, CLASS, PSI, GROUP = "rlnAutopickFigureOfMerit", "rlnClassNumber", "rlnAnglePsi", "rlnOpticsGroup"
PIXEL, IMAGE_PIXEL = "rlnMicrographPixelSize", "rlnImagePixelSize"
DETECTOR, MAGNIFICATION = "rlnDetectorPixelSize", "rlnMagnification"
TEMPLATE, LABEL = "gembenchTemplate", "gembenchLabel"
_TEXT = (MICROGRAPH, IMAGE, LABEL)
UNIT_MAGNIFICATION = 10000.0  # at which the detector's pixel in um is the image's pixel in A


def relion_view(class_number: FloatArray) -> IntArray:
    """RELION's class number, from 1, 0 or NaN if unknown, as our view, from 0, -1 if unknown."""
    view: FloatArray = np.nan_to_num(np.maximum(class_number, 0) - 1, nan=-1.0)
    return view.astype(np.int32)


def full_turn(psi: FloatArray) -> FloatArray:
    """Angles in [0, 360), degrees, exact if they lie there already; RELION also writes negative ones."""
    return psi % 360 % 360  # the first gives 360 for a tiny negative angle


def read_star(path: Path, micrograph: str) -> list[Picks]:
    """The picks of a STAR file, one Picks per micrograph.

    Read is the block that holds rlnCoordinateX and rlnCoordinateY, whatever its name. The micrograph is
    rlnMicrographName, else the stack of rlnImageName (with a warning), else `micrograph`. Origin shifts of
    refined particles are not applied. psi is given in [0, 360). The pixel size is the micrograph's:
    rlnImagePixelSize, or detector pixel and magnification, are used only if the file names no extracted
    images, whose pixels may be larger.

    Raises InputError if the file is missing or empty, has no such block, or a row is malformed.
    """
    loops = scan_loops(path)
    loop = _particles(path, loops)
    named = MICROGRAPH in loop.columns or IMAGE in loop.columns
    if not loop.lines:
        return [] if named else [Picks(micrograph, np.empty(0), np.empty(0))]
    blocks = _parse(path, loops)
    frame = blocks[loop.name]
    picks = Picks(
        "", _numbers(path, loop, frame, X, finite=True), _numbers(path, loop, frame, Y, finite=True),
        _numbers(path, loop, frame, SCORE),
        view=relion_view(_numbers(path, loop, frame, CLASS)),
        template=np.nan_to_num(_numbers(path, loop, frame, TEMPLATE), nan=-1.0).astype(np.int32),
        psi=full_turn(_numbers(path, loop, frame, PSI)),
        label=frame[LABEL].to_numpy(str) if LABEL in frame else np.empty(0, np.str_),
    )
    sizes = _pixel_sizes(path, loop, frame, blocks)
    return by_micrograph(path, _names(path, frame, micrograph), picks, sizes)


def _particles(path: Path, loops: Sequence[Loop]) -> Loop:
    """The block with positions, data_particles first; raises InputError if there is none."""
    for loop in sorted(loops, key=lambda loop: loop.name != "particles"):
        if X in loop.columns and Y in loop.columns:
            return loop
    found = ", ".join(column for loop in loops for column in loop.columns) or "no loop at all"
    raise InputError(f"{path}: no block with {X} and {Y} (found: {found}); give a STAR file of particles")


def _parse(path: Path, loops: Sequence[Loop]) -> dict[str, pd.DataFrame]:
    """The loops of the file as starfile reads them, all rows there."""
    import linecache

    import pandas as pd
    import starfile

    linecache.checkcache(str(path))  # starfile reads through this cache, which keeps the text of older files
    try:
        blocks = starfile.read(path, always_dict=True, parse_as_string=list(_TEXT))
    except (ValueError, KeyError, IndexError, pd.errors.ParserError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: cannot be read as STAR ({reason}); correct it") from error
    for loop in loops:
        frame = blocks.get(loop.name)
        if not isinstance(frame, pd.DataFrame) or len(frame) != len(loop.lines):
            raise InputError(f"{path}: block data_{loop.name} cannot be read whole; name each block once")
    return {loop.name: blocks[loop.name] for loop in loops}


def _numbers(path: Path, loop: Loop, frame: pd.DataFrame, column: str, *, finite: bool = False) -> FloatArray:
    """One column as float64, NaN where it is absent; raises InputError naming the line that is no number."""
    import pandas as pd

    if column not in frame:
        return np.full(len(frame), np.nan)
    values = pd.to_numeric(frame[column], errors="coerce").to_numpy(np.float64)
    wrong = np.isnan(values) & frame[column].notna().to_numpy()
    if finite:
        wrong = ~np.isfinite(values)
    if wrong.any():
        at = int(np.argmax(wrong))
        raise InputError(f"{path}:{loop.lines[at]}: {column} is '{frame[column].iloc[at]}', not a"
                         f"{' finite' if finite else ''} number; correct or delete the row")
    return values


def _names(path: Path, frame: pd.DataFrame, micrograph: str) -> list[str]:
    """The micrograph of each row."""
    if MICROGRAPH in frame:
        return [str(name) for name in frame[MICROGRAPH]]
    if IMAGE in frame:
        log.warning("%s: no %s; the stacks of %s are taken for the micrographs", path, MICROGRAPH, IMAGE)
        return [str(name).rpartition("@")[2] for name in frame[IMAGE]]
    return [micrograph] * len(frame)


def _pixel_sizes(path: Path, loop: Loop, frame: pd.DataFrame, blocks: dict[str, pd.DataFrame]) -> FloatArray:
    """A/px of the micrograph of each row, NaN where the file does not say."""
    columns = [PIXEL] if IMAGE in frame else [PIXEL, IMAGE_PIXEL]
    optics = blocks.get("optics")
    for column in columns:
        if column in frame:
            return _numbers(path, loop, frame, column)
        if optics is not None and column in optics:
            of_group = dict(zip(optics.get(GROUP, [1]), optics[column], strict=True))
            groups = frame[GROUP] if GROUP in frame else [next(iter(of_group))] * len(frame)
            return np.array([of_group.get(group, np.nan) for group in groups], np.float64)
    if IMAGE not in frame and DETECTOR in frame and MAGNIFICATION in frame:
        return (_numbers(path, loop, frame, DETECTOR) * UNIT_MAGNIFICATION
                / _numbers(path, loop, frame, MAGNIFICATION))
    return np.full(len(frame), np.nan)
