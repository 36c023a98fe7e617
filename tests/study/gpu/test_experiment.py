"""The GPU studies: skipped with the reason where there is no GPU, and right on an emulated one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gembench.study.declare.experiment import load_experiment
from gembench.study.gpu.profile_figure import STAGES
from gembench.study.measure.runner import Settings, run_experiment
from gembench.study.measure.store import load_rows
from gembench.study.tell.claims import judge, load_claims
from gembench.study.tell.figures import draw

EXPERIMENTS = Path(__file__).parents[3] / "experiments"
SETTINGS = Settings("quick", rounds=1)


def study(name):
    return load_experiment(EXPERIMENTS / f"{name}.py")


def run(name, results, **chosen):
    return run_experiment(study(name), results, SETTINGS, chosen=chosen, tell=lambda _: None)


@pytest.mark.parametrize("name", ["gpus", "gpu_picks", "fft_libraries"])
def test_every_gpu_case_is_skipped_with_the_reason_where_there_is_none(no_cupy, name):
    experiment = study(name)
    for grid in experiment.grids.values():
        cases = [case for case in grid if case.get("device") == "gpu" or case.get("library") == "cufft"
                 or name == "gpu_picks"]
        assert cases
        assert {experiment.skip(case).split(":")[0] for case in cases} == {"no CUDA device"}


def test_cores_that_are_not_there_are_skipped_with_their_number():
    experiment = study("gpus")
    case = next(case for case in experiment.planned() if case.device == "cpu")
    assert "this machine has" in experiment.skip(type(case)({**case, "devices": 100_000}))
    assert "this machine has" in study("gpus").skip(type(case)({**case, "devices": os.cpu_count() + 1}))


def test_large_micrographs_are_asked_of_the_cpu_by_the_paper_grid_and_of_gpus_always():
    experiment = study("gpus")
    sizes = {device: {case.n for case in experiment.grids["paper"] if case.device == device}
             for device in ("cpu", "gpu")}
    assert sizes["cpu"] == sizes["gpu"] == {512, 1024, 2048, 4096, 8192}
    assert {case.n for case in experiment.grids["default"] if case.device == "gpu"} == sizes["gpu"]


@pytest.fixture(scope="module")
def measured(emulated_site, tmp_path_factory):
    """The rows of the quick grids on a machine with two emulated GPUs."""
    results = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(emulated_site))
        patch.setenv("EMULATED_GPUS", "2")
        run("gpus", results)
        run("fft_libraries", results, library="cufft", n=256)
    return {name: load_rows(results, name, grid="quick") for name in ("gpus", "fft_libraries")}


def test_every_case_passes_its_check_on_an_emulated_gpu(measured):
    assert [row.reason for rows in measured.values() for row in rows if not row.ok] == []
    assert len(measured["gpus"]) == len(study("gpus").grids["quick"])
    assert len(measured["fft_libraries"]) == 2


def test_metrics_fit_together(measured):
    gpu_row = next(row for row in measured["gpus"] if row["device"] == "gpu" and row["devices"] == 1)
    metrics = gpu_row.metrics
    assert metrics["templates"] == 12
    assert metrics["batch_used"] == 4
    assert metrics["templates_per_second"] == pytest.approx(1 / gpu_row.median)
    assert metrics["bandwidth"] == pytest.approx(metrics["least_bytes"] * metrics["fitted_rate"])
    assert metrics["bandwidth_share"] == pytest.approx(metrics["bandwidth"] / metrics["copy_bandwidth"])
    assert metrics["dead_seconds"] == pytest.approx(metrics["seconds_in_all"] - 12 / metrics["fitted_rate"])
    named = {name for *_, names in STAGES.values() for name in names}
    assert set(metrics["stage_seconds"]) <= named
    assert named - set(metrics["stage_seconds"]) == {"shared sigma"}


def test_half_precision_tells_its_error(measured):
    errors = {row["spectra"]: row["error_at_places"] for row in measured["gpus"] if row["device"] == "gpu"}
    assert errors["single"] < 1e-5 < errors["half"] < 2e-3


def test_figures_are_drawn_of_emulated_rows(measured):
    assert set(draw(study("gpus"), measured["gpus"])) == {"", "sizes"}


def test_the_columns_of_the_table_are_stored(measured):
    for column in set(study("gpus").columns) - {"whole_job_seconds"}:
        assert any(column in row.metrics for row in measured["gpus"]), column


def test_the_paper_s_sizes_also_tell_the_whole_job_and_the_read_bound_timeline(emulated, monkeypatch):
    """What belongs to 2048^2 and 4096^2, asked of a micrograph that an emulated GPU can search."""
    from gembench.study.measure.worker import Measurement

    experiment = study("gpus")
    hooks = experiment.metrics.__globals__
    monkeypatch.setitem(hooks, "BANK", 6)
    case = next(case for case in experiment.grids["quick"] if case.device == "gpu")
    done = Measurement(experiment, case, 1)
    done.sample()
    klh, whole = (hooks["gpu_metrics"](done.inputs, type(case)({**case, "n": n}), 100.0, 0.01)
                  for n in (2048, 4096))
    assert klh["arithmetic_seconds"][0] == pytest.approx(82 * (1.8 + 0.01))
    assert "whole_job_seconds" not in klh
    assert 0 < whole["whole_job_seconds"] < 60


def test_a_wrong_gpu_is_never_timed(emulated, monkeypatch):
    from gembench.study.measure.worker import HookError, Measurement

    experiment = study("gpus")
    case = next(case for case in experiment.grids["quick"] if case.device == "gpu")
    done = Measurement(experiment, case, 1)
    right = done.inputs.search.run

    def wrong(*args, **options):
        maps = right(*args, **options)
        maps.score[:] += 1e-3
        return maps

    monkeypatch.setattr(done.inputs.search, "run", wrong)
    with pytest.raises(HookError, match=r"check: ValueError: scores are off by 1.0e-03"):
        done.sample()


def test_a_gpu_that_is_not_there_is_skipped_with_the_number(emulated):
    experiment = study("gpus")
    case = next(case for case in experiment.grids["quick"] if case.devices == 2)
    assert experiment.skip(case) == "this machine has 1 GPU(s)"


@pytest.mark.parametrize("claim", [claim for claim in load_claims(EXPERIMENTS / "claims.toml")
                                   if claim.experiment == "gpus"], ids=lambda claim: claim.id)
def test_claims_ask_for_what_the_study_declares_and_stores(claim, row):
    """Rows of all planned GPU cases, the time of each planted: every claim finds its number."""
    rows = []
    for case in study("gpus").planned():
        gain = case.devices**0.61 if case.device == "cpu" else case.devices  # 3.55 on eight cores
        seconds = case.n**2 * 1e-10 / gain * (30 if case.device == "cpu" else 1)
        metrics = {"templates_per_second": 1 / seconds, "dead_seconds": 0.1,
                   "templates_per_device_second": 1 / seconds / case.devices,
                   "whole_job_seconds": 14_630 * seconds, "read_bound_seconds": 3.0,
                   "compute_bound_seconds": 1.0}
        rows.append(row([seconds], metrics=metrics, **case))
    verdict = judge(claim, rows, "planned", study("gpus"))
    assert verdict.value is not None, verdict.reason
    model = ("follows from the model",) if claim.evidence else ()
    assert verdict.verdict in ("reproduced", "not judged", *model), verdict


@pytest.fixture
def klh(tmp_path, monkeypatch):
    """A folder that GEMBENCH_DATA may name, with one small micrograph of a particle."""
    from gembench.data.simulate import PIXEL_SIZE, simulate_micrograph
    from gembench.data.templates import simulated_templates
    from gembench.io.images.mrc import write_mrc, write_stack

    folder = tmp_path / "klh"
    (folder / "micrographs").mkdir(parents=True)
    write_mrc(folder / "micrographs" / "one.mrc", simulate_micrograph(2, 0, 400)[0], PIXEL_SIZE)
    templates, masks = simulated_templates()
    write_stack(folder / "templates.mrcs", templates, PIXEL_SIZE)
    write_stack(folder / "masks.mrcs", masks, PIXEL_SIZE)
    monkeypatch.setenv("GEMBENCH_DATA", str(tmp_path))
    return folder


def test_the_gpu_picks_the_real_and_the_simulated_particle_that_the_cpu_picks(emulated, klh, tmp_path):
    from gembench.study.measure.worker import Measurement

    experiment = study("gpu_picks")
    (simulated,) = experiment.grids["quick"]
    for data in ("simulated", "klh"):
        case = type(simulated)({**simulated, "data": data, "angle_step": 180})
        assert not experiment.skip(case)
        done = Measurement(experiment, case, 1)
        metrics = done.close(tmp_path / "none.npz", done.sample())["metrics"]
        assert metrics["picks_on_both"] == 1
        assert metrics["picks_on_gpu_only"] == metrics["picks_on_cpu_only"] == 0
        assert metrics["score_difference"] < 1e-6


def test_a_gpu_with_other_scores_than_the_cpu_s_fails(emulated):
    from gembench.study.measure.worker import HookError, Measurement

    experiment = study("gpu_picks")
    (quick,) = experiment.grids["quick"]
    done = Measurement(experiment, type(quick)({**quick, "angle_step": 180}), 1)
    done.inputs.maps[0].score[:] += 1e-3
    with pytest.raises(HookError, match=r"check: ValueError: scores are off by 1.0e-03 of the CPU's"):
        done.sample()


def test_real_micrographs_that_are_not_here_are_skipped(emulated, tmp_path, monkeypatch):
    monkeypatch.setenv("GEMBENCH_DATA", str(tmp_path))
    monkeypatch.setattr("gembench.data.sets.cache_folder", lambda: tmp_path / "cache")
    experiment = study("gpu_picks")
    case = next(case for case in experiment.planned() if case.data == "klh")
    assert "not here: set GEMBENCH_DATA" in experiment.skip(case)
