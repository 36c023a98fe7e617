"""The small language in which a claim speaks of stored rows: `median(time, library="fftw", n=4096)`.

An expression is arithmetic and comparison over these functions; nothing else of Python is understood. A
column is `time` (median seconds), `memory` (peak bytes), an axis or a metric. Keywords select rows by axis or
metric, a list meaning any of its values.

  values(column, **where)            one number per row; also median, mean, min, max, sum of them
  count(**where)                     how many rows
  ratio(column, "axis", a, b)        column at axis=a over column at axis=b, for every pair alike otherwise
  share(part, whole, **where)        one count over another of each row, with its 95 % interval
  first, last(column, "axis")        where the axis is smallest, largest
  exponent(column, "axis")           slope of log column over log axis: 1 is linear, 2 quadratic
  linear, logarithmic(column, "axis")  R^2 of a straight line over the axis, over its logarithm
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, product
from pathlib import Path
from typing import Any

from gembench.study.declare.cases import Value, case_key, format_value, same_value
from gembench.study.measure.store import Row
from gembench.study.tell.claims.language import compute, parse

MOST_COMBINATIONS = 512  # of rounds of several runs; 8 runs of 2 rounds are 256
BROKEN = ("failed", "timeout")
Where = Mapping[str, Any]


class NotTestableError(Exception):
    """The rows do not hold what the expression asks for.

    where: axis values that would have to be measured; None if measuring more cannot help
    again: whether they were measured, by a study that did not store the number yet
    """

    def __init__(self, reason: str, where: Where | None = None, *, again: bool = False) -> None:
        super().__init__(reason)
        self.where, self.again = where, again


class RowsFailedError(Exception):
    """A row that the expression asks for failed or ran out of time."""


@dataclass
class Reader:
    """Rows, and what an expression reads from them.

    rounds: for each run's file the round that counts; the median of all rounds where there is none
    end: 0 or 1 for the lower or upper end of a metric's stored interval, None for the metric
    used: the rows that were read; timed: those whose time was read
    """

    rows: Sequence[Row]
    rounds: Mapping[Path, int] = field(default_factory=dict)
    end: int | None = None
    used: list[Row] = field(default_factory=list)
    timed: list[Row] = field(default_factory=list)
    intervals: bool = False

    def number(self, row: Row, column: str) -> float:
        """The number that `row` has for `column`.

        Raises NotTestableError if it has none.
        """
        self.used.append(row)
        if column == "time":
            self.timed.append(row)
            turn = self.rounds.get(row.path)
            return row.median if turn is None else row.samples[turn % len(row.samples)]
        value = row.peak_rss if column == "memory" else {**row.metrics, **row.case}.get(column)
        interval = row.metrics.get(f"{column}_interval")
        if isinstance(interval, list) and len(interval) == 2 and None not in interval:
            self.intervals = True
            value = value if self.end is None else interval[self.end]
        if isinstance(value, str | list | dict) or value is None:
            raise NotTestableError(f"{row.name} stores no number called {column}", row.case, again=True)
        return float(value)

    def matching(self, where: Where) -> list[Row]:
        """The measured rows that `where` selects.

        Raises RowsFailedError if any row that it selects failed; NotTestableError, with the stored reason if
        the cases were tried, if there are none.
        """
        failed = [row for row in self.rows if row.status in BROKEN and _could_have(row, where)]
        if failed:
            raise RowsFailedError(f"{failed[0].name}: {failed[0].status}: {failed[0].reason}")
        selected = [row for row in self.rows if _has_all(row, where)]
        measured = [row for row in selected if row.ok]
        if measured:
            return measured
        for tried in [selected, *([row for row in self.rows if _has(row, *item)] for item in where.items())]:
            if tried and all(row.status == tried[0].status != "ok" for row in tried):
                raise NotTestableError(f"{tried[0].status}: {tried[0].reason}")
        raise NotTestableError(f"no stored rows with {describe(where)}" if where else "no stored rows", where)

    def points(self, column: str, axis: str, where: Where, least: int) -> tuple[list[float], list[float]]:
        """Axis and column of the selected rows, by the axis; it has at least so many values."""
        rows = self.matching(where)
        points = sorted((self.number(row, axis), self.number(row, column)) for row in rows)
        if len({x for x, _ in points}) < least:
            few = "one value" if least == 2 else "fewer than three values"
            raise NotTestableError(f"{few} of {axis} stored", where)
        return [x for x, _ in points], [y for _, y in points]


def _has(row: Row, name: str, choices: Any) -> bool:
    values: Where = {**row.metrics, **row.case}
    choices = choices if isinstance(choices, list) else [choices]
    return name in values and any(same_value(values[name], choice) for choice in choices)


def _has_all(row: Row, where: Where) -> bool:
    return all(_has(row, *item) for item in where.items())


def _could_have(row: Row, where: Where) -> bool:
    """Whether a row without metrics has all of `where` that its case tells."""
    return all(_has(row, name, choice) for name, choice in where.items() if name in row.case)


def describe(where: Where) -> str:
    """`axis=value, axis=a or b` for a reader."""
    texts = {name: " or ".join(map(format_value, choice if isinstance(choice, list) else [choice]))
             for name, choice in where.items()}
    return ", ".join(f"{name}={text}" for name, text in texts.items())


def values(reader: Reader, column: str, **where: Any) -> list[float]:
    """One number per selected row."""
    return [reader.number(row, column) for row in reader.matching(where)]


def ratio(reader: Reader, column: str, axis: str, top: Value, bottom: Value, **where: Any) -> list[float]:
    """Column at axis=top over column at axis=bottom, for each pair of rows alike in all other axes."""
    arms: list[dict[str, Row]] = []
    failures: list[NotTestableError] = []
    for value in (top, bottom):
        try:
            rows = reader.matching({**where, axis: value})
            arms.append({case_key(row.case.without(axis)): row for row in rows})
        except NotTestableError as failure:
            failures.append(failure)
    if any(failure.where is None for failure in failures):  # an arm that cannot run here says the most
        raise next(failure for failure in failures if failure.where is None)
    if len(failures) == 2:
        raise NotTestableError(f"no stored rows with {describe({axis: [top, bottom], **where})}", where)
    if failures:
        raise failures[0]
    over, under = arms
    pairs = [(over[key], under[key]) for key in over if key in under]
    if not pairs:
        raise NotTestableError(f"no stored rows differ in {axis} alone", where)
    return [reader.number(a, column) / reader.number(b, column) for a, b in pairs]


def first(reader: Reader, column: str, axis: str, **where: Any) -> float:
    """The column where the axis is smallest; the median if several rows share that."""
    x, y = reader.points(column, axis, where, 1)
    return statistics.median(b for a, b in zip(x, y, strict=True) if a == x[0])


def last(reader: Reader, column: str, axis: str, **where: Any) -> float:
    """The column where the axis is largest; the median if several rows share that."""
    x, y = reader.points(column, axis, where, 2)
    return statistics.median(b for a, b in zip(x, y, strict=True) if a == x[-1])


def exponent(reader: Reader, column: str, axis: str, **where: Any) -> float:
    """Slope of log(column) over log(axis) by least squares."""
    x, y = reader.points(column, axis, where, 3)
    return statistics.linear_regression(list(map(math.log, x)), list(map(math.log, y))).slope


def linear(reader: Reader, column: str, axis: str, **where: Any) -> float:
    """R^2 of a straight line through column over axis."""
    x, y = reader.points(column, axis, where, 3)
    return statistics.correlation(x, y) ** 2


def logarithmic(reader: Reader, column: str, axis: str, **where: Any) -> float:
    """R^2 of a straight line through column over log2(axis)."""
    x, y = reader.points(column, axis, where, 3)
    return statistics.correlation(list(map(math.log2, x)), y) ** 2


def count(reader: Reader, **where: Any) -> float:
    """How many measured rows there are."""
    rows = reader.matching(where)
    reader.used += rows
    return float(len(rows))


def share(reader: Reader, part: str, whole: str, **where: Any) -> list[float]:
    """Part over whole of each selected row, with the 95 % interval of such a count (Clopper and Pearson)."""
    from scipy.special import betaincinv

    shares = []
    for row in reader.matching(where):
        k, n = reader.number(row, part), reader.number(row, whole)
        if not (n == int(n) and k == int(k) and 0 <= k <= n and n > 0):
            shown = f"{part} over {whole}, {k:g} over {n:g}"
            raise NotTestableError(f"{row.name}: {shown}, is no share of a count")
        reader.intervals = True
        low = betaincinv(k, n - k + 1, 0.025) if k else 0.0
        high = betaincinv(k + 1, n - k, 0.975) if k < n else 1.0
        shares.append(k / n if reader.end is None else float((low, high)[reader.end]))
    return shares


_AGGREGATES: dict[str, Callable[[list[float]], float]] = {
    "median": statistics.median, "mean": statistics.fmean, "min": min, "max": max, "sum": sum,
}
_OVER_ROWS: dict[str, Callable[..., Any]] = {
    f.__name__: f for f in (values, ratio, share, first, last, exponent, linear, logarithmic, count)
}


@dataclass(frozen=True)
class Evaluation:
    """The value of an expression at the medians of the rows, its range, and the rows that it was read from.

    low, high: the range over the rounds. Rounds of one run alternate between the compared arms and are taken
        together, as the tables do; rounds of different runs are combined in every way. With two to six rounds
        a case the range says all there is: resampled medians would pretend to more. A metric with a stored
        interval, such as a recall, ranges over both ends of it.
    """

    value: float
    low: float
    high: float
    rows: tuple[Row, ...]


def evaluate(text: str, rows: Sequence[Row]) -> float:
    """The number that the expression `text` has for `rows`; 1 or 0 for a comparison.

    Raises InputError for a bad expression, NotTestableError if the rows do not hold what it asks for,
    RowsFailedError if any of those failed.
    """
    return _number(text, Reader(rows))


def evaluation(text: str, rows: Sequence[Row]) -> Evaluation:
    """The value with its range and the rows that it was read from; raises as `evaluate` does."""
    reader = Reader(rows)
    value = _number(text, reader)
    others = [value, *(_number(text, Reader(rows, rounds)) for rounds in _combinations(reader.timed))]
    if reader.intervals:
        others += [_number(text, Reader(rows, end=end)) for end in (0, 1)]
    used = {id(row): row for row in reader.used}
    return Evaluation(value, min(others), max(others), tuple(used.values()))


def _combinations(rows: Sequence[Row]) -> Iterator[dict[Path, int]]:
    """Every choice of a round for each run among `rows`, the first few hundred of them."""
    rounds: dict[Path, int] = {}
    for row in rows:
        rounds[row.path] = max(rounds.get(row.path, 1), len(row.samples))
    choices = product(*(range(number) for number in rounds.values()))
    return (dict(zip(rounds, choice, strict=True)) for choice in islice(choices, MOST_COMBINATIONS))


def _number(text: str, reader: Reader) -> float:
    """The value of the expression as `reader` reads the rows."""

    def call(name: str, arguments: list[Any], where: Where) -> Any:
        if name in _OVER_ROWS:
            return _OVER_ROWS[name](reader, *arguments, **where)
        numbers = arguments[0] if isinstance(arguments[0], list) else values(reader, *arguments, **where)
        return _AGGREGATES[name](numbers)

    try:
        value = float(compute(parse(text), call))
    except (TypeError, ValueError, ArithmeticError, statistics.StatisticsError) as error:
        raise NotTestableError(f"the stored numbers do not fit the expression: {error}") from error
    if not math.isfinite(value):
        raise NotTestableError(f"the stored numbers do not fit the expression: it is {value}")
    return value
