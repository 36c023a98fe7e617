"""Runs that are killed, starved and set against each other: the same picks in the end, or refused in words.

python tests/attacks/faults.py             50 trials of small micrographs, some minutes
python tests/attacks/faults.py --only kill disk

After every trial the plain command is given once more; every STAR file must then be, byte for byte, that of
a run that nobody disturbed, nothing hidden may be left, and nobody may have seen a traceback.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from gembench.io.images.mrc import write_mrc, write_stack

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have had it ignored
COUNT, SIDE, BOX, PATIENCE = 8, 224, 16, 60.0
NAMES = [f"m{number:02}" for number in range(COUNT)]
OPTIONS = ["--templates", "t.mrcs", "--pixel-size", "2", "--angle-step", "15", "--average", "1",
           "--threads", "1", "--fft", "scipy", "-o", "out", "--quiet"]
RANK_KILLED = (9, 137)  # what launchers hand on: the signal's number, or what the rank's parent returned
Stars = dict[str, bytes]


class FailedError(Exception):
    """A trial did not end as it should; the message says how."""


def template() -> np.ndarray:
    """A dark L."""
    image = np.zeros((BOX, BOX))
    image[3:13, 4:7] = image[10:13, 4:12] = -1
    return image


def micrograph(seed: int) -> np.ndarray:
    """Noise and a few particles."""
    rng = np.random.default_rng(seed)
    image = rng.normal(40, 1, (SIDE, SIDE))
    for x, y in rng.integers(0, SIDE - BOX, (6, 2)):
        image[y : y + BOX, x : x + BOX] += 4 * template()
    return image


class Bench:
    """The inputs, and what undisturbed runs make of them."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.rng, self.number = root, random.Random(seed), 0
        (root / "inputs" / "mics").mkdir(parents=True)
        write_stack(root / "inputs" / "t.mrcs", template()[None], 2.0)
        for number, name in enumerate(NAMES):
            write_mrc(root / "inputs" / "mics" / f"{name}.mrc", micrograph(number), 2.0)
        os.environ["GEMBENCH_CACHE"] = str(root / "cache")
        self.whole = self.undisturbed("0.5")
        start = time.monotonic()
        self.other = self.undisturbed("0.4")
        self.seconds = time.monotonic() - start

    def folder(self) -> Path:
        """A new folder with the inputs."""
        self.number += 1
        return Path(shutil.copytree(self.root / "inputs", self.root / f"trial{self.number}"))

    def undisturbed(self, threshold: str) -> Stars:
        """The STAR files of a run of its own."""
        folder = self.folder()
        finish(start(folder, NAMES, threshold), (0,))
        return stars(folder)

    def settle(self, folder: Path) -> None:
        """The plain command once more: nothing differs from an undisturbed run, and nothing is left."""
        finish(start(folder, NAMES), (0,))
        compare(folder, self.whole)


def command(names: Sequence[str], threshold: str = "0.5") -> list[str]:
    """`gembench pick` of some of the micrographs."""
    micrographs = [f"mics/{name}.mrc" for name in names]
    return [sys.executable, "-m", "gembench", "pick", *micrographs, *OPTIONS, "--threshold", threshold]


def start(
    folder: Path, names: Sequence[str], threshold: str = "0.5", before: Sequence[str] = (),
    after: Sequence[str] = (), **options: object,
) -> subprocess.Popen[str]:
    """The command, started in the folder in a session of its own."""
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen([*before, *command(names, threshold), *after], cwd=folder, text=True,
                            start_new_session=True, **streams)


def finish(process: subprocess.Popen[str], codes: Sequence[int], words: str = "") -> tuple[int, str]:
    """Exit code and errors of a run, which must be one of the codes, and hold the words if it is not 0."""
    try:
        _, errors = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise FailedError(f"did not end in {PATIENCE:g} s") from None
    errors = errors or ""
    if "Traceback" in errors:
        raise FailedError(f"a traceback: {errors.strip().splitlines()[-1]}")
    if process.returncode not in codes:
        raise FailedError(f"exit code {process.returncode}, not {codes}: {errors.strip()[-300:]}")
    if process.returncode > 0 and words not in errors:
        raise FailedError(f"'{words}' is not said: {errors.strip()[-300:]}")
    return process.returncode, errors


