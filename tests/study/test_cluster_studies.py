"""The studies of clusters on their quick grids: measured together, checked, drawn, and failing when wrong."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from gembench.engine.score_map import merge
from gembench.study.clusters import ranks, reductions, series, sheet
from gembench.study.clusters.fresh import expected, fresh_maps, same
from gembench.study.clusters.reductions import ReductionSeries, Setting
from gembench.study.declare.experiment import load_experiment
from gembench.study.measure.store import Row, plain
from gembench.study.measure.worker import HookError, Measurement
from gembench.study.tell import figures
from gembench.study.tell.claims import judge, load_claims

FOLDER = Path(__file__).parents[2] / "experiments"
STUDIES = ("cluster", "distribution", "reduction")


@pytest.fixture(autouse=True)
def own_sheets(tmp_path, monkeypatch):
    """Sheets of one test alone."""
    monkeypatch.setattr(sheet.tempfile, "gettempdir", lambda: str(tmp_path))


def measured(name: str) -> list[Row]:
    """Rows of every case of the quick grid that can be measured here."""
    experiment = load_experiment(FOLDER / f"{name}.py")
    rows = []
    for case in experiment.grids["quick"]:
        reason = experiment.skip(case)
        if reason:
            continue
        done = Measurement(experiment, case, 1)
        samples = (done.sample(), done.sample())
        closed = done.close(Path(), samples[0])
        run = {"experiment": name, "grid": "quick", "machine": {"name": "here"}}
        rows.append(Row(case, "ok", samples=samples, metrics=plain(closed["metrics"]), run=run))
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_the_quick_grid_is_measured_and_drawn(name):
    experiment, rows = load_experiment(FOLDER / f"{name}.py"), measured(name)
    assert {row["evidence"] for row in rows} >= {"model"}
    assert all(row.median > 0 for row in rows)
    for column in experiment.columns:
        assert any(column in row.metrics for row in rows), column
    for drawn in figures.draw(experiment, rows).values():
        assert all(ax.get_xlabel() for ax in drawn.axes)
        assert all(ax.has_data() for ax in drawn.axes)
    for row in rows:  # whatever is missing, the rest is drawn
        figures.draw(experiment, [row])


@pytest.mark.parametrize("name", STUDIES)
def test_claims_ask_for_cases_of_the_grids(name):
    experiment = load_experiment(FOLDER / f"{name}.py")
    run = {"experiment": name, "grid": "default", "machine": {"name": "here"}}
    rows = [Row(case, "ok", samples=(1.0 + case["nodes"],), run=run) for case in experiment.grids["default"]]
    claims = [claim for claim in load_claims(FOLDER / "claims.toml") if claim.experiment == name]
    assert claims
    for claim in claims:
        assert judge(claim, rows, "here", experiment).value is not None, claim.id


@pytest.mark.parametrize("name", STUDIES)
def test_closed_forms_stand_in_where_nothing_is_simulated(name):
    experiment = load_experiment(FOLDER / f"{name}.py")
    run = {"experiment": name, "grid": "default", "machine": {"name": "here"}}
    rows = [Row(case, "ok", samples=(1.0 + case["nodes"],), run=run) for case in experiment.grids["default"]
            if case["evidence"] == "model"]
    for claim in load_claims(FOLDER / "claims.toml"):
        if claim.experiment == name and claim.select.get("evidence") == "simulated":
            remark = judge(claim, rows, "here", experiment).remark
            assert remark == "by the rows with evidence=model", claim.id


def test_the_default_of_the_figure_is_the_default_of_the_engine():
    from gembench.engine.mpi.reductions import DEFAULT_REDUCTION
    from gembench.study.declare.experiment import load_module

    assert load_module(FOLDER / "reduction.py").DEFAULT == DEFAULT_REDUCTION


def told(**changes):
    entry = {"nodes": 2, "strategy": "direct", "threads": 1, "round": 1, "seconds": 1.0, "right": True}
    return {**entry, **changes}


def test_wrong_maps_are_never_timed(monkeypatch):
    experiment = load_experiment(FOLDER / "reduction.py")
    case = next(case for case in experiment.grids["quick"] if case["evidence"] == "real")
    monkeypatch.setattr(Setting, "measure", lambda self, rounds: [told(right=False)])
    with pytest.raises(HookError, match="the maps differ from those of a serial fold"):
        Measurement(experiment, case, 1).sample()


def test_what_is_faster_than_its_link_is_never_stored(monkeypatch):
    experiment = load_experiment(FOLDER / "reduction.py")
    case = next(case for case in experiment.grids["quick"] if case["evidence"] == "model")
    monkeypatch.setattr(Setting, "measure", lambda self, rounds: [told(**case, seconds=1e-9)])
    with pytest.raises(HookError, match="less than the link needs"):
        Measurement(experiment, case, 1).sample()


def test_a_strategy_that_ends_the_launch_is_left_out_of_the_next(monkeypatch):
    launches = []

    def launch(program, plan, count, **options):
        names = [name for name, _ in plan["strategies"]]
        launches.append(names)
        entries = [{"begun": names[0], "nodes": 2, "threads": 1}, told()]
        if "tree" in names:
            return ranks.Told([*entries, {"begun": "tree", "nodes": 2, "threads": 1}], "boom on rank 1")
        return ranks.Told(entries, "")

    monkeypatch.setattr(reductions.ranks, "launch", launch)
    setting = Setting("real", "here", 16, (2,), (("direct", 1), ("tree", 1)))
    broken = {"nodes": 2, "strategy": "tree", "threads": 1, "error": "boom on rank 1"}
    assert setting.measure(1) == [told(), broken]
    assert launches == [["direct", "tree"], ["direct"]]


def test_rounds_come_in_order_and_another_sheet_follows_when_they_are_used_up(monkeypatch):
    asked = []

    def measure(self, rounds):
        asked.append(rounds)
        return [told(seconds=10.0 * len(asked) + number, round=number) for number in (1, 2)]

    monkeypatch.setattr(Setting, "measure", measure)
    setting = Setting("real", "here", 17, (2,), (("direct", 1),))
    case = {"nodes": 2, "strategy": "direct", "threads": 1}
    one, other = (ReductionSeries(setting, case, 2) for _ in range(2))
    assert [one.next()["seconds"] for _ in range(3)] == [11, 12, 21]
    assert [other.next()["seconds"] for _ in range(3)] == [11, 12, 21]  # read, not measured again
    assert asked == [2, 2]


def test_an_error_of_a_strategy_is_that_of_its_cases_only(monkeypatch):
    entries = [told(), {"nodes": 2, "strategy": "tree", "threads": 1, "error": "boom"}]
    monkeypatch.setattr(Setting, "measure", lambda self, rounds: entries)
    setting = Setting("real", "here", 18, (2,), (("direct", 1), ("tree", 1)))
    assert ReductionSeries(setting, told(), 2).next() == told()
    with pytest.raises(RuntimeError, match="boom"):
        ReductionSeries(setting, told(strategy="tree"), 2).next()
    with pytest.raises(RuntimeError, match="told nothing"):
        series.Series(setting, told(strategy="key"), 2).next()


def count_up(folder: str, answers) -> None:
    sheet.tempfile.gettempdir = lambda: folder
    sheet.runner = lambda: "one run"

    def measure():
        with Path(folder, "count").open("a") as log:
            log.write("x")
        return [{"seconds": 1.0}]

    answers.put(sheet.sheet("key", 0, measure))


def test_processes_that_ask_together_measure_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    asking = [context.Process(target=count_up, args=(str(tmp_path), answers)) for _ in range(3)]
    for process in asking:
        process.start()
    assert [answers.get(timeout=60) for _ in asking] == [[{"seconds": 1.0}]] * 3
    for process in asking:
        process.join()
    assert (tmp_path / "count").read_text() == "x"


def test_fresh_maps_have_ties_and_pixels_without_score():
    maps = [fresh_maps((64, 64), rank, 3, seed=7) for rank in range(3)]
    assert all((one.index[4:] % 3 == rank).all() for rank, one in enumerate(maps))
    assert (maps[0].index[:4] == -1).all()
    assert np.mean(maps[0].score[4:] == maps[1].score[4:]) > 1e-3
    assert not np.array_equal(maps[0].score, fresh_maps((64, 64), 0, 3, seed=8).score)
    wanted = expected((64, 64), [2, 3], 3, seed=7)
    total = maps[2]
    for other in maps[:2]:
        merge(total.score, total.index, other.score, other.index)
    assert same(total, wanted[3])
    assert not same(total, wanted[2])
