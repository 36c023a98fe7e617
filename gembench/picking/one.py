"""What `gembench pick` does with one micrograph, from reading it to its STAR file."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.errors import InputError
from gembench.io.images.micrographs import Micrograph, read_micrograph, read_pixels
from gembench.io.names import micrograph_key
from gembench.picking.extras import draw, write_maps
from gembench.picking.folder import PickFolder
from gembench.picking.picker import Picked, Picker, Prepared


@dataclass(frozen=True)
class Outcome:
    """What came out of one micrograph.

    facts: for run.json; empty if its picks were there already
    error: why it could not be picked
    warnings: message and arguments of those that were kept for the root's log
    """

    path: Path
    facts: dict[str, Any]
    error: str = ""
    warnings: tuple[tuple[str, tuple[Any, ...]], ...] = ()


@dataclass(frozen=True)
class Ready:
    """A micrograph that has been read.

    prepared: for the search; None if its picks and maps are there already, or it cannot be read: `error`
    """

    path: Path
    micrograph: Micrograph | None
    prepared: Prepared | None = None
    error: str = ""


def read_one(
    args: argparse.Namespace, picker: Picker, folder: PickFolder, areas: dict[str, Path], path: Path
) -> Ready:
    """Read one micrograph, and prepare it unless it is picked; areas: images of what is excluded, by name."""
    try:
        micrograph = read_micrograph(path, pixel_size=args.pixel_size)
        if is_picked(args, folder, path):
            return Ready(path, micrograph)
        return Ready(path, micrograph, picker.prepare(micrograph, _excluded(areas, path)))
    except InputError as error:
        return Ready(path, None, error=str(error))


def pick_one(args: argparse.Namespace, picker: Picker, folder: PickFolder, ready: Ready, start: float
             ) -> Outcome:
    """Pick and store one micrograph, or what is missing of it; its STAR file comes last.

    start: when its time began, by `time.perf_counter`
    """
    if ready.micrograph is None:
        return Outcome(ready.path, {}, ready.error)
    try:
        picked = None if ready.prepared is None else picker.pick(ready.prepared)
    except InputError as error:
        return Outcome(ready.path, {}, str(error))
    _store(args, folder, ready.micrograph, picked, picker.bank.box)
    return Outcome(ready.path, {} if picked is None else _facts(picked, time.perf_counter() - start))


def is_picked(args: argparse.Namespace, folder: PickFolder, path: Path) -> bool:
    """Whether a micrograph need not be searched: it is finished, and has the maps asked for."""
    has_maps = not args.save_maps or all(file.is_file() for file in folder.maps(path))
    return has_maps and folder.is_finished(path)


def _excluded(areas: dict[str, Path], micrograph: Path) -> NDArray[np.bool_] | None:
    """The area of a micrograph where nothing may be picked, (H, W); None if there is no image of it."""
    path = areas.get(micrograph_key(micrograph))
    return None if path is None else read_pixels(path)[0] != 0


def _store(
    args: argparse.Namespace, folder: PickFolder, micrograph: Micrograph, picked: Picked | None,
    box: tuple[int, int],
) -> None:
    """Write what came out of one micrograph, its picks last; None if they are stored already."""
    picks = folder.picks(micrograph.name) if picked is None else picked.picks
    if picked is not None and args.save_maps:
        write_maps(folder, micrograph, picked.maps)
    if args.plots:
        draw(folder, micrograph, picks, box)
    if picked is not None:
        folder.write(picks)


def _facts(picked: Picked, seconds: float) -> dict[str, Any]:
    """What run.json says of one micrograph."""
    statistics = picked.statistics
    return {
        "picks": len(picked.picks), "seconds": round(seconds, 4),
        "search_seconds": round(statistics.seconds, 4), "limited_pixels": picked.limited,
        "transforms": {"forward": statistics.counts.forward, "inverse": statistics.counts.inverse},
        "producer_wait": round(statistics.producer_wait, 4),
        "consumer_wait": round(statistics.consumer_wait, 4),
    }
