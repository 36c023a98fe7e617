"""The small language in which a claim speaks of stored rows: `median(time, library="fftw", n=4096)`.

An expression is arithmetic and comparison over these functions; nothing else of Python is understood. A
column is `time` (median seconds), `memory` (peak bytes), an axis or a metric. Keywords select rows by axis or
metric, a list meaning any of its values.

  values(column, **where)            one number per row; also median, mean, min, max, sum of them
  count(**where)                     how many rows
  ratio(column, "axis", a, b)        column at axis=a over column at axis=b, for every pair alike otherwise
  first, last(column, "axis")        where the axis is smallest, largest
  exponent(column, "axis")           slope of log column over log axis: 1 is linear, 2 quadratic
  linear, logarithmic(column, "axis")  R^2 of a straight line over the axis, over its logarithm
"""

from __future__ import annotations

import ast
import math
import operator
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gembench.errors import InputError
from gembench.study.declare.cases import Value, case_key, format_value, same_value
from gembench.study.measure.store import Row


class NotTestableError(Exception):
    """The rows do not hold what the expression asks for.

    where: axis values that would have to be measured; None if measuring more cannot help
    """

    def __init__(self, reason: str, where: Mapping[str, Any] | None = None) -> None:
        super().__init__(reason)
        self.where = where


Rows = Sequence[Row]
Where = Mapping[str, Any]


def column_of(row: Row, column: str) -> float:
    """The number that `row` has for `column`.

    Raises NotTestableError if it has none.
    """
    if column == "time":
        return row.median
    value = row.peak_rss if column == "memory" else {**row.metrics, **row.case}.get(column)
    if isinstance(value, str) or value is None:
        raise NotTestableError(f"{row.name} stores no number called {column}")
    return float(value)


def _has(row: Row, name: str, wanted: Any) -> bool:
    known: Mapping[str, Any] = {**row.metrics, **row.case}
    choices = wanted if isinstance(wanted, list) else [wanted]
    return name in known and any(same_value(known[name], choice) for choice in choices)


def describe(where: Where) -> str:
    """`axis=value, axis=a or b` for a reader."""
    told = {name: " or ".join(map(format_value, wanted if isinstance(wanted, list) else [wanted]))
            for name, wanted in where.items()}
    return ", ".join(f"{name}={text}" for name, text in told.items())


def matching(rows: Rows, where: Where) -> list[Row]:
    """The measured rows that `where` selects.

    Raises NotTestableError, with the stored reason if the cases were tried, if there are none.
    """
    found = [row for row in rows if all(_has(row, *item) for item in where.items())]
    measured = [row for row in found if row.ok]
    if measured:
        return measured
    for tried in [found, *([row for row in rows if _has(row, *item)] for item in where.items())]:
        if tried and all(row.status == tried[0].status != "ok" for row in tried):
            raise NotTestableError(f"{tried[0].status}: {tried[0].reason}")
    raise NotTestableError(f"no stored rows with {describe(where)}" if where else "no stored rows", where)


def values(rows: Rows, column: str, **where: Any) -> list[float]:
    """One number per selected row."""
    return [column_of(row, column) for row in matching(rows, where)]


def ratio(rows: Rows, column: str, axis: str, top: Value, bottom: Value, **where: Any) -> list[float]:
    """Column at axis=top over column at axis=bottom, for each pair of rows alike in all other axes."""
    arms: list[dict[str, Row]] = []
    failures: list[NotTestableError] = []
    for value in (top, bottom):
        try:
            found = matching(rows, {**where, axis: value})
            arms.append({case_key(row.case.without(axis)): row for row in found})
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
    return [column_of(a, column) / column_of(b, column) for a, b in pairs]


def _points(rows: Rows, column: str, axis: str, where: Where, least: int) -> tuple[list[float], list[float]]:
    points = sorted((column_of(row, axis), column_of(row, column)) for row in matching(rows, where))
    if len({x for x, _ in points}) < least:
        few = "one value" if least == 2 else "fewer than three values"
        raise NotTestableError(f"{few} of {axis} stored", where)
    return [x for x, _ in points], [y for _, y in points]


def first(rows: Rows, column: str, axis: str, **where: Any) -> float:
    """The column where the axis is smallest; the median if several rows share that."""
    x, y = _points(rows, column, axis, where, 1)
    return statistics.median(b for a, b in zip(x, y, strict=True) if a == x[0])


def last(rows: Rows, column: str, axis: str, **where: Any) -> float:
    """The column where the axis is largest; the median if several rows share that."""
    x, y = _points(rows, column, axis, where, 2)
    return statistics.median(b for a, b in zip(x, y, strict=True) if a == x[-1])


