"""cryoSPARC's .cs files: numpy structured arrays, a row per particle, positions as fractions of the frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.picks import FloatArray, Picks
from gembench.errors import InputError
from gembench.io.atomic import atomic_path
from gembench.io.coordinates.notes import Notes
from gembench.io.coordinates.rows import Names, NotCoordinatesError, by_micrograph, indices, usable_scores
from gembench.io.coordinates.star.write import Shape
from gembench.io.source import parsing, require_file

_X, _Y = "location/center_x_frac", "location/center_y_frac"
_MICROGRAPH, _SHAPE = "location/micrograph_path", "location/micrograph_shape"
_PIXEL = "location/micrograph_psize_A"
_SCORES = ("pick_stats/ncc_score", "pick_stats/topaz_score", "pick_stats/score",
           "pick_stats/deep_picker_score",
           "pick_stats/blob_score")
_TEMPLATE, _ANGLE = "pick_stats/template_idx", "pick_stats/angle_rad"
_COMPRESSED = b"\x94CSDAT"


def read_cryosparc(path: Path, micrograph: str, notes: Notes, shape: Shape | None = None) -> list[Picks]:
    """The picks of a .cs file, one Picks per micrograph: fractions times the frame's size, y down.

    The frame's size is the file's own, else `shape`. The template is the view, its angle is not used.

    Raises InputError if it is no numpy array of particles with locations, or the frame's size is unknown.
    """
    rows = _load(path)
    fields = rows.dtype.names or ()
    if _X not in fields or _Y not in fields:
        shown = ", ".join(fields[:8]) or "no field"
        raise NotCoordinatesError(f"{path}: no field {_X} (found: {shown}); give the .cs file that holds the"
                                  " locations, such as a job's passthrough file")
    if not len(rows):
        return []
    frame = _frames(path, rows, micrograph, shape)
    score = next((name for name in _SCORES if name in fields), None)
    view = _column(path, rows, _TEMPLATE) if _TEMPLATE in fields else np.full(len(rows), -1.0)
    x, y = _column(path, rows, _X), _column(path, rows, _Y)
    if not (np.isfinite(x) & np.isfinite(y)).all():
        at = int(np.argmin(np.isfinite(x) & np.isfinite(y)))
        raise InputError(f"{path}: row {at} has a position that is not finite; correct or delete it")
    picks = Picks(
        "", x * frame[:, 1], y * frame[:, 0],
        usable_scores(path, _column(path, rows, score), notes) if score else np.empty(0),
        view=indices(path, _TEMPLATE, np.maximum(view, -1)),
    )
    sizes = _column(path, rows, _PIXEL) if _PIXEL in fields else np.full(len(rows), np.nan)
    return by_micrograph(path, _names(rows, micrograph), picks, np.where(sizes > 0, np.round(sizes, 6),
                                                                         np.nan))


def write_cryosparc(path: Path, picks: Sequence[Picks], shape: Shape) -> None:
    """Write positions as fractions of the frame (float32), and scores; `shape` gives the frame's size."""
    names = [part.micrograph.encode() for part in picks] or [b""]
    dtype = [("uid", "<u8"), (_MICROGRAPH, f"S{max(map(len, names)) or 1}"), (_SHAPE, "<u4", (2,)),
             (_PIXEL, "<f4"), (_X, "<f4"), (_Y, "<f4"), (_SCORES[0], "<f4"), (_TEMPLATE, "<i4")]
    rows = np.zeros(sum(len(part) for part in picks), dtype)
    rows["uid"] = np.arange(1, len(rows) + 1)
    start = 0
    for part, name in zip(picks, names, strict=False):
        chosen = slice(start, start + len(part))
        frame = shape(part.micrograph) if callable(shape) else shape
        rows[_MICROGRAPH][chosen], rows[_SHAPE][chosen] = name, frame
        rows[_PIXEL][chosen] = part.pixel_size or 0
        with np.errstate(over="ignore"):
            rows[_X][chosen], rows[_Y][chosen] = part.x / frame[1], part.y / frame[0]
            rows[_SCORES[0]][chosen], rows[_TEMPLATE][chosen] = part.score, part.view
        start += len(part)
    is_finite = np.isfinite(rows[_X]) & np.isfinite(rows[_Y])
    if not is_finite.all():
        raise InputError(f"{path}: .cs files hold positions of 32 bits, and pick {int(np.argmin(is_finite))}"
                         " is beyond them; leave it out")
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        np.save(handle, rows, allow_pickle=False)


def _load(path: Path) -> NDArray[Any]:
    """The array of the file; nothing in it is executed."""
    require_file(path)
    with path.open("rb") as handle:
        if handle.read(len(_COMPRESSED)) == _COMPRESSED:
            raise InputError(f"{path}: is cryoSPARC's compressed form; save it by cryosparc-tools'"
                             " Dataset.load(...).save(..., format=1), or export the job")
    with parsing(path, "a whole .cs file"), path.open("rb") as handle:
        rows = np.load(handle, allow_pickle=False)
    if not isinstance(rows, np.ndarray) or rows.ndim != 1:
        raise NotCoordinatesError(f"{path}: is not a table of cryoSPARC; give a .cs file of particles")
    return rows


def _column(path: Path, rows: NDArray[Any], name: str) -> FloatArray:
    """The numbers (n,) of a field."""
    values = rows[name]
    if values.ndim != 1 or values.dtype.kind not in "fiu":
        raise InputError(f"{path}: field {name} holds no number a row; copy or export the file again")
    with np.errstate(invalid="ignore"):  # of NaN of another kind
        return values.astype(np.float64)


def _frames(path: Path, rows: NDArray[Any], micrograph: str, shape: Shape | None) -> FloatArray:
    """Rows and columns of the micrograph of each row, (n, 2)."""
    fields = rows.dtype.names or ()
    if _SHAPE in fields and rows[_SHAPE].shape == (len(rows), 2):
        frames = np.asarray(rows[_SHAPE], np.float64)
        if (frames > 0).all():
            return frames
    if shape is None:
        raise InputError(f"{path}: no {_SHAPE}, and positions are fractions of the frame; give --micrographs"
                         " DIR, from which its size is read")
    names = _names(rows, micrograph)
    sizes = [shape(name) if callable(shape) else shape for name in names.distinct]
    return np.array(sizes, np.float64)[names.index]


def _names(rows: NDArray[Any], micrograph: str) -> Names:
    if _MICROGRAPH not in (rows.dtype.names or ()):
        return Names.same(micrograph, len(rows))
    return Names.of(name.decode(errors="replace") if isinstance(name, bytes) else str(name)
                    for name in rows[_MICROGRAPH].tolist())
