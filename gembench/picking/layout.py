"""Where the picks of each micrograph go in the output folder, so that RELION finds them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from gembench.errors import InputError
from gembench.io.coordinates.star.write import check_name
from gembench.io.names import micrograph_key, path_key, shortest_tails
from gembench.text import printable

LONGEST_NAME = 255  # bytes, on every common file system
LOWER = ".lower"  # folder in that of picks; hidden: nobody reads both
# RELION names a micrograph MotionCorr/job002/Movies/a.mrc, and its picks Movies/a below those of the job.
_JOB = re.compile(r"(?:^|/)[A-Za-z]\w*/job\d{3,}/(.+)$")


def output_key(micrograph: str | Path) -> str:
    """The name of a micrograph's picks in the folder, without extension: of a RELION job its path there."""
    inner = _JOB.search(Path(micrograph).as_posix())
    return path_key(inner[1]) if inner else micrograph_key(micrograph)


def lower_star(folder: Path, key: str) -> Path:
    """The STAR file of all picks of one micrograph down to the floor, in a folder of picks."""
    return folder / LOWER / f"{key}.star"


def output_keys(micrographs: Sequence[Path]) -> dict[str, str]:
    """The `output_key` of each micrograph by its path; those that share one get the folders that differ."""
    keys = {path.as_posix(): output_key(path) for path in micrographs}
    counts = Counter(keys.values())
    shared = [name for name, key in keys.items() if counts[key] > 1]
    tails = shortest_tails(shared)
    return keys | {name: path_key(tail) for name, tail in zip(shared, tails, strict=True)}


def refused_names(keys: Mapping[str, str]) -> dict[str, str]:
    """Why no file of picks can have or hold a name, by the micrograph's path; keys: each `output_key`."""
    reasons = {}
    for name, key in keys.items():
        try:
            _require_name(name, key)
        except InputError as error:
            reasons[name] = str(error)
    return reasons


def _require_name(name: str, key: str) -> None:
    try:
        size = len(f"{key.rpartition('/')[2]}_score.mrc".encode())
    except UnicodeEncodeError:
        raise InputError(f"{printable(name)}: its name is not UTF-8: rename it") from None
    if size > LONGEST_NAME:
        raise InputError(f"{name}: its name is too long for those of its picks and maps: rename it")
    check_name(name, printable(name, 400))
