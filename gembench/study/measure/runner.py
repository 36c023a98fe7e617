"""The runner: each case in its own process, compared arms alternating in even rounds, stored as they finish.

A run first keeps what is stored: cases of the same machine, grid class, sources, libraries and GPUs are not
measured again, so that an interrupted run is resumed by giving the same command. What failed is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Literal

from gembench import machine, plugins
from gembench.errors import InputError
from gembench.study.declare.cases import Case, Value, case_key, case_name, select
from gembench.study.declare.experiment import Experiment
from gembench.study.declare.grid import group_by_arms
from gembench.study.measure import provenance
from gembench.study.measure.arm import Nurseries, TimeLimitError, Worker, WorkerDiedError
from gembench.study.measure.store import Row, RunWriter, load_rows, read_run
from gembench.study.tell.text import band_text, seconds_text

Keep = Literal["same", "any", "none"]
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """How a run is made.

    grid: quick, default or paper
    keep: which stored cases stand for a new measurement: of the `same` sources, libraries and GPUs as now,
        of `any` sources, or `none`
    keep_failed: whether a stored failure stands too; else a kept case is one that was measured, or timed out
    rounds, time_limit: in place of the experiment's own
    """

    grid: str = "default"
    keep: Keep = "same"
    keep_failed: bool = False
    rounds: int | None = None
    time_limit: float | None = None


@dataclass
class Arm:
    """One case under measurement."""

    experiment: Experiment
    case: Case
    time_limit: float
    nurseries: Nurseries
    warmups: list[float] = field(default_factory=list)
    samples: list[float] = field(default_factory=list)
    threads: int = 1
    row: Row | None = None  # set as soon as the case is finished, one way or another

    def __post_init__(self) -> None:
        self.threads = self.experiment.threads(self.case)
        self.worker = Worker(self.nurseries.of(self.threads), self.time_limit)

    def _ask(self, stage: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """The worker's answer; anything but success finishes the case with status and reason."""
        try:
            answer = self.worker.ask(request)
        except TimeLimitError:
            limit = f"used up its {self.time_limit:g} s in {stage}; --time-limit raises them"
            answer = {"status": "timeout", "reason": limit}
        except WorkerDiedError as death:
            answer = {"status": "failed", "reason": f"{stage}: {death}"}
        if "reason" in answer:
            # no times of a case with a wrong output; a slow but right one keeps those it has
            samples = tuple(self.samples) if answer["status"] == "timeout" else ()
            self._finish(answer["status"], reason=answer["reason"], samples=samples)
        return answer

    def _finish(self, status: str, **fields: Any) -> None:
        self.row = Row(self.case, status, threads=self.threads, **fields)
        self.worker.end()

    def prepare(self) -> None:
        """Set up and warm up."""
        request = {"do": "prepare", "file": str(self.experiment.file), "case": self.case,
                   "threads": self.threads}
        answer = self._ask("set-up and warm-up", request)
        if self.row is None:
            self.warmups, self.threads = answer["warmups"], answer["threads"]

    def sample(self, number: int) -> None:
        """One timed call, in round `number`."""
        answer = self._ask(f"round {number}", {"do": "sample"})
        if self.row is None:
            self.samples.append(answer["seconds"])

    def close(self, arrays: Path, arms: int) -> None:
        """Metrics, arrays and peak memory of a case that has its samples."""
        request = {"do": "close", "arrays": str(arrays), "seconds": median(self.samples)}
        answer = self._ask("metrics", request)
        if self.row is None:
            self._finish(
                "ok", samples=tuple(self.samples), warmups=tuple(self.warmups), metrics=answer["metrics"],
                peak_rss=answer["peak_rss"], arms=arms, arrays_file=answer["arrays_file"],
                clock="own" if self.experiment.seconds else "wall",
            )


def digest(case: Case) -> str:
    """A short file name for a case."""
    return hashlib.sha256(case_key(case).encode()).hexdigest()[:16]


def in_turn(arms: Sequence[Arm], number: int) -> list[Arm]:
    """The arms in the order of round `number`: reversed every other round, so that none is always first."""
    return list(arms) if number % 2 == 0 else list(reversed(arms))


