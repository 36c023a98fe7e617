"""500 small micrographs in one run: memory, open files and threads stay what they were.

python tests/attacks/endurance.py

What the run's processes hold is looked at every tenth of a second. The second fifth of the micrographs is
compared with the last fifth: the medians of memory may differ by 5 %, files and threads not at all.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import psutil

from gembench.io.images.mrc import write_mrc, write_stack

COUNT, SIDE, BOX = 500, 128, 24
GROWTH = 0.05  # of memory
RUNS = {
    "exact": ("--method", "exact"),
    "banded": ("--method", "banded", "--lowpass", "32", "--average", "1"),
    "2 ranks": ("--distribute", "micrographs"),
}


@dataclass(frozen=True)
class Look:
    """What the processes of a run hold at a moment: micrographs that are finished, bytes, files, threads."""

    finished: int
    memory: int
    files: int
    threads: int


def look(processes: list[psutil.Process], out: Path) -> Look:
    """The sums over all processes."""
    memory = files = threads = 0
    for process in processes:
        with suppress(psutil.Error), process.oneshot():
            memory += process.memory_info().rss
            files += process.num_fds()
            threads += process.num_threads()
    return Look(sum(1 for path in out.glob("m*.star")), memory, files, threads)


def watch(name: str, folder: Path) -> list[Look]:
    """The looks at one run from its first micrograph to its last."""
    out = folder / f"out-{name.replace(' ', '-')}"
    words = [sys.executable, "-m", "gembench", "pick", str(folder / "mics"), "--templates",
             str(folder / "t.mrcs"), "--pixel-size", "2", "--angle-step", "15", "--threads", "1", "--fft",
             "scipy", "-o", str(out), "--quiet", *RUNS[name]]
    if name == "2 ranks":
        words = [str(Path(sys.executable).with_name("mpiexec")), "-n", "2", *words]
    looks = []
    with subprocess.Popen(words) as process:
        while process.poll() is None:
            time.sleep(0.1)
            with suppress(psutil.Error):
                own = psutil.Process(process.pid)
                looks.append(look([own, *own.children(recursive=True)], out))
    if process.returncode:
        raise SystemExit(f"endurance: {name}: exit code {process.returncode}")
    return [moment for moment in looks if 0 < moment.finished < COUNT]


def judged(name: str, looks: list[Look]) -> bool:
    """Print a line on one run; whether it stayed flat."""
    early = [moment for moment in looks if COUNT / 5 <= moment.finished < 2 * COUNT / 5]
    late = [moment for moment in looks if moment.finished >= 4 * COUNT / 5]
    if not early or not late:
        print(f"{name:10} too quick to be looked at ({len(looks)} looks)")
        return False
    before, after = (median(moment.memory for moment in part) for part in (early, late))
    files = [median(moment.files for moment in part) for part in (early, late)]
    threads = [median(moment.threads for moment in part) for part in (early, late)]
    flat = after <= (1 + GROWTH) * before and files[0] >= files[1] and threads[0] >= threads[1]
    print(f"{name:10}{before / 2**20:8.0f}{after / 2**20:8.0f} MiB{100 * (after / before - 1):+8.1f} %"
          f"{files[0]:8.0f}{files[1]:6.0f}{threads[0]:10.0f}{threads[1]:6.0f}{len(looks):8}"
          f"   {'flat' if flat else 'GROWS'}", flush=True)
    return flat


def main() -> int:
    """Watch every run and print a table; 1 if any grew."""
    start = time.monotonic()
    rng = np.random.default_rng(5)
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        (folder / "mics").mkdir()
        os.environ["GEMBENCH_CACHE"] = str(folder / "cache")
        image = np.zeros((BOX, BOX))
        image[4:20, 6:11] = image[15:20, 6:18] = -1
        write_stack(folder / "t.mrcs", image[None], 2.0)
        for number in range(COUNT):
            write_mrc(folder / "mics" / f"m{number:03}.mrc", rng.normal(40, 1, (SIDE, SIDE)), 2.0)
        print(f"{COUNT} micrographs; memory, files and threads in the second fifth and in the last\n"
              f"{'':10}{'memory':>19}{'growth':>9}{'files':>14}{'threads':>17}{'looks':>8}", flush=True)
        names = [name for name in RUNS
                 if name != "2 ranks" or Path(sys.executable).with_name("mpiexec").exists()]
        flat = [judged(name, watch(name, folder)) for name in names]
    seconds = time.monotonic() - start
    print(f"endurance: {sum(flat)} of {len(flat)} runs flat within {GROWTH:.0%}, {seconds:.0f} s")
    return 0 if all(flat) else 1


if __name__ == "__main__":
    sys.exit(main())
