"""The engine's speed over its commits, read from the results that asv stores."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from gembench.errors import InputError


@dataclass(frozen=True)
class Series:
    """One benchmark with one set of parameters on one machine: (commit, value), oldest first."""

    benchmark: str
    machine: str
    unit: str
    points: tuple[tuple[str, float], ...]

    @property
    def change(self) -> float:
        """Last value over the first."""
        return self.points[-1][1] / self.points[0][1]

    def polyline(self, width: int = 240, height: int = 36) -> str:
        """The values as the points of an SVG polyline, zero at the bottom."""
        top = max(value for _, value in self.points)
        step = width / max(1, len(self.points) - 1)
        return " ".join(f"{number * step:.1f},{height - value / top * height:.1f}"
                        for number, (_, value) in enumerate(self.points))


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: not a result of asv ({error}); restore the file or remove it") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: not a result of asv; restore the file or remove it")
    return content


def _values(entry: Sequence[Any], columns: Sequence[str]) -> dict[str, float]:
    """Parameters as text -> value, of what asv measured; failed (null) and skipped (NaN) are left out."""
    named = dict(zip(columns, entry, strict=False))
    combinations = [", ".join(choice) for choice in product(*(named.get("params") or []))]
    return {label: float(value) for label, value in zip(combinations, named.get("result") or [], strict=False)
            if value is not None and not math.isnan(value)}


def load_history(folder: Path) -> list[Series]:
    """Every series in asv's results folder, by benchmark and machine; none if there is no such folder.

    Raises InputError for a file that asv did not write.
    """
    known = folder / "benchmarks.json"
    about = _read(known) if known.exists() else {}
    points: dict[tuple[str, str], list[tuple[float, str, float]]] = {}
    units: dict[str, str] = {}
    for path in sorted(folder.glob("*/*.json")):
        if path.name == "machine.json":
            continue
        content = _read(path)
        for name, entry in content.get("results", {}).items():
            for label, value in _values(entry, content["result_columns"]).items():
                benchmark = f"{name}({label})" if label else name
                units[benchmark] = about.get(name, {}).get("unit", "")
                stamp = (float(content["date"]), str(content["commit_hash"])[:8], value)
                points.setdefault((benchmark, path.parent.name), []).append(stamp)
    return [
        Series(benchmark, machine, units[benchmark],
               tuple((commit, value) for _, commit, value in sorted(found)))
        for (benchmark, machine), found in sorted(points.items())
    ]
