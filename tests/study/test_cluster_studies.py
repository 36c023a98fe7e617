"""The studies of clusters on their quick grids: measured together, checked, drawn, and failing when wrong."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gembench.engine.score_map import merge
from gembench.study.clusters import ranks, reductions, sheet
from gembench.study.clusters.fresh import expected, fresh_maps, same
from gembench.study.clusters.reductions import Reductions
from gembench.study.clusters.searches import Job, Searches
from gembench.study.clusters.series import Series
from gembench.study.declare.cases import Case, case_key
from gembench.study.declare.experiment import Experiment, load_experiment, load_module
from gembench.study.measure.store import Row, RunWriter, load_rows, plain
from gembench.study.measure.worker import HookError, Measurement
from gembench.study.tell import figures
from gembench.study.tell.claims import judge, load_claims

FOLDER = Path(__file__).parents[2] / "experiments"
STUDIES = ("cluster", "distribution", "reduction")
needs_ranks = pytest.mark.skipif(bool(ranks.unavailable()), reason=ranks.unavailable())


@pytest.fixture(autouse=True)
def own_sheets(tmp_path, monkeypatch):
    """Sheets of one test alone."""
    monkeypatch.setattr(sheet.tempfile, "gettempdir", lambda: str(tmp_path))


def measured(name: str) -> list[Row]:
    """Rows of every case of the quick grid that can be measured here."""
    experiment = load_experiment(FOLDER / f"{name}.py")
    run = {"experiment": name, "grid": "quick", "machine": {"name": "here"}}
    return [sampled(experiment, case, 2, run) for case in experiment.grids["quick"]
            if not experiment.skip(case)]


def sampled(experiment: Experiment, case: Case, rounds: int, run: dict) -> Row:
    """A row of so many rounds, as a worker stores it."""
    inputs, samples = experiment.setup(case), []
    for _ in range(rounds):
        output = experiment.run(inputs, case)
        experiment.check(output, inputs, case)
        samples.append(experiment.seconds(output, inputs, case))
    metrics = dict(experiment.metrics(output, inputs, case))
    if experiment.rates:
        metrics |= experiment.rates(samples[0], case)
    return Row(case, "ok", samples=tuple(samples), metrics=plain(metrics), run=run,
               evidence=experiment.evidence(case))


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_the_quick_grid_is_measured_and_drawn(name):
    experiment, rows = load_experiment(FOLDER / f"{name}.py"), measured(name)
    assert {row["evidence"] for row in rows} >= {"model"}
    assert all(row.median > 0 for row in rows)
    for column in experiment.columns:
        assert any(column in row.metrics for row in rows), column
    for row in rows:
        if row["evidence"] == "emulated" and name == "reduction":
            transfers = row["nodes"] - 1  # into the network go all maps but the root's, whatever the strategy
            assert row["all_receive"] == pytest.approx(transfers, rel=0.05)
            rounds = {"direct": transfers, "tree": int(np.ceil(np.log2(row["nodes"]))), "shared": 1}
            assert row["root_receives"] == pytest.approx(rounds[row["strategy"]], rel=0.05)
    for drawn in figures.draw(experiment, rows).values():
        assert all(ax.get_xlabel() for ax in drawn.axes if ax.axison)
        assert all(ax.has_data() for ax in drawn.axes if ax.axison)
    for row in {row["evidence"]: row for row in rows}.values():  # whatever is missing, the rest is drawn
        figures.draw(experiment, [row])


@pytest.mark.parametrize("name", STUDIES)
def test_claims_ask_for_cases_of_the_grids(name):
    experiment = load_experiment(FOLDER / f"{name}.py")
    run = {"experiment": name, "grid": "default", "machine": {"name": "here"}}
    metrics = {"times_bound": 2.0, "root_receives": 2.0, "all_receive": 2.0, "root_folds": 2.0,
               "tree_share": 0.1, "reduction_share": 0.1}
    rows = [Row(case, "ok", samples=(1.0 + case["nodes"],), metrics=metrics, run=run)
            for case in experiment.grids["default"]]
    claims = [claim for claim in load_claims(FOLDER / "claims.toml") if claim.experiment == name]
    assert claims
    for claim in claims:
        assert judge(claim, rows, "here", experiment).value is not None, claim.id


def rows_of_model(name: str) -> list[Row]:
    """The closed forms of the default grid, as they are stored."""
    experiment = load_experiment(FOLDER / f"{name}.py")
    run = {"experiment": name, "grid": "default", "machine": {"name": "here"}}
    return [sampled(experiment, case, 1, run) for case in experiment.grids["default"]
            if case["evidence"] == "model"]


def test_closed_forms_reproduce_nothing_and_judge_nothing_that_an_assumed_constant_decides():
    verdicts = {}
    for name in STUDIES:
        rows = rows_of_model(name)
        for claim in load_claims(FOLDER / "claims.toml"):
            if claim.experiment == name:
                verdicts[claim.id] = judge(claim, rows, "here")
    for assumed in ("griffon-almost-linear", "griffon-storage-shortfall", "adonis-linear",
                    "threads-help-on-griffon", "threads-help-more-on-a-faster-network"):
        assert verdicts[assumed].verdict == "not judged"
        assert verdicts[assumed].value is not None
    for shape in ("direct-linear", "tree-logarithmic", "tree-faster-than-direct",
                  "tree-almost-eliminates-the-overhead"):
        assert verdicts[shape].verdict == "follows from the model"
    assert verdicts["tree-theoretically-optimal"].verdict == "not reproduced"
    assert not any(verdict.reproduces for verdict in verdicts.values())


@pytest.mark.parametrize(("claim", "strategy"), [("direct-linear", "direct"), ("tree-logarithmic", "tree")])
def test_shapes_are_judged_by_emulated_nodes_and_never_by_the_model_where_those_failed(claim, strategy):
    experiment = load_experiment(FOLDER / "reduction.py")
    claim = next(candidate for candidate in load_claims(FOLDER / "claims.toml") if candidate.id == claim)
    seconds = {"direct": lambda p: p - 1, "tree": lambda p: 1 + np.log2(p)}[strategy]
    run = {"experiment": "reduction", "grid": "default", "machine": {"name": "here"}}
    emulated = [Row(case, "ok", samples=(float(seconds(case["nodes"])),), run=run, evidence="emulated")
                for case in experiment.grids["default"] if case["machine"] == "100Mb/s"]
    verdict = judge(claim, emulated + rows_of_model("reduction"), "here")
    assert (verdict.verdict, verdict.evidence, verdict.remark) == ("reproduced", "emulated", "")
    failed = [replace(row, status="failed", reason="boom", samples=()) for row in emulated]
    assert judge(claim, failed + rows_of_model("reduction"), "here").verdict == "not judged"


def test_stored_rows_of_a_kind_of_evidence_that_is_gone_are_no_case_and_break_nothing(tmp_path):
    experiment = load_experiment(FOLDER / "reduction.py")
    case = Case(evidence="simulated", machine="griffon", n=4096, nodes=64, threads=1, strategy="tree")
    record = {"experiment": "reduction", "grid": "default", "machine": {"name": "here"}, "planned": [],
              "started": "2026-01-01T00:00:00+00:00"}
    with RunWriter(tmp_path, record) as writer:
        writer.write(Row(case, "ok", samples=(1.0,)))
        writer.write(Row(Case({**case, "evidence": "model"}), "ok", samples=(1.0,)))
    assert len(load_rows(tmp_path, "reduction")) == 2
    rows = figures.declared_rows(tmp_path, experiment, "default")
    assert [row["evidence"] for row in rows] == ["model"]


@pytest.mark.parametrize("name", STUDIES)
def test_every_case_belongs_to_one_setting(name):
    hooks = load_module(FOLDER / f"{name}.py").HOOKS
    owners = {}
    for settings in hooks.settings.values():
        for setting in settings:
            for case in setting.cases():
                assert owners.setdefault(case_key(case), setting) == setting
                assert hooks.setting_of(case) == setting


def test_the_default_of_the_figure_is_the_default_of_the_engine():
    from gembench.engine.mpi.reductions import DEFAULT_REDUCTION

    assert load_module(FOLDER / "reduction_figure.py").DEFAULT == DEFAULT_REDUCTION


@needs_ranks
def test_folds_are_counted_as_the_ranks_do_them():
    """In a direct reduction the root folds everybody's maps; in a tree as many as there are rounds."""
    setting = Reductions("real", "here", 64, (4, 5), (("direct", 1), ("tree", 1)))
    entries = [entry for entry in setting.measure(1) if "strategy" in entry]
    folds = {(entry["strategy"], entry["nodes"]): (entry["root_folds"], entry["all_folds"])
             for entry in entries}
    assert folds == {("direct", 4): (3, 3), ("direct", 5): (4, 4), ("tree", 4): (2, 3), ("tree", 5): (3, 4)}
    assert not any("root_receives" in entry for entry in entries)


