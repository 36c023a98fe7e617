"""Damaged files to every reader: nothing but an InputError, no hang, no memory beyond bounds.

python tests/attacks/fuzz.py --cases 100000    all readers, in as many processes as there are cores
python tests/attacks/fuzz.py --only star tif   some of them

A case is a whole file and some mutations of it, which Hypothesis chooses, and makes fewer where one fails.
Failing files are kept in .fuzz/, as READER-NUMBER.SUFFIX.
"""  # noqa: E501, RUF100

from __future__ import annotations

import argparse
import faulthandler
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from mutations import Mutation
from readers import READERS, Reader, prepare

from gembench.errors import InputError

PATIENCE = 5.0  # seconds of the processor for a case; of the clock, WAITING times as many
WAITING = 6
ADDRESSES = 2**30  # bytes that a process may take beyond what it holds at the start
KEPT = Path(".fuzz")
Steps = Sequence[tuple[int, int, int]]
STEPS = st.lists(
    st.tuples(st.integers(0, 255), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
    min_size=1,
    max_size=4,
)


class HangError(BaseException):
    """A reader took longer than it may."""


@dataclass
class Result:
    """What came of one reader's cases; failures: where it was raised -> what, and the file."""

    reader: str
    cases: int = 0
    accepted: int = 0
    slowest: float = 0.0
    most: int = 0
    failures: dict[str, tuple[str, bytes, str]] = field(default_factory=dict)


class Attack:
    """One reader under attack, in a folder of its own."""

    def __init__(self, reader: Reader, folder: Path) -> None:
        self.reader, self.folder, self.result = reader, folder, Result(reader.name)
        folder.mkdir()
        (folder / "seeds").mkdir()
        prepare(folder)
        self.seeds = [(path.name, path.read_bytes()) for path in reader.seeds(folder / "seeds")]
        for name, content in self.seeds:
            if error := self.try_file(name, content):
                raise AssertionError(f"{reader.name}: {name} is not read as it is: {error[1]}")
            assert self.result.accepted, f"{reader.name}: {name} is refused as it is"
            self.result.accepted = 0
        self.result = Result(reader.name)

    def damaged(self, which: int, steps: Steps) -> tuple[str, bytes]:
        """The name and the content of a case."""
        name, content = self.seeds[which % len(self.seeds)]
        mutations: Sequence[Mutation] = self.reader.mutations
        for kind, a, b in steps:
            content = mutations[kind % len(mutations)](content, a, b)
        return name, content[: 2**22]

    def try_file(self, name: str, content: bytes) -> tuple[str, str] | None:
        """Read one file; where and what, if anything but its content or an InputError came of it."""
        place = self.folder / "case"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        for beside in (self.folder / "seeds").iterdir():
            if beside.is_file() and self.reader.name == "lists" and beside.name in ("m1.mrc", "m1.star"):
                shutil.copy(beside, place)
        path = place / name
        path.write_bytes(content)
        result = self.result
        result.cases += 1
        before, start = held(reset=True), time.process_time()
        failure = None
        try:
            with limited(PATIENCE):
                self.reader.read(path)
            result.accepted += 1
        except InputError as error:
            if "\n" in str(error) or str(error) != "".join(
                c for c in str(error) if c.isprintable() or c == "\udcff"
            ):
                failure = "message", f"message of several lines, or with control characters: {error!r:.200}"
        except HangError:
            failure = _place("hang"), f"longer than {PATIENCE:g} s"
        except Exception as error:
            failure = _place(type(error).__name__), f"{type(error).__name__}: {error!s:.200}"
        result.slowest = max(result.slowest, time.process_time() - start)
        taken = held() - before
        result.most = max(result.most, taken)
        if failure is None and taken > max(10 * len(content), 0) + self.reader.memory:
            failure = "memory", f"{taken / 2**20:.0f} MiB for {len(content)} bytes"
        return failure

    def run(self, cases: int, number: int) -> Result:
        """So many cases by Hypothesis; what fails is made small, kept, and not looked at again."""
        while (left := cases - self.result.cases) > 0 and len(self.result.failures) < 40:
            last: dict[str, Any] = {}

            @seed(number + self.result.cases)
            @settings(
                max_examples=left,
                deadline=None,
                database=None,
                phases=(Phase.generate, Phase.shrink),
                suppress_health_check=list(HealthCheck),
                print_blob=False,
            )
            @given(which=st.integers(0, 255), steps=STEPS)
            def attack(which: int, steps: Steps) -> None:
                self._case(which, steps, last)  # noqa: B023

            try:
                attack()
            except (Exception, HangError):
                if not last:
                    raise
                self.result.failures[last["at"]] = last["what"], last["content"], last["name"]
            else:
                break
        return self.result

    def _case(self, which: int, steps: Steps, last: dict[str, Any]) -> None:
        """One case; `last` is the smallest so far of the failure that is made small."""
        name, content = self.damaged(which, steps)
        failure = self.try_file(name, content)
        if failure and failure[0] not in self.result.failures and last.get("at") in (None, failure[0]):
            last.update(at=failure[0], what=failure[1], content=content, name=name)
            if failure[0].startswith(("hang", "memory")):  # too long to make small
                raise HangError
            raise AssertionError(failure[1])


def _place(kind: str) -> str:
    """The kind of an error and the last line of gembench's that it passed."""
    frames = traceback.extract_tb(sys.exc_info()[2])
    own = [frame for frame in frames if "gembench" in frame.filename] or frames
    return f"{kind} at {Path(own[-1].filename).name}:{own[-1].lineno}"


def held(*, reset: bool = False) -> int:
    """Bytes that this process holds, at the most since the last reset; as of now where that is not counted."""  # noqa: E501
    if reset:
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """HangError after so many seconds of the processor, whatever else runs here, or if it waits for long.

    The process ends if it does not even come to that.
    """

    def hang(number: int, frame: FrameType | None) -> None:
        raise HangError

    before = {number: signal.signal(number, hang) for number in (signal.SIGALRM, signal.SIGPROF)}
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, WAITING * seconds)
    faulthandler.dump_traceback_later(2 * WAITING * seconds, exit=True)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        for number, handler in before.items():
            signal.signal(number, handler)


