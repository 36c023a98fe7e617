"""The studies in experiments/: declared properly, right on their smallest cases, and failing when wrong."""

from __future__ import annotations

import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gembench.cli import main
from gembench.commands import study
from gembench.engine.score_map import ScoreMap
from gembench.study.declare.cases import case_key
from gembench.study.declare.experiment import experiment_files, load_experiment
from gembench.study.declare.grid import GRIDS, group_by_arms
from gembench.study.measure.runner import Settings, run_experiment
from gembench.study.measure.store import Row, plain
from gembench.study.measure.worker import HookError, Measurement
from gembench.study.tell import figures
from gembench.study.tell.claims import judge, load_claims

FOLDER = Path(__file__).parents[1] / "experiments"
FILES = experiment_files(FOLDER)
MEASURED = ("fft_libraries", "methods", "padding", "precision", "threads")


@pytest.mark.parametrize("name", FILES)
def test_a_study_loads_and_has_three_grids_of_unique_cases(name):
    experiment = load_experiment(FILES[name])
    assert experiment.name == name
    for grid in GRIDS:
        cases = experiment.grids[grid]
        assert cases
        assert len({case_key(case) for case in cases}) == len(cases)
    quick, full = experiment.grids["quick"], experiment.planned()
    assert {frozenset(case) for case in quick} == {frozenset(case) for case in full}  # the same axes


class Measured:
    """The smallest group of arms of a study's quick grid, run here once."""

    def __init__(self, name: str, folder: Path) -> None:
        self.experiment = load_experiment(FILES[name])
        groups = group_by_arms(self.experiment.grids["quick"], self.experiment.compare)
        self.rows, self.done = [], []
        here = [[case for case in group if not self.experiment.skip(case)] for group in groups]
        for case in next(filter(None, here)):
            done = Measurement(self.experiment, case, 1)
            done.sample()
            seconds = done.sample()
            closed = done.close(folder / name / f"{len(self.rows)}.npz", seconds)
            run = {"experiment": name, "grid": "quick", "machine": {"name": "here"}}
            self.rows.append(Row(case, "ok", samples=(seconds,), metrics=plain(closed["metrics"]), run=run,
                                 arrays_file=closed["arrays_file"], path=folder / f"{name}.jsonl"))
            self.done.append(done)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Measures a study when it is first asked for."""
    studies: dict[str, Measured] = {}
    folder = tmp_path_factory.mktemp("arrays")

    def get(name: str) -> Measured:
        if name not in studies:
            studies[name] = Measured(name, folder)
        return studies[name]

    return get


@pytest.mark.parametrize("name", MEASURED)
def test_the_smallest_cases_pass_their_check_and_have_the_metrics_of_their_table(measured, name):
    study = measured(name)
    assert study.rows
    assert all(row.median > 0 for row in study.rows)
    for column in study.experiment.columns:
        assert any(column in row.metrics for row in study.rows), column


@pytest.mark.parametrize("name", MEASURED)
def test_the_figure_names_its_axes(measured, name):
    study = measured(name)
    for figure in figures.draw(study.experiment, study.rows).values():
        assert figure.axes
        shared = [ax.get_ylabel() for ax in figure.axes]
        assert shared[0] or figure.axes[0].get_yticklabels()[0].get_text()
        assert all(ax.get_xlabel() for ax in figure.axes)
        assert any(ax.lines or ax.patches for ax in figure.axes)


@pytest.mark.parametrize("name", MEASURED)
def test_whatever_is_missing_the_figure_is_drawn_of_the_rest_or_not_at_all(measured, name):
    study = measured(name)
    for row in study.rows:
        for figure in figures.draw(study.experiment, [row]).values():
            assert figure.axes[0].has_data()


@pytest.mark.parametrize("name", MEASURED)
def test_claims_ask_for_numbers_that_the_study_stores(measured, name):
    claims = [claim for claim in load_claims(FOLDER / "claims.toml") if claim.experiment == name]
    assert claims
    for claim in claims:
        verdict = judge(claim, measured(name).rows, "here", measured(name).experiment)
        assert "stores no number" not in verdict.reason
        assert verdict.value is not None or "no stored rows" in verdict.reason or "value" in verdict.reason


def changed(output, change):
    """The output of a study with every score map in it changed."""
    if isinstance(output, ScoreMap):
        return change(output)
    if isinstance(output, dict):
        return {key: changed(value, change) for key, value in output.items()}
    if isinstance(output, list | tuple):
        return type(output)(changed(value, change) for value in output)
    return output


def off_by_a_thousandth(maps: ScoreMap) -> ScoreMap:
    return ScoreMap(maps.score + maps.score.dtype.type(1e-3), maps.index)


def with_nan(maps: ScoreMap) -> ScoreMap:
    return ScoreMap(np.full_like(maps.score, np.nan), maps.index)


def of_other_templates(maps: ScoreMap) -> ScoreMap:
    return ScoreMap(maps.score, (maps.index + 1) % (maps.index.max() + 1))


WRONG = [(name, change) for name in MEASURED for change in (off_by_a_thousandth, with_nan)]
WRONG += [(name, of_other_templates) for name in ("methods", "precision", "threads")]


@pytest.mark.parametrize(("name", "change"), WRONG)
def test_a_wrong_engine_is_never_timed(measured, name, change):
    done = measured(name).done[0]
    experiment = done.experiment
    wrong = replace(experiment, run=lambda inputs, case: changed(experiment.run(inputs, case), change))
    done.experiment = wrong
    try:
        with pytest.raises(HookError, match=r"check: ValueError: scores are off by"):
            done.sample()
    finally:
        done.experiment = experiment


def test_a_wrong_engine_is_stored_as_failed_without_times(tmp_path):
    folder = tmp_path / "experiments"
    folder.mkdir()
    (folder / "fft_libraries.py").write_text(f"""
