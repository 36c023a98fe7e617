"""Coordinates of picks and annotations: one reader and one writer for every format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.io.atomic import make_folder
from gembench.io.coordinates.box import read_box, write_box
from gembench.io.coordinates.gempicker import is_gempicker, read_gempicker, write_gempicker
from gembench.io.coordinates.plain import read_plain, write_plain
from gembench.io.coordinates.star import read_star
from gembench.io.coordinates.starwrite import write_star
from gembench.io.coordinates.tables import read_table, write_table
from gembench.io.names import COORDINATE_EXTENSIONS, micrograph_key

__all__ = ["FORMATS", "Shape", "micrograph_key", "read_coordinates", "write_coordinates"]

# Rows and columns of the micrographs: of all, or asked for by name.
Shape = tuple[int, int] | Callable[[str], tuple[int, int]]

FORMATS = {"star": ".star", "box": ".box", "csv": ".csv", "tsv": ".tsv", "plain": ".txt", "gempicker": ".txt"}
_FORMAT_OF = {".star": "star", ".box": "box", ".csv": "csv", ".tsv": "tsv", ".txt": "plain",
              ".coord": "plain", ".coords": "plain"}
_ONE_MICROGRAPH = ("box", "plain", "gempicker")
SUMMARY = "picks.star"  # of `gembench pick`: all picks, beside a file per micrograph


def read_coordinates(path: str | Path, *, micrograph: str | None = None, shape: Shape | None = None,
                     flip_y: bool = False) -> list[Picks]:
    """Read picks or annotations: one Picks per micrograph, positions being centres in pixels, y down.

    path: a .star, .box, .csv, .tsv or .txt (plain, or gEMpicker's, told apart by content) file, or a folder
        of such files, of which every one is read; picks.star is left out if it only repeats picks of the
        others, as it does in a folder that `gembench pick` wrote
    micrograph: the name of the micrograph in a file that does not say; of files that do, only its picks are
        returned, none from an empty table. Without it, a file that does not say is named after its stem,
        see `micrograph_key`
    shape: rows and columns of the micrographs, or a function that gives them for a name (compare names by
        `micrograph_key`); needed for gEMpicker's text and for `flip_y`
    flip_y: positions in the file count from the last row up. The centre's y becomes H - 1 - y, for .box
        files after the centre was found in the file's own frame; psi is left as it is

    Raises InputError if a file is missing, empty or malformed, a column is missing, the extension is unknown,
    a folder holds no coordinate file, two files or rows speak of the same micrograph by different paths, the
    named micrograph is not in the file, or `shape` is needed and missing.
    """
    path = Path(path)
    if path.is_dir():
        found = _read_folder(path, shape)
    else:
        found = _read_file(path, micrograph or micrograph_key(path), shape)
        if not found and micrograph is not None:
            found = [_no_picks(micrograph)]
    _refuse_duplicates(path, found)
    if micrograph is not None:
        found = _of_micrograph(path, found, micrograph)
    return [_flipped(path, one, shape) for one in found] if flip_y else found


def write_coordinates(path: str | Path, picks: Sequence[Picks], *, format: str | None = None,
                      box_size: int | None = None, style: str = "3.1", shape: Shape | None = None,
                      flip_y: bool = False) -> list[Path]:
    """Write picks; returns the files written, each of which appears whole or not at all.

    path: a file; or, with `format`, a folder (made if needed) that gets one file per micrograph, named by
        its `micrograph_key`
    picks: one Picks per micrograph; .box, plain and gEMpicker files hold one micrograph each
    format: a key of `FORMATS`; by the extension of `path` if not given
    box_size: side of the boxes in pixels, for .box and gEMpicker files
    style: '3.1' or '3.0', of STAR files
    shape, flip_y: as for `read_coordinates`

    STAR files and tables keep every value (STAR: psi modulo 360); plain text keeps position and score;
    .box keeps rounded positions; gEMpicker's text has neither template nor label.

    Raises InputError if the format is unknown or cannot hold the picks, two picks are of one micrograph,
    `box_size` or `shape` is needed and missing, or a file cannot be written.
    """
    path = Path(path)
    is_folder = path.is_dir() or (format is not None and path.suffix.lower() not in COORDINATE_EXTENSIONS)
    if format is None and is_folder:
        raise InputError(f"{path}: is a folder; say in which format to write ({', '.join(FORMATS)})")
    form = format or _format_of(path)
    if form not in FORMATS:
        raise InputError(f"{path}: unknown format '{form}'; choose one of {', '.join(FORMATS)}")
    _refuse_duplicates(path, picks)
    if flip_y:
        picks = [_flipped(path, one, shape) for one in picks]
    if is_folder:
        make_folder(path)
        files = [path / f"{micrograph_key(one.micrograph)}{FORMATS[form]}" for one in picks]
        for file, one in zip(files, picks, strict=True):
            _write_file(file, [one], form, box_size, style, shape)
        return files
    if form in _ONE_MICROGRAPH and len(picks) != 1:
        raise InputError(f"{path}: {form} files hold one micrograph, not {len(picks)}; give a folder instead")
    _write_file(path, picks, form, box_size, style, shape)
    return [path]


def _read_folder(folder: Path, shape: Shape | None) -> list[Picks]:
    """The picks of every file of a folder, without a picks.star that only repeats others."""
    of_file = {file: _read_file(file, micrograph_key(file), shape) or [_no_picks(micrograph_key(file))]
               for file in _coordinate_files(folder)}
    summary = of_file.pop(folder / SUMMARY, [])
    found = [picks for several in of_file.values() for picks in several]
    return found if found and _repeats(summary, found) else found + summary


def _repeats(summary: Sequence[Picks], found: Sequence[Picks]) -> bool:
    """Whether all picks of `summary` are in `found`, at the same positions."""
    positions = {micrograph_key(one.micrograph): one.xy for one in found}
    return all(np.array_equal(one.xy, positions.get(micrograph_key(one.micrograph), ()))
               for one in summary if len(one))


def _read_file(path: Path, name: str, shape: Shape | None) -> list[Picks]:
    """The picks of one file; `name` is for files that do not name their micrograph."""
    form = _format_of(path)
    if form == "star":
        return read_star(path, name)
    if form in ("csv", "tsv"):
        return read_table(path, name)
    if form == "box":
        return [read_box(path, name)]
    if is_gempicker(path):
        return [read_gempicker(path, name, _shape_of(path, name, shape)[1])]
    return [read_plain(path, name)]


def _write_file(path: Path, picks: Sequence[Picks], form: str, box_size: int | None, style: str,
                shape: Shape | None) -> None:
    """Write one file in the format `form`."""
    if form == "star":
        write_star(path, picks, style=style)
    elif form in ("csv", "tsv"):
        write_table(path, picks, delimiter="," if form == "csv" else "\t")
    elif form == "box":
        write_box(path, picks[0], box_size)
    elif form == "plain":
        write_plain(path, picks[0])
    else:
        write_gempicker(path, picks[0], _shape_of(path, picks[0].micrograph, shape)[1], box_size)


def _format_of(path: Path) -> str:
    """The format that the extension stands for."""
    try:
        return _FORMAT_OF[path.suffix.lower()]
    except KeyError:
        known = ", ".join(COORDINATE_EXTENSIONS)
        raise InputError(f"{path}: unknown extension '{path.suffix}'; use one of {known}") from None


def _coordinate_files(folder: Path) -> list[Path]:
    """The coordinate files of a folder, sorted; raises InputError if there are none."""
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in COORDINATE_EXTENSIONS
                   and not p.name.startswith(".") and p.is_file())
    if not files:
        raise InputError(f"{folder}: no coordinate files in this folder; it should hold"
                         f" {', '.join(COORDINATE_EXTENSIONS)} files")
    return files


def _no_picks(micrograph: str) -> Picks:
    """What an empty table says of the micrograph it was asked for, or is named after."""
    return Picks(micrograph, np.empty(0), np.empty(0))


def _of_micrograph(path: Path, found: Sequence[Picks], micrograph: str) -> list[Picks]:
    """The picks of one micrograph; raises InputError if the file names only others."""
    wanted = [one for one in found if micrograph_key(one.micrograph) == micrograph_key(micrograph)]
    if not wanted:
        others = ", ".join(one.micrograph for one in found[:3]) or "no micrograph"
        raise InputError(f"{path}: nothing of micrograph {micrograph} (found: {others}"
                         f"{', ...' if len(found) > 3 else ''}); check the name")
    return wanted


def _refuse_duplicates(path: Path, picks: Sequence[Picks]) -> None:
    """Raise InputError if two Picks are of one micrograph."""
    seen: dict[str, str] = {}
    for one in picks:
        key = micrograph_key(one.micrograph)
        if key in seen:
            raise InputError(f"{path}: {seen[key]} and {one.micrograph} are picks of one micrograph, {key};"
                             " keep one of them")
        seen[key] = one.micrograph


def _shape_of(path: Path, name: str, shape: Shape | None) -> tuple[int, int]:
    """Rows and columns of a micrograph; raises InputError if nobody gave them."""
    if shape is None:
        raise InputError(f"{path}: the shape of micrograph {name} is needed to turn its coordinates;"
                         " give the micrographs too")
    return shape(name) if callable(shape) else shape


def _flipped(path: Path, picks: Picks, shape: Shape | None) -> Picks:
    """The same picks with y counted from the other end of the micrograph."""
    return replace(picks, y=_shape_of(path, picks.micrograph, shape)[0] - 1 - picks.y)
