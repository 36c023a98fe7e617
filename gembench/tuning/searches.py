"""The searches of a tuning: each is a run of `gembench pick` into a folder of its own, and stays there."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from gembench.engine.picks import FloatArray, Picks
from gembench.errors import InputError
from gembench.evaluate.rules import Rules, keep
from gembench.io.checks import content_hash
from gembench.io.coordinates import read_coordinates
from gembench.io.images.micrographs import read_micrograph, read_shape
from gembench.picking.beside import beside_scores
from gembench.picking.layout import output_keys
from gembench.picking.prepare import prepare, read_area
from gembench.picking.run import open_run, read_task
from gembench.picking.settings import Outputs, PickSettings, Resources, Sources


class Searches:
    """Searches the annotated micrographs, and keeps by rules what was picked.

    files, names: of the micrographs, and what their annotations call them, which picks are called here, too
    by_name: the files by these names
    sources: templates, masks and what else stays; folder: that holds a folder of picks for each search
    at_hand: what is searched, such as 'low-pass 70 A, 10 degrees'
    """

    def __init__(self, files: Sequence[Path], names: Sequence[str], sources: Sources, resources: Resources,
                 folder: Path) -> None:
        self.files, self.names = list(files), dict(zip(files, names, strict=True))
        self.by_name = dict(zip(names, files, strict=True))
        self.sources, self.resources, self.folder = sources, resources, folder
        self.shapes = {self.names[path]: read_shape(path) for path in files}
        self.at_hand = ""

    def search(self, settings: PickSettings, decoys: Path | None = None, files: Sequence[Path] | None = None,
               note: str = "") -> Iterator[None]:
        """Search some micrographs, all unless named; yields once for each, `picks` has them afterwards.

        note: what tells this search from others with these settings
        Raises InputError if one cannot be picked.
        """
        self.at_hand = self._title(settings) + (f", {note}" if note else "")
        sources = self._sources(files, decoys)
        folder = self._folder(settings, decoys, note)
        with open_run(sources, Outputs(folder), settings, self.resources, sys.argv) as run:
            for _ in range(len(run.task.paths) - len(run.todo)):
                yield
            for outcome in run.outcomes():
                if outcome.error:
                    raise InputError(outcome.error)
                yield

    def picks(self, settings: PickSettings, decoys: Path | None = None, files: Sequence[Path] | None = None,
              note: str = "") -> list[Picks]:
        """What a search picked, by its arguments."""
        folder, keys = self._folder(settings, decoys, note), output_keys(files or self.files)
        return [replace(read_coordinates(folder / f"{keys[path.as_posix()]}.star",
                                         micrograph=path.name)[0], micrograph=self.names[path])
                for path in files or self.files]

    def kept(self, picks: Sequence[Picks], distance: float, border: float, threshold: float | None = None,
             max_picks: int | None = None) -> list[Picks]:
        """The picks that `gembench filter` would keep."""
        rules = Rules(threshold, distance, border, max_picks=max_picks)
        return [keep(rows, rules, self.shapes[rows.micrograph]) for rows in picks]

    def beside(self, picks: Sequence[Picks], least: float, settings: PickSettings,
               decoys: dict[str, Path] | None = None) -> Iterator[FloatArray]:
        """Of the picks of every micrograph what is beside them, as part of their score; see `picking.beside`.

        least: score; worse picks get 0
        decoys: that a micrograph was searched with, by its name
        """
        tasks = {path: read_task(self._sources(None, path), settings)
                 for path in set((decoys or {}).values()) | ({None} if decoys is None else set())}
        for rows in picks:
            task = tasks[decoys[rows.micrograph] if decoys else None]
            path = self.by_name[rows.micrograph]
            micrograph = read_micrograph(path, pixel_size=settings.pixel_size)
            ready = prepare(micrograph, settings, read_area(task.areas, path))
            better = rows.score >= least
            there = rows[better].shifted(ready.shift, ready.shift)
            shares = np.zeros(len(rows))
            shares[better] = beside_scores(ready.image, task.bank, there, settings.peaks.distance)
            yield shares / rows.score

    def _sources(self, files: Sequence[Path] | None, decoys: Path | None) -> Sources:
        return replace(self.sources, micrographs=files or self.files, include=(), leave_out=(),
                       decoys=decoys or self.sources.decoys)

    def _folder(self, settings: PickSettings, decoys: Path | None, note: str) -> Path:
        """The folder of a search, which no other one has: its name ends in a digest of what decides it."""
        at, by = settings, self._sources(None, decoys)
        files = [by.templates, by.masks, by.exclude, by.decoys, by.decoy_masks]
        decides = [settings.to_dict(), [path and content_hash(path) for path in files]]
        digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:6]
        words = [f"{at.lowpass:g}A", at.edges, f"{at.angle_step:g}deg", *[note] * bool(note), digest]
        return self.folder / "-".join(words)

    @staticmethod
    def _title(settings: PickSettings) -> str:
        lowpass = f"low-pass {settings.lowpass:g} A" if settings.lowpass else "no low-pass"
        return f"{lowpass}, edges {settings.edges}, {settings.angle_step:g} degrees"
