"""Grids: the cases an experiment runs, as products of axes."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from gembench.errors import InputError
from gembench.study.declare.cases import Case, Value, case_key, case_name, check_case

GRIDS = ("quick", "default", "paper")


def grid(**axes: Value | Iterable[Value]) -> list[Case]:
    """Every combination of the axes' values, the last axis varying fastest; a single value is a fixed axis.

    Grids add up: `grid(library=["fftw", "mkl"], n=[512, 1024]) + grid(library="cufft", n=4096)`.

    Raises InputError if a value cannot be part of a case's name, or if an axis has no values.
    """
    values = {axis: [value] if isinstance(value, str) or not isinstance(value, Iterable) else list(value)
              for axis, value in axes.items()}
    for axis, choices in values.items():
        if not choices:
            raise InputError(f"axis {axis}: no values; give at least one")
    return [check_case(dict(zip(values, choice, strict=True))) for choice in product(*values.values())]


def check_unique(experiment: str, cases: Iterable[Case]) -> list[Case]:
    """`cases` as a list.

    Raises InputError if one stands there twice.
    """
    seen: dict[str, Case] = {}
    for case in cases:
        key = case_key(case)
        if key in seen:
            raise InputError(f"{case_name(experiment, case)}: twice in one grid; list it once")
        seen[key] = case
    return list(seen.values())


def grid_class(name: str) -> str:
    """`quick` or `full`: a result of one never stands in for the other.

    The default and the paper grid give a case the same settings, so they share their results.
    """
    return "quick" if name == "quick" else "full"


def group_by_arms(cases: Iterable[Case], compare: str | None) -> list[list[Case]]:
    """Groups of cases that differ in the axis `compare` only: the arms that alternate in rounds."""
    if compare is None:
        return [[case] for case in cases]
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(case_key(case.without(compare)), []).append(case)
    return list(groups.values())