@needs_ranks
def test_a_round_of_a_search_says_what_of_it_is_the_reduction():
    jobs = tuple(Job(1, "local", mode, 2) for mode in ("templates", "micrographs"))
    setting = Searches("real", "here", 128, 4, jobs, ("distribute",), template=16)
    by_templates, by_micrographs = sorted(setting.measure(1), key=lambda entry: entry["distribute"],
                                          reverse=True)
    assert 0 < by_templates["reduction_seconds"] < by_templates["seconds"]
    assert by_micrographs["reduction_seconds"] == 0
    assert all(entry["right"] for entry in (by_templates, by_micrographs))


def test_a_case_with_more_ranks_than_cores_is_skipped_and_the_others_are_measured(monkeypatch):
    plans = []

    def launch(program, plan, most, **options):
        plans.append((plan["cases"], most))
        return ranks.Outcome([], "")

    monkeypatch.setattr("gembench.study.clusters.searches.ranks.unavailable", lambda emulated: "")
    monkeypatch.setattr("gembench.study.clusters.searches.ranks.launch", launch)
    monkeypatch.setattr("gembench.study.clusters.searches.os.sched_getaffinity", lambda process: {0, 1, 2})
    setting = Searches("real", "here", 64, 4, (Job(1), Job(2), Job(4)), ("nodes",), template=16)
    assert [setting.unavailable(case) for case in setting.cases()] == ["", "", "4 ranks need 4 cores of 3"]
    setting.measure(1)
    assert plans == [([(1, "templates", 1), (2, "templates", 1)], 2)]


