"""The folder that `gembench pick` writes: one STAR file a micrograph, all of them in one, and run.json."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.io.atomic import atomic_text, make_folder, remove_parts
from gembench.io.coordinates import SUMMARY, Optics, read_coordinates
from gembench.io.coordinates.star.write import write_star
from gembench.io.images.micrographs import Micrograph
from gembench.io.images.mrc import write_mrc
from gembench.io.lock import locked
from gembench.io.names import with_slashes
from gembench.io.processes import describe, this_process
from gembench.io.source import is_file
from gembench.picking.layout import LONGEST_NAME, lower_star, output_key, output_keys, refused_names
from gembench.picking.record import IDENTITY, identity, read_record, require_same, running
from gembench.picking.summary import LIST, is_summary, write_summary

if TYPE_CHECKING:
    from gembench.picking.picker import Picked

SAVE_EVERY = 10.0  # seconds: what a run that is killed has not said of its micrographs; their picks stay


class PickFolder:
    """One output folder, which several runs with the same settings may share.

    run.json holds the settings that its picks were made with, the runs, and for each micrograph by its
    `output_key` the file (name, bytes, time of change in ns) and what picking it took. A micrograph's
    STAR file is the last thing written for it, so a micrograph that has one is finished. picks.star is
    written last of all, by every run, of all micrographs that are finished by then, and before it
    autopick.star, the list of their files that RELION reads.

    Nothing here is kept locked while micrographs are picked. run.json is read, changed and written under
    a lock, and each run changes what is its own. Two runs that pick one micrograph write the same bytes.
    """

    def __init__(
        self, folder: str | Path, settings: dict[str, Any], *, overwrite: bool = False,
        with_maps: bool = False, with_plots: bool = False, micrographs: Sequence[Path] = (),
        optics: Optics | None = None,
    ) -> None:
        """Open or make a folder; `overwrite` removes the picks, maps and plots that are in it.

        with_maps, with_plots: whether maps, and pictures of the picks, belong to a finished micrograph
        micrographs: all that will be picked, of which some may share a name; optics: for the STAR files

        Raises InputError if it holds picks made with other settings, or others' STAR files, if another run
        picks into what is to be overwritten, or if it cannot be read or made.
        """
        self.folder = Path(folder)
        self.with_maps, self.with_plots = with_maps, with_plots
        self.keys, self.optics = output_keys(micrographs), optics
        self._refused = refused_names(self.keys)
        self.settings: dict[str, Any] = json.loads(json.dumps(settings))
        self._own: dict[str, dict[str, Any]] = {}
        self._run: dict[str, Any] | None = None
        self._saved = 0.0
        self.record = self._new_record()
        old = read_record(self.folder)
        if old is None:
            make_folder(self.folder)
        elif overwrite:
            with locked(self.folder):
                self._overwrite()
        elif self._is_bound(old):
            require_same(self.folder, old, self.settings, self._run)
            self.record = old

    def key(self, micrograph: str | Path) -> str:
        """What its files are called in this folder, see `layout`; of a key the key itself."""
        name = Path(micrograph).as_posix()
        if name in self.record["micrographs"] or name in self.keys.values():
            return name
        return self.keys.get(name) or output_key(micrograph)

    def require_name(self, micrograph: Path) -> None:
        """Raise InputError for a micrograph whose name no file of picks can have, or hold."""
        if reason := self._refused.get(micrograph.as_posix()):
            raise InputError(reason)

    def star(self, micrograph: str | Path) -> Path:
        """The STAR file of one micrograph."""
        return self.folder / f"{self.key(micrograph)}.star"

    def lower(self, micrograph: str | Path) -> Path:
        """The STAR file of all picks of one micrograph down to the floor."""
        return lower_star(self.folder, self.key(micrograph))

    def maps(self, micrograph: str | Path) -> tuple[Path, Path]:
        """The files of its score map and its index map."""
        folder, key = self.folder / "maps", self.key(micrograph)
        return folder / f"{key}_score.mrc", folder / f"{key}_index.mrc"

    def plot(self, micrograph: str | Path) -> Path:
        """The picture of its picks."""
        return self.folder / "plots" / f"{self.key(micrograph)}.png"

    def is_finished(self, micrograph: Path) -> bool:
        """Whether the micrograph was picked with these settings, and has not changed since."""
        entry = self.record["micrographs"].get(self.key(micrograph), {})
        same = all(entry.get(name) == value for name, value in identity(micrograph).items())
        files = [self.star(micrograph)] + [self.lower(micrograph)] * (self.settings.get("floor") is not None)
        return same and all(map(is_file, files))

    def is_picked(self, micrograph: Path) -> bool:
        """Whether a micrograph need not be searched: it is finished, and has its maps if they are wanted."""
        maps = self.maps(micrograph) if self.with_maps else ()
        return self.is_finished(micrograph) and all(map(is_file, maps))

    def has_all(self, micrograph: Path) -> bool:
        """Whether nothing is left to do for a micrograph, neither picks nor a picture that is wanted."""
        return self.is_picked(micrograph) and (not self.with_plots or self.plot(micrograph).is_file())

    def start(self, run: dict[str, Any], micrographs: Iterable[Path]) -> None:
        """Note a run and what it will pick; what an earlier one left of these micrographs is removed.

        Raises InputError if the folder cannot be written, if another run has begun to pick with other
        settings meanwhile, or for a micrograph named as picks.star.
        """
        paths = {self.key(path): path for path in micrographs}
        for name in (SUMMARY, LIST):
            if (key := name.removesuffix(".star")) in paths:
                raise InputError(f"{paths[key].name}: its picks would be {name}, which is that of all"
                                 " micrographs: rename it")
        with locked(self.folder):
            self._refresh()
            remove_parts(self.folder)
            todo = {key: identity(path) for key, path in paths.items() if not self.is_picked(path)}
            self._remove(todo)
            self._run = run | {"process": this_process(), "end": None}
            self._own |= todo
            for key in todo:
                self.record["micrographs"].pop(key, None)
            self._write_record()

    def write(self, picks: Picks, path: Path | None = None, shape: tuple[int, int] | None = None, *,
              lower: bool = False) -> None:
        """Store one micrograph's picks, or the `lower` ones; path: of it, which STAR files name as given."""
        name = picks.micrograph if path is None else with_slashes(path.as_posix())
        star = self.lower(name) if lower else self.star(name)
        make_folder(star.parent)
        write_star(star, [replace(picks, micrograph=name)], shape=shape, optics=self.optics)

    def store(self, micrograph: Micrograph, picked: Picked, box: tuple[int, int]) -> None:
        """Store what came out of one micrograph, its picks last."""
        if self.with_maps:
            score, index = self.maps(micrograph.path)
            make_folder(score.parent)
            write_mrc(score, picked.maps.score, micrograph.pixel_size)
            write_mrc(index, picked.maps.index.astype(np.float32), micrograph.pixel_size)
        self.store_plot(micrograph, picked.picks, box)
        if picked.lower is not None:
            self.write(picked.lower, micrograph.path, micrograph.shape, lower=True)
        self.write(picked.picks, micrograph.path, micrograph.shape)

    def store_plot(self, micrograph: Micrograph, picks: Picks, box: tuple[int, int]) -> None:
        """Draw the picks on a micrograph, if that is wanted."""
        if self.with_plots:
            from gembench.picking.plots import draw_picks

            draw_picks(self.plot(micrograph.path), micrograph, picks, box)

    def note(self, micrograph: Path, facts: dict[str, Any]) -> None:
        """Note facts of a micrograph; they are in run.json some seconds later, and after `save`."""
        self._own.setdefault(self.key(micrograph), {"file": micrograph.name}).update(facts)
        if time.monotonic() - self._saved > SAVE_EVERY:
            self.save()

    def note_run(self, facts: dict[str, Any]) -> None:
        """Note facts of this run, which go into run.json by `save`."""
        if self._run is not None:
            self._run |= facts

    def fail(self, micrograph: Path, reason: str) -> None:
        """Note that a micrograph could not be picked, and remove what there is of an unfinished one."""
        self.note(micrograph, {"error": reason})
        if self.is_finished(micrograph):
            return
        key = self.key(micrograph)
        for path in (*self.maps(key), self.plot(key), self.lower(key)):
            with suppress(OSError):  # a name that no file can have, too
                path.unlink()

    def picks(self, micrograph: str | Path, *, folders: bool = False) -> Picks:
        """The picks of one finished micrograph; folders: whether its name keeps its folders."""
        return read_coordinates(self.star(micrograph), micrograph=self.file(micrograph), folders=folders)[0]

    def file(self, micrograph: str | Path) -> str:
        """The name of a micrograph's file."""
        key = self.key(micrograph)
        facts = self._own.get(key) or self.record["micrographs"].get(key, {})
        return str(facts.get("file") or Path(micrograph).name)

    @property
    def finished(self) -> list[str]:
        """The keys of the micrographs whose picks are stored, in their order."""
        return [key for key in sorted(self.record["micrographs"]) if is_file(self.star(key))]

    def save(self) -> None:
        """Write what has been noted into run.json, beside what other runs have."""
        with locked(self.folder):
            self._refresh()
            self._write_record()

    def leave(self) -> None:
        """End the run where it is."""
        self.note_run({"end": datetime.now(UTC).isoformat(timespec="seconds")})
        self.save()

    def finish(self) -> int:
        """End the run, and see to it that picks.star holds all picks; returns the number of picks."""
        if self._run is not None:
            self.leave()
            self._run = None
        picks = {key: self.picks(key, folders=True) for key in self.finished}
        if not is_summary(self.folder / SUMMARY, list(picks.values())):
            with locked(self.folder):
                self._refresh()
                picks = {key: self.picks(key, folders=True) for key in self.finished}
                if picks:
                    facts = self.record["micrographs"]
                    write_summary(self.folder, picks, {key: facts[key].get("shape") for key in picks},
                                  self.optics)
        return sum(map(len, picks.values()))

    def _new_record(self) -> dict[str, Any]:
        return {"settings": self.settings, "runs": [], "micrographs": {}}

    def _refresh(self) -> None:
        """Read what other runs have written; raises InputError if it was by other settings."""
        old = read_record(self.folder)
        if old is None or (old["settings"] != self.settings and not self._is_bound(old)):
            old = self._new_record()
        require_same(self.folder, old, self.settings, self._run)
        self.record = old

    def _write_record(self) -> None:
        """Write run.json with what is our own."""
        runs, micrographs = self.record["runs"], self.record["micrographs"]
        if self._run is not None:
            own = self._run["process"], self._run.get("start")
            runs[:] = [run for run in runs if (run.get("process"), run.get("start")) != own]
            runs.append(self._run)
        for key, facts in self._own.items():
            stored = micrographs.setdefault(key, {})
            if any(stored.get(name, value) != value for name, value in facts.items() if name in IDENTITY):
                stored.clear()
            if "picks" in facts:
                stored.pop("error", None)
            stored |= facts
        text = json.dumps(self.record, indent=1, sort_keys=True) + "\n"
        atomic_text(self.folder / "run.json", text)
        self._saved = time.monotonic()

    def _overwrite(self) -> None:
        """Remove the picks, maps and plots of all micrographs that run.json names, and it."""
        old = read_record(self.folder)
        if old is None:
            return
        if process := running(old):
            raise InputError(f"{self.folder}: {describe(process)}, picks into it: let it end, or choose"
                             " another folder; remove the folder if that process no longer runs")
        remove_parts(self.folder)
        self._remove(old["micrographs"])
        with suppress(OSError):
            (self.folder / "run.json").unlink()

    def _is_bound(self, record: dict[str, Any]) -> bool:
        """Whether the settings of a record hold: something was picked with them, or is just being picked."""
        return bool(running(record, self._run)) or any(map(is_file, map(self.star, record["micrographs"])))

    def _remove(self, keys: Iterable[str]) -> None:
        """Remove what is stored of these micrographs; picks.star first, since it repeats some of it."""
        try:
            for name in (SUMMARY, LIST):
                (self.folder / name).unlink(missing_ok=True)
            for key in keys:
                for path in (self.star(key), self.lower(key), *self.maps(key), self.plot(key)):
                    if len(os.fsencode(path.name)) <= LONGEST_NAME:
                        path.unlink(missing_ok=True)
        except NotADirectoryError:
            return  # nothing is stored in a folder that is none; making it says so
        except OSError as error:
            raise InputError(f"{error.filename}: cannot be removed ({error.strerror}): choose another folder"
                             ) from error