def stars(folder: Path) -> Stars:
    """The STAR files of the output."""
    return {path.name: path.read_bytes() for path in sorted((folder / "out").glob("*.star"))}


def compare(folder: Path, expected: Stars) -> None:
    """Raise FailedError unless the output is the expected one, with nothing hidden beside it."""
    written = stars(folder)
    if written != expected:
        differing = sorted(name for name in written.keys() | expected.keys()
                           if written.get(name) != expected.get(name))
        raise FailedError(f"other picks: {', '.join(differing)}")
    if hidden := [path.name for path in (folder / "out").iterdir() if path.name.startswith(".")]:
        raise FailedError(f"left behind: {', '.join(hidden)}")


def until_begun(process: subprocess.Popen[str], folder: Path) -> None:
    """Wait until run.json is there, or the run has ended; an interrupt at its very end ends Python itself."""
    end = time.monotonic() + PATIENCE
    while not (folder / "out" / "run.json").exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)


def killed(bench: Bench, number: int) -> None:
    """A run ended by a signal somewhere between its first and its last file."""
    which = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[number % 3]
    codes = {signal.SIGKILL: (-9, 0), signal.SIGTERM: (143, -15, 0), signal.SIGINT: (130, -2, 0)}[which]
    folder = bench.folder()
    process = start(folder, NAMES)
    until_begun(process, folder)
    time.sleep(bench.rng.uniform(0, bench.seconds / 3))
    if process.poll() is None:
        process.send_signal(which)
    finish(process, codes)
    bench.settle(folder)


def killed_rank(bench: Bench, number: int) -> None:
    """One process of a run on two ranks is killed."""
    folder = bench.folder()
    launcher = Path(sys.executable).with_name("mpiexec")
    way = ("micrographs", "templates")[number % 2]
    process = start(folder, NAMES, before=[str(launcher), "-n", "2"], after=["--distribute", way])
    until_begun(process, folder)
    time.sleep(bench.rng.uniform(0, bench.seconds / 4))
    with suppress(psutil.Error):
        ranks = [child for child in psutil.Process(process.pid).children(recursive=True)
                 if "gembench" in child.cmdline()]
        bench.rng.choice(ranks).kill()
    finish(process, (0, *RANK_KILLED) if (folder / "out" / "picks.star").exists() else RANK_KILLED)
    bench.settle(folder)


def full_disk(bench: Bench, number: int) -> None:
    """Files can grow to so many bytes and no further."""
    size = (0, 100, 600, 2000, 5000, 9000)[number % 6]
    folder = bench.folder()

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    finish(start(folder, NAMES, preexec_fn=limit), (0, 1, 2), "cannot be")
    bench.settle(folder)


def twice_the_same(bench: Bench, number: int) -> None:
    """Two runs of the same command."""
    folder = bench.folder()
    for process in [start(folder, NAMES), start(folder, NAMES)]:
        finish(process, (0,))
    compare(folder, bench.whole)


def subsets(bench: Bench, number: int) -> None:
    """Two runs, each of half of the micrographs."""
    folder = bench.folder()
    for process in [start(folder, NAMES[::2]), start(folder, NAMES[1::2])]:
        finish(process, (0,))
    compare(folder, bench.whole)


def other_settings(bench: Bench, number: int) -> None:
    """Two runs with different settings: one is refused."""
    folder = bench.folder()
    processes = [start(folder, NAMES), start(folder, NAMES, "0.4")]
    codes = [finish(process, (0, 2), "settings")[0] for process in processes]
    if sorted(codes) != [0, 2]:
        raise FailedError(f"exit codes {codes}")
    compare(folder, bench.whole if codes[0] == 0 else bench.other)


