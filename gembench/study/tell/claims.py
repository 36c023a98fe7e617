"""The paper's statements and what the stored results say of them.

Ratios, orders, shapes and counts are judged against a band; a claim without bands (old absolute seconds) is
printed beside the value measured here and never judged.
"""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from gembench.errors import InputError
from gembench.study.declare.cases import Case, case_name, matches
from gembench.study.declare.experiment import Experiment
from gembench.study.measure.store import Row
from gembench.study.tell.expression import NotTestableError, describe, evaluate, parse

VERDICTS = ("reproduced", "partly", "not reproduced", "not testable here", "not judged")
Band = tuple[float, float]


@dataclass(frozen=True)
class Claim:
    """One statement of the paper.

    id: a short name; where: section or figure; statement: in our words; paper: the paper's value as printed
    experiment, expression: what judges it; unit: of the expression's value
    select: axis values of the rows that are looked at
    stand_in: axis values instead of those of `select` where it has no measured row
    reproduced, partly: bands of the value, ends included; None for a claim that is not judged
    note: what a reader must know to judge the verdict
    """

    id: str
    where: str
    statement: str
    paper: str
    experiment: str
    expression: str
    unit: str = ""
    reproduced: Band | None = None
    partly: Band | None = None
    note: str = ""
    select: Mapping[str, Any] = field(default_factory=dict)
    stand_in: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What the results of one machine say of one claim.

    value: of the expression, None where it is not testable; reason: why it is not
    command: what would measure the missing rows, '' if nothing would
    remark: the rows that stood in, if any did
    """

    claim: Claim
    machine: str
    verdict: str
    value: float | None = None
    reason: str = ""
    command: str = ""
    remark: str = ""

    @property
    def told(self) -> str:
        """The value with its unit, or the reason there is none."""
        if self.value is None:
            return f"{self.reason}; {self.command}" if self.command else self.reason
        digits = f"{self.value:.0f}" if abs(self.value) >= 1000 else f"{self.value:.3g}"
        told = f"{digits} {self.claim.unit}".rstrip()
        return f"{told} ({self.remark})" if self.remark else told


def _claim(entry: Mapping[str, Any], path: Path) -> Claim:
    name = entry.get("id", "without an id")
    known = {one.name for one in fields(Claim)}
    needed = {"id", "where", "statement", "paper", "experiment", "expression"}
    for key in sorted(set(entry) - known):
        raise InputError(f"{path}: claim {name}: unknown key {key}; the keys are {', '.join(sorted(known))}")
    for key in sorted(needed - set(entry)):
        raise InputError(f"{path}: claim {name}: no {key}; give it")
    given = [key for key in ("reproduced", "partly") if key in entry]
    bands = {key: (float(entry[key][0]), float(entry[key][1])) for key in given}
    if len(bands) == 1:
        raise InputError(f"{path}: claim {name}: only one band; give reproduced and partly, or none")
    if bands:
        (low, high), (lower, higher) = bands["reproduced"], bands["partly"]
        if not lower <= low <= high <= higher:
            raise InputError(f"{path}: claim {name}: partly must enclose reproduced; mend the bands")
    try:
        parse(entry["expression"])
    except InputError as error:
        raise InputError(f"{path}: claim {name}: {error}") from error
    return Claim(**{**entry, **bands})


def load_claims(path: Path) -> list[Claim]:
    """The claims of a TOML file of [[claim]] tables, in its order; none if there is no such file.

    Raises InputError for a broken file, a bad expression or band, or an id used twice.
    """
    if not path.exists():
        return []
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("claim", [])
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not TOML: {error}; mend the file") from error
    claims: dict[str, Claim] = {}
    for entry in entries:
        claim = _claim(entry, path)
        if claim.id in claims:
            raise InputError(f"{path}: claim {claim.id} stands there twice; rename one")
        claims[claim.id] = claim
    return list(claims.values())


def inside(value: float, band: Band) -> bool:
    """Whether `value` lies in `band`, ends included."""
    return band[0] <= value <= band[1]


def judge(claim: Claim, rows: Sequence[Row], machine: str, experiment: Experiment | None = None) -> Verdict:
    """The verdict of one machine's rows of the claim's experiment.

    experiment: if given, a reason names the command that would measure what is missing
    """
    asked = [row for row in rows if matches(row.case, claim.select)]
    value, remark = None, ""
    try:
        value = evaluate(claim.expression, asked)
    except NotTestableError as error:
        value = _stand_in(claim, rows)
        if value is None:
            reason, command = str(error), ""
            if experiment is None:
                reason = f"there is no experiment {claim.experiment}"
            elif error.where is not None:
                command = remedy(experiment, {**claim.select, **error.where})
            return Verdict(claim, machine, "not testable here", reason=reason, command=command)
        remark = describe(claim.stand_in)
    if claim.reproduced is None or claim.partly is None:
        verdict = "not judged"
    elif inside(value, claim.reproduced):
        verdict = "reproduced"
    else:
        verdict = "partly" if inside(value, claim.partly) else "not reproduced"
    return Verdict(claim, machine, verdict, value, remark=remark)


def _stand_in(claim: Claim, rows: Sequence[Row]) -> float | None:
    """The value by the rows that stand in for those asked for; None if there are none to judge by."""
    if not claim.stand_in:
        return None
    try:
        return evaluate(
            claim.expression, [row for row in rows if matches(row.case, {**claim.select, **claim.stand_in})]
        )
    except NotTestableError:
        return None


def remedy(experiment: Experiment, where: Mapping[str, Any]) -> str:
    """The command that measures rows with the axis values `where`; '' if no grid has such a case.

    Lists of values and metrics among `where` do not narrow the command.
    """
    axes = {axis for cases in experiment.grids.values() for case in cases for axis in case}
    chosen = {axis: value for axis, value in where.items() if axis in axes and not isinstance(value, list)}
    for grid, option in (("default", ""), ("paper", " --grid paper")):
        for case in experiment.grids[grid]:
            if matches(case, chosen):
                selector = Case({axis: case[axis] for axis in case if axis in chosen})
                return f"gembench run {shlex.quote(case_name(experiment.name, selector))}{option}"
    return ""


def judge_all(
    claims: Iterable[Claim], rows: Mapping[str, Sequence[Row]], machines: Sequence[str],
    experiments: Mapping[str, Experiment],
) -> list[list[Verdict]]:
    """For each claim its verdicts, one per machine in the order of `machines`.

    rows: by experiment, of all machines; without any machine each claim has one verdict, 'not testable here'
    """
    judged = []
    for claim in claims:
        known = rows.get(claim.experiment, ())
        judged.append([
            judge(claim, [row for row in known if row.machine == machine], machine,
                  experiments.get(claim.experiment))
            for machine in machines or [""]
        ])
    return judged