def limit_memory() -> None:
    """No more than ADDRESSES beyond what this process holds."""
    now = 1024 * int(Path("/proc/self/status").read_text().partition("VmSize:")[2].split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (now + ADDRESSES, now + ADDRESSES))


def attack_one(task: tuple[str, int, int]) -> Result:
    """All cases of one reader, in this process."""
    name, cases, number = task
    limit_memory()
    os.environ["GEMBENCH_MACHINE"] = "node7"
    warnings.filterwarnings("error", category=RuntimeWarning, module="gembench")
    with tempfile.TemporaryDirectory(dir=shared_memory()) as folder, open(os.devnull, "w") as nowhere:  # noqa: PTH123
        said, sys.stdout = sys.stdout, nowhere
        try:
            return Attack(READERS[name], Path(folder) / "attack").run(cases, number)
        finally:
            sys.stdout = said


def shared_memory() -> str | None:
    """A folder that is no disk, where there is one."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def keep(result: Result) -> None:
    """Store the failing files of a reader."""
    for number, (at, (what, content, name)) in enumerate(result.failures.items()):
        KEPT.mkdir(exist_ok=True)
        path = KEPT / f"{result.reader.replace(' ', '-')}-{number}{''.join(Path(name).suffixes)}"
        path.write_bytes(content)
        print(f"  FAIL {result.reader}: {at}: {what} ({path})")


def main() -> int:
    """Attack the readers and print a table; 1 if any failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=100_000, help="in all (default: 100000)")
    parser.add_argument("--only", nargs="*", choices=READERS, help="readers (default: all)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the choice of cases")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes at once")
    args = parser.parse_args()
    names, start = args.only or list(READERS), time.monotonic()
    share = -(-args.cases // len(names))
    print(f"{args.cases} cases, seed {args.seed}, {args.jobs} processes")
    print(f"{'reader':16}{'cases':>8}{'read':>8}{'refused':>9}{'failed':>8}{'slowest':>10}{'memory':>10}")
    results = []
    with multiprocessing.get_context("spawn").Pool(args.jobs, maxtasksperchild=1) as pool:
        for result in pool.imap(attack_one, [(name, share, args.seed) for name in names], 1):
            results.append(result)
            refused = result.cases - result.accepted
            print(
                f"{result.reader:16}{result.cases:8}{result.accepted:8}{refused:9}{len(result.failures):8}"
                f"{result.slowest:8.2f} s{result.most / 2**20:6.0f} MiB",
                flush=True,
            )
            keep(result)
    failures, cases = sum(len(result.failures) for result in results), sum(result.cases for result in results)
    print(
        f"fuzz: {cases} cases over {len(names)} readers in {time.monotonic() - start:.0f} s, {failures} failures,"  # noqa: E501
        f" slowest {max(result.slowest for result in results):.2f} s,"
        f" most memory {max(result.most for result in results) / 2**20:.0f} MiB"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
