"""A run killed at any moment: what was finished is kept, nothing is measured twice, the store is readable."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from gembench.study.measure.store import load_rows, read_run

Toy = Callable[..., Path]


def start(folder: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "gembench.cli", "run", "toy", "--experiments", str(folder),
               "--results", str(folder.parent / "results"), *options]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def stop(process: subprocess.Popen[bytes], signal_number: int, seconds: float) -> int:
    """Send the signal after so many seconds, unless the process has ended; returns its exit code."""
    try:
        _, words = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal_number)
        _, words = process.communicate(timeout=30)
    assert b"Traceback" not in words, words.decode()
    return process.returncode


def alive(folder: Path) -> list[int]:
    """Worker processes that have an experiment of `folder` in use."""
    running = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"TOY_LOG={folder.parent / 'log'}".encode() in path.read_bytes():
                running.append(int(path.parent.name))
        except OSError:
            continue
    return [pid for pid in running if pid != os.getpid()]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_killed_again_and_again_every_case_is_measured_once(toy: Toy, tmp_path: Path) -> None:
    folder = toy('grid(arm=["a", "b"], n=list(range(2, 14)))', pause=0.02)
    results, seed = tmp_path / "results", random.Random(2013)
    before: Counter[str] = Counter()
    begun, process = time.monotonic(), start(folder)
    while not any(read_run(path) for path in results.glob("planned/toy/*.jsonl")):
        assert process.poll() is None
        time.sleep(0.01)
    beginning = time.monotonic() - begun
    stop(process, signal.SIGKILL, 0.01)
    for _ in range(6):
        stop(start(folder), signal.SIGKILL, beginning * seed.uniform(0.4, 1.8))
        files = sorted(results.glob("planned/toy/*.jsonl"))
        now = Counter(row.name for path in files for row in read_run(path))
        assert not before - now
        before = now
    assert stop(start(folder), signal.SIGKILL, 200) == 0
    rows = [row for path in sorted(results.glob("planned/toy/*.jsonl")) for row in read_run(path)]
    assert len(rows) == len({row.name for row in rows}) == 24
    assert all(row.ok and len(row.samples) == 2 for row in rows)
    assert len({row.path for row in rows}) > 1  # it was in fact interrupted
    end = time.monotonic() + 10
    while alive(folder) and time.monotonic() < end:
        time.sleep(0.05)
    assert alive(folder) == []


def test_ctrl_c_stops_cleanly_and_the_same_command_goes_on(toy: Toy, tmp_path: Path) -> None:
    folder = toy('grid(arm="a", n=list(range(2, 12)))', pause=0.05)
    process = start(folder)
    while not load_rows(tmp_path / "results", "toy"):
        assert process.poll() is None
        time.sleep(0.02)
    assert stop(process, signal.SIGINT, 0.0) == 130
    kept = {row.name: row.samples for row in load_rows(tmp_path / "results", "toy")}
    assert 0 < len(kept) < 10
    assert stop(start(folder), signal.SIGKILL, 200) == 0
    rows = {row.name: row.samples for row in load_rows(tmp_path / "results", "toy")}
    assert len(rows) == 10
    assert kept.items() <= rows.items()
