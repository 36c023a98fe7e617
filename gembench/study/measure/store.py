"""The store: one JSONL file per run, `results/<machine>/<experiment>/<UTC stamp>.jsonl`.

The first line is the run record (schema, grid, planned cases, provenance), every further line one case.
Lines are flushed to the disk one by one, and no run touches another run's file: a resumed run opens its own
and names those it builds on. Merging two machines is copying files. The latest record per machine, grid class
and case wins; the default and the paper grid are one class, the quick grid is another.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any, Self, TextIO

from gembench.errors import InputError
from gembench.io.atomic import make_folder
from gembench.io.checks import log
from gembench.io.source import parsing, require_file, require_memory
from gembench.io.typed import GROWTH, checked, parse_json
from gembench.study.declare.cases import Case, case_key, case_name
from gembench.study.declare.grid import grid_class
from gembench.study.measure.schema import CASE_FIELDS, MACHINE_FIELDS, RUN_FIELDS, SCHEMA

FORMERLY = {"picking": ("klh",)}  # names that studies had when rows of theirs were stored


@dataclass(frozen=True)
class Row:
    """One stored case.

    case: axis -> value; status: ok, skipped, failed or timeout; reason: why, where it is not ok
    samples: seconds of every timed call, none unless all were checked; warmups: seconds of the untimed ones
    metrics: name -> JSON value; peak_rss: bytes of the process that held most, None if unknown
    threads: what the libraries were allowed
    clock: `wall`, or `own` where the output brought its time; arms: how many cases alternated
    run: the run record; path: the file the row stands in
    evidence: what the result is, one of EVIDENCE; the experiment says it, the store does not hold it
    """

    case: Case
    status: str
    reason: str = ""
    samples: tuple[float, ...] = ()
    warmups: tuple[float, ...] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    peak_rss: int | None = None
    threads: int = 1
    clock: str = "wall"
    arms: int = 1
    arrays_file: str = ""
    run: Mapping[str, Any] = field(default_factory=dict)
    path: Path = Path()
    evidence: str = "measured"

    def __getitem__(self, name: str) -> Any:
        """The value of the axis or, failing that, the metric `name`; KeyError if it is neither."""
        return self.case[name] if name in self.case else self.metrics[name]

    @property
    def ok(self) -> bool:
        """Whether the case was measured and its output checked."""
        return self.status == "ok"

    @property
    def name(self) -> str:
        """`experiment[axis=value,...]`."""
        return case_name(str(self.run["experiment"]), self.case)

    @property
    def machine(self) -> str:
        """The machine's name."""
        return str(self.run["machine"]["name"])

    @property
    def grid(self) -> str:
        """The grid the case was run in."""
        return str(self.run["grid"])

    @property
    def median(self) -> float:
        """Median of the samples in seconds; NaN without samples."""
        return median(self.samples) if self.samples else math.nan

    @property
    def band(self) -> tuple[float, float]:
        """Shortest and longest sample in seconds; NaN without samples."""
        return (min(self.samples), max(self.samples)) if self.samples else (math.nan, math.nan)

    @cached_property
    def arrays(self) -> dict[str, Any]:
        """The numpy arrays stored beside the row; empty if there are none.

        Raises InputError if their file is gone or broken.
        """
        import numpy as np

        if not self.arrays_file:
            return {}
        path = self.path.with_suffix("") / self.arrays_file
        if not path.is_file():
            raise InputError(f"{path}: cannot be read: no such file; copy it beside {self.path.name}")
        with (parsing(path, "a file of arrays"), path.open("rb") as handle,
              np.load(handle, allow_pickle=False) as stored):
            return dict(stored)


