"""Every claim of the paper on planted rows: reproduced by some, not by others, and by nothing that failed."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from gembench.study.tell.claims import Claim, judge, load_claims
from gembench.study.tell.claims.plants import rows_of

CLAIMS = load_claims(Path(__file__).parents[3] / "experiments" / "claims.toml")
JUDGED = [claim for claim in CLAIMS if claim.judged]


def planted(claim: Claim, name: str, **changes: object) -> str:
    """The verdict on the claim's planted rows."""
    return judge(claim, rows_of(claim, getattr(claim, name), **changes), "planted").verdict


def test_the_papers_claims_load() -> None:
    assert len(JUDGED) >= 40
    assert all(claim.statement.endswith(".") and len(claim.why + claim.untestable) > 10 for claim in CLAIMS)


@pytest.mark.parametrize("claim", JUDGED, ids=lambda claim: claim.id)
def test_every_claim_has_rows_that_reproduce_it_and_rows_that_do_not(claim: Claim) -> None:
    most = {"": "reproduced", "simulated data": "holds on simulated data", "model": "follows from the model"}
    assert planted(claim, "holds") == most[claim.evidence]
    assert planted(claim, "fails") == "not reproduced"
    assert planted(claim, "holds", evidence="model") == "follows from the model"
    for status in ("failed", "timeout"):
        assert planted(claim, "holds", status=status, samples=(), reason="check") == "not judged"
    for status in ("skipped",):
        assert planted(claim, "holds", status=status, samples=(), reason="no GPU") == "not testable here"
    if not claim.any_pixels and not claim.evidence:
        assert planted(claim, "holds", evidence="simulated data") == "holds on simulated data"


@pytest.mark.parametrize("claim", JUDGED, ids=lambda claim: claim.id)
def test_no_band_of_a_claim_can_be_opened_unnoticed(claim: Claim) -> None:
    """A band without ends, or one that begins where the other ends, is caught by the planted rows."""
    anything = replace(claim, reproduced=(-math.inf, math.inf), partly=(-math.inf, math.inf))
    assert planted(anything, "fails") != "not reproduced"
    _, high = claim.reproduced or (0, 0)
    if high < math.inf:
        band = (high + 1e-9 + abs(high), math.inf)
        assert planted(replace(claim, reproduced=band, partly=band), "holds") == "not reproduced"
