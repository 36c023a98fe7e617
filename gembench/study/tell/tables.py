"""Tables of stored rows: medians and speed-ups with their bands, metrics, several machines side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from numbers import Real
from statistics import median
from typing import Any

from gembench.study.declare.cases import Case, Value, case_key, format_value
from gembench.study.declare.experiment import Experiment
from gembench.study.declare.grid import group_by_arms
from gembench.study.measure.store import Row
from gembench.study.tell.code import Code, commit_text
from gembench.study.tell.text import band_text, number_text, seconds_text

UNSTABLE = 0.2  # (max - min) / median above which a case's samples are called unstable


@dataclass(frozen=True)
class Cell:
    """One cell: its text, whether it is bold, how many columns it spans, and whether it is a remark."""

    text: str
    bold: bool = False
    span: int = 1
    remark: bool = False


@dataclass(frozen=True)
class Table:
    """Axis columns, then one group of columns per machine."""

    axes: list[str]
    machines: list[str]
    columns: list[str]
    rows: list[tuple[list[str], list[Cell]]]

    def narrowed(self) -> tuple[Table, str]:
        """The table without the axes that have one value in all of several rows, and what those are."""
        values = {axis: {axes[number] for axes, _ in self.rows} for number, axis in enumerate(self.axes)}
        same = {axis: min(own) for axis, own in values.items() if len(own) == 1 and len(self.rows) > 1}
        kept = [number for number, axis in enumerate(self.axes) if axis not in same]
        rows = [([axes[number] for number in kept], cells) for axes, cells in self.rows]
        table = Table([self.axes[number] for number in kept], self.machines, self.columns, rows)
        return table, ", ".join(f"{axis}={value}" for axis, value in same.items())


def metric_text(value: Any) -> str:
    """A metric as a table shows it."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, Real):
        return number_text(float(value))
    return ", ".join(map(metric_text, value)) if isinstance(value, list) else str(value)


def baseline_of(experiment: Experiment) -> Value:
    """The value of the compared axis that speed-ups refer to."""
    if experiment.baseline is not None or experiment.compare is None:
        return experiment.baseline
    return experiment.planned()[0][experiment.compare]


def speed_up(base: Row, row: Row) -> tuple[float, float, float]:
    """Median, lowest and highest ratio of base time to the row's time; above 1 the row is faster.

    Rows of one run are compared round by round, as they alternated; others by their extremes.
    """
    if base.path == row.path and len(base.samples) == len(row.samples):
        ratios = [_ratio(a, b) for a, b in zip(base.samples, row.samples, strict=True)]
        return median(ratios), min(ratios), max(ratios)
    (low, high), (least, most) = base.band, row.band
    return _ratio(base.median, row.median), _ratio(low, most), _ratio(high, least)


def _ratio(base: float, seconds: float) -> float:
    return base / seconds if seconds else inf


def shown_metrics(experiment: Experiment, rows: Iterable[Row]) -> list[str]:
    """The metrics to tabulate: those the experiment names, else every one that is a number somewhere."""
    if experiment.columns is not None:
        return list(experiment.columns)
    numbers = (name for row in rows for name, value in row.metrics.items()
               if isinstance(value, Real) and not isinstance(value, bool))
    return list(dict.fromkeys(numbers))


def _speed_up_cell(row: Row, base: Row | None) -> Cell:
    if base is None or not base.ok:
        return Cell("–")
    if base is row:
        return Cell("1 (baseline)")
    middle, low, high = speed_up(base, row)
    return Cell(f"{middle:.2f} ({low:.2f}..{high:.2f})", bold=low > 1 or high < 1)


def _cells(row: Row | None, base: Row | None, compared: bool, metrics: Sequence[str]) -> list[Cell]:
    """The columns of one machine in one line of the table."""
    width = 3 + compared + len(metrics)
    if row is None:
        return [Cell("not measured", span=width, remark=True)]
    if not row.ok:
        return [Cell(f"{row.status}: {row.reason}", span=width, remark=True)]
    low, high = row.band
    like = row.median
    return [
        Cell(seconds_text(like)), Cell(band_text(low, high, like)),
        *([_speed_up_cell(row, base)] if compared else []),
        *(Cell(metric_text(row.metrics.get(name))) for name in metrics),
        Cell(f"{row.peak_rss / 2**20:.0f} MiB" if row.peak_rss else "–"),
    ]


def table_of(
    experiment: Experiment, rows: Sequence[Row], machines: Sequence[str], code: Code | None = None
) -> Table:
    """The table of an experiment's rows: one line per case, one group of columns per machine.

    Compared arms stand below each other, the axis in which they differ last.

    code: if given and only some of the rows are of it, a column says of which
    """
    metrics, compare, baseline = shown_metrics(experiment, rows), experiment.compare, baseline_of(experiment)
    row_of = {(row.machine, case_key(row.case)): row for row in rows}
    unique = {case_key(row.case): row.case for row in rows}
    cases = [case for group in group_by_arms(unique.values(), compare) for case in group]
    axes = sorted(dict.fromkeys(axis for case in cases for axis in case), key=lambda axis: axis == compare)
    columns = ["time, median", "min..max"]
    if compare:
        columns.append(f"speed-up over {format_value(baseline)}, > 1 is faster")
    lines = []
    mixed = code if code and len({code.is_current(row) for row in rows}) > 1 else None
    for case in cases:
        cells: list[Cell] = []
        for machine in machines:
            row = row_of.get((machine, case_key(case)))
            base = row_of.get((machine, case_key(Case({**case, compare: baseline})))) if compare else None
            cells += _cells(row, base, bool(compare), metrics)
            if mixed:
                cells.append(Cell(mixed.text(row) if row else ""))
        lines.append(([format_value(case[axis]) if axis in case else "" for axis in axes], cells))
    columns += [*(name.replace("_", " ") for name in metrics), "peak memory", *(["code"] if mixed else [])]
    return Table(axes, list(machines), columns, lines)


def _listed(items: Iterable[Any]) -> str:
    return ", ".join(dict.fromkeys(str(item) for item in items))


def provenance_sentence(rows: Sequence[Row], code: Code) -> str:
    """Where one machine's rows come from, and whether the code has changed since, in two sentences."""
    runs = list({row.path: row.run for row in rows}.values())
    machine, days = runs[-1]["machine"], sorted({str(run["started"])[:10] for run in runs})
    gpus = _listed(gpu["name"] for gpu in machine["gpus"]) or "no GPU"
    rounds = sorted({len(row.samples) for row in rows if row.ok})
    parts = [
        f"{machine['name']}: {machine['cpu']}, {machine['cores']} cores, {machine['ram'] / 2**30:.0f} GiB,",
        f"{gpus};",
        f"measured {' to '.join(dict.fromkeys([days[0], days[-1]]))} from {_listed(map(commit_text, rows))},",
        f"{_listed(run['grid'] for run in runs)} grid, {_listed(rounds) or 'no'} rounds after the warm-ups,",
        f"libraries held to {_listed(sorted(row.threads for row in rows))} thread(s),",
        f"load at the start at most {max((run['load'][0] for run in runs if run['load']), default=0):.1f}.",
        code.sentence(rows),
    ]
    return " ".join(parts)


def stability_warning(rows: Sequence[Row]) -> str:
    """What to do about cases whose samples spread too far; '' if none do."""
    shaky = [row for row in rows if row.ok and row.band[1] - row.band[0] > UNSTABLE * row.median]
    if not shaky:
        return ""
    return (f"Unstable: {len(shaky)} of {len(rows)} cases spread by more than {UNSTABLE:.0%} of their median;"
            " close other programs and measure again with --fresh.")
