"""The language that claims are written in: its values, its ranges, and all that it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gembench.errors import InputError
from gembench.study.measure.store import Row
from gembench.study.tell.claims.expression import (
    NotTestableError,
    RowsFailedError,
    evaluate,
    evaluation,
)
from gembench.study.tell.claims.language import parse

MakeRow = Callable[..., Row]


@pytest.fixture
def libraries(row: MakeRow) -> list[Row]:
    """Two libraries at two sizes, and one that is skipped."""
    return [
        row([4.0, 2.0, 6.0], library="fftw", n=512, metrics={"f1": 0.5, "exact": True, "names": ["a"]}),
        row([2.0], library="mkl", n=512), row([32.0], library="fftw", n=1024),
        row([8.0], library="mkl", n=1024),
        row(status="skipped", reason="no CUDA device", library="cufft", n=512),
    ]


@pytest.fixture
def nodes(row: MakeRow) -> list[Row]:
    """A direct reduction, linear in the nodes, and a tree, logarithmic."""
    direct = [row([1.0 + 2 * nodes], nodes=nodes, strategy="direct") for nodes in (1, 2, 4, 8)]
    return direct + [row([1.0 + steps], nodes=2**steps, strategy="tree") for steps in range(4)]


@pytest.mark.parametrize(
    ("expression", "value"),
    [('median(time, library="fftw", n=512) / median(time, library="mkl", n=512)', 2.0),
     ('min(ratio(time, "library", "fftw", "mkl"))', 2.0),
     ('max(ratio(time, "library", "fftw", "mkl"))', 4.0),
     ('exponent(time, "nodes", strategy="direct") < 1', 1.0), ("median(f1, exact=True)", 0.5),
     ('count(library=["fftw", "mkl"])', 4.0), ("sum(values(time, n=512))", 6.0), ("-(1 + 2) * 3", -9.0),
     ('first(time, "n", library="mkl")', 2.0), ('last(time, "n", library="mkl")', 8.0),
     ('linear(time, "nodes", strategy="direct")', 1.0), ('logarithmic(time, "nodes", strategy="tree")', 1.0),
     ("1 < 2 and 3 < 2", 0.0), ("mean(time,\n  nodes=1)", 2.0)],
)
def test_an_expression_has_its_value(
    libraries: list[Row], nodes: list[Row], expression: str, value: float
) -> None:
    assert evaluate(expression, nodes if "nodes" in expression else libraries) == pytest.approx(value)


def test_a_power_law_has_its_exponent(row: MakeRow) -> None:
    rows = [row([5.0 * n**2], n=n) for n in (1, 2, 3)]
    assert evaluate('exponent(time, "n")', rows) == pytest.approx(2)


@pytest.mark.parametrize(
    "text", ["__import__('os')", "open('x')", "time.real", "[x for x in time]", "lambda: 1", "2 ** 99",
             "1 < 2 < 3", "median(time, **{})", "f'{time}'", "median(", "rows[0]", "eval('1')(2)",
             "(1).__class__", "max()", "ratio(time)", "count(3)", "median(time, 1)", "[0] * 1000000000",
             "'a' * 1000000000", "-[1]", "[[1]]", f"median(time, n={list(range(65))})",
             "count() * 10000000000000000",
             "1" * 400, f"median(time, n={'9' * 1900})", "1e999", "b'1'", "1j", "...", "True + True",
             "+".join("1" * 100_000), "(" * 900 + "1", "-" * 1500 + "1",
             f"{'(' * 45}1{'+1)' * 45}", "time\0"],
)
def test_nothing_else_is_understood(text: str) -> None:
    with pytest.raises(InputError) as refusal:
        parse(text)
    assert len(str(refusal.value)) < 400
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("expression", "reason"),
    [('median(time, library="cufft")', "skipped: no CUDA device"),
     ('median(ratio(time, "library", "fftw", "cufft", n=4096))', "skipped: no CUDA device"),
     ("median(time, n=2)", "no stored rows with n=2"),
     ("median(recall, n=512)", "stores no number called recall"),
     ('linear(time, "n", library="mkl")', "fewer than three values of n"), ("max(time) / 0", "do not fit"),
     ('first(time, "threads")', "stores no number called threads"), ("time", "do not fit"),
     ("1e15 * " * 30 + "1", "it is inf"), ("median(names, n=512)", "stores no number called names"),
     ('ratio(time, "library", ["fftw"], "mkl")', "do not fit"),
     ('linear(time, "library")', "stores no number called library")],
)
def test_what_cannot_be_tested_says_why(libraries: list[Row], expression: str, reason: str) -> None:
    with pytest.raises(NotTestableError, match=reason):
        evaluate(expression, libraries)


def test_the_range_is_over_the_rounds_of_a_run_taken_together(row: MakeRow) -> None:
    both = [row([4.0, 2.0, 3.0], arm="a"), row([2.0, 1.0, 3.0], arm="b")]
    evaluated = evaluation('median(ratio(time, "arm", "a", "b"))', both)
    assert (evaluated.value, evaluated.low, evaluated.high) == (1.5, 1.0, 2.0)


def test_rounds_of_different_runs_are_combined_in_every_way(row: MakeRow) -> None:
    both = [row([4.0, 2.0], arm="a"), replace(row([2.0, 1.0], arm="b"), path=Path("later"))]
    evaluated = evaluation('median(ratio(time, "arm", "a", "b"))', both)
    assert (evaluated.value, evaluated.low, evaluated.high) == (2.0, 1.0, 4.0)
    many = [replace(row([1.0, 2.0], n=n), path=Path(str(n))) for n in range(40)]
    assert evaluation("sum(time)", many).high > 40


def test_a_metric_ranges_over_its_stored_interval(row: MakeRow) -> None:
    rows = [row([1.0], metrics={"recall": 0.5, "recall_interval": [0.4, 0.7]}),
            row([1.0], metrics={"recall": 0.6, "recall_interval": [None, None]}, arm="b")]
    evaluated = evaluation("2 * median(recall, arm=\"b\")", rows)
    assert (evaluated.low, evaluated.high) == (1.2, 1.2)
    evaluated = evaluation("2 * max(recall)", rows[:1])
    assert (evaluated.value, evaluated.low, evaluated.high) == (1.0, 0.8, 1.4)


def test_a_share_ranges_over_the_interval_of_its_count(row: MakeRow) -> None:
    rows = [row([1.0], metrics={"changed": changed, "picks": picks}) for changed, picks in ((0, 500), (0, 5))]
    many, few = (evaluation("max(share(changed, picks))", [measured]) for measured in rows)
    assert (many.value, many.low, few.value, few.low) == (0, 0, 0, 0)
    assert many.high == pytest.approx(1 - 0.025 ** (1 / 500))  # what leaves none of 500 with 2.5 %
    assert few.high == pytest.approx(1 - 0.025 ** (1 / 5))
    some, every = (evaluation("max(share(changed, picks))", [row([1.0], metrics={"changed": k, "picks": 20})])
                   for k in (5, 20))
    assert (some.low, some.high) == pytest.approx((0.0865715, 0.4910459))  # as tables of the interval have it
    assert (every.low, every.high) == (pytest.approx(0.025 ** (1 / 20)), 1)
    assert evaluate("median(share(changed, picks))", [row([1.0], metrics={"changed": 1, "picks": 4})]) == 0.25
    for changed, picks in ((5, 4), (0, 0), (0.5, 4), (-1, 4)):
        with pytest.raises(NotTestableError, match="is no share of a count"):
            evaluate("max(share(changed, picks))", [row([1.0], metrics={"changed": changed, "picks": picks})])


def test_the_rows_that_were_read_are_named(libraries: list[Row]) -> None:
    assert evaluation('median(time, library="mkl", n=512)', libraries).rows == (libraries[1],)
    assert len(evaluation('count(library="mkl")', libraries).rows) == 2
    assert evaluation('1 + 1', libraries).rows == ()


@pytest.mark.parametrize("status", ["failed", "timeout"])
def test_a_failed_row_among_those_asked_for_is_no_value(
    libraries: list[Row], row: MakeRow, status: str
) -> None:
    rows = [*libraries, row(status=status, reason="check: it is wrong", library="mkl", n=2048)]
    with pytest.raises(RowsFailedError, match=rf"n=2048\]: {status}: check: it is wrong"):
        evaluate('median(ratio(time, "library", "fftw", "mkl"))', rows)
    with pytest.raises(RowsFailedError):  # it could have had the metric
        evaluate("median(time, exact=True)", rows)
    assert evaluate('median(time, library="fftw", n=512)', rows) == 4
