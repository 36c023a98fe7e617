"""The folder that `gembench pick` writes: one STAR file a micrograph, all of them in one, and run.json."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from gembench.engine.picks import Picks
from gembench.engine.score_map import ScoreMap
from gembench.errors import InputError
from gembench.io.atomic import atomic_text, make_folder
from gembench.io.coordinates import SUMMARY, read_coordinates, write_coordinates
from gembench.io.images.micrographs import Micrograph
from gembench.io.images.mrc import write_mrc
from gembench.io.names import micrograph_key


class PickFolder:
    """One output folder.

    run.json holds the settings that its picks were made with, the runs, and for each micrograph by its
    `micrograph_key` the file (name, bytes, time of change in ns) and what picking it took. A micrograph's
    STAR file is the last thing written for it, so a micrograph that has one is finished; picks.star is the
    last thing of all, so a folder that has one is.
    """

    def __init__(
        self, folder: str | Path, settings: dict[str, Any], *, overwrite: bool = False,
        with_maps: bool = False, with_plots: bool = False,
    ) -> None:
        """Open or make a folder; `overwrite` removes the picks, maps and plots that are in it.

        with_maps, with_plots: whether maps, and pictures of the picks, belong to a finished micrograph

        Raises InputError if it holds picks made with other settings, or others' STAR files, or if it cannot
        be read or made.
        """
        self.folder = Path(folder)
        self.with_maps, self.with_plots = with_maps, with_plots
        self.settings: dict[str, Any] = json.loads(json.dumps(settings))
        self.record: dict[str, Any] = {"settings": self.settings, "runs": [], "micrographs": {}}
        old = self._read_record()
        if old is not None and overwrite:
            self._remove(old["micrographs"])
        elif old is not None:
            self._require_same(old["settings"])
            self.record = old
        make_folder(self.folder)

    def star(self, micrograph: str | Path) -> Path:
        """The STAR file of one micrograph."""
        return self.folder / f"{micrograph_key(micrograph)}.star"

    def maps(self, micrograph: str | Path) -> tuple[Path, Path]:
        """The files of its score map and its index map."""
        folder, key = self.folder / "maps", micrograph_key(micrograph)
        return folder / f"{key}_score.mrc", folder / f"{key}_index.mrc"

    def plot(self, micrograph: str | Path) -> Path:
        """The picture of its picks."""
        return self.folder / "plots" / f"{micrograph_key(micrograph)}.png"

    def is_finished(self, micrograph: Path) -> bool:
        """Whether the micrograph was picked with these settings, and has not changed since."""
        known = self.record["micrographs"].get(micrograph_key(micrograph), {})
        same = all(known.get(name) == value for name, value in _identity(micrograph).items())
        return same and self.star(micrograph).is_file()

    def is_picked(self, micrograph: Path) -> bool:
        """Whether a micrograph need not be searched: it is finished, and has its maps if they are wanted."""
        has_maps = not self.with_maps or all(file.is_file() for file in self.maps(micrograph))
        return has_maps and self.is_finished(micrograph)

    def has_all(self, micrograph: Path) -> bool:
        """Whether nothing is left to do for a micrograph, neither picks nor a picture that is wanted."""
        return self.is_picked(micrograph) and (not self.with_plots or self.plot(micrograph).is_file())

    def start(self, run: dict[str, Any], micrographs: Iterable[Path]) -> None:
        """Note a run and what it will pick; what an earlier one left of these micrographs is removed.

        Raises InputError if the folder cannot be written, or for a micrograph named as picks.star.
        """
        todo = {micrograph_key(path): _identity(path) for path in micrographs}
        if (key := SUMMARY.removesuffix(".star")) in todo:
            raise InputError(f"{todo[key]['file']}: its picks would be {SUMMARY}, which holds those of all"
                             " micrographs: rename it")
        self._remove(todo)
        self.record["runs"].append(run)
        self.record["micrographs"].update(todo)
        self.save()

    def write(self, picks: Picks) -> None:
        """Store one micrograph's picks."""
        write_coordinates(self.star(picks.micrograph), [picks])

    def store(self, micrograph: Micrograph, picks: Picks, maps: ScoreMap, box: tuple[int, int]) -> None:
        """Store what came out of one micrograph, its picks last."""
        if self.with_maps:
            score, index = self.maps(micrograph.name)
            make_folder(score.parent)
            write_mrc(score, maps.score, micrograph.pixel_size)
            write_mrc(index, maps.index.astype(np.float32), micrograph.pixel_size)
        self.store_plot(micrograph, picks, box)
        self.write(picks)

    def store_plot(self, micrograph: Micrograph, picks: Picks, box: tuple[int, int]) -> None:
        """Draw the picks on a micrograph, if that is wanted."""
        if self.with_plots:
            from gembench.picking.plots import draw_picks

            draw_picks(self.plot(micrograph.name), micrograph, picks, box)

    def note(self, micrograph: Path, facts: dict[str, Any]) -> None:
        """Note facts of a micrograph, which go into run.json by `save`."""
        known = self.record["micrographs"].setdefault(micrograph_key(micrograph), {"file": micrograph.name})
        known.update(facts)

    def fail(self, micrograph: Path, reason: str) -> None:
        """Note that a micrograph could not be picked."""
        self.note(micrograph, {"error": reason})

    def picks(self, micrograph: str) -> Picks:
        """The picks of one finished micrograph."""
        return read_coordinates(self.star(micrograph), micrograph=micrograph)[0]

    @property
    def finished(self) -> list[str]:
        """The names of the micrographs whose picks are stored, by their keys' order."""
        known = sorted(self.record["micrographs"].items())
        return [facts["file"] for key, facts in known if self.star(key).is_file()]

    def save(self) -> None:
        """Write run.json."""
        atomic_text(self.folder / "run.json", json.dumps(self.record, indent=1, sort_keys=True) + "\n")

    def finish(self) -> int:
        """Write picks.star, unless it is there or nothing could be picked; returns the number of picks."""
        found = [self.picks(name) for name in self.finished]
        if found and not (self.folder / SUMMARY).exists():
            write_coordinates(self.folder / SUMMARY, found)
        return sum(len(one) for one in found)

    def _remove(self, keys: Iterable[str]) -> None:
        """Remove what is stored of these micrographs; picks.star first, since it repeats some of it."""
        try:
            (self.folder / SUMMARY).unlink(missing_ok=True)
            for key in keys:
                for path in (self.star(key), *self.maps(key), self.plot(key)):
                    path.unlink(missing_ok=True)
        except NotADirectoryError:
            return  # nothing is stored in a folder that is none; making it says so
        except OSError as error:
            raise InputError(f"{error.filename}: cannot be removed ({error.strerror}): choose another folder"
                             ) from error

    def _read_record(self) -> dict[str, Any] | None:
        path = self.folder / "run.json"
        if not path.exists():
            if self.folder.is_dir() and any(self.folder.glob("*.star")):
                raise InputError(f"{self.folder}: holds STAR files but no run.json: choose another folder")
            return None
        with suppress(ValueError, KeyError, TypeError, OSError):
            record = json.loads(path.read_text(encoding="utf-8"))
            parts = record["settings"], record["micrographs"], record["runs"]
            if [type(part) for part in parts] == [dict, dict, list]:
                return dict(record)
        raise InputError(f"{path}: is damaged, or not of gembench pick: choose another folder")

    def _require_same(self, old: dict[str, Any]) -> None:
        differences = _differences(old, self.settings)
        changed = [f"{name} {_short(a)} became {_short(b)}" for name, a, b in differences]
        if changed:
            raise InputError(
                f"{self.folder}: holds picks made with other settings ({'; '.join(changed)}):"
                " choose another folder, or --overwrite"
            )


def _identity(micrograph: Path) -> dict[str, Any]:
    """What tells a micrograph's file from another of its name; without one, its name alone."""
    known: dict[str, Any] = {"file": micrograph.name}
    with suppress(OSError):
        status = micrograph.stat()
        known |= {"bytes": status.st_size, "changed": status.st_mtime_ns}
    return known


def _differences(old: dict[str, Any], new: dict[str, Any]) -> Iterable[tuple[str, Any, Any]]:
    for name in sorted(old.keys() | new.keys()):
        a, b = old.get(name), new.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            yield from _differences(a, b)
        elif a != b:
            yield name, a, b


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 16 else text[:8] + "..."