def plain(value: Any) -> Any:
    """`value` as JSON can hold it: numpy numbers and arrays unpacked, NaN and infinities as null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


class RunWriter:
    """The file of one run, opened for this run alone; `with` closes it."""

    def __init__(self, results: Path, record: Mapping[str, Any]) -> None:
        """Open results/<machine>/<experiment>/<stamp>.jsonl and write `record`.

        Raises InputError if the folder cannot be written.
        """
        folder = make_folder(results / record["machine"]["name"] / record["experiment"])
        started = datetime.fromisoformat(record["started"]).astimezone(UTC)
        stamp = started.strftime("%Y%m%dT%H%M%S.") + f"{started.microsecond:06d}Z"
        self.path = folder / f"{stamp}.jsonl"
        try:
            self._file: TextIO = self.path.open("x", encoding="utf-8")
        except OSError as error:
            reason = f"cannot be created: {error.strerror}; choose another --results DIR"
            raise InputError(f"{self.path}: {reason}") from error
        try:
            self._line({"schema": SCHEMA, **record})
        except InputError:
            self._close()
            self.path.unlink(missing_ok=True)
            raise

    @property
    def arrays_folder(self) -> Path:
        """Where the arrays of this run's cases go."""
        return self.path.with_suffix("")

    def _line(self, content: Mapping[str, Any]) -> None:
        text = json.dumps(plain(content), allow_nan=False, ensure_ascii=False)
        try:
            self._file.write(text + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            remedy = "make room, then give the same command to go on"
            raise InputError(f"{self.path}: cannot be written: {error.strerror}; {remedy}") from error

    def _close(self) -> None:
        """Lines are on the disk already, or their writing has failed and has been said."""
        with suppress(OSError):
            self._file.close()

    def write(self, row: Row) -> None:
        """Store one finished case.

        Raises InputError if the disk does not take it.
        """
        self._line({
            "case": row.case, "status": row.status, "reason": row.reason, "samples": row.samples,
            "warmups": row.warmups, "metrics": row.metrics, "peak_rss": row.peak_rss,
            "threads": row.threads, "clock": row.clock, "arms": row.arms, "arrays_file": row.arrays_file,
        })

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._close()


def _broken(path: Path, line: int, fault: str) -> InputError:
    return InputError(f"{path}:{line}: {fault}; restore the file or remove it")


def _lines(path: Path) -> list[dict[str, Any]]:
    """The JSON objects of `path`; a torn last line is left out."""
    if not path.exists() or path.stat().st_size:  # an empty file is a run that was cut at its start
        require_file(path)
    require_memory(path, GROWTH * path.stat().st_size, "its rows")
    try:
        text = path.read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; check its permissions") from error
    lines = text.split("\n")
    objects = []
    for number, line in enumerate(lines, 1):
        try:
            content = parse_json(line)
        except ValueError as error:
            if number == len(lines):  # no line end: the writer was killed here
                break
            raise _broken(path, number, f"not a line of JSON ({error})") from None
        if not isinstance(content, dict):
            raise _broken(path, number, "not a JSON object")
        objects.append(content)
    return objects


def _row(content: Mapping[str, Any], run: Mapping[str, Any], path: Path, number: int) -> Row:
    try:
        fields = checked(content, CASE_FIELDS, "a case record")
        return Row(
            case=Case(fields["case"]), status=fields["status"], reason=fields["reason"],
            samples=tuple(fields["samples"]), warmups=tuple(fields["warmups"]), metrics=fields["metrics"],
            peak_rss=fields["peak_rss"], threads=fields["threads"], clock=fields["clock"],
            arms=fields["arms"], arrays_file=fields["arrays_file"], run=run, path=path,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _broken(path, number, str(error)) from error


def _run_record(content: Mapping[str, Any]) -> dict[str, Any]:
    """The first line of a file with all that its readers look for; raises ValueError if it is none."""
    run = checked(content, RUN_FIELDS, "a run record")
    run["machine"] = checked(run["machine"], MACHINE_FIELDS, "the machine of a run record")
    return run


def read_run(path: Path) -> list[Row]:
    """The rows of one run's file, in the order they were measured; none if it was cut in its first line.

    Raises InputError, naming file and line, for anything but a torn last line.
    """
    lines = _lines(path)
    if not lines:
        return []
    run = lines[0]
    if run.get("schema") != SCHEMA:
        problem = f"schema {run.get('schema')!r}, this gembench reads {SCHEMA}"
        raise InputError(f"{path}:1: {problem}; use the gembench that wrote it")
    try:
        run = _run_record(run)
    except ValueError as error:
        raise _broken(path, 1, str(error)) from error
    return [_row(content, run, path, number) for number, content in enumerate(lines[1:], 2)]


def load_rows(
    results: str | Path, experiment: str, *, grid: str = "default", machine: str = "*"
) -> list[Row]:
    """The rows that stand for `experiment`: the latest per machine and case, in the order of the machines.

    grid: a name of a grid; rows of the same class are read, so `default` and `paper` give the same rows and
        `quick` gives the quick ones only
    machine: a machine's name; all machines by default

    Rows that were stored under a former name of the experiment are its own. A broken file is left out, and a
    warning names it.
    """
    names = [experiment, *FORMERLY.get(experiment, ())]
    files = sorted(path for name in names for path in Path(results).glob(f"{machine}/{name}/*.jsonl"))
    rows: list[Row] = []
    for path in files:
        try:
            rows += [replace(row, run={**row.run, "experiment": experiment}) for row in read_run(path)]
        except InputError as error:  # it spoils neither the other files nor what is made of them
            log.warning("%s", error)
    return latest(row for row in rows if grid_class(row.grid) == grid_class(grid))


def latest(rows: Iterable[Row]) -> list[Row]:
    """The last started row per machine and case, sorted by machine, cases in the order first met."""
    winners: dict[tuple[str, str], Row] = {}
    for row in sorted(rows, key=lambda row: (row.machine, str(row.run["started"]))):
        winners[row.machine, case_key(row.case)] = row
    return list(winners.values())
