"""picks.star, all picks of a folder in one file, and autopick.star, RELION's list of its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.io.coordinates import SUMMARY, Optics, read_coordinates
from gembench.io.coordinates.star.write import write_list, write_star

LIST = "autopick.star"


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
