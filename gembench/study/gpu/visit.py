"""What the bundle does on a machine with a GPU: studies in the order of their worth, the tests, a profile.

Whatever is measured is in the store before the next case begins. When the time is up, or the run is
interrupted, it is said what was left out.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gembench import machine
from gembench.errors import InputError
from gembench.io.atomic import atomic_text, make_folder
from gembench.study.declare.cases import Case
from gembench.study.declare.experiment import experiment_files, experiments_folder, load_experiment
from gembench.study.gpu import profile
from gembench.study.measure.runner import Settings, run_experiment
from gembench.study.measure.sources import PACKAGE
from gembench.study.measure.store import Row, load_rows

TREE = PACKAGE.parent
TESTS_SECONDS = 300.0  # that the tests may take at most
CASE_SECONDS = 120.0  # that one case may take at most
say = partial(print, flush=True)


class StopError(BaseException):
    """The time is up, or somebody ends the run; the message says which. code: what the process exits with."""

    def __init__(self, number: int) -> None:
        super().__init__("the time was up" if number == signal.SIGALRM else "the run was ended")
        self.code = 0 if number == signal.SIGALRM else 128 + number


@dataclass(frozen=True)
class Part:
    """Some cases of one study: what they are for, and which they are."""

    about: str
    study: str
    wanted: Callable[[Case], bool]


def _usual(case: Case) -> bool:
    return bool(case.batch == "auto" and case.precision == "float32")


def _everything(case: Case) -> bool:
    return True


# In the order of their worth, since the time may not suffice; what one part has measured the next one keeps.
PARTS = (
    Part("4096 × 4096, one GPU against one core", "gpus", lambda case: case.n == 4096 and _usual(case)
         and case.devices == 1 and (case.device == "gpu" or case.mask == "own")),
    Part("2048 × 2048, one GPU against one core and all", "gpus",
         lambda case: case.n == 2048 and _usual(case)),
    Part("the same picks as the CPU's", "gpu_picks", _everything),
    Part("several GPUs", "gpus", lambda case: case.device == "gpu" and case.devices > 1),
    Part("cuFFT against libraries on one core", "fft_libraries",
         lambda case: case.library in ("cufft", "fftw", "mkl", "scipy") and case.n in (512, 2048, 4096)),
    Part("batches, sizes and precisions on the GPU", "gpus", lambda case: case.device == "gpu"),
    Part("cuFFT at all sizes", "fft_libraries", lambda case: case.library == "cufft"),
    Part("the CPU at all sizes", "gpus", lambda case: case.device == "cpu"),
)
QUICK_PARTS = (
    Part("one GPU against one core", "gpus", _everything),
    Part("cuFFT against a library on one core", "fft_libraries",
         lambda case: case.library in ("cufft", "scipy") and case.n == 256),
    Part("the same picks as the CPU's", "gpu_picks", _everything),
)


@dataclass
class Visit:
    """One run of the bundle.

    results: folder of the store; grid: default or quick; minutes: that it may take; code: of a run that was
        ended by a signal
    rows: what is stored of the parts done; left_out, failures: what was not done or went wrong, and why
    """

    results: Path
    grid: str
    minutes: float
    code: int = 0
    rows: dict[str, Row] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def run(self, *, tests: bool) -> None:
        """The studies part by part, and the tests last, if they are wanted."""
        started, parts = time.monotonic(), QUICK_PARTS if self.grid == "quick" else PARTS
        todo: list[tuple[str, Callable[[], None]]] = [
            (f"{part.study}: {part.about}", partial(self.study, part)) for part in parts]
        todo += [("GPU tests", self.tests)] if tests else []
        while todo:
            about, step = todo[0]
            say(f"\n== {about} ({time.monotonic() - started:.0f} s)")
            try:
                step()
            except StopError as stop:
                self.left_out += [f"{what}: {stop}" for what, _ in todo]
                self.code = stop.code
                return
            except InputError as error:
                self.failures.append(f"{about}: {error}")
            todo.pop(0)

    def tests(self) -> None:
        """The GPU tests; their output goes to tests.txt."""
        if find_spec("pytest") is None:
            self.left_out.append("GPU tests: pytest is not installed")
            return
        log = self.results / "tests.txt"
        command = [sys.executable, "-m", "pytest", "-m", "gpu", "-rs", "tests"]
        alone = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # whatever is installed here
        try:
            with log.open("w", encoding="utf-8") as out:
                done = subprocess.run(command, cwd=TREE, stdout=out, stderr=subprocess.STDOUT, check=False,
                                      env=alone, timeout=TESTS_SECONDS)
        except subprocess.TimeoutExpired:
            self.failures.append(f"GPU tests: not done after {TESTS_SECONDS:.0f} s; see {log}")
            return
        say(log.read_text(encoding="utf-8")[-3000:].rstrip())
        if done.returncode not in (0, 5):  # 5: no test was there to run
            self.failures.append(f"GPU tests: pytest ended with {done.returncode}; see {log}")

    def study(self, part: Part) -> None:
        """The cases of one part that no part before it had."""
        experiment = load_experiment(experiment_files(experiments_folder())[part.study])
        cases = [case for case in experiment.grids[self.grid] if part.wanted(case)]
        measured = [row.case for row in self.rows.values()]
        todo = [case for case in cases if case not in measured]
        if not todo:
            return
        narrowed = replace(experiment, grids={**experiment.grids, self.grid: todo})
        limit = min(CASE_SECONDS, experiment.time_limit)
        try:
            run_experiment(narrowed, self.results, Settings(self.grid, time_limit=limit), tell=say)
        finally:
            self._note(part.study)

    def _note(self, study: str) -> None:
        """Take note of what is stored of a study; what failed is a failure of the visit."""
        for row in load_rows(self.results, study, grid=self.grid, machine=machine.machine_name()):
            if row.status in ("failed", "timeout") and row.name not in self.rows:
                self.failures.append(f"{row.name}: {row.status}: {row.reason}")
            self.rows[row.name] = row

    def summary(self) -> str:
        """What was done, what was skipped, left out or failed and why, and where the numbers are."""
        skipped = Counter(row.reason for row in self.rows.values() if row.status == "skipped")
        measured = sum(row.ok for row in self.rows.values())
        lines = [f"{measured} cases measured, {skipped.total()} skipped"]
        lines += [f"  skipped: {reason} ({count} cases)" for reason, count in skipped.items()]
        lines += [f"  left out: {what}" for what in self.left_out]
        lines += [f"  FAILED: {what}" for what in self.failures]
        place = self.results / machine.machine_name()
        return "\n".join([*lines, f"Results: copy {place} into results/ of a checkout."])


@contextmanager
def ended_after(seconds: float) -> Iterator[None]:
    """StopError in the main thread when the time is up, or when the process is asked to end."""
    def stop(number: int, frame: Any) -> None:
        raise StopError(number)

    numbers = (signal.SIGALRM, signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, stop) for number in numbers}
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def name_machine() -> None:
    """Call the machine by its CPU and its GPU, unless GEMBENCH_MACHINE names it: two GPUs may share a CPU."""
    gpus = machine.gpus()
    if gpus and not os.environ.get("GEMBENCH_MACHINE"):
        gpu = re.sub(r"[^a-z0-9]+", "-", gpus[0]["name"].lower()).strip("-")
        count = f"-{len(gpus)}x" if len(gpus) > 1 else ""
        os.environ["GEMBENCH_MACHINE"] = f"{machine.machine_name()}{count}-{gpu}"


def parser() -> argparse.ArgumentParser:
    """The bundle's command line."""
    made = argparse.ArgumentParser(prog="gembench-gpu-bundle.py", description=__doc__)
    made.add_argument("--results", metavar="DIR", type=Path, default=Path("gembench-gpu-results"),
                      help="folder for the results (default: gembench-gpu-results)")
    made.add_argument("--data", metavar="DIR", type=Path,
                      help="folder that holds klh/micrographs, klh/templates.mrcs (default: GEMBENCH_DATA)")
    made.add_argument("--minutes", metavar="N", type=float, default=8.5,
                      help="time that it may take; what is done by then is kept (default: 8.5)")
    made.add_argument("--no-tests", action="store_true", help="leave out the GPU tests")
    made.add_argument("--grid", choices=("default", "quick"), default="default",
                      help="quick proves in a minute that everything runs")
    return made


def main(arguments: Sequence[str]) -> int:
    """Do everything; returns 0, also where there is no GPU or time was short, and 1 if anything failed."""
    from gembench.engine.gpu import device

    options = parser().parse_args(arguments)
    if options.data is not None:
        os.environ["GEMBENCH_DATA"] = str(options.data.resolve())
    name_machine()
    visit = Visit(make_folder(options.results.resolve()), options.grid, options.minutes)
    reason = device.unavailable()
    say(f"{machine.machine_name()}: " + (f"GPU parts are skipped: {reason}" if reason else
                                            f"{device.count()} GPU(s)"))
    with ended_after(60 * options.minutes):
        visit.run(tests=not options.no_tests)
    without = reason or "no case of one GPU was measured"
    table = profile.table(list(visit.rows.values())) or f"profile: skipped: {without}"
    atomic_text(visit.results / "profile.txt", table + "\n")
    say(f"\n{table}\n\n{visit.summary()}")
    return visit.code or int(bool(visit.failures))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
