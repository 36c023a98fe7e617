"""The size of micrographs by their names, for coordinates that need it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gembench.errors import InputError
from gembench.io.images.find import find_micrographs
from gembench.io.images.micrographs import read_shape
from gembench.io.names import micrograph_key, movie_key, path_key


def frame_sizes(folder: str | Path) -> Callable[[str], tuple[int, int]]:
    """Rows and columns of a micrograph of a folder (or list, see `find_micrographs`) by its name.

    The function raises InputError for a name that the folder does not hold, or holds more than once.
    """
    files = find_micrographs([folder])
    shapes: dict[str, tuple[int, int]] = {}

    def shape(name: str) -> tuple[int, int]:
        if name not in shapes:
            shapes[name] = read_shape(_file_of(Path(folder), files, name))
        return shapes[name]

    return shape


def _file_of(folder: Path, files: list[Path], name: str) -> Path:
    """The file of a micrograph: by its path's end, else by its name, else by that of its movie."""
    tail = "/" + path_key(name)
    for fitting in (
        [file for file in files if ("/" + path_key(file.as_posix())).endswith(tail)],
        [file for file in files if micrograph_key(file) == micrograph_key(name)],
        [file for file in files if movie_key(file) == movie_key(name)],
    ):
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise InputError(f"{folder}: {fitting[0]} and {fitting[1]} could both be micrograph {name},"
                             " whose size"
                             " is needed; leave out one of them")
    raise InputError(f"{folder}: no micrograph {micrograph_key(name)} here, and its size is needed; add it")
