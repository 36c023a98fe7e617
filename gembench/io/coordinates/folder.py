"""Folders of coordinate files, and STAR files that list coordinate files as RELION's autopick.star does."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gembench.errors import InputError
from gembench.io.coordinates.notes import Notes
from gembench.io.coordinates.star.optics import MICROGRAPH
from gembench.io.coordinates.star.scan import scan_loops
from gembench.io.names import COORDINATE_EXTENSIONS, with_slashes
from gembench.io.source import is_file

_LISTED = "rlnMicrographCoordinates"
_OWN_RECORD = "run.json"  # of `gembench pick`


def folder_files(folder: Path, notes: Notes) -> list[Path]:
    """The files of a folder that may hold coordinates, sorted; if it has none, those of the folders in it.

    Hidden files are passed over, and links that lead nowhere, which a note counts.

    Raises InputError if there are none.
    """
    files = _files(folder, folder.iterdir(), notes)
    inner = [path for path in folder.rglob("*") if not _is_hidden(path.relative_to(folder))
             and path.parent != folder]
    if not files:
        files = _files(folder, inner, notes)
        if files:
            notes.add(folder, f"holds no coordinate files itself; those of its folders are read ({len(files)}"
                      " files)")
    elif (deeper := [path for path in inner if path.suffix.lower() in COORDINATE_EXTENSIONS]) and not any(
            listed_files(file) is not None for file in files if file.suffix.lower() == ".star"):
        notes.add(folder, f"folders in it are not searched: they hold {len(deeper)} more files, such as"
                  f" {deeper[0].relative_to(folder)}")
    if not files:
        raise InputError(f"{folder}: no coordinate files in this folder; it should hold"
                         f" {', '.join(COORDINATE_EXTENSIONS)} files")
    return files


def listed_files(path: Path) -> list[tuple[str, Path | None]] | None:
    """Micrograph and coordinate file of each row of a list of coordinate files; None if it is no such list.

    The files are looked for as named, from each folder above the list, and beside it: RELION names them from
    its project's folder. One that is not there is None.
    """
    try:
        with path.open("rb") as handle:
            if _LISTED.encode() not in handle.read(1 << 16):
                return None
    except OSError:
        return None
    listed: list[tuple[str, Path | None]] = []
    for loop in scan_loops(path):
        if _LISTED in loop.columns and MICROGRAPH in loop.columns:
            at = loop.columns.index(MICROGRAPH), loop.columns.index(_LISTED)
            listed += [(with_slashes(row[at[0]]), _find(path, with_slashes(row[at[1]])))
                       for row in loop.rows()]
    return listed


def _find(path: Path, name: str) -> Path | None:
    """A file that a list names."""
    parts = name.split("/")
    beside = [path.parent.joinpath(*parts[n:]) for n in range(1, len(parts))]  # of a folder that was moved
    places = [Path(name), *(folder / name for folder in path.absolute().parents), *beside]
    return next((place for place in places if is_file(place)), None)


def _files(folder: Path, paths: Iterable[Path], notes: Notes) -> list[Path]:
    """Those of the paths that may be coordinate files, sorted."""
    named = sorted(path for path in paths if path.suffix.lower() in COORDINATE_EXTENSIONS
                   and not path.name.startswith(".") and path.name != _OWN_RECORD)
    broken = [path for path in named if path.is_symlink() and not path.exists()]
    if broken:
        notes.add(folder, f"links that lead nowhere are left out: {broken[0].name}"
                  f"{', ...' if len(broken) > 1 else ''} ({len(broken)})")
    return [path for path in named if path.is_file()]


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
