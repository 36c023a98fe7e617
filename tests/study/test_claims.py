"""Claims: the language they are written in, and their verdicts on planted rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gembench.errors import InputError
from gembench.study.declare.experiment import Experiment, grid
from gembench.study.measure.store import Row
from gembench.study.tell.claims import Claim, judge, judge_all, load_claims, remedy
from gembench.study.tell.expression import NotTestableError, evaluate, parse

MakeRow = Callable[..., Row]
TOY = Experiment(
    name="toy", title="Toy", run=lambda inputs, case: None, check=lambda output, inputs, case: None,
    grids={"quick": grid(n=1), "default": grid(library=["fftw", "mkl"], n=512),
           "paper": grid(library="mkl", n=4096)},
)
CLAIM = Claim("faster", "Fig. 2", "Faster.", "2x", "toy", "max(time)", "s", (1.0, 2.0), (0.5, 4.0))


@pytest.fixture
def libraries(row: MakeRow) -> list[Row]:
    """Two libraries at two sizes, and one that is skipped."""
    return [
        row([4.0, 2.0, 6.0], library="fftw", n=512, metrics={"f1": 0.5, "exact": True}),
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
             "(1).__class__"],
)
def test_nothing_else_is_understood(text: str) -> None:
    with pytest.raises(InputError):
        parse(text)


@pytest.mark.parametrize(
    ("expression", "reason"),
    [('median(time, library="cufft")', "skipped: no CUDA device"),
     ('median(ratio(time, "library", "fftw", "cufft", n=4096))', "skipped: no CUDA device"),
     ("median(time, n=2)", "no stored rows with n=2"),
     ("median(recall, n=512)", "stores no number called recall"),
     ('linear(time, "n", library="mkl")', "fewer than three values of n"), ("max(time) / 0", "do not fit"),
     ('first(time, "threads")', "stores no number called threads"), ("time", "do not fit")],
)
def test_what_cannot_be_tested_says_why(libraries: list[Row], expression: str, reason: str) -> None:
    with pytest.raises(NotTestableError, match=reason):
        evaluate(expression, libraries)


@pytest.mark.parametrize(
    ("seconds", "verdict"),
    [(1.0, "reproduced"), (2.0, "reproduced"), (2.5, "partly"), (0.5, "partly"), (4.1, "not reproduced")],
)
def test_the_verdict_follows_the_bands(row: MakeRow, seconds: float, verdict: str) -> None:
    found = judge(CLAIM, [row([seconds], n=1)], "planned", TOY)
    assert (found.verdict, found.value) == (verdict, seconds)


def test_an_absolute_figure_is_printed_and_not_judged(row: MakeRow) -> None:
    claim = Claim("old", "text", "Took 7,415 s.", "7,415 s", "toy", "max(time)", "s")
    found = judge(claim, [row([1234.5], n=1)], "planned", TOY)
    assert (found.verdict, found.told) == ("not judged", "1234 s")


def test_missing_rows_are_not_testable_and_name_their_command() -> None:
    ((found,),) = judge_all([CLAIM], {}, [], {"toy": TOY})
    assert (found.verdict, found.reason, found.command) == (
        "not testable here", "no stored rows", "gembench run toy")
    ((found,),) = judge_all([CLAIM], {}, [], {})
    assert found.told == "there is no experiment toy"
    assert remedy(TOY, {"n": 4096, "library": "mkl", "f1": 1}) == (
        "gembench run 'toy[library=mkl,n=4096]' --grid paper")
    assert remedy(TOY, {"n": 7}) == ""


def test_each_machine_is_judged_by_its_own_rows(row: MakeRow) -> None:
    rows = [row([1.5], n=1, machine="a"), row([9.0], n=1, machine="b")]
    (found,) = judge_all([CLAIM], {"toy": rows}, ["a", "b"], {"toy": TOY})
    assert [(one.machine, one.verdict) for one in found] == [("a", "reproduced"), ("b", "not reproduced")]


def test_the_papers_claims_load() -> None:
    claims = load_claims(Path(__file__).parents[2] / "experiments" / "claims.toml")
    assert len(claims) >= 25
    assert sum(claim.reproduced is not None for claim in claims) >= 25
    assert all(claim.statement.endswith(".") and claim.where and claim.paper for claim in claims)


@pytest.mark.parametrize(
    ("change", "reason"),
    [("expression = 'open(1)'", "unknown function"), ("reproduced = [1, 2]", "only one band"),
     ("reproduced = [1, 2]\npartly = [1.5, 3]", "must enclose"), ("colour = 1", "unknown key colour"),
     ("[[claim]]", "no experiment")],
)
def test_a_broken_claim_is_refused(tmp_path: Path, change: str, reason: str) -> None:
    names = ("id", "where", "statement", "paper", "experiment")
    keys = {**dict.fromkeys(names, "'a'"), "expression": "'1'"}
    keys.pop(change.split(" =")[0], None)
    text = "[[claim]]\n" + "\n".join(f"{key} = {value}" for key, value in keys.items())
    (tmp_path / "claims.toml").write_text(f"{text}\n{change}\n")
    with pytest.raises(InputError, match=rf"claims\.toml: claim .*{reason}"):
        load_claims(tmp_path / "claims.toml")


def test_rows_stand_in_where_those_asked_for_cannot_be_judged(row: MakeRow) -> None:
    claim = replace(
        CLAIM, expression='median(ratio(time, "step", 9, 4))', select={"data": "real"},
        stand_in={"data": "simulated"},
    )
    simulated = [row([2.0], data="simulated", step=4), row([1.0], data="simulated", step=9)]
    one_real = [row([5.0], data="real", step=4)]
    both_real = [*one_real, row([2.0], data="real", step=9)]
    assert judge(claim, simulated + one_real, "m").told.endswith("(data=simulated)")
    assert judge(claim, simulated + one_real, "m").value == 0.5
    assert judge(claim, simulated + both_real, "m").value == 0.4
    assert judge(claim, one_real, "m").verdict == "not testable here"
