"""The engine's speed over its commits, read from the results that asv stores."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from gembench.errors import InputError
from gembench.io.checks import log
from gembench.io.typed import NUMBER, REQUIRED, TABLE, TEXT, checked, list_of, read_json

FIELDS = {
    "commit_hash": (TEXT, REQUIRED), "date": (NUMBER, 0), "results": (TABLE, {}),
    "result_columns": (list_of(TEXT), []),
}


@dataclass(frozen=True)
class Measurement:
    """One benchmark at one commit: the median of its samples and their quartiles."""

    value: float
    quartiles: tuple[float, float]


@dataclass(frozen=True)
class Series:
    """One benchmark with one set of parameters on one machine: (commit, value), oldest first."""

    benchmark: str
    machine: str
    unit: str
    points: tuple[tuple[str, float], ...]

    @property
    def change(self) -> float:
        """Last value over the first; infinite if the first is zero and the last is not."""
        first, last = self.points[0][1], self.points[-1][1]
        if not first:
            return math.inf if last else 1.0
        return last / first

    def polyline(self, width: int = 240, height: int = 36) -> str:
        """The values as the points of an SVG polyline, zero at the bottom."""
        top = max(value for _, value in self.points) or 1.0
        step = width / max(1, len(self.points) - 1)
        return " ".join(f"{number * step:.1f},{height - value / top * height:.1f}"
                        for number, (_, value) in enumerate(self.points))


def _read(path: Path) -> dict[str, Any]:
    return read_json(path, "a result of asv", nan=True)


def _result(path: Path) -> tuple[dict[str, Any], dict[str, dict[str, Measurement]]]:
    """One file of asv's and what it measured; raises InputError if asv did not write it."""
    content = _read(path)
    try:
        content = checked(content, FIELDS, "a result")
        return content, _measured(content)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: not a result of asv ({error}); restore the file or remove it") from error


def _measured(content: dict[str, Any]) -> dict[str, dict[str, Measurement]]:
    """Benchmark -> parameters as text -> what asv measured; failed (null) and skipped (NaN) are left out."""
    return {name: _combinations(dict(zip(content["result_columns"], entry, strict=False)))
            for name, entry in content.get("results", {}).items()}


def _combinations(columns: dict[str, Any]) -> dict[str, Measurement]:
    """Parameters as text -> measurement; a count without samples is its own quartiles."""
    labels = [", ".join(choice) for choice in product(*(columns.get("params") or []))]
    values = columns.get("result") or [None] * len(labels)
    lower, upper = (columns.get(f"stats_q_{part}") or [None] * len(labels) for part in (25, 75))
    return {label: Measurement(float(value), (float(value if low is None else low),
                                              float(value if high is None else high)))
            for label, value, low, high in zip(labels, values, lower, upper, strict=True)
            if value is not None and not math.isnan(value)}


def _full_name(name: str, label: str) -> str:
    """A benchmark with its parameters, as asv writes it."""
    return f"{name}({label})" if label else name


def load_measurements(folder: Path, machine: str, commit: str) -> dict[str, Measurement]:
    """What asv measured at a commit (its full hash) on a machine, by benchmark with its parameters.

    Raises InputError for a file that asv did not write.
    """
    contents = [_result(path) for path in sorted((folder / machine).glob("*.json"))
                if path.name != "machine.json"]
    return {_full_name(name, label): measurement
            for content, measured in contents if content["commit_hash"] == commit
            for name, by_label in measured.items() for label, measurement in by_label.items()}


def _unit(benchmark: Any) -> str:
    return str(benchmark.get("unit", "")) if isinstance(benchmark, dict) else ""


def load_history(folder: Path) -> list[Series]:
    """Every series in asv's results folder, by benchmark and machine; none if there is no such folder.

    A file that asv did not write is left out, and a warning names it.
    """
    index = folder / "benchmarks.json"
    about = _read(index) if index.exists() else {}
    points: dict[tuple[str, str], list[tuple[float, str, float]]] = {}
    units: dict[str, str] = {}
    for path in sorted(folder.glob("*/*.json")):
        if path.name == "machine.json":
            continue
        try:
            content, measured = _result(path)
        except InputError as error:  # it spoils neither the other files nor the page
            log.warning("%s", error)
            continue
        for name, by_label in measured.items():
            for label, measurement in by_label.items():
                benchmark = _full_name(name, label)
                units[benchmark] = _unit(about.get(name))
                stamp = (float(content["date"]), str(content["commit_hash"])[:8], measurement.value)
                points.setdefault((benchmark, path.parent.name), []).append(stamp)
    return [
        Series(benchmark, machine, units[benchmark],
               tuple((commit, value) for _, commit, value in sorted(values)))
        for (benchmark, machine), values in sorted(points.items())
    ]
