"""One run of `gembench pick`: what is asked for, what is left to do, and what is told and noted about it."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gembench.commands.progress import track
from gembench.engine.bank import TemplateBank
from gembench.engine.peaks import PeakSettings
from gembench.errors import InputError
from gembench.io.coordinates import SUMMARY
from gembench.io.images.micrographs import find_micrographs
from gembench.io.names import micrograph_key
from gembench.picking.folder import PickFolder
from gembench.picking.one import Outcome, is_picked, pick_one, read_one
from gembench.picking.picker import Picker, PickSettings, content_hash, default_distance, load_bank

log = logging.getLogger("gembench")


@dataclass(frozen=True)
class Task:
    """What is to be picked, and how; the same on all ranks.

    paths: all micrographs; todo: those that are not finished; areas: see `read_one`
    inverted: the templates whose contrast was inverted
    """

    args: argparse.Namespace
    settings: PickSettings
    bank: TemplateBank
    inverted: list[int]
    paths: list[Path]
    areas: dict[str, Path]
    folder: PickFolder
    todo: list[Path]

    def pick(self, picker: Picker, path: Path) -> Outcome:
        """Pick one micrograph."""
        start = time.perf_counter()
        ready = read_one(self.args, picker, self.folder, self.areas, path)
        return pick_one(self.args, picker, self.folder, ready, start)

    def pick_all(self, picker: Picker) -> Iterator[Outcome]:
        """Pick all that are not finished, each while the next is read."""
        start = time.perf_counter()
        for ready in picker.in_turn(
            self.todo, lambda path: read_one(self.args, picker, self.folder, self.areas, path)
        ):
            yield pick_one(self.args, picker, self.folder, ready, start)
            start = time.perf_counter()

    def say(self, text: str) -> None:
        """Print a line, unless only warnings and errors are wanted."""
        if not self.args.quiet:
            print(text)


def prepare(args: argparse.Namespace, make_picker: Callable[[TemplateBank, PickSettings], Picker]
            ) -> tuple[Task, Picker]:
    """Read the input and open the output folder.

    The picker is made before the folder is touched. Raises InputError for input that cannot be used.
    """
    paths = find_micrographs(args.micrographs)
    areas = _excluded_areas(args.exclude, paths)
    settings = _settings(args)
    bank, inverted = load_bank(args.templates, args.masks, settings)
    settings = _with_distance(settings, bank, args.distance)
    picker = make_picker(bank, settings)
    folder = PickFolder(args.output, settings.to_dict() | _inputs(args), overwrite=args.overwrite)
    todo = [path for path in paths if not _has_all(args, folder, path)]
    return Task(args, settings, bank, inverted, paths, areas, folder, todo), picker


def collect(task: Task, outcomes: Iterable[Outcome], run: Callable[[], dict[str, Any]]) -> int:
    """Start a run, note what comes out of its micrographs, and write picks.star.

    outcomes: of task.todo, in any order; nothing is picked before the first is asked for
    run: makes what run.json says of it
    Returns how many micrographs could not be picked, each with a line on stderr.
    """
    failed = _note_all(task, outcomes, run) if task.todo else 0
    total = task.folder.finish()
    if task.folder.finished:
        summary = task.args.output / SUMMARY
        task.say(f"{total} picks on {len(task.folder.finished)} micrographs: {summary}")
    return failed


def _note_all(task: Task, outcomes: Iterable[Outcome], run: Callable[[], dict[str, Any]]) -> int:
    args, folder = task.args, task.folder
    if fresh := [path for path in task.todo if not is_picked(args, folder, path)]:
        folder.start(run(), fresh)
    failed = limited = 0
    try:
        for outcome in track(outcomes, len(task.todo), "Picking", args.quiet):
            for message, values in outcome.warnings:
                log.warning(message, *values)
            if outcome.error:
                failed += 1
                folder.fail(outcome.path, outcome.error)
                print(f"gembench: error: {outcome.error}", file=sys.stderr)
            elif outcome.facts:
                folder.note(outcome.path, outcome.facts)
                limited += outcome.facts["limited_pixels"] > 0
    finally:
        folder.save()
    if limited:
        log.warning("outlier pixels were limited in %d micrographs; run.json counts them", limited)
    return failed


def run_record(task: Task, picker: Picker) -> dict[str, Any]:
    """What run.json says of one run."""
    from gembench.study.measure import provenance

    return {
        "start": datetime.now(UTC).isoformat(timespec="seconds"), "argv": task.args.argv,
        "threads": picker.search.threads, "fft": picker.search.library.name,
        "fft_version": picker.search.library.version(), "machine": provenance.machine(),
        "libraries": provenance.libraries(),
    }


def describe(task: Task, picker: Picker, ranks: str = "") -> None:
    """Say what will be done; `ranks` names how many there are and what each is given."""
    bank, search = task.bank, picker.search
    task.say(f"{len(bank)} templates: {len(bank.templates)} views x {len(bank.angles)} angles, box"
             f" {bank.box[1]} x {bank.box[0]} px; method {search.method}, {search.library.name},"
             f" {search.threads} {'threads' if task.args.device == 'cpu' else 'GPUs'}{ranks}")
    if task.inverted:
        task.say(f"inverted to match {task.settings.contrast} particles: template"
                 f" {', '.join(str(view) for view in task.inverted)}")
    if len(task.todo) < len(task.paths):
        task.say(f"{len(task.paths) - len(task.todo)} of {len(task.paths)} micrographs are finished and"
                 " skipped")


def _has_all(args: argparse.Namespace, folder: PickFolder, path: Path) -> bool:
    """Whether nothing is left to do for a micrograph, neither picks nor the picture asked for."""
    return is_picked(args, folder, path) and (not args.plots or folder.plot(path).is_file())


def _settings(args: argparse.Namespace) -> PickSettings:
    peaks = PeakSettings(args.peaks, args.threshold, args.high_threshold, args.distance or 0.0, args.border,
                         args.max_picks)
    return PickSettings(
        args.pixel_size, args.angle_step, args.contrast, args.template_contrast, args.interpolation,
        args.symmetry, args.average, args.lowpass, args.clip, args.method, args.precision, args.edges, peaks,
        args.spectra,
    )


def _with_distance(settings: PickSettings, bank: TemplateBank, given: float | None) -> PickSettings:
    """The settings with the distance that the masks suggest, unless one was given."""
    if given is not None:
        return settings
    peaks = dataclasses.replace(settings.peaks, distance=default_distance(bank))
    return dataclasses.replace(settings, peaks=peaks)


def _inputs(args: argparse.Namespace) -> dict[str, str | None]:
    """The content of the files that decide what is picked, beside the micrographs."""
    files = {"templates": args.templates, "masks": args.masks, "exclude": args.exclude}
    return {name: content_hash(path) if path else None for name, path in files.items()}


def _excluded_areas(folder: Path | None, micrographs: list[Path]) -> dict[str, Path]:
    """The image of each micrograph's excluded area, by `micrograph_key`; some may have none."""
    if folder is None:
        return {}
    areas = {micrograph_key(path): path for path in find_micrographs([folder])}
    if areas.keys().isdisjoint(map(micrograph_key, micrographs)):
        raise InputError(f"{folder}: no image here is named as a micrograph; name them so, or leave out"
                         " --exclude")
    return areas
