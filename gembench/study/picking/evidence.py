"""What picks are evidence of."""

from __future__ import annotations

from gembench.data.annotated import SIMULATED
from gembench.study.declare.cases import Case


def evidence_of_picks(case: Case) -> str:
    """Picks on micrographs of our simulator say nothing of real ones; `data` names the set."""
    return "simulated data" if case["data"] == SIMULATED else "measured"