def measure(
    experiment: Experiment, cases: Sequence[Case], nurseries: Nurseries, rounds: int, time_limit: float,
    arrays: Path,
) -> Generator[Row, None, None]:
    """The rows of one group of arms, each as soon as it is finished; ends every worker, come what may."""
    arms: list[Arm] = []
    try:
        for case in cases:
            arms.append(Arm(experiment, case, time_limit, nurseries))
            arms[-1].prepare()
        ready = [arm for arm in arms if arm.row is None]
        yield from (arm.row for arm in arms if arm.row)
        together = len(ready)
        for number in range(rounds):
            for arm in in_turn(ready, number):
                arm.sample(number + 1)
            yield from (arm.row for arm in ready if arm.row)
            ready = [arm for arm in ready if arm.row is None]
        for arm in ready:
            arm.close(arrays / f"{digest(arm.case)}.npz", together)
        yield from (arm.row for arm in ready if arm.row)
    finally:
        for arm in arms:
            arm.worker.end()


def kept_rows(results: Path, experiment: Experiment, settings: Settings) -> dict[str, Row]:
    """Stored rows of this machine that need no new measurement, by case key.

    A skipped case is asked again: what it lacked (data, a device, a program) may be there by now. So is one
    that failed, unless failures are kept: the disk may have been full.
    """
    if settings.keep == "none":
        return {}
    rows = load_rows(results, experiment.name, grid=settings.grid, machine=machine.machine_name())
    if settings.keep == "same":
        now = provenance.fingerprint(experiment.file)
        rows = [row for row in rows if now == {
            "source_hash": row.run["source_hash"], "libraries": row.run["libraries"],
            "gpus": row.run["machine"]["gpus"],
        } and not plugins.have_changed(row.run["plugins"])]
    again = ("skipped",) if settings.keep_failed else ("skipped", "failed")
    return {case_key(row.case): row for row in rows if row.status not in again}


def summary(name: str, row: Row) -> str:
    """One line about a finished case."""
    if not row.ok:
        return f"{name}  {row.status}: {row.reason}"
    band = band_text(*row.band, row.median)
    memory = f", peak {row.peak_rss / 2**20:.0f} MiB" if row.peak_rss else ""
    return f"{name}  {seconds_text(row.median)} ({band}), {len(row.samples)} rounds{memory}"


def run_experiment(
    experiment: Experiment, results: Path, settings: Settings, *,
    chosen: Mapping[str, Value] | None = None, tell: Tell = print,
) -> list[Row]:
    """Measure the chosen cases of a grid that are not stored yet, and store them.

    Returns the rows of all chosen cases, those that were kept first.

    chosen: axis values that select cases; all cases by default
    tell: takes a line on every finished case

    Raises InputError if no case has the chosen values, their data set is not here, the store cannot be
    written, or a stored run is of the future.
    """
    asked = experiment.asked(chosen or {})
    cases = select(experiment.name, experiment.cases_for(asked, settings.grid), asked)
    stored = kept_rows(results, experiment, settings)
    kept = [stored[case_key(case)] for case in cases if case_key(case) in stored]
    todo = [case for case in cases if case_key(case) not in stored]
    if kept:
        tell(f"{experiment.name}: {len(kept)} of {len(cases)} cases are stored and kept"
             " (--fresh measures them again)")
    return kept + (_measure_all(experiment, todo, kept, results, settings, tell) if todo else [])


def _require_later(results: Path, experiment: Experiment) -> None:
    """Raise InputError if a stored run of this machine is of the future: it would hide this one."""
    now = datetime.now(UTC)
    for path in sorted((results / machine.machine_name() / experiment.name).glob("*.jsonl")):
        for row in read_run(path)[:1]:
            started = datetime.fromisoformat(str(row.run["started"])).astimezone(UTC)
            if started > now:
                times = f"started {started.isoformat()}, and the clock says {now.isoformat()}"
                raise InputError(f"{path}: {times}: set the clock, or move the file away")


def _measure_all(
    experiment: Experiment, todo: Sequence[Case], kept: Sequence[Row], results: Path, settings: Settings,
    tell: Tell,
) -> list[Row]:
    """Measure and store `todo` in a run's file of its own."""
    _require_later(results, experiment)
    rounds = experiment.rounds_of(settings.grid, settings.rounds)
    limit = settings.time_limit or experiment.time_limit
    record = {
        "experiment": experiment.name, "grid": settings.grid, "rounds": rounds, "time_limit": limit,
        "planned": [case_name(experiment.name, case) for case in todo],
        "resumed_from": sorted({row.path.name for row in kept}),
        **provenance.collect(experiment.file),
    }
    rows = []
    with RunWriter(results, record) as writer, closing(Nurseries(experiment.file)) as nurseries:
        for group in group_by_arms(todo, experiment.compare):
            rows_of = measure(experiment, group, nurseries, rounds, limit, writer.arrays_folder)
            with closing(rows_of) as finished:
                for row in finished:
                    writer.write(row)
                    rows.append(row)
                    tell(summary(case_name(experiment.name, row.case), row))
    return rows
