"""Verdicts on planted rows: bands, ranges, evidence, stand-ins and failures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gembench.study.declare.experiment import Experiment, grid
from gembench.study.measure.store import Row
from gembench.study.tell.claims import Claim, judge, judge_all, ledger_json, summaries, table_of_machines
from gembench.study.tell.claims.judge import remedy

MakeRow = Callable[..., Row]
TOY = Experiment(
    name="toy", title="Toy", run=lambda inputs, case: None, check=lambda output, inputs, case: None,
    grids={"quick": grid(n=1), "default": grid(library=["fftw", "mkl"], n=512),
           "paper": grid(library="mkl", n=4096)},
)
CLAIM = Claim(
    id="faster", where="Methods, Fig. 2a; Table 1", statement="Faster.", paper="2x", why="Since 2 is 2.",
    experiment="toy", expression="max(time)", unit="s", reproduced=(1.0, 2.0), partly=(0.5, 4.0),
)
RATIO = replace(CLAIM, expression='median(ratio(time, "step", 9, 4))', unit="x")
ABOUT = replace(CLAIM, about=1.5)


@pytest.mark.parametrize(
    ("claim", "seconds", "verdict"),
    [(CLAIM, 1.0, "reproduced"), (CLAIM, 2.0, "reproduced"), (CLAIM, 2.5, "partly"), (CLAIM, 0.5, "partly"),
     (CLAIM, 4.1, "not reproduced"), (CLAIM, 0.4, "not reproduced"), (ABOUT, 4.0, "partly"),
     (ABOUT, 4.1, "exceeded"), (ABOUT, 0.4, "not reproduced")],
)
def test_the_verdict_follows_the_bands(row: MakeRow, claim: Claim, seconds: float, verdict: str) -> None:
    judged = judge(claim, [row([seconds], n=1)], "planned", TOY)
    assert (judged.verdict, judged.value, judged.evidence) == (verdict, seconds, "measured")
    assert judged.reproduces == (verdict == "reproduced")


@pytest.mark.parametrize(
    ("samples", "verdict", "reason"),
    [([1.1, 1.9], "reproduced", ""), ([1.0, 2.0], "reproduced", ""), ([2.1, 4.0], "partly", ""),
     ([1.5, 1.4, 2.1], "unsettled", "holds the bound 2"), ([2.0, 2.1, 2.2], "unsettled", "the bound 2"),
     ([2.1, 2.5, 1.9], "unsettled", "the bound 2"), ([4.0, 4.1, 4.2], "unsettled", "the bound 4"),
     ([1.0, 1.5, 3.0], "unsettled", "the bound 2"), ([0.7, 1.0], "unsettled", "the bound 1"),
     ([0.3, 1.5, 5.0], "unsettled", "the bound 0.5 and 1 and 2 and 4"),
     ([0.3, 4.5, 5.0], "unsettled", "the bound 0.5 and 1 and 2 and 4"),
     ([5.0, 6.0], "not reproduced", ""), ([0.1, 0.4], "not reproduced", "")],
)
def test_a_bound_inside_the_range_of_the_rounds_leaves_it_unsettled(
    row: MakeRow, samples: list[float], verdict: str, reason: str
) -> None:
    judged = judge(CLAIM, [row(samples, n=1)], "planned", TOY)
    assert (judged.verdict, judged.low, judged.high) == (verdict, min(samples), max(samples))
    assert judged.reason.endswith(reason)
    assert bool(judged.reason) == bool(reason)
    assert judged.value_text.endswith(f"({judged.range_text}) s")


@pytest.mark.parametrize(
    ("evidence", "inside", "partly", "outside"),
    [("measured", "reproduced", "partly", "not reproduced"),
     ("emulated", "reproduced", "partly", "not reproduced"),
     ("simulated data", "holds on simulated data", "not reproduced", "not reproduced"),
     ("model", "follows from the model", "not reproduced", "not reproduced")],
)
def test_only_what_was_measured_reproduces(
    row: MakeRow, evidence: str, inside: str, partly: str, outside: str
) -> None:
    for seconds, verdict in ((1.5, inside), (3.0, partly), (9.0, outside)):
        for claim in (CLAIM, ABOUT):
            judged = judge(claim, [replace(row([seconds], n=1), evidence=evidence)], "planned", TOY)
            exceeded = claim is ABOUT and seconds == 9.0 and evidence in ("measured", "emulated")
            assert (judged.verdict, judged.evidence) == ("exceeded" if exceeded else verdict, evidence)


def test_weaker_evidence_is_unsettled_by_the_first_band_alone(row: MakeRow) -> None:
    for samples, verdict in (([1.5, 2.1], "unsettled"), ([2.1, 5.0], "not reproduced")):
        rows = [replace(row(samples, n=1), evidence="model")]
        assert judge(CLAIM, rows, "planned").verdict == verdict


def test_the_weakest_of_the_rows_that_were_read_is_the_evidence(row: MakeRow) -> None:
    rows = [row([1.0], step=9), replace(row([1.0], step=4), evidence="simulated data"),
            replace(row([1.0], step=1), evidence="model")]
    assert judge(RATIO, rows, "m").verdict == "holds on simulated data"
    of_speed = judge(replace(RATIO, any_pixels=True), rows, "m")
    assert of_speed.badge_text == "reproduced, measured"
    assert of_speed.remark == "on simulated micrographs: a speed, which no pixel changes"
    assert judge(replace(RATIO, evidence="model"), rows, "m").badge_text == "follows from the model"
    assert judge(replace(RATIO, evidence="measured"), rows, "m").badge_text == "holds on simulated data"
    with_model = replace(RATIO, expression="max(time)", any_pixels=True)
    assert judge(with_model, rows, "m").verdict == "follows from the model"


def test_weaker_rows_stand_in_for_missing_ones_in_their_order(row: MakeRow) -> None:
    claim = replace(
        RATIO, reproduced=(0.0, 9.0), partly=(0.0, 9.0), select={"data": "real"},
        stand_in=({"data": "emulated"}, {"data": ["model", "simulated"]}),
    )
    model = [row([2.0], data="model", step=4), row([1.0], data="model", step=9)]
    emulated = [row([4.0], data="emulated", step=4), row([1.0], data="emulated", step=9)]
    half = [row([5.0], data="real", step=4)]
    real = [*half, row([2.0], data="real", step=9)]
    assert judge(claim, model + half, "m").remark == "by the rows with data=model or simulated"
    assert [judge(claim, model + rows, "m").value for rows in (half, half + emulated, real + emulated)] == \
        [0.5, 0.25, 0.4]
    assert judge(claim, real, "m").remark == ""
    assert judge(claim, half, "m").verdict == "not testable here"


@pytest.mark.parametrize("status", ["failed", "timeout"])
def test_weaker_rows_never_stand_in_for_failed_ones(row: MakeRow, status: str) -> None:
    claim = replace(RATIO, select={"data": "real"}, stand_in=({"data": "simulated"},))
    rows = [row([1.0], data="simulated", step=4), row([1.0], data="simulated", step=9),
            row([1.0], data="real", step=4), row(status=status, reason="check: wrong", data="real", step=9)]
    verdict = judge(claim, rows, "m")
    assert (verdict.verdict, verdict.value, verdict.evidence) == ("not judged", None, "")
    assert verdict.reason == f"the rows failed: toy[data=real,step=9]: {status}: check: wrong"
    assert judge(claim, [entry for entry in rows if entry.ok], "m").verdict == "reproduced"


def test_skipped_rows_let_weaker_ones_stand_in(row: MakeRow) -> None:
    claim = replace(RATIO, select={"data": "real"}, stand_in=({"data": "simulated"},))
    skipped = [row(status="skipped", reason="no data", data="real", step=step) for step in (4, 9)]
    simulated = [row([1.0], data="simulated", step=step) for step in (4, 9)]
    assert judge(claim, skipped + simulated, "m").verdict == "reproduced"
    assert judge(claim, skipped, "m", TOY).reason == "skipped: no data"


def test_an_absolute_figure_is_printed_and_not_judged(row: MakeRow) -> None:
    claim = replace(CLAIM, reproduced=None, partly=None, why="Their machine.")
    verdict = judge(claim, [row([1234.5], n=1)], "planned", TOY)
    assert (verdict.verdict, verdict.value_text, verdict.reason) == ("not judged", "1234 s", "Their machine.")


def test_what_nothing_can_judge_says_why(row: MakeRow) -> None:
    claim = Claim(id="a", where="", statement="", paper="", untestable="The plot is lost.")
    verdict = judge(claim, [row([1.0], n=1)], "planned")
    assert (verdict.verdict, verdict.detail_text) == ("not testable here", "The plot is lost.")


def test_missing_rows_are_not_testable_and_name_their_command() -> None:
    ((verdict,),) = judge_all([CLAIM], {}, [], {"toy": TOY})
    assert (verdict.verdict, verdict.reason, verdict.command) == (
        "not testable here", "no stored rows", "gembench run toy")
    ((verdict,),) = judge_all([CLAIM], {}, [], {})
    assert verdict.detail_text == "there is no experiment toy"
    assert remedy(TOY, {"n": 4096, "library": "mkl", "f1": 1}) == (
        "gembench run 'toy[library=mkl,n=4096]' --grid paper")
    assert remedy(TOY, {"n": 7}) == ""


def test_a_number_that_an_older_study_did_not_store_is_measured_again(row: MakeRow) -> None:
    claim = replace(CLAIM, expression="max(recall)")
    verdict = judge(claim, [row([1.0], library="mkl", n=512)], "m", TOY)
    assert verdict.reason == "toy[library=mkl,n=512] stores no number called recall"
    assert verdict.command == "gembench run 'toy[library=mkl,n=512]' --fresh"


def test_each_machine_is_judged_by_its_own_rows_and_counted(row: MakeRow) -> None:
    emulated = replace(row([1.5], n=1, machine="c"), evidence="emulated")
    rows = [row([1.5], n=1, machine="a"), row([9.0], n=1, machine="b"), emulated]
    judged = judge_all([CLAIM, replace(CLAIM, id="x", experiment="none")], {"toy": rows}, ["a", "b", "c"],
                       {"toy": TOY})
    assert [verdict.verdict for verdict in judged[0]] == ["reproduced", "not reproduced", "reproduced"]
    sums = summaries(judged)
    assert [entry.of("reproduced") for entry in sums] == [1, 0, 1]
    assert [entry.of("reproduced", "measured") for entry in sums] == [1, 0, 0]
    assert sums[2].sentence == (
        "Of the paper's 2 statements on c: 1 reproduced (1 emulated), 1 not testable here.")
    ledger = ledger_json(judged)
    assert ledger["machines"]["b"][0] == {
        "verdict": "not reproduced", "evidence": "measured", "statements": 1}
    assert ledger["claims"][0]["bands"] == {"reproduced": [1.0, 2.0], "partly": [0.5, 4.0]}
    assert [entry["value"] for entry in ledger["claims"][0]["verdicts"]] == [1.5, 9.0, 1.5]


def test_a_claim_names_the_figures_it_belongs_to() -> None:
    assert CLAIM.figures == ("2a", "Table 1")


def test_table_1_stands_beside_our_machines(run_record: Callable[..., dict]) -> None:
    run = run_record()
    run["machine"]["gpus"] = [{"name": "H100"}, {"name": "H100"}]
    table = table_of_machines({"planned": run})
    assert [machine.name for machine in table] == ["Dirac", "Mbiserv", "Adonis", "Griffon", "planned"]
    assert (table[-1].cpu, table[-1].cores, table[-1].memory, table[-1].gpu) == (
        "Toy CPU", "2", "16 GiB", "2 H100")


def test_runs_apart_leave_a_wider_range(row: MakeRow) -> None:
    rows = [replace(row(samples, step=step), path=Path(path))
            for samples, step, path in (([3.0, 1.0], 9, "a"), ([1.0, 3.0], 4, "b"))]
    verdict = judge(RATIO, rows, "m")
    assert (verdict.low, verdict.high, verdict.verdict) == (1 / 3, 3.0, "unsettled")


def test_a_verdict_says_whose_annotations_judged_and_on_what_work(row: MakeRow) -> None:
    said = {"annotations": "548 side views, made by eye", "work": "41 micrographs, 2 cores"}
    claim = replace(RATIO, stand_in=[{"library": "scipy"}], select={"library": "fftw"})
    rows = [row([time], step=step, library="scipy", metrics=said) for time, step in ((1.0, 4), (1.0, 9))]
    assert judge(claim, rows, "m").remark == (
        "by the rows with library=scipy; 41 micrographs, 2 cores; 548 side views, made by eye")
    assert judge(RATIO, [replace(entry, metrics={}) for entry in rows], "m").remark == ""
