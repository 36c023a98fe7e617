"""Names of cases: printed, parsed, and never confused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gembench.errors import InputError
from gembench.study.declare.cases import Case, case_key, case_name, parse_selector, select
from gembench.study.declare.grid import grid, grid_class, group_by_arms

AXES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(),
    st.sampled_from(["true", "none", "1", "-1.5", "1e3", "007", "", "a,b", "a]", 'say "x"', "4x4", "\n"]),
)


@given(AXES, st.dictionaries(AXES, VALUES, max_size=4))
def test_a_printed_name_parses_to_the_same_case(experiment: str, values: dict[str, object]) -> None:
    case = Case(values)  # type: ignore[arg-type]
    name, parsed = parse_selector(case_name(experiment, case))
    assert name == experiment
    assert list(parsed.items()) == list(case.items())
    assert [type(value) for value in parsed.values()] == [type(value) for value in case.values()]


@given(VALUES, VALUES)
def test_different_values_have_different_names(a: object, b: object) -> None:
    same = type(a) is type(b) and repr(a) == repr(b)
    assert (case_name("x", {"a": a}) == case_name("x", {"a": b})) == same  # type: ignore[dict-item]


def test_a_plain_case_prints_plainly() -> None:
    case = Case(library="fftw-estimate", n=2048, step=4.5, padded=True, mask=None)
    assert case_name("toy", case) == "toy[library=fftw-estimate,n=2048,step=4.5,padded=true,mask=none]"
    assert case_name("toy", {}) == "toy"
    assert case_key({"b": 1, "a": 2}) == case_key({"a": 2, "b": 1}) != case_key({"a": 2.0, "b": 1})
    assert (case.n, case["n"]) == (2048, 2048)


@pytest.mark.parametrize(
    ("text", "reason"),
    [("toy[n]", "cannot read 'n'"), ("toy[n=1", "not a selector"), ("toy[n=1,]", "cannot read 'n=1,'"),
     ("toy[n=1,n=2]", "given twice"), ('toy[n="\\x"]', "not a JSON string"), ("", "not a selector"),
     ("toy[n=1;m=2]", "cannot read")],
)
def test_a_malformed_selector_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason.replace("[", r"\[")):
        parse_selector(text)


def test_selection_is_by_value_and_kind() -> None:
    cases = grid(n=[1, 2], flag=[True, False])
    assert select("toy", cases, {"n": 1.0, "flag": True}) == [{"n": 1, "flag": True}]
    for chosen, reason in [({"flag": 1}, "no case has flag=1; choose from false, true"),
                           ({"m": 1}, "no axis m; the axes are n, flag")]:
        with pytest.raises(InputError, match=reason):
            select("toy", cases, chosen)  # type: ignore[arg-type]


def test_a_grid_is_the_product_of_its_axes() -> None:
    assert grid(a=["x", "y"], n=3) == [{"a": "x", "n": 3}, {"a": "y", "n": 3}]
    assert len(grid(a=range(3), b="ab") + grid(a=5)) == 4
    for axes, reason in [({"a": []}, "axis a: no values"), ({"a": [object()]}, "is a object"),
                         ({"a": [float("nan")]}, "finite floats")]:
        with pytest.raises(InputError, match=reason):
            grid(**axes)  # type: ignore[arg-type]


def test_arms_differ_in_the_compared_axis_only() -> None:
    cases = grid(arm=["a", "b"], n=[1, 2])
    assert group_by_arms(cases, "arm") == [grid(arm=["a", "b"], n=1), grid(arm=["a", "b"], n=2)]
    assert group_by_arms(cases, None) == [[case] for case in cases]


def test_default_and_paper_are_one_class() -> None:
    assert grid_class("default") == grid_class("paper") != grid_class("quick")