from dataclasses import replace
from pathlib import Path
from gembench.study.declare.experiment import load_experiment
right = load_experiment(Path({str(FILES["fft_libraries"])!r}))

def run(inputs, case):
    maps = right.run(inputs, case)
    return replace(maps, score=maps.score + 1e-3)

experiment = replace(right, run=run)
""")
    experiment = load_experiment(folder / "fft_libraries.py")
    chosen = {"library": "scipy", "n": 256, "precision": "float64"}
    (row,) = run_experiment(experiment, tmp_path, Settings("quick"), chosen=chosen, tell=lambda _: None)
    assert row.status == "failed"
    assert "scores are off by 1.0e-03" in row.reason
    assert row.samples == ()


def test_the_paper_method_is_counted(measured):
    rows = {row["step"]: row.metrics for row in measured("methods").rows}
    assert rows["paper"]["transforms"] == 5 * rows["paper"]["templates"] + 2
    counted = [metrics["transforms"] / metrics["templates"] for metrics in rows.values()
               if "transforms" in metrics]
    assert counted == sorted(counted, reverse=True)  # no step needs more than the one before
    assert max(metrics.get("score_difference", 0) for metrics in rows.values()) < 1e-5
    assert rows["banded"]["picks"] > 0


def test_cufft_is_declared_and_skipped_with_its_reason_where_there_is_no_device(monkeypatch):
    experiment = load_experiment(FILES["fft_libraries"])
    for cases in experiment.grids.values():
        assert any(case.library == "cufft" for case in cases)
    monkeypatch.setitem(sys.modules, "cupy", None)
    case = next(case for case in experiment.grids["quick"] if case.library == "cufft")
    assert experiment.skip(case).startswith("no CUDA device")


def test_threads_beyond_the_cores_are_skipped_with_their_number():
    experiment = load_experiment(FILES["threads"])
    case = experiment.grids["default"][0]
    assert "this machine has" in experiment.skip(type(case)({**case, "threads": 100_000}))


def test_a_padded_micrograph_is_never_its_own_size(measured):
    plain_row, padded = measured("padding").rows
    assert plain_row.metrics["padded_to"] is None
    assert int(padded.metrics["padded_to"]) > padded["size"]


def test_outside_a_checkout_the_installed_experiments_are_used(tmp_path, monkeypatch, capsys):
    """A wheel puts experiments/ beside the package; a folder that is named, or is here, comes first."""
    root = Path(__file__).parents[1]
    build = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert build["force-include"] == {"experiments": study.INSTALLED.name}
    assert study.INSTALLED.parent == Path(study.__file__).parents[2]
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GEMBENCH_EXPERIMENTS", raising=False)
    monkeypatch.setattr(study, "INSTALLED", tmp_path / "nowhere")
    assert main(["list"]) == 2
    monkeypatch.setattr(study, "INSTALLED", root / "experiments")
    assert main(["list", "padding"]) == 0
    assert main(["claims"]) == 0
    assert study.experiments_of(None) == study.INSTALLED
    monkeypatch.setenv("GEMBENCH_EXPERIMENTS", str(tmp_path))
    assert study.experiments_of(None) == tmp_path
    monkeypatch.delenv("GEMBENCH_EXPERIMENTS")
    (tmp_path / "experiments").mkdir()
    assert study.experiments_of(None) == Path("experiments")
    assert study.experiments_of(tmp_path) == tmp_path
