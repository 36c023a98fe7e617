"""One run of picking: what is left to do in a folder, every micrograph from its file to its picks."""

from __future__ import annotations

import dataclasses
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gembench import machine
from gembench.engine.bank import TemplateBank
from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.io.checks import content_hash
from gembench.io.coordinates.star.optics import Optics, optics_of
from gembench.io.images.micrographs import Micrograph, find_micrographs
from gembench.picking.facts import Spent, facts_of
from gembench.picking.folder import PickFolder
from gembench.picking.picker import Picker, Searched, left_for_search
from gembench.picking.prepare import (
    Prepared,
    find_areas,
    load_bank,
    read_area,
    warn_of_precision,
    with_distance,
)
from gembench.picking.settings import Outputs, PickSettings, Resources, Sources

log = logging.getLogger("gembench")


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
    searched: its maps, once it has been searched; seconds: of each stage so far
    """

    path: Path
    micrograph: Micrograph | None
    prepared: Prepared | None = None
    error: str = ""
    searched: Searched | None = None
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """What is to be picked, and how; the same on all ranks.

    paths: all micrographs; areas: see `prepare.find_areas`
    inverted: the templates whose contrast was inverted
    """

    settings: PickSettings
    bank: TemplateBank
    inverted: list[int]
    paths: list[Path]
    areas: dict[Path, Path]

    def picker(self, resources: Resources, *, plots: bool = False, **options: Any) -> Picker:
        """The picker for it, and for pictures of its picks; `options` of `Picker` that are no resources."""
        threads = machine.cores() if resources.threads is None else resources.threads
        return Picker(
            self.bank, self.settings, threads=threads, library=resources.library, device=resources.device,
            memory=left_for_search(resources.memory, plots), stall_limit=resources.stall_limit, **options,
        )


def read_task(sources: Sources, settings: PickSettings) -> Task:
    """Find the micrographs and read the templates; raises InputError for input that cannot be used."""
    paths = find_micrographs(sources.micrographs, sources.include, sources.leave_out)
    areas = find_areas(sources.exclude, paths)
    bank, inverted = load_bank(sources.templates, sources.masks, settings, sources.decoys,
                               sources.decoy_masks)
    warn_of_precision(settings, bank)
    return Task(with_distance(settings, bank), bank, inverted, paths, areas)


def open_folder(
    sources: Sources, outputs: Outputs, settings: PickSettings, micrographs: Sequence[Path] = ()
) -> PickFolder:
    """The folder for picks by these settings, and by the content of the files that decide what is picked.

    Raises InputError as `PickFolder` does.
    """
    files = {"templates": sources.templates, "masks": sources.masks, "exclude": sources.exclude}
    if sources.decoys is not None:
        files |= {"decoys": sources.decoys, "decoy_masks": sources.decoy_masks}
    hashes = {name: content_hash(path) if path else None for name, path in files.items()}
    return PickFolder(outputs.folder, settings.to_dict() | hashes, overwrite=outputs.overwrite,
                      with_maps=outputs.maps, with_plots=outputs.plots, micrographs=micrographs,
                      optics=(outputs.optics or Optics()).completed(optics_of(sources.micrographs)))


def unfinished(task: Task, folder: PickFolder) -> list[Path]:
    """The micrographs for which something is left to do."""
    return [path for path in task.paths if not folder.has_all(path)]


class PickRun:
    """A run of one process, or the root's part of one on many ranks; use as a context manager.

    todo: the micrographs that are not finished
    at_hand: name of the micrograph that is searched; picked: picks of this run so far
    total: picks in the folder, when all outcomes have been taken; spent: where the time went, then
    """

    workers = 1  # that pick a micrograph of their own at the same time

    def __init__(
        self, task: Task, picker: Picker, folder: PickFolder, todo: list[Path], argv: Sequence[str] = ()
    ) -> None:
        self.task, self.picker, self.folder, self.argv = task, picker, folder, list(argv)
        self.todo, self.total = todo, 0
        self.at_hand, self.picked, self.spent = "", 0, Spent()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.picker.search.close()

    def outcomes(self) -> Iterator[Outcome]:
        """Pick what is not finished and note what comes out, in any order; picks.star is written last.

        Raises InputError if the folder cannot be written; a micrograph's own is in its outcome.
        """
        if self.todo:
            if fresh := [path for path in self.todo if not self.folder.is_picked(path)]:
                self.folder.start(self.record(), fresh)
            limited, start = 0, time.perf_counter()
            try:
                for outcome in self._picked():
                    self._note(outcome)
                    limited += outcome.facts.get("limited_pixels", 0) > 0
                    self.picked += outcome.facts.get("picks", 0)
                    self.spent.add(outcome.facts)
                    yield outcome
            except BaseException:
                self.folder.note_run(self.spent.of_run(time.perf_counter() - start, self.picker.search))
                self.folder.leave()
                raise
            self.folder.note_run(self.spent.of_run(time.perf_counter() - start, self.picker.search))
            if limited:
                log.warning("outlier pixels were limited in %d micrographs; run.json counts them", limited)
        self.total = self.folder.finish()

    def record(self) -> dict[str, Any]:
        """What run.json says of the run."""
        search = self.picker.search
        choice = getattr(search.library, "choice", None)  # not of GPUs
        return {
            "start": datetime.now(UTC).isoformat(timespec="milliseconds"), "argv": self.argv,
            "threads": search.threads, "fft": search.library.name, "fft_version": search.library.version(),
            "fft_choice": None if choice is None else asdict(choice), "machine": machine.describe(),
            "libraries": machine.libraries(),
            **({"filters": self.picker.filters} if self.picker.on_gpu else {}),
        }

    def pick(self, path: Path) -> Outcome:
        """Pick one micrograph, from its file to its STAR file."""
        return self._finish(self._search(self._read(path)))

    def _picked(self) -> Iterator[Outcome]:
        """Pick all that are not finished, each while the next is read."""
        return self.picker.in_turn(self.todo, self._read, self._search, self._finish)

    def _read(self, path: Path) -> Ready:
        """Read one micrograph, and prepare it unless it is picked."""
        start = time.perf_counter()
        try:
            self.folder.require_name(path)
            picked = self.folder.is_picked(path)
            micrograph = self.picker.read(path, to_search=not picked)
            if picked:
                return Ready(path, micrograph)
            read = time.perf_counter() - start
            prepared = self.picker.prepare(micrograph, read_area(self.task.areas, path))
            return Ready(path, micrograph, prepared,
                         seconds={"read": read, "filter": time.perf_counter() - start - read})
        except InputError as error:
            return Ready(path, None, error=str(error))
        except MemoryError as error:
            return Ready(path, None, error=_no_memory(path, error))

    def _search(self, ready: Ready) -> Ready:
        """Search one micrograph that is not picked."""
        if ready.prepared is None:
            return ready
        self.at_hand, start = ready.path.name, time.perf_counter()
        try:
            searched = self.picker.search_one(ready.prepared)
        except InputError as error:
            return Ready(ready.path, None, error=str(error))
        except MemoryError as error:
            return Ready(ready.path, None, error=_no_memory(ready.path, error))
        seconds = ready.seconds | {"search": time.perf_counter() - start}
        return dataclasses.replace(ready, searched=searched, seconds=seconds)

    def _finish(self, ready: Ready) -> Outcome:
        """Take the peaks of one micrograph and store them, or what is missing of it."""
        if ready.micrograph is None:
            return Outcome(ready.path, {}, ready.error)
        box, start = self.task.bank.box, time.perf_counter()
        if ready.searched is None:
            self.folder.store_plot(ready.micrograph, self.folder.picks(ready.path), box)
            return Outcome(ready.path, {})
        try:
            picked = self.picker.take_peaks(ready.searched)
        except MemoryError as error:
            return Outcome(ready.path, {}, _no_memory(ready.path, error))
        peaks = time.perf_counter() - start
        try:
            self.folder.store(ready.micrograph, picked, box)
        except InputError as error:
            if isinstance(error.__cause__, OSError):  # the disk's fault, which no other micrograph escapes
                raise
            return Outcome(ready.path, {}, str(error))
        seconds = ready.seconds | {"peaks": peaks, "write": time.perf_counter() - start - peaks}
        return Outcome(ready.path, facts_of(picked, seconds) | {"shape": list(ready.micrograph.shape)})

    def _note(self, outcome: Outcome) -> None:
        for message, values in outcome.warnings:
            log.warning(message, *values)
        if outcome.error:
            self.folder.fail(outcome.path, outcome.error)
        elif outcome.facts:
            self.folder.note(outcome.path, outcome.facts)


def _no_memory(path: Path, error: MemoryError) -> str:
    reason = f": {error}" if str(error) else ""
    return f"{path}: out of memory{reason}: use fewer threads, or end other programs"


def open_run(
    sources: Sources, outputs: Outputs, settings: PickSettings, resources: Resources | None = None,
    argv: Sequence[str] = (),
) -> PickRun:
    """A run of this process; argv: the command that run.json says it was started by.

    Raises InputError for input that cannot be used; the folder is touched after all else is seen to be well.
    """
    task = read_task(sources, settings)
    picker = task.picker(resources or Resources(), plots=outputs.plots)
    folder = open_folder(sources, outputs, task.settings, task.paths)
    return PickRun(task, picker, folder, unfinished(task, folder), argv)


def pick_folder(
    micrographs: str | Path | Sequence[str | Path], templates: str | Path, output: str | Path,
    settings: PickSettings, *, masks: str | Path | None = None, exclude: str | Path | None = None,
    resources: Resources | None = None,
) -> Iterator[Picks]:
    """Pick micrographs, files or folders of them, into a folder of STAR files, as `gembench pick` does.

    Yields the picks of every micrograph once it is stored, those first that were finished before. See
    `Sources` for templates, masks and exclude. Raises InputError for input that cannot be used, and at the
    end if a micrograph could not be picked.
    """
    files = [micrographs] if isinstance(micrographs, str | Path) else micrographs
    errors = []
    with open_run(Sources(files, templates, masks, exclude), Outputs(output), settings, resources,
                  sys.argv) as run:
        for path in run.task.paths:
            if path not in run.todo:
                yield run.folder.picks(path)
        for outcome in run.outcomes():
            if outcome.error:
                errors.append(outcome.error)
            else:
                yield run.folder.picks(outcome.path)
    if errors:
        raise InputError("; ".join(errors))
