"""All picks of a folder: in picks.star, listed in autopick.star for RELION, and down to its floor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.io.coordinates import SUMMARY, Optics, read_coordinates
from gembench.io.coordinates.star.write import write_list, write_star
from gembench.io.names import shortest_tails
from gembench.io.source import is_file
from gembench.picking.layout import lower_star
from gembench.picking.record import read_record

LIST = "autopick.star"


class Stored(NamedTuple):
    """What a folder of picks holds: scores from the threshold, or apart from the floor, on; its keys."""

    threshold: float
    floor: float | None
    keys: list[str]


def stored_down_to(folder: Path) -> Stored | None:
    """What a folder holds by its run.json; None without one of `gembench pick`."""
    if not (folder / "run.json").is_file():
        return None
    with suppress(InputError, KeyError, TypeError, ValueError):
        if record := read_record(folder):
            settings, floor = record["settings"], record["settings"].get("floor")
            return Stored(float(settings["peaks"]["threshold"]), None if floor is None else float(floor),
                          sorted(record["micrographs"]))
    return None


def lower_picks(folder: Path, keys: Sequence[str]) -> list[Picks]:
    """All picks of a folder's finished micrographs down to its floor, named as `read_coordinates` does.

    Raises InputError for a micrograph whose picks are there and those below the threshold are not.
    """
    picks: list[Picks] = []
    for key in keys:
        if is_file(folder / f"{key}.star"):
            lower = lower_star(folder, key)
            if not is_file(lower):
                raise InputError(f"{lower}: is missing: give the command of `gembench pick` again, which"
                                 " makes it")
            picks += read_coordinates(lower, folders=True)
    names = shortest_tails([part.micrograph for part in picks])
    return [replace(part, micrograph=name) for part, name in zip(picks, names, strict=True)]


def write_summary(
    folder: Path, picks: Mapping[str, Picks], shapes: Mapping[str, Sequence[int] | None],
    optics: Optics | None,
) -> None:
    """Write autopick.star and picks.star of these micrographs; others may be finished meanwhile.

    picks, shapes: of each micrograph by the name of its STAR file without extension; see `write_star`
    """
    write_list(folder / LIST, [(part.micrograph, (folder / f"{key}.star").as_posix())
                               for key, part in picks.items()])
    rows_and_columns = {picks[key].micrograph: (shape[0], shape[1]) for key, shape in shapes.items() if shape}
    write_star(folder / SUMMARY, list(picks.values()), optics=optics,
               shape=rows_and_columns.__getitem__ if all(shapes.values()) else None)


def is_summary(path: Path, picks: Sequence[Picks]) -> bool:
    """Whether picks.star holds these picks and no others."""
    if not picks or not path.exists():
        return not picks
    with suppress(InputError):  # damaged: it is written again
        stored = {part.micrograph: part for part in read_coordinates(path, folders=True) if len(part)}
        current = {part.micrograph: part for part in picks if len(part)}
        return stored.keys() == current.keys() and all(map(_same_picks, stored.values(),
                                                           map(current.get, stored)))
    return False


def _same_picks(picks: Picks, others: Picks | None) -> bool:
    """Whether both hold the same picks, in every column."""
    if others is None or picks.pixel_size != others.pixel_size:
        return False
    columns = ("x", "y", "score", "template", "view", "psi", "label", "beside")
    return all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
               for a, b in ((getattr(picks, name), getattr(others, name)) for name in columns))
