"""What the studies say their rows are, and that rows carry it to the ledger."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gembench.errors import InputError
from gembench.study.declare.experiment import EVIDENCE, Experiment, grid, load_all
from gembench.study.tell.figures import declared_rows

STUDIES = load_all(Path(__file__).parents[3] / "experiments")
KINDS = {
    "cluster": {"measured", "emulated", "model"}, "reduction": {"measured", "emulated", "model"},
    "distribution": {"measured", "model"}, "picking": {"measured", "simulated data"},
    "precision": {"measured", "simulated data"}, "gpu_picks": {"measured", "simulated data"},
    "peers": {"measured", "simulated data"},
}


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_has_the_evidence_that_its_cases_are(name: str) -> None:
    cases = STUDIES[name].planned()
    assert {STUDIES[name].evidence(case) for case in cases} == KINDS.get(name, {"measured"})
    for case in cases:
        assert (STUDIES[name].evidence(case) == "simulated data") == (case.get("data") == "simulated")


def toy(evidence: str) -> Experiment:
    cases = grid(n=[1, 2])
    return Experiment(
        name="toy", title="", run=lambda inputs, case: None, check=lambda output, inputs, case: None,
        grids={"quick": cases, "default": cases, "paper": cases},
        evidence=lambda case: evidence if case.n == 2 else EVIDENCE[0],
    )


def test_rows_carry_the_evidence_of_their_cases(tmp_path: Path, run_record: Callable[..., Any]) -> None:
    folder = tmp_path / "planned" / "toy"
    folder.mkdir(parents=True)
    lines = [run_record(), *({"case": {"n": n}, "status": "ok", "reason": "", "samples": [1.0], "warmups": [],
                              "metrics": {}, "peak_rss": None, "threads": 1, "clock": "wall", "arms": 1,
                              "arrays_file": ""} for n in (1, 2))]
    (folder / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows = declared_rows(tmp_path, toy("model"), "default")
    assert [row.evidence for row in rows] == ["measured", "model"]


def test_an_unknown_kind_of_evidence_is_refused() -> None:
    with pytest.raises(InputError, match=r"experiment toy: evidence 'seen' is not known; return measured,"):
        toy("seen")
