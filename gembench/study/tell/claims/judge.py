"""Verdicts: what the stored rows of a machine say of a claim.

Only what was measured, or emulated with the real code, can reproduce a statement. A row that failed is never
replaced by weaker evidence. A verdict must hold for the whole range of the rounds: where a bound lies inside
that range the claim is unsettled.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gembench.study.declare.cases import Case, case_name, matches, same_value
from gembench.study.declare.experiment import EVIDENCE, Experiment
from gembench.study.measure.store import Row
from gembench.study.tell.claims.claim import REPRODUCES, Band, Claim, Verdict
from gembench.study.tell.claims.expression import (
    Evaluation,
    NotTestableError,
    RowsFailedError,
    describe,
    evaluation,
)

SAID = ("work", "annotations")  # metrics in words that belong to every verdict on their row
WEAKER = {"simulated data": "holds on simulated data", "model": "follows from the model"}


def inside(value: float, band: Band) -> bool:
    """Whether `value` lies in `band`, ends included."""
    return band[0] <= value <= band[1]


def place(claim: Claim, value: float) -> str:
    """Where `value` lies by the claim's bands: reproduced, partly, exceeded or not reproduced."""
    assert claim.reproduced is not None
    assert claim.partly is not None
    if inside(value, claim.reproduced):
        return "reproduced"
    if inside(value, claim.partly):
        return "partly"
    return "exceeded" if claim.about is not None and value > claim.partly[1] else "not reproduced"


def weakest(claim: Claim, rows: Iterable[Row]) -> str:
    """The weakest evidence among `rows`, or what the claim says its numbers are if that is weaker."""
    kinds = {row.evidence for row in rows}
    if claim.any_pixels:
        kinds = {"measured" if kind == "simulated data" else kind for kind in kinds}
    kinds |= {claim.evidence} - {""}
    return max(kinds, key=EVIDENCE.index, default="")


def _selected(rows: Iterable[Row], where: Mapping[str, Any]) -> list[Row]:
    """The rows whose case has every value of `where`; a list means any of its values."""
    choices = {axis: value if isinstance(value, list) else [value] for axis, value in where.items()}
    return [row for row in rows
            if all(axis in row.case and any(same_value(row.case[axis], value) for value in values)
                   for axis, values in choices.items())]


def judge(claim: Claim, rows: Sequence[Row], machine: str, experiment: Experiment | None = None) -> Verdict:
    """The verdict of one machine's rows of the claim's experiment.

    experiment: if there is one, a reason names the command that would measure what is missing
    """
    if claim.untestable:
        return Verdict(claim, machine, "not testable here", reason=claim.untestable)
    missing: NotTestableError | None = None
    for where in ({}, *claim.stand_in):
        try:
            evaluated = evaluation(claim.expression, _selected(rows, {**claim.select, **where}))
        except RowsFailedError as error:
            return Verdict(claim, machine, "not judged", reason=f"the rows failed: {error}")
        except NotTestableError as error:
            missing = missing or error
            continue
        remark = f"by the rows with {describe(where)}" if where else ""
        if claim.any_pixels and any(row.evidence == "simulated data" for row in evaluated.rows):
            remark = f"{remark or 'on simulated micrographs'}: a speed, which no pixel changes"
        return _verdict(claim, machine, evaluated, remark)
    assert missing is not None
    if experiment is None:
        return Verdict(claim, machine, "not testable here",
                       reason=f"there is no experiment {claim.experiment}")
    command = "" if missing.where is None else remedy(experiment, {**claim.select, **missing.where})
    command += " --fresh" if command and missing.again else ""
    return Verdict(claim, machine, "not testable here", reason=str(missing), command=command)


def _verdict(claim: Claim, machine: str, evaluated: Evaluation, remark: str) -> Verdict:
    """The verdict of a value with its range and the rows it was read from."""
    evidence, reason = weakest(claim, evaluated.rows), ""
    remark = "; ".join(filter(None, [remark, *_what_was_judged(evaluated.rows)]))
    if not claim.judged:
        verdict, reason = "not judged", claim.why
    else:
        verdict = place(claim, evaluated.value)
        bounds = _bounds(claim, evaluated.low, evaluated.high, evidence)
        if bounds:
            reason = f"its range holds the bound {' and '.join(f'{bound:g}' for bound in bounds)}"
            verdict = "unsettled"
        elif evidence in WEAKER:
            verdict = WEAKER[evidence] if verdict == "reproduced" else "not reproduced"
    return Verdict(claim, machine, verdict, evidence, evaluated.value, evaluated.low, evaluated.high, reason,
                   remark=remark)


def _bounds(claim: Claim, low: float, high: float, evidence: str) -> list[float]:
    """The ends of the bands inside the range; of weaker evidence, which is never partly, of one band.

    A range that only touches an end from inside the band stays within it.
    """
    bands = [claim.reproduced, claim.partly] if evidence in REPRODUCES else [claim.reproduced]
    return sorted({end for band in bands if band for end, crossed in (
        (band[0], low < band[0] <= high), (band[1], low <= band[1] < high)) if crossed})


def _what_was_judged(rows: Iterable[Row]) -> list[str]:
    """What the rows say of their work and of whose annotations judge it, each said once."""
    said = [row.metrics.get(name) for name in SAID for row in rows]
    return list(dict.fromkeys(str(text) for text in said if text))


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
    return [
        [judge(claim, [row for row in rows.get(claim.experiment, ()) if row.machine == machine], machine,
               experiments.get(claim.experiment))
         for machine in machines or [""]]
        for claim in claims
    ]