def exponent(rows: Rows, column: str, axis: str, **where: Any) -> float:
    """Slope of log(column) over log(axis) by least squares."""
    x, y = _points(rows, column, axis, where, 3)
    return statistics.linear_regression(list(map(math.log, x)), list(map(math.log, y))).slope


def linear(rows: Rows, column: str, axis: str, **where: Any) -> float:
    """R^2 of a straight line through column over axis."""
    x, y = _points(rows, column, axis, where, 3)
    return statistics.correlation(x, y) ** 2


def logarithmic(rows: Rows, column: str, axis: str, **where: Any) -> float:
    """R^2 of a straight line through column over log2(axis)."""
    x, y = _points(rows, column, axis, where, 3)
    return statistics.correlation(list(map(math.log2, x)), y) ** 2


def count(rows: Rows, **where: Any) -> float:
    """How many measured rows there are."""
    return float(len(matching(rows, where)))


_OVER_ROWS: dict[str, Callable[..., Any]] = {
    f.__name__: f for f in (values, ratio, first, last, exponent, linear, logarithmic, count)
}
_AGGREGATES: dict[str, Callable[[list[float]], float]] = {
    "median": statistics.median, "mean": statistics.fmean, "min": min, "max": max, "sum": sum,
}
_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.USub: operator.neg, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.And: lambda a, b: a and b, ast.Or: lambda a, b: a or b,
}
FUNCTIONS = frozenset(_OVER_ROWS) | frozenset(_AGGREGATES)


def parse(text: str) -> ast.expr:
    """The syntax tree of an expression.

    Raises InputError if `text` says anything this language does not know.
    """
    try:
        tree = ast.parse(text.replace("\n", " ").strip(), mode="eval").body
    except SyntaxError as error:
        raise InputError(f"{text!r}: not an expression: {error.msg}; write arithmetic and calls") from error
    _check(tree, text)
    return tree


def _check(node: ast.AST, text: str) -> None:
    allowed = (ast.BinOp, ast.UnaryOp, ast.Compare, ast.BoolOp, ast.Call, ast.Name, ast.Constant, ast.List,
               ast.keyword, ast.Load, *_OPERATORS)
    if not isinstance(node, allowed):
        unknown = type(node).__name__
        raise InputError(f"{text!r}: {unknown} is not part of the language; write arithmetic and calls")
    if isinstance(node, ast.Compare) and len(node.ops) > 1:
        raise InputError(f"{text!r}: a chained comparison; write `a < b and b < c`")
    if isinstance(node, ast.keyword) and node.arg is None:
        raise InputError(f"{text!r}: ** is not part of the language; write axis=value")
    if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS):
        raise InputError(f"{text!r}: an unknown function; choose from {', '.join(sorted(FUNCTIONS))}")
    for child in ast.iter_child_nodes(node):
        _check(child, text)


def evaluate(text: str, rows: Rows) -> float:
    """The number that the expression `text` has for `rows`; 1 or 0 for a comparison.

    Raises InputError for a bad expression, NotTestableError if the rows do not hold what it asks for.
    """
    try:
        return float(_value(parse(text), rows))
    except (TypeError, ValueError, ZeroDivisionError, statistics.StatisticsError) as error:
        if isinstance(error, InputError):
            raise
        raise NotTestableError(f"the stored numbers do not fit the expression: {error}") from error


def _value(node: ast.expr, rows: Rows) -> Any:
    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            return node.id
        case ast.List():
            return [_value(item, rows) for item in node.elts]
        case ast.UnaryOp():
            return _OPERATORS[type(node.op)](_value(node.operand, rows))
        case ast.BinOp():
            return _OPERATORS[type(node.op)](_value(node.left, rows), _value(node.right, rows))
        case ast.Compare():
            return _OPERATORS[type(node.ops[0])](_value(node.left, rows), _value(node.comparators[0], rows))
        case ast.BoolOp():
            result = _value(node.values[0], rows)
            for operand in node.values[1:]:
                result = _OPERATORS[type(node.op)](result, _value(operand, rows))
            return result
        case ast.Call(func=ast.Name(id=name)):
            return _call(name, [_value(argument, rows) for argument in node.args],
                         {str(word.arg): _value(word.value, rows) for word in node.keywords}, rows)
    raise TypeError(f"{type(node).__name__} has no value")


def _call(name: str, arguments: list[Any], where: Where, rows: Rows) -> Any:
    if name in _OVER_ROWS:
        return _OVER_ROWS[name](rows, *arguments, **where)
    numbers = arguments[0] if isinstance(arguments[0], list) else values(rows, arguments[0], **where)
    return _AGGREGATES[name](numbers)
