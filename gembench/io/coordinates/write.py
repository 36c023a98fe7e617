"""Coordinates written: one file, or a file per micrograph, in every format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gembench.engine.picks import FloatArray, Picks
from gembench.errors import InputError
from gembench.io.atomic import make_folder
from gembench.io.coordinates.formats import (
    FORMATS,
    Format,
    WriteOptions,
    format_to_write,
    shape_of,
)
from gembench.io.coordinates.notes import Notes
from gembench.io.coordinates.star.optics import Optics
from gembench.io.coordinates.star.write import Shape
from gembench.io.names import COORDINATE_EXTENSIONS, micrograph_key, path_key

_UNKNOWN = {"score": np.nan, "template": -1, "view": -1, "psi": np.nan, "label": "", "beside": np.nan}


def write_coordinates(
    path: str | Path, picks: Sequence[Picks], *, format: str | None = None, box_size: int | None = None,
    style: str = "3.1", shape: Shape | None = None, flip_y: bool = False, optics: Optics | None = None,
    say_lost: bool = False,
) -> list[Path]:
    """Write picks; returns the files written, each of which appears whole or not at all.

    path: a file; or, with `format`, a folder (made if needed) that gets one file per micrograph, named by
        its `micrograph_key`, in the folder that tells equal names apart
    picks: one Picks per micrograph; formats without `several` hold one micrograph a file
    format: a key of `FORMATS`; by the extension of `path` if not given
    box_size: side of the boxes in pixels, for formats that hold boxes
    style: '3.1' or '3.0', and optics: the microscope, of STAR files
    shape, flip_y: as for `read_coordinates`; with a shape, STAR files count the rows of TIFF micrographs as
        RELION does
    say_lost: say in a line what the format cannot hold of these picks

    Tables keep every value, STAR files every value with six decimals (psi modulo 360); what other formats
    keep is in `Format.holds` and `Format.decimals`.

    Raises InputError if the format is unknown or cannot hold the picks, two picks are of one micrograph,
    `box_size` or `shape` is needed and missing, or a file cannot be written.
    """
    path = Path(path)
    is_folder = path.is_dir() or (format is not None and path.suffix.lower() not in COORDINATE_EXTENSIONS)
    if format is None and is_folder:
        raise InputError(f"{path}: is a folder; say in which format to write ({', '.join(FORMATS)})")
    form = FORMATS.get(format) if format is not None else format_to_write(path)
    if form is None:
        raise InputError(f"{path}: unknown format '{format}'; choose one of {', '.join(FORMATS)}")
    refuse_duplicates(path, picks)
    notes = Notes()
    if say_lost:
        _say_lost(path, picks, form, notes)
    if flip_y:
        picks = [flipped(path, part, shape) for part in picks]
    options = WriteOptions(box_size, style, shape, optics)
    if is_folder:
        make_folder(path)
        files = [path / f"{path_key(part.micrograph).lstrip('/')}{form.suffix}" for part in picks]
        for file, part in zip(files, picks, strict=True):
            make_folder(file.parent)
            form.write(file, [part], options)
        if say_lost:
            _say_changed(path, picks, _read_back(files, [[part] for part in picks], form, shape), form, notes)
        notes.tell(path)
        return files
    if not form.several and len(picks) != 1:
        raise InputError(f"{path}: {form.name} files hold one micrograph, not {len(picks)}; give a folder"
                         " instead")
    form.write(path, picks, options)
    if say_lost:
        _say_changed(path, picks, _read_back([path], [picks], form, shape), form, notes)
    notes.tell(path)
    return [path]


def refuse_duplicates(path: Path, picks: Sequence[Picks]) -> None:
    """Raise InputError if two Picks are of one micrograph."""
    seen: dict[str, str] = {}
    for part in picks:
        key = path_key(part.micrograph)
        if key in seen:
            raise InputError(f"{path}: {seen[key]} and {part.micrograph} are picks of one micrograph,"
                             f" {micrograph_key(key)}; keep one of them")
        seen[key] = part.micrograph


def flipped(path: Path, picks: Picks, shape: Shape | None) -> Picks:
    """The same picks with y counted from the other end of the micrograph."""
    return replace(picks, y=shape_of(path, picks.micrograph, shape)[0] - 1 - picks.y)


def _say_lost(path: Path, picks: Sequence[Picks], form: Format, notes: Notes) -> None:
    """Note what the format cannot hold of these picks."""
    lost = [name for name, unknown in _UNKNOWN.items() if name not in form.holds and any(
        _is_known(getattr(part, name), unknown) for part in picks)]
    if "pixel_size" not in form.holds and any(part.pixel_size for part in picks):
        lost.append("pixel size")
    if lost:
        notes.add(path, f"{form.name} files cannot hold {', '.join(lost)}: left out")
    if form.several and form.name != "cryosparc" and any(not len(part) for part in picks):
        notes.add(path, f"one {form.name} file cannot name micrographs without picks: {{count}} of {{total}}"
                        " are"
                  " left out", sum(not len(part) for part in picks), len(picks))


def _read_back(files: Sequence[Path], of_file: Sequence[Sequence[Picks]], form: Format,
               shape: Shape | None) -> list[Picks]:
    """The picks that the files hold now."""
    return [part for file, picks in zip(files, of_file, strict=True)
            for part in form.read(file, picks[0].micrograph if picks else "", Notes(), shape)]


def _say_changed(path: Path, picks: Sequence[Picks], read: Sequence[Picks], form: Format,
                 notes: Notes) -> None:
    """Note positions and scores that the files give back otherwise than they were, beyond nine digits."""
    if not sum(map(len, picks)):
        return
    (xy, score), (xy_read, score_read) = (
        (np.concatenate([part.xy for part in parts]), np.concatenate([part.score for part in parts]))
        for parts in (picks, read))
    total = len(xy)
    changed = []
    if moved := int(np.count_nonzero(~_are_close(xy, xy_read).all(axis=1))):
        changed.append(f"{moved} of {total} positions")
    if "score" in form.holds:
        has, has_read = ~np.isnan(score), ~np.isnan(score_read)
        both = has & has_read
        if rounded := int(np.count_nonzero(~_are_close(score[both], score_read[both]))):
            changed.append(f"{rounded} of {total} scores")
        if lost := int(np.count_nonzero(has & ~has_read)):
            notes.add(path, f"{form.name} files cannot hold {lost} of {total} scores, which are read as none"
                            " (as -999 is)")
        if filled := int(np.count_nonzero(has_read & ~has)):
            notes.add(path, f"{form.name} files hold a score for every pick: {filled} of {total} are unknown"
                            " and written as 0")
    if changed:
        notes.add(path, f"{form.name} files hold {form.digits}: {' and '.join(changed)} are rounded")


def _are_close(values: FloatArray, others: FloatArray) -> NDArray[np.bool_]:
    return np.abs(values / 2 - others / 2) <= 1e-9 * np.maximum(1, np.abs(values / 2))


def _is_known(values: np.ndarray[tuple[int], np.dtype[np.generic]], unknown: object) -> bool:
    if isinstance(unknown, float):
        return bool((~np.isnan(values.astype(np.float64))).any())
    return bool((values != unknown).any())
