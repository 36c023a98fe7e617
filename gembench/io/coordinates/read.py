"""Coordinates of picks and annotations: one reader for every format, for lists of files and for folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.io.coordinates.folder import folder_files, listed_files
from gembench.io.coordinates.formats import format_of
from gembench.io.coordinates.notes import Notes
from gembench.io.coordinates.rows import NotCoordinatesError
from gembench.io.coordinates.star.write import Shape
from gembench.io.coordinates.write import flipped, refuse_duplicates
from gembench.io.names import micrograph_key, path_key, shortest_tails
from gembench.io.source import require_file

SUMMARY = "picks.star"  # of `gembench pick`: all picks, beside a file per micrograph


def read_coordinates(path: str | Path, *, micrograph: str | None = None, shape: Shape | None = None,
                     flip_y: bool = False, folders: bool = False, annotations: bool = False) -> list[Picks]:
    """Read picks or annotations: one Picks per micrograph, positions being centres in pixels, y down.

    path: a file of any of `FORMATS` (of one suffix told apart by content), a STAR file that lists
        coordinate files as RELION's autopick.star does, or a folder: of one that holds such a list the list
        is followed, of any other every file with coordinates is read, of its folders if it has none itself.
        picks.star is left out if it only repeats picks of the others, as it does in a folder that
        `gembench pick` wrote
    micrograph: the name of the micrograph in a file that does not say; of files that do, only its picks are
        returned, none from an empty table. Without it, a file that does not say is named after its stem,
        see `micrograph_key`
    shape: rows and columns of the micrographs, or a function that gives them for a name (compare names by
        `micrograph_key`); needed for gEMpicker's text, for fractions of the frame and for `flip_y`
    flip_y: positions in the file count from the last row up. The centre's y becomes H - 1 - y, for .box
        files after the centre was found in the file's own frame; psi is left as it is
    folders: keep the folders that names have in the file
    annotations: nothing is said of scores that are none, which annotations do not need

    Micrographs are else named without folder; of those that share a name, with the folders that tell them
    apart. What was done to the file's numbers, or left out, is said in a line each, see `Notes`.

    Raises InputError if a file is missing, empty or malformed, a column is missing, the extension is unknown,
    a folder holds no coordinate file, two files speak of the same micrograph, the named micrograph is not in
    the file, or `shape` is needed and missing.
    """
    path = Path(path)
    notes = Notes(scores=not annotations)
    if path.is_dir():
        tables = _read_folder(path, shape, notes)
    else:
        tables = _read_file(path, micrograph or micrograph_key(path), shape, notes)
        if not tables and micrograph is not None:
            tables = [_no_picks(micrograph)]
    notes.tell(path)
    refuse_duplicates(path, tables)
    if not folders:
        names = shortest_tails([part.micrograph for part in tables])
        tables = [replace(part, micrograph=name) for part, name in zip(tables, names, strict=True)]
    if micrograph is not None:
        tables = _of_micrograph(path, tables, micrograph)
    return [flipped(path, part, shape) for part in tables] if flip_y else tables


def _read_folder(folder: Path, shape: Shape | None, notes: Notes) -> list[Picks]:
    """The picks of every file of a folder, or of its lists, without a picks.star that repeats others."""
    files = folder_files(folder, notes)
    lists = {file: listed for file in files if file.suffix.lower() == ".star"
             and (listed := listed_files(file)) is not None}
    if lists:
        read = {file.resolve() for listed in lists.values() for _, file in listed if file}
        others = [file for file in files if file not in lists and file.resolve() not in read
                  and file != folder / SUMMARY]
        if others:
            notes.add(folder, f"{', '.join(file.name for file in lists)}: lists of coordinate files; what"
                              f" they list is read, and nothing else, as {others[0].name}")
        return [part for file in lists for part in _read_file(file, micrograph_key(file), shape, notes)]
    of_file: dict[Path, list[Picks]] = {}
    left_out: list[Path] = []
    errors: list[NotCoordinatesError] = []
    for file in files:
        name = path_key(file.relative_to(folder))
        try:
            of_file[file] = _read_if_any(file, name, shape, notes) or [_no_picks(name)]
        except NotCoordinatesError as error:
            left_out.append(file)
            errors.append(error)
    if not of_file:
        raise errors[0] if len(errors) == 1 else InputError(
            f"{folder}: none of its {len(errors)} files holds coordinates ({errors[0]})")
    if left_out:
        shown = ", ".join(file.name for file in left_out[:3]) + (", ..." if len(left_out) > 3 else "")
        notes.add(folder, f"left out, since they hold no coordinates: {shown} ({len(left_out)} of"
                          f" {len(files)}"
                  " files)")
    summary = of_file.pop(folder / SUMMARY, [])
    tables = [picks for several in of_file.values() for picks in several]
    return tables if tables and _repeats(summary, tables) else tables + summary


def _repeats(summary: Sequence[Picks], tables: Sequence[Picks]) -> bool:
    """Whether all picks of `summary` are in `tables`, at the same positions."""
    positions = {micrograph_key(part.micrograph): part.xy for part in tables}
    positions |= {path_key(part.micrograph): part.xy for part in tables}
    return all(np.array_equal(part.xy, positions.get(
        path_key(part.micrograph), positions.get(micrograph_key(part.micrograph), ()))) for part in summary
        if len(part))


def _read_file(path: Path, name: str, shape: Shape | None, notes: Notes) -> list[Picks]:
    """The picks of one file; `name` is for files that do not name their micrograph."""
    if not path.is_file():  # missing, or a pipe that would be waited for
        require_file(path)
    form = format_of(path)
    if form.name == "star" and (listed := listed_files(path)) is not None:
        return _read_listed(path, listed, shape, notes)
    return form.read(path, name, notes, shape)


def _read_if_any(path: Path, name: str, shape: Shape | None, notes: Notes) -> list[Picks]:
    """The picks of one of several files; an empty one is what programs write for a micrograph without."""
    if path.stat().st_size == 0:
        notes.add(path, "empty: a micrograph without picks")
        return []
    return _read_file(path, name, shape, notes)


def _read_listed(
    path: Path, listed: Sequence[tuple[str, Path | None]], shape: Shape | None, notes: Notes
) -> list[Picks]:
    """The picks of the files that a list names, each for the micrograph that it names."""
    missing = sum(file is None for _, file in listed)
    if missing == len(listed) > 0:
        raise InputError(f"{path}: none of the {missing} coordinate files that it lists is here; give the"
                         " folder"
                         " that RELION ran in, or one of its files")
    if missing:
        first = next(name for name, file in listed if file is None)
        notes.add(path, "{count} of {total} coordinate files of the list are not here and count as without"
                        " picks,"
                  f" the first is that of {first}", missing, len(listed))
    tables: list[Picks] = []
    for micrograph, file in listed:
        parts = [] if file is None else _read_if_any(file, micrograph, shape, notes)
        tables.extend(replace(part, micrograph=micrograph) for part in parts[:1] or [_no_picks(micrograph)])
        if len(parts) > 1:
            raise InputError(f"{file}: holds picks of {len(parts)} micrographs, and {path.name} lists it for"
                             f" {micrograph} alone; read the file by itself")
    return tables


def _no_picks(micrograph: str) -> Picks:
    """What an empty table says of the micrograph it was asked for, or is named after."""
    return Picks(micrograph, np.empty(0), np.empty(0))


def _of_micrograph(path: Path, tables: Sequence[Picks], micrograph: str) -> list[Picks]:
    """The picks of one micrograph; raises InputError if the file names only others."""
    chosen = [part for part in tables if path_key(part.micrograph) == path_key(micrograph)] or [
        part for part in tables if micrograph_key(part.micrograph) == micrograph_key(micrograph)]
    if not chosen:
        others = ", ".join(part.micrograph for part in tables[:3]) or "no micrograph"
        raise InputError(f"{path}: nothing of micrograph {micrograph} (found: {others}"
                         f"{', ...' if len(tables) > 3 else ''}); check the name")
    return chosen
