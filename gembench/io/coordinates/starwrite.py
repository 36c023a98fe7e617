"""RELION STAR files of particle positions: the writer, in the style of RELION 3.0 or of 3.1."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.io.atomic import atomic_text
from gembench.io.coordinates.star import (
    CLASS,
    DETECTOR,
    GROUP,
    LABEL,
    MAGNIFICATION,
    MICROGRAPH,
    PIXEL,
    PSI,
    SCORE,
    TEMPLATE,
    UNIT_MAGNIFICATION,
    X,
    Y,
    full_turn,
)

if TYPE_CHECKING:
    import pandas as pd

STYLES = ("3.1", "3.0")


def write_star(path: Path, picks: Sequence[Picks], *, style: str = "3.1") -> None:
    """Write picks with every value they have; `style` is '3.1' (optics groups) or '3.0' (one block).

    psi is written modulo 360. The pixel size goes into the optics groups, or as detector pixel and
    magnification into each row; it must be known for all micrographs or for none. A micrograph without
    picks leaves no trace.

    Raises InputError for an unknown style, a name that STAR cannot hold, pixel sizes known in part, or if
    the file cannot be written.
    """
    import starfile

    if style not in STYLES:
        raise InputError(f"{path}: STAR style '{style}' is unknown; choose one of {', '.join(STYLES)}")
    _refuse_names(path, picks)
    picks = [one for one in picks if len(one)]
    blocks = (_blocks_3_1 if style == "3.1" else _blocks_3_0)(picks, _pixel_sizes(path, picks))
    # No float format keeps every digit; RELION's number parser knows 'nan'.
    text = starfile.to_string(blocks, float_format=None, na_rep="nan")
    # The first line is starfile's own, with the time of writing.
    atomic_text(path, "# written by gembench\n" + text.split("\n", 1)[1])


def _blocks_3_0(picks: Sequence[Picks], sizes: Sequence[float]) -> dict[str, pd.DataFrame]:
    """One block; the pixel size as detector pixel and magnification in each row."""
    frame = _frame(picks)
    if sizes:
        frame[MAGNIFICATION] = UNIT_MAGNIFICATION
        frame[DETECTOR] = np.repeat(sizes, [len(one) for one in picks])
    return {"": frame}


def _blocks_3_1(picks: Sequence[Picks], sizes: Sequence[float]) -> dict[str, pd.DataFrame]:
    """The particles, and an optics group per pixel size.

    In this order, and without optics if there are no particles: relion_preprocess takes the first block for
    the positions, whatever its name, and fails if another follows an empty one.
    """
    import pandas as pd

    distinct = sorted(set(sizes))
    groups = range(1, max(len(distinct), 1) + 1)
    optics = pd.DataFrame({"rlnOpticsGroupName": [f"opticsGroup{n}" for n in groups], GROUP: groups})
    if sizes:
        optics[PIXEL] = distinct
    group_of_picks = [distinct.index(size) + 1 for size in sizes] or [1] * len(picks)
    frame = _frame(picks)
    frame[GROUP] = np.repeat(np.array(group_of_picks, np.int64), [len(one) for one in picks])
    return {"particles": frame, "optics": optics} if picks else {"particles": frame}


def _refuse_names(path: Path, picks: Sequence[Picks]) -> None:
    """Raise InputError for micrograph names and labels that would not be read back as they are."""
    for one in picks:
        for text in {one.micrograph, *one.label.tolist()}:
            if any(c in "\"'#" or (c.isspace() and c != " ") for c in text):
                raise InputError(f"{path}: the name '{text}' has a character that STAR files cannot hold;"
                                 " rename it")


def _pixel_sizes(path: Path, picks: Sequence[Picks]) -> list[float]:
    """The pixel size of each micrograph, an empty list if none is known."""
    sizes = [one.pixel_size for one in picks if one.pixel_size is not None]
    if sizes and len(sizes) != len(picks):
        without = next(one.micrograph for one in picks if one.pixel_size is None)
        raise InputError(f"{path}: the pixel size of {without} is unknown but that of others is not; give it")
    return sizes


def _frame(picks: Sequence[Picks]) -> pd.DataFrame:
    """The rows of all micrographs; columns without a known value are left out."""
    import pandas as pd

    def column(name: str) -> np.ndarray[Any, Any]:
        return np.concatenate([getattr(one, name) for one in picks]) if picks else np.empty(0)

    frame = pd.DataFrame({X: column("x"), Y: column("y")})
    frame[SCORE] = column("score")
    frame[CLASS] = column("view").astype(np.int64) + 1
    frame[PSI] = full_turn(column("psi"))
    frame[TEMPLATE] = column("template").astype(np.int64)
    frame[LABEL] = column("label").astype(str)
    known = {SCORE: ~frame[SCORE].isna(), PSI: ~frame[PSI].isna(), CLASS: frame[CLASS] > 0,
             TEMPLATE: frame[TEMPLATE] >= 0, LABEL: frame[LABEL] != ""}
    frame = frame.drop(columns=[name for name, mask in known.items() if not mask.any()])
    # Not first: a row that begins with 'data_' would read as the next block.
    names = [PurePosixPath(one.micrograph).name for one in picks]
    frame[MICROGRAPH] = np.repeat(np.array(names, dtype=object), [len(one) for one in picks])
    return frame