def measured_entry(**changes):
    entry = {"nodes": 2, "strategy": "direct", "threads": 1, "round": 1, "seconds": 1.0, "right": True}
    return {**entry, **changes}


def test_wrong_maps_are_never_timed(monkeypatch):
    experiment = load_experiment(FOLDER / "reduction.py")
    case = next(case for case in experiment.grids["quick"] if case["evidence"] == "real")
    monkeypatch.setattr(Reductions, "measure", lambda self, rounds: [measured_entry(right=False)])
    with pytest.raises(HookError, match="the maps differ from those of a serial fold"):
        Measurement(experiment, case, 1).sample()


def test_wrong_maps_of_a_search_are_never_timed(monkeypatch):
    experiment = load_experiment(FOLDER / "cluster.py")
    for evidence, case in {case["evidence"]: case for case in experiment.grids["quick"]}.items():
        if evidence != "model":
            entry = {**case, "distribute": "templates", "micrographs": 1, "seconds": 1.0, "right": False}
            monkeypatch.setattr(Searches, "measure", lambda self, rounds, entry=entry: [entry])
            with pytest.raises(HookError, match="the maps differ from those of one process"):
                Measurement(experiment, case, 1).sample()


def test_what_is_faster_than_its_link_is_never_stored(monkeypatch):
    experiment = load_experiment(FOLDER / "reduction.py")
    case = next(case for case in experiment.grids["quick"] if case["evidence"] == "model")
    monkeypatch.setattr(Reductions, "measure", lambda self, rounds: [measured_entry(**case, seconds=1e-9)])
    with pytest.raises(HookError, match="less than the link needs"):
        Measurement(experiment, case, 1).sample()


def test_a_strategy_that_ends_the_launch_is_left_out_of_the_next(monkeypatch):
    launches = []

    def launch(program, plan, count, **options):
        names = [name for name, _ in plan["strategies"]]
        launches.append(names)
        entries = [{"begun": names[0], "nodes": 2, "threads": 1}, measured_entry()]
        if "tree" in names:
            return ranks.Outcome([*entries, {"begun": "tree", "nodes": 2, "threads": 1}], "boom on rank 1")
        return ranks.Outcome(entries, "")

    monkeypatch.setattr(reductions.ranks, "launch", launch)
    setting = Reductions("real", "here", 16, (2,), (("direct", 1), ("tree", 1)))
    broken = {"nodes": 2, "strategy": "tree", "threads": 1, "error": "boom on rank 1"}
    assert setting.measure(1) == [measured_entry(), broken]
    assert launches == [["direct", "tree"], ["direct"]]


def test_rounds_come_in_order_and_another_sheet_follows_when_they_are_used_up(monkeypatch):
    requests = []

    def measure(self, rounds):
        requests.append(rounds)
        return [measured_entry(seconds=10.0 * len(requests) + number, round=number) for number in (1, 2)]

    monkeypatch.setattr(Reductions, "measure", measure)
    setting = Reductions("real", "here", 17, (2,), (("direct", 1),))
    case = Case(nodes=2, strategy="direct", threads=1)
    first, other = (Series(setting, case, 2) for _ in range(2))
    assert [first.next()["seconds"] for _ in range(3)] == [11, 12, 21]
    assert [other.next()["seconds"] for _ in range(3)] == [11, 12, 21]  # read, not measured again
    assert requests == [2, 2]


def test_an_error_of_a_strategy_is_that_of_its_cases_only(monkeypatch):
    entries = [measured_entry(), {"nodes": 2, "strategy": "tree", "threads": 1, "error": "boom"}]
    monkeypatch.setattr(Reductions, "measure", lambda self, rounds: entries)
    setting = Reductions("real", "here", 18, (2,), (("direct", 1), ("tree", 1)))
    assert Series(setting, measured_entry(), 2).next() == measured_entry()
    with pytest.raises(RuntimeError, match="boom"):
        Series(setting, measured_entry(strategy="tree"), 2).next()
    with pytest.raises(RuntimeError, match="measured nothing"):
        Series(setting, measured_entry(strategy="key"), 2).next()


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
    assert all((rank_maps.index[4:] % 3 == rank).all() for rank, rank_maps in enumerate(maps))
    assert (maps[0].index[:4] == -1).all()
    assert np.mean(maps[0].score[4:] == maps[1].score[4:]) > 1e-3
    assert not np.array_equal(maps[0].score, fresh_maps((64, 64), 0, 3, seed=8).score)
    folded = expected((64, 64), [2, 3], 3, seed=7)
    total = maps[2]
    for other in maps[:2]:
        merge(total.score, total.index, other.score, other.index)
    assert same(total, folded[3])
    assert not same(total, folded[2])
