"""The KLH study from micrographs to metrics, on a small set whose marks are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gembench.data.klh import TARGET
from gembench.data.simulate import micrograph_name, simulate_micrograph
from gembench.data.templates import simulated_templates
from gembench.engine.peaks import PeakSettings
from gembench.io.coordinates import read_coordinates, write_coordinates
from gembench.io.images.mrc import write_mrc, write_stack
from gembench.study.declare.cases import Case
from gembench.study.declare.experiment import load_experiment
from gembench.study.picking.end_to_end import protocol
from gembench.study.picking.views import examples

STUDY = load_experiment(Path(__file__).parents[3] / "experiments" / "picking.py")
CASE = Case(data="klh", micrographs=82, angle_step=45, protocol="2013-method", symmetry=True,
            templates="given")
SIZE = 900


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two simulated micrographs as if they were real, their top views without marks as in the real set."""
    root = tmp_path_factory.mktemp("sets")
    folder = root / "klh"
    (folder / "micrographs").mkdir(parents=True)
    truth = []
    for index in (1, 2):
        image, marks = simulate_micrograph(2013, index, SIZE)
        write_mrc(folder / "micrographs" / micrograph_name(index), image, 2.2)
        truth.append(replace(marks[marks.label != "top"], micrograph=micrograph_name(index)))
    write_coordinates(folder / "annotations.csv", truth)
    for name, stack in zip(("templates", "masks"), simulated_templates(), strict=True):
        write_stack(folder / f"{name}.mrcs", stack, 2.2)
    return root


@pytest.fixture
def measured(folder, monkeypatch):
    monkeypatch.setenv("GEMBENCH_DATA", str(folder))

    def measure(**axes):
        case = Case({**CASE, **axes})
        assert not STUDY.skip(case)
        inputs = STUDY.setup(case)
        output = STUDY.run(inputs, case)
        STUDY.check(output, inputs, case)
        return output, inputs, case

    return measure


def test_metrics_say_whose_annotations_and_what_work(measured, folder):
    output, inputs, case = measured()
    metrics = STUDY.metrics(output, inputs, case)
    marks = read_coordinates(folder / "klh" / "annotations.csv")
    assert metrics["n_truth"] == sum((annotated.label == "side").sum() for annotated in marks) >= 3
    said = f"{metrics['n_truth']} side views on 2 micrographs, by whom is not said"
    assert metrics["annotations"].startswith(said)
    assert metrics["work"].startswith("2 micrographs, 5 templates, method exact, ")
    assert metrics["judged_micrographs"] == 2
    assert metrics["true_positives"] >= 1
    false = metrics["n_picks"] - metrics["true_positives"] - metrics["n_on_unsure"]
    assert metrics["precision"] == metrics["true_positives"] / (metrics["true_positives"] + false)
    assert metrics["n_placed"] == 0  # the table does not say where its positions are from
    assert metrics["processor_82_seconds"] > 0
    assert {"recall_interval", "n_on_unsure", "templates_from"} <= set(metrics)
    arrays = STUDY.arrays(output, inputs, case)
    assert {"recall", "precision", "pr_at", "pr_low", "pr_high"} <= set(arrays)


def test_gempickers_settings_are_judged_on_the_particles_inside(measured):
    output, inputs, case = measured(protocol="gempicker")
    metrics = STUDY.metrics(output, inputs, case)
    border = 100 + 136
    side_views = [marks.xy[marks.label == "side"] for marks in inputs.data.truth]
    inside = sum((np.minimum(xy, SIZE - 1 - xy).min(axis=1) >= border).sum() for xy in side_views)
    assert metrics["n_truth"] == inside < sum(map(len, side_views))
    assert all(picks.score.min(initial=1) >= 0.3 for picks in output[0])


def test_score_maps_of_single_views_are_looked_at(measured):
    output, inputs, _ = measured(angle_step=45)
    case = Case({**CASE, "angle_step": 4, "symmetry": False, "templates": "halves"})
    metrics = STUDY.metrics(output, inputs, case)
    shown = examples(inputs)
    assert len(shown) == 2
    assert not any(example.annotated for example in shown)
    assert "top_above_side" not in metrics  # nobody annotated top views
    assert metrics.get("top_views", 0) <= sum(len(example.tops) for example in shown)
    arrays = STUDY.arrays(output, inputs, case)
    assert arrays["zoom_micrograph"].shape == arrays["zoom_side_map"].shape == (320, 320)
    assert arrays["micrograph"].dtype == np.uint8
    assert len(arrays["ring_radius"]) == len(arrays["tops"])


def test_evidence_is_measured_on_real_micrographs_only():
    for cases in STUDY.grids.values():
        for case in cases:
            assert STUDY.evidence(case) == ("simulated data" if case.data == "simulated" else "measured")
            assert case.data == "klh" or case.templates != "given"


def test_no_real_row_but_one_is_judged_on_templates_of_its_own_particles():
    cases = [case for case in STUDY.grids["default"] if case.data == "klh" and case.templates == "given"]
    assert len(cases) == 1


def test_rows_on_a_gpu_are_beside_the_others_and_skipped_without_one(monkeypatch):
    from gembench.engine.gpu import device

    reason = "no CUDA device: CuPy is not installed"
    monkeypatch.setattr(device, "unavailable", lambda: reason)
    cases = STUDY.grids["default"]
    on_gpu = [case for case in cases if "device" in case]
    assert {(case.data, case.protocol, case.angle_step) for case in on_gpu} == {
        ("klh", "gembench", 4), ("simulated", "gembench", 4)}
    assert all(STUDY.skip(case) == reason for case in on_gpu)
    assert all(case.without("device") in cases for case in on_gpu)  # the same on the CPU
    quick = [case for case in STUDY.grids["quick"] if "device" in case]
    assert all(STUDY.skip(case) == reason for case in quick)
    assert len(quick) == len(STUDY.grids["quick"]) / 2


def test_a_row_on_a_gpu_says_what_share_of_the_time_it_worked(measured, monkeypatch):
    from gembench.engine.gpu import device
    from gembench.study.picking import shares

    devices = []

    class Pretended(shares.Picker):
        """Picks on the CPU whatever it is told, and says that the device worked 10 ms a micrograph."""

        def __init__(self, bank, settings, *, device="cpu", **options):
            devices.append(device)
            super().__init__(bank, settings, **options)

        def pick_all(self, paths):
            for picked in super().pick_all(paths):
                picked.statistics.device_seconds = 0.01
                yield picked

    monkeypatch.setattr(shares, "Picker", Pretended)
    monkeypatch.setattr(device, "unavailable", lambda: "")
    monkeypatch.setattr(device, "count", lambda: 1)
    output, inputs, case = measured(device="gpu")
    assert devices == ["gpu", "gpu"]  # before the clock, and by it
    assert len(output[0]) == 2
    assert STUDY.metrics(output, inputs, case)["device_busy"] == pytest.approx(0.02 / sum(output[2]))
    assert "device_busy" not in STUDY.metrics(output, inputs, case.without("device"))


def test_klh_is_picked_by_its_own_lengths():
    """Whatever other sets' follow from, KLH's rows stay comparable with those that are stored."""
    made = {name: protocol(name, TARGET) for name in ("gembench", "banded")}
    assert made["gembench"] == {"average": 1, "lowpass": 70.0, "edges": "reflect",
                                "peaks": PeakSettings("nms", 0.2, distance=120, border=75)}
    assert made["banded"] == made["gembench"] | {
        "method": "banded", "peaks": PeakSettings("nms", 0.4, distance=120, border=75)}
