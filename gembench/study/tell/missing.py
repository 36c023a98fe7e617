"""What was not measured: each gap with its reason and the command that would fill it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from gembench.study.declare.cases import Case, case_key, case_name, matches
from gembench.study.declare.experiment import Experiment
from gembench.study.measure.store import Row


@dataclass(frozen=True)
class Gap:
    """Cases of one experiment that one machine has not measured, for one reason."""

    experiment: str
    machine: str
    cases: int
    reason: str
    commands: tuple[str, ...]


def _keys(cases: Sequence[Case]) -> set[str]:
    return {case_key(case) for case in cases}


def _one_selector(missing: Sequence[Case], cases: Sequence[Case]) -> Case | None:
    """The fewest axis values that select just `missing` from `cases`; None if none do."""
    chosen = Case({axis: value for axis, value in missing[0].items()
                   if all(matches(case, {axis: value}) for case in missing)})
    keys = _keys(missing)
    if _keys([case for case in cases if matches(case, chosen)]) != keys:
        return None
    for axis in list(chosen):
        fewer = chosen.without(axis)
        if _keys([case for case in cases if matches(case, fewer)]) == keys:
            chosen = fewer
    return chosen


def selectors(missing: Sequence[Case], cases: Sequence[Case]) -> list[Case]:
    """A short list of axis values that together select `missing` from `cases`.

    They select no other case, but for those with the values of a missing one and further axes: none can be
    named without them, so that with a case of `picking` comes its twin that has `device=gpu` besides.
    """
    single = _one_selector(missing, cases)
    if single is not None:
        return [single]
    best = list(missing)
    for axis in missing[0]:
        parts: dict[str, list[Case]] = {}
        for case in missing:
            parts.setdefault(case_key(Case({axis: case.get(axis)})), []).append(case)
        complete = [chosen for part in parts.values() if (chosen := _one_selector(part, cases)) is not None]
        if len(complete) == len(parts) < len(best):
            best = complete
    return best


def gaps(experiment: Experiment, rows: Sequence[Row], machines: Sequence[str], grid: str) -> list[Gap]:
    """The declared cases that a machine has not measured, grouped by machine and reason.

    grid: `quick`, or anything else for the default and the paper grid together
    """
    names = ("quick",) if grid == "quick" else ("default", "paper")
    missing = []
    for machine in machines:
        stored = {case_key(row.case): row for row in rows if row.machine == machine}
        for data in (None, *experiment.further(row.case.get("data") for row in stored.values())):
            seen: set[str] = set()
            for name in names:
                groups: dict[str, list[Case]] = {}
                declared = experiment.grids[name] if data is None else experiment.cases_on(data, name)
                for case in declared:
                    row = stored.get(case_key(case))
                    if case_key(case) in seen or (row and row.ok):
                        continue
                    reason = f"{row.status}: {row.reason}" if row else f"the {name} grid was not run"
                    groups.setdefault(reason, []).append(case)
                seen |= _keys(declared)
                missing += [_gap(experiment, machine, name, reason, cases, declared, data)
                            for reason, cases in groups.items()]
    return missing


def _gap(
    experiment: Experiment, machine: str, grid: str, reason: str, cases: list[Case], declared: Sequence[Case],
    data: str | None,
) -> Gap:
    """Cases of those `declared` by a grid, on another set than the grid's if `data` names it."""
    option = "" if grid == "default" else f" --grid {grid}"
    again = " --fresh" if reason.startswith(("failed", "timeout")) else ""
    whole = Case() if data is None else Case(data=data)
    chosen = [Case({**whole, **axes}) for axes in selectors(cases, declared)]
    if len(chosen) > 3 and not again:  # the whole grid, less what is stored, is the shorter command
        chosen, again = [whole], " --resume"
    commands = tuple(
        f"gembench run {shlex.quote(case_name(experiment.name, axes))}{option}{again}" for axes in chosen
    )
    return Gap(experiment.name, machine, len(cases), reason, commands)
