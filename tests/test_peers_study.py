"""The peers study: what is compared, what is skipped and why, and how right and wrong peers are judged."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gembench.data.klh import TARGET
from gembench.data.workload import egg_bank
from gembench.engine.peaks import PeakSettings
from gembench.engine.picks import Picks
from gembench.engine.score_map import ScoreMap
from gembench.engine.turning import is_disc
from gembench.peers import PEERS
from gembench.peers.base import Matched
from gembench.peers.picking import Picking, statistics
from gembench.peers.speed import TURNS, limited, speed_task, turns_for
from gembench.study.declare.cases import Case
from gembench.study.declare.experiment import load_experiment, load_module
from gembench.study.declare.grid import group_by_arms
from gembench.study.measure.store import Row
from gembench.study.tell.claims import load_claims

FOLDER = Path(__file__).parents[1] / "experiments"
STUDY = load_experiment(FOLDER / "peers.py")
DRAWING = load_module(FOLDER / "peers_figure.py")
SPEED = [case for case in STUDY.grids["quick"] if case.task == "speed"]
QUICK = {(case.mask, case.lowpass, case.picker): case for case in SPEED}


@pytest.fixture(scope="module")
def task():
    return speed_task(PEERS["gembench"], 256, 32, "disc", 6)


@pytest.fixture(scope="module")
def matched(task):
    return task.peer.match(task.work.micrograph)


def with_maps(matched: Matched, change) -> Matched:
    return replace(matched, maps=change(matched.maps))


def test_a_right_peer_passes_with_its_difference(task, matched):
    metrics = task.check(matched)
    assert metrics["score_difference"] < 1e-5
    assert metrics["score_correlation"] > 0.999999
    assert metrics["templates_right"] == 1


def test_a_wrong_peer_is_never_timed(task, matched):
    wrong = with_maps(matched, lambda maps: ScoreMap(maps.score + np.float32(0.01), maps.index))
    with pytest.raises(ValueError, match=r"scores are off by 1\.0e-02 of the direct sum; gembench is"):
        task.check(wrong)
    with pytest.raises(ValueError, match="scores are not finite"):
        task.check(with_maps(matched, lambda maps: ScoreMap(maps.score * np.float32(np.nan), maps.index)))


def test_a_peer_that_scores_otherwise_is_compared_and_not_failed(task, matched):
    otherwise = replace(task, peer=type("Otherwise", (), {"tolerance": None, "label": "otherwise"})())
    metrics = otherwise.check(with_maps(matched, lambda maps: ScoreMap(7 * maps.score, maps.index)))
    assert metrics["score_difference"] > 1
    assert metrics["score_correlation"] == pytest.approx(1)


def test_a_program_without_maps_must_pick_every_planted_particle(task, matched):
    y, x = task.work.places[: task.planted].T
    assert task.planted >= 1
    assert task.check(replace(matched, maps=None, picks=Picks("m", x + 1, y - 1))) == {"found": 1.0}
    with pytest.raises(ValueError, match="gembench missed"):
        task.check(replace(matched, maps=None, picks=Picks("m", x[:1] + 50, y[:1])))
    with pytest.raises(ValueError, match="gembench picked nothing"):
        task.check(replace(matched, maps=None, picks=Picks("m", [], [])))


def test_all_peers_get_the_same_micrograph():
    few, many = (speed_task(PEERS["gembench"], 256, 32, "own", turns) for turns in (4, 9))
    np.testing.assert_array_equal(few.work.micrograph, many.work.micrograph)
    np.testing.assert_array_equal(few.work.places, many.work.places)
    assert set(np.round(few.work.bank.angles, 9)) <= set(np.arange(TURNS) * 360 / TURNS)


@pytest.mark.parametrize("prepares", [True, False])
def test_what_is_prepared_for_all_micrographs_is_not_timed(prepares, monkeypatch):
    matched = []
    kind = type(PEERS["gembench-banded"])("Told", (PEERS["gembench-banded"],), {
        "prepares": prepares, "match": lambda self, micrograph: matched.append(micrograph)})
    monkeypatch.setitem(PEERS, "gembench-banded", kind)
    STUDY.setup(QUICK["disc", 20, "gembench-banded"])
    assert len(matched) == prepares


def test_turns_divide_the_whole_and_keep_threads_busy():
    assert turns_for(9, 1) == 9
    assert turns_for(7, 1) == 9
    assert turns_for(4, 2) == 6
    assert turns_for(9, 2) == 10
    assert turns_for(4, 500) == TURNS


def test_a_limited_image_holds_nothing_finer():
    image = np.random.default_rng(3).standard_normal((96, 96))
    once = limited(image, 20.0)
    np.testing.assert_allclose(limited(np.full((32, 32), 3.0), 20.0), 3.0)
    assert once.std() < 0.3 * image.std()
    left, had = (np.abs(np.fft.rfft2(pixels - pixels.mean())) for pixels in (once, image))
    assert left[40:56, 20:].max() < 0.05 * had.max()


def test_arms_of_a_group_differ_in_the_picker_only_and_gembench_is_among_them():
    for cases in STUDY.grids.values():
        for group in group_by_arms(cases, STUDY.compare):
            assert "gembench" in {case.picker for case in group}


def test_pickers_are_asked_only_for_masks_they_have_and_cores_they_can_use():
    for cases in STUDY.grids.values():
        for case in (case for case in cases if case.picker in PEERS):
            kind = PEERS[case.picker]
            assert case.task != "speed" or case.mask in kind.masks
            assert case.cores == "one" or kind.parallel


def test_what_is_not_here_is_skipped_with_its_reason(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert "is not on PATH" in STUDY.skip(QUICK["disc", 0, "findem"])
    assert "relion_autopick is not on PATH" in STUDY.skip(QUICK["disc", 20, "relion"])
    assert STUDY.skip(QUICK["own", 0, "gembench-gpu"]) .startswith("no CUDA device")
    assert not STUDY.skip(QUICK["own", 0, "gembench"])


def test_a_case_runs_is_checked_and_has_its_metrics():
    case = Case({**QUICK["disc", 0, "gembench"], "n": 256, "template": 32})
    inputs = STUDY.setup(case)
    output = STUDY.run(inputs, case)
    metrics = {**STUDY.check(output, inputs, case), **STUDY.metrics(output, inputs, case)}
    assert STUDY.seconds(output, inputs, case) > 0
    assert metrics["templates"] == 36
    assert metrics["memory_mib"] > 1
    assert metrics["templates_turned_by"] == "gembench"
    assert {"score_difference", "score_correlation", "templates_right", "version"} <= set(metrics)


def planted_picks(name: str, truth: Picks, wrong: int) -> Picks:
    """All of the truth, and below it some picks of nothing."""
    x, y = np.append(truth.x, np.full(wrong, 500.0)), np.append(truth.y, 300.0 + 100 * np.arange(wrong))
    score = np.linspace(0.9, 0.3, len(x))
    return Picks(name, x, y, score, view=np.zeros(len(x), np.int32))


def test_the_threshold_is_chosen_on_the_other_half():
    rng = np.random.default_rng(1)
    truth = [Picks(f"m{i}.mrc", rng.uniform(900, 1900, 5), np.arange(5) * 200.0 + 400, label=["side"] * 5)
             for i in range(4)]
    metrics = statistics([planted_picks(marks.micrograph, marks, 3) for marks in truth], truth, TARGET)
    assert metrics["n_truth"] == 20
    assert metrics["recall"] == metrics["precision"] == metrics["f1"] == 1
    assert metrics["n_picks"] == 20
    assert metrics["thresholds"] == pytest.approx([0.9 - 0.6 * 4 / 7] * 2)
    assert metrics["mean_distance_px"] == 0


def test_a_single_micrograph_is_its_own_other_half():
    truth = Picks("m.mrc", [900.0, 1200], [900.0, 900], label=["side"] * 2)
    metrics = statistics([planted_picks("m.mrc", truth, 2)], [truth], TARGET)
    assert (metrics["recall"], metrics["n_picks"]) == (1, 2)


def test_a_round_takes_the_next_micrographs_and_begins_again(monkeypatch):
    taken = []
    monkeypatch.setattr(Picking, "_pick", lambda self, path: taken.append(path) or float(path))
    data = SimpleNamespace(micrographs=[0, 1, 2, 3, 4])
    picking = Picking(None, data, None, share=2, peaks=PeakSettings())
    assert [picking.next_share() for _ in range(4)] == [[0, 1], [2, 3], [4], [1, 2]]


def test_claims_select_rows_that_the_study_has():
    claims = [claim for claim in load_claims(FOLDER / "claims.toml") if claim.experiment == "peers"]
    assert len(claims) == 6
    for claim in claims:
        for chosen in (claim.select, *({**claim.select, **weaker} for weaker in claim.stand_in)):
            assert any(all(case.get(axis) == value for axis, value in chosen.items())
                       for case in STUDY.grids["default"])


def rows() -> list[Row]:
    """Made-up rows of the default grid, as a machine with every program would have."""
    speed = {"gembench": 0.05, "gembench-paper": 0.16, "pytme": 0.25, "opencv": 0.5, "scikit-image": 1.1,
             "relion": 0.16, "findem": 0.6, "gempicker": 0.37}
    made = []
    for case in STUDY.grids["default"]:
        if case.picker in speed and case.get("data") != "klh":
            time = speed[case.picker] * (0.6 if case.cores == "all" else 1)
            time *= 30 if case.task == "picks" else 1
            time *= 0.1 if case.get("lowpass") and case.picker == "relion" else 1
            metrics = {"recall": 0.9, "precision": 0.8 + 0.02 * len(case.picker), "f1": 0.85}
            made.append(Row(case, "ok", samples=(time, 1.1 * time, 0.95 * time, time), metrics=metrics,
                            run={"experiment": "peers", "machine": {"name": "here"}}))
    return made


def test_figures_tell_times_ratios_and_what_is_found():
    from gembench.study.tell import figures as drawing

    drawn = drawing.draw(STUDY, rows())
    assert set(drawn) == {"speed_2048", "picks_simulated_15deg", "findem_simulated"}
    panels = drawn["speed_2048"].axes
    assert [ax.get_title(loc="left") for ax in panels] == list(DRAWING.PANELS.values())
    own = panels[0]
    names = [name.get_text() for name in own.get_yticklabels()]
    assert names[:2] == ["gEMpicker, a C2075", "gembench"]
    texts = [text.get_text() for text in own.texts]
    assert "15.1 ms, the paper's" in texts
    assert "50.0 ms" in texts[1]
    assert any("5.0 × gembench" in text for text in texts)
    assert any("0.32 × gembench" in text.get_text() for text in panels[2].texts)  # RELION, cropped
    assert panels[-1].get_xlabel() == "Time of a template"
    assert panels[-1].get_xscale() == "log"
    assert drawn["picks_simulated_15deg"].axes[0].get_xlabel() == "Share"


def test_findem_is_held_against_the_paper_at_a_fixed_threshold():
    from gembench.study.tell import figures as drawing

    left = drawing.draw(STUDY, rows())["findem_simulated"].axes[0]
    names = [tick.get_text() for tick in left.get_yticklabels()]
    assert set(names) == {"FindEM", "2013 method, gembench", "gEMpicker", "FindEM, a core",
                          "gEMpicker, a core"}
    stars = [line for line in left.lines if line.get_marker() == "*"]
    points = {(round(float(line.get_xdata()[0]), 3), names[int(line.get_ydata()[0])]) for line in stars}
    assert points == {(0.970, "FindEM, a core"), (0.789, "FindEM, a core"),
                      (0.940, "gEMpicker, a core"), (0.784, "gEMpicker, a core")}


def test_picks_at_a_fixed_threshold_have_intervals_and_no_other_half():
    rng = np.random.default_rng(1)
    truth = [Picks(f"m{i}.mrc", rng.uniform(900, 1900, 5), np.arange(5) * 200.0 + 400,
                   label=["side"] * 4 + ["unsure"]) for i in range(4)]
    picks = [planted_picks(marks.micrograph, marks, wrong) for wrong, marks in enumerate(truth)]
    numbers = statistics(picks, truth, TARGET, 0.3)
    assert (numbers["n_picks"], numbers["n_truth"], numbers["true_positives"]) == (26, 16, 16)
    assert numbers["n_on_unsure"] == 4
    assert numbers["thresholds"] == [0.3]
    assert numbers["precision"] == 16 / 22
    low, high = numbers["n_picks_interval"]
    assert 20 <= low < 26 < high <= 32
    assert numbers["precision_interval"][0] < 16 / 22 < numbers["precision_interval"][1]
    assert statistics(picks, truth, TARGET, 0.85)["n_picks"] < 12


def test_findems_method_of_2003_has_one_disc_for_all_templates():
    bank = egg_bank(32, 4, "own")
    peer = PEERS["gembench-2003"](bank)
    assert is_disc(peer.bank.masks[0])
    assert (peer.bank.masks[0] | bank.masks[0]).sum() <= peer.bank.masks[0].sum() + 12
    assert PEERS["gembench"](bank).bank is bank


@pytest.mark.parametrize("number", range(0, 24, 4))
def test_whatever_is_missing_the_rest_is_drawn(number):
    from gembench.study.tell import figures as drawing

    row = rows()[number % len(rows())]
    for figure in drawing.draw(STUDY, [row]).values():
        assert figure.axes[0].has_data()
