"""Counter-examples: planted rows under which a claim is reproduced, and rows under which it is not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gembench.errors import InputError
from gembench.study.declare.cases import Case
from gembench.study.measure.store import Row
from gembench.study.tell.claims.claim import Claim
from gembench.study.tell.claims.judge import judge
from gembench.study.tell.claims.language import metrics_of

MOST = 200  # rows of a plant


def rows_of(claim: Claim, plants: Iterable[Mapping[str, Any]], **changes: Any) -> list[Row]:
    """The rows of planted tables, each with the claim's own selection.

    A table holds axes, metrics, `time` in seconds and `memory` in bytes; its lists, all of one length, make
    as many rows, each with one item of every list.

    changes: of every row, such as its status

    Raises InputError for lists of different lengths.
    """
    select = {axis: value[0] if isinstance(value, list) else value for axis, value in claim.select.items()}
    run = {"experiment": claim.experiment, "machine": {"name": "planted"}, "grid": "default", "started": ""}
    rows, metrics = [], metrics_of(claim.expression)
    for plant in plants:
        lengths = {len(value) for value in plant.values() if isinstance(value, list)} or {1}
        if len(lengths) > 1 or max(lengths) > MOST:
            raise InputError("planted lists of different lengths, or too long; write lists of one length")
        for number in range(lengths.pop()):
            values = {name: value[number] if isinstance(value, list) else value
                      for name, value in plant.items()}
            time, memory = values.pop("time", 1.0), values.pop("memory", None)
            case = {name: value for name, value in values.items() if name not in metrics}
            rows.append(Row(**{
                "case": Case({**select, **case}), "status": "ok", "samples": (float(time),),
                "metrics": {name: values[name] for name in values if name in metrics},
                "peak_rss": memory, "run": run, **changes,
            }))
    return rows


def check_plants(claim: Claim) -> None:
    """Raises InputError unless the claim is reproduced by what should hold, and not by what should fail."""
    if not claim.judged:
        if claim.holds or claim.fails:
            raise InputError("planted rows, but no bands to judge them by; add bands or leave the rows out")
        return
    for name, plants, verdict in (("holds", claim.holds, "reproduced"), ("fails", claim.fails,
                                                                         "not reproduced")):
        if not plants:
            raise InputError(f"no {name}: plant rows under which it is {verdict}")
        # What the claim says its numbers are is no matter here: the bands are tried
        finding = judge(claim, rows_of(claim, plants), "planted")
        reached = "reproduced" if finding.verdict in ("holds on simulated data", "follows from the model") \
            else finding.verdict
        if reached != verdict:
            shown = finding.value_text or finding.reason
            raise InputError(f"the rows of {name} judge as {finding.verdict} ({shown}); mend rows or bands")