def three_at_once(bench: Bench, number: int) -> None:
    """Two halves, and a third with other settings: either the third or both halves are refused."""
    folder = bench.folder()
    processes = [start(folder, NAMES[::2]), start(folder, NAMES[1::2]), start(folder, NAMES, "0.4")]
    codes = [finish(process, (0, 2), "settings")[0] for process in processes]
    if codes not in ([0, 0, 2], [2, 2, 0]):
        raise FailedError(f"exit codes {codes}")
    compare(folder, bench.whole if codes[2] else bench.other)


def vanished(bench: Bench, number: int) -> None:
    """A micrograph goes away while others are picked."""
    folder = bench.folder()
    process = start(folder, NAMES)
    until_begun(process, folder)
    (folder / "mics" / f"{NAMES[-1 - number % 3]}.mrc").unlink()
    finish(process, (0, 1), "no such file")
    shutil.copytree(bench.root / "inputs", folder, dirs_exist_ok=True)
    bench.settle(folder)


def changed(bench: Bench, number: int) -> None:
    """A micrograph is another file of the same name and size, and then again the first."""
    folder = bench.folder()
    name = NAMES[number % COUNT]
    finish(start(folder, NAMES), (0,))
    write_mrc(folder / "mics" / f"{name}.mrc", micrograph(1000 + number), 2.0)
    finish(start(folder, NAMES), (0,))
    if stars(folder)[f"{name}.star"] == bench.whole[f"{name}.star"]:
        raise FailedError(f"{name} is not picked again")
    shutil.copytree(bench.root / "inputs", folder, dirs_exist_ok=True)
    bench.settle(folder)


def closed_streams(bench: Bench, number: int) -> None:
    """No standard output, no standard error, a full one, one that nobody reads."""
    folder = bench.folder()
    if number % 4 == 0:
        process = start(folder, NAMES, stdout=None, preexec_fn=lambda: os.close(1))
    elif number % 4 == 1:
        process = start(folder, NAMES, stderr=None, preexec_fn=lambda: os.close(2))
    elif number % 4 == 2:
        with Path("/dev/full").open("w") as full:
            process = start(folder, NAMES, stdout=full)
    else:
        process = start(folder, NAMES)
        assert process.stdout
        process.stdout.close()
        process.stdout = None
    finish(process, (0, 1, 2))
    bench.settle(folder)


TRIALS: dict[str, tuple[Callable[[Bench, int], None], int]] = {
    "kill": (killed, 18), "rank": (killed_rank, 4), "disk": (full_disk, 6), "same": (twice_the_same, 4),
    "subsets": (subsets, 4), "settings": (other_settings, 4), "three": (three_at_once, 2),
    "vanished": (vanished, 2), "changed": (changed, 2), "streams": (closed_streams, 4),
}


def run_all(bench: Bench, names: Sequence[str]) -> Iterator[tuple[str, int, list[str]]]:
    """Kind, number of trials and what failed of them."""
    for name in names:
        trial, count = TRIALS[name]
        failures = []
        for number in range(count):
            try:
                trial(bench, number)
            except FailedError as error:
                failures.append(f"{name} {number}: {error}")
        yield name, count, failures


def main() -> int:
    """Run the trials and print a table; 1 if any failed."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=TRIALS, help="kinds (default: all)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the moments of kills")
    args = parser.parse_args()
    names = args.only or list(TRIALS)
    if not Path(sys.executable).with_name("mpiexec").exists() and "rank" in names:
        print("no mpiexec beside this Python: the trials of ranks are left out")
        names.remove("rank")
    begin, total, failed = time.monotonic(), 0, 0
    with tempfile.TemporaryDirectory() as root:
        bench = Bench(Path(root), args.seed)
        print(f"seed {args.seed}; {COUNT} micrographs take {bench.seconds:.1f} s\n"
              f"{'':12}{'trials':>8}{'passed':>8}  what", flush=True)
        for name, count, failures in run_all(bench, names):
            what = (TRIALS[name][0].__doc__ or "").strip()
            print(f"{name:12}{count:8}{count - len(failures):8}  {what}", flush=True)
            for failure in failures:
                print(f"  FAIL {failure}")
            total, failed = total + count, failed + len(failures)
    print(f"faults: {total} trials, {failed} failed, {time.monotonic() - begin:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
