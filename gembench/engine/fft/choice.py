"""Which FFT library is fastest on this machine: measured once, and kept in the user's cache."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib import metadata
from math import inf
from pathlib import Path

from gembench.engine.fft import cache
from gembench.engine.fft.library import LIBRARIES, PREFERENCE, fft_library
from gembench.errors import InputError

PIN = "GEMBENCH_FFT"  # names the library that 'auto' takes
ROWS, LENGTH = 16, 2048  # of the blocks that are transformed, as the method exact does of 2048^2 pixels
ROUNDS, CALLS = 20, 8  # of every library in turn; the least time counts, since whatever else runs only adds


@dataclass(frozen=True)
class Choice:
    """The library that 'auto' takes here.

    costs: nanoseconds a point of the inverse transforms of rows and columns, by library; empty if pinned
    passed_over: why a library was not tried, by its name
    """

    name: str
    costs: dict[str, float] = field(default_factory=dict)
    passed_over: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """As a line of output."""
        if not self.costs:
            return f"{self.name}, as {PIN} says"
        costs = sorted(self.costs.items(), key=lambda item: item[1])
        line = ", ".join(f"{name} {cost:.2f}" for name, cost in costs)
        broken = "".join(f"; {name} {reason}" for name, reason in self.passed_over.items()
                         if not reason.startswith("not installed"))
        return f"{self.name}, the fastest here ({line} ns a point{broken})"


_lock = threading.Lock()
_taken: list[Choice] = []  # of this process, which keeps to it


def choose() -> Choice:
    """What 'auto' takes in this process: the pinned library, else the one that measured fastest here.

    Raises InputError if the pinned one cannot be used.
    """
    pinned = os.environ.get(PIN)
    if pinned and pinned != "auto":
        try:
            return Choice(fft_library(pinned).name)
        except InputError as error:
            raise InputError(f"{PIN}={pinned}: {error}") from None
    with _lock:
        if not _taken:
            _taken.append(_stored_or_measured())
    return _taken[0]


def _stored_or_measured() -> Choice:
    versions = {name: _installed(name) for name in PREFERENCE}
    path = cache.machine_folder() / "fft-library.json"
    with cache.alone(path.with_suffix(".lock")):  # processes that start together measure once
        choice = _stored(path, versions)
        if choice is None:
            choice = measure()
            with suppress(OSError):  # measured again the next time
                cache.write(path, json.dumps({"versions": versions} | asdict(choice), indent=1) + "\n")
    return choice


def _installed(name: str) -> str:
    """The version of a library as its installer notes it, without importing it."""
    try:
        return metadata.version(LIBRARIES[name].modules[0].split(".")[0])
    except metadata.PackageNotFoundError:
        return ""


def _stored(path: Path, versions: dict[str, str]) -> Choice | None:
    """What was measured of exactly these libraries, if it was and can still be used."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        costs = {str(name): float(cost) for name, cost in record["costs"].items()}
        passed_over = {str(name): str(reason) for name, reason in record["passed_over"].items()}
        name = min(costs, key=lambda name: costs[name])
        if record["versions"] == versions and LIBRARIES[name].unavailable() is None:
            return Choice(name, costs, passed_over)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        pass
    return None


def measure() -> Choice:
    """The library that takes least time for blocks of rows, of those that work here.

    numpy's transforms are scipy's, slower: they are taken where nothing else works.
    """
    works: dict[str, tuple[Callable[[], None], ...]] = {}
    passed_over: dict[str, str] = {}
    for name in PREFERENCE:
        if name == "numpy" and works:
            continue
        reason = LIBRARIES[name].unavailable()
        if reason is not None:
            passed_over[name] = reason
            continue
        try:
            rows = LIBRARIES[name]().row_transforms(LENGTH, ROWS, "float32")
            for transform in (rows.ifft, rows.irfft):  # plans are made, and what is broken shows
                transform()
            works[name] = rows.ifft, rows.irfft
        except Exception as error:  # a broken binary package may raise anything
            passed_over[name] = f"installed but broken: {' '.join(str(error).split())}"
    costs: dict[str, float] = {}
    for _ in range(ROUNDS):
        for name, transforms in works.items():
            costs[name] = min(costs.get(name, inf), _cost(transforms))
    costs = {name: round(cost, 3) for name, cost in costs.items()}
    return Choice(min(costs, key=lambda name: costs[name]), costs, passed_over)


def _cost(transforms: tuple[Callable[[], None], ...]) -> float:
    """Nanoseconds a point of some calls of each transform."""
    start = time.perf_counter()
    for transform in transforms:
        for _ in range(CALLS):
            transform()
    return (time.perf_counter() - start) * 1e9 / (len(transforms) * CALLS * ROWS * LENGTH)
