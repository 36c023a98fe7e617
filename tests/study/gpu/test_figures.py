"""The figures of the GPU study, of planted rows: what is drawn is what is stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gembench.drawing import style
from gembench.study.declare.experiment import load_module
from gembench.study.gpu.looks import chosen

figures = load_module(Path(__file__).parents[3] / "experiments" / "gpus_figure.py")
COPY = 3.0e12
STAGES = {"copies": 0.01, "frame": 0.02, "turn templates": 0.02, "template spectra": 0.03, "turn masks": 0.03,
          "mask spectra": 0.05, "products": 0.42, "rows and fold": 0.40,
          "other": 0.02}
BARS = [5, 8, 42, 40, 2, 1, 2]


def planted(row, seconds, **case):
    """One GPU-study row of the usual kind unless `case` says otherwise."""
    case = {"n": 4096, "template": 160, "precision": "float32", "mask": "own", "devices": 1, "batch": "auto",
            "spectra": "single", "device": "gpu"} | case
    metrics = {"error_at_places": 4e-4 if case["spectra"] == "half" else 3e-6}
    if case["device"] == "gpu" and case["devices"] == 1:
        share = 0.55 if case["mask"] == "own" else 0.62
        metrics |= {"stage_seconds": {name: seconds * part for name, part in STAGES.items()},
                    "copy_bandwidth": COPY, "bandwidth": share * COPY, "bandwidth_share": share}
        if case["n"] == 2048:
            metrics |= {"timeline_seconds": [223.0, 172.0, 170.0, 170.0],
                        "arithmetic_seconds": [223.0, 112.0, 74.0, 56.0]}
    return row([seconds, seconds * 1.02, seconds * 0.98], metrics=metrics, **case)


@pytest.fixture
def rows(row):
    """A machine with four GPUs and sixteen cores."""
    made = []
    for precision, slower in (("float32", 1.0), ("float64", 2.2)):
        for n in (512, 1024, 2048, 4096, 8192):
            scale = slower * (n / 4096) ** 2
            made += [planted(row, 4e-4 * scale + 1e-5, n=n, precision=precision),
                     planted(row, 0.4 * scale, n=n, precision=precision, device="cpu"),
                     planted(row, 0.035 * scale, n=n, precision=precision, device="cpu", devices=16),
                     planted(row, 0.11 * scale, n=n, precision=precision, device="cpu", devices=4)]
    for n in (2048, 4096):
        scale = (n / 4096) ** 2
        made += [planted(row, 4e-4 * scale / 1.97, n=n, devices=2),
                 planted(row, 4e-4 * scale / 3.8, n=n, devices=4),
                 planted(row, 1.7e-4 * scale, n=n, mask="disc"),
                 planted(row, 2.9e-4 * scale, n=n, spectra="half"),
                 planted(row, 1.2e-4 * scale, n=n, mask="disc", spectra="half")]
    made += [planted(row, (4 + 5 / batch) * 1e-4, batch=batch) for batch in (1, 4, 16, 64)]
    return made


def drawn(rows):
    with style.context():
        return figures.figure(rows)


def stars(ax):
    """The paper's values on these axes."""
    return {tuple(line.get_xydata()[0]) for line in ax.lines if line.get_marker() == "*"}


def label_of(ax, text):
    return next(line for line in ax.lines if line.get_label() == text)


def test_the_speed_up_by_gpus_lies_beside_the_ideal(rows):
    left, right = drawn(rows)[""].axes
    np.testing.assert_allclose(label_of(left, "ideal").get_xydata(), [[1, 1], [4, 4]])
    ours = label_of(left, "4096 × 4096").get_xydata()
    np.testing.assert_array_equal(ours[:, 0], [1, 2, 4])
    np.testing.assert_allclose(ours[1:, 1], np.array([1.97, 3.8]) * (4e-4 + 1e-5) / 4e-4)
    np.testing.assert_allclose(label_of(right, "4096 × 4096").get_ydata()[2], 3.8 / 4e-4 / 4)
    assert stars(left) == {(1, 1), (2, 2), (3, 3), (4, 4)}


def test_the_sizes_show_one_core_all_cores_and_the_gpu_with_its_lead(rows):
    left, right = drawn(rows)["sizes"].axes
    assert [line.get_label() for line in left.lines if line.get_marker() != "*"] == [
        "one core", "16 cores", "one GPU"]
    assert stars(left) == {(4096, 0.25), (4096, 22.9)}
    np.testing.assert_allclose(label_of(left, "16 cores").get_ydata()[3], 1 / 0.035)
    leads = {text.xy[0]: text.get_text() for text in right.texts}
    assert leads[4096] == f"{0.88 / (8.8e-4 + 1e-5):.0f}×"


def test_a_machine_without_a_gpu_draws_nothing(rows):
    assert drawn([row for row in rows if row["device"] == "cpu"]) == {}


def test_the_profile_stacks_all_stages_to_the_whole_and_measures_bytes_by_the_copy(rows):
    left, right = drawn(rows)["profile"].axes
    bars = [patch for patch in left.patches if round(patch.get_y() + 0.36) == 0]
    np.testing.assert_allclose([bar.get_width() for bar in bars], BARS)
    assert bars[-1].get_x() + bars[-1].get_width() == pytest.approx(100)
    assert label_of(right, "device-to-device copy").get_xdata()[0] == pytest.approx(COPY / 1e12)
    assert {text.get_text() for text in right.texts} == {"55 %", "62 %"}


def test_options_show_batches_and_storage(rows):
    left, right = drawn(rows)["options"].axes
    np.testing.assert_array_equal(left.lines[0].get_xdata(), [1, 4, 16, 64])
    assert left.lines[0].get_ydata()[0] == pytest.approx(1 / 9e-4)
    assert sum("half, error 4e-04" in text.get_text() for text in right.texts) == 4


def test_reading_shows_the_timeline_beside_the_arithmetic(rows):
    (ax,) = drawn(rows)["reading"].axes
    np.testing.assert_allclose(label_of(ax, "arithmetic alone").get_ydata(), [223, 112, 74, 56])
    np.testing.assert_allclose(label_of(ax, "templates read from files").get_ydata()[3], 170)
    assert stars(ax) == {(1, 223), (4, 180), (4, 60)}
    assert ax.get_title(loc="left") == "Worked out from measured rates"


def test_whatever_is_missing_the_rest_is_drawn(rows):
    for row in rows:
        for figure in drawn([row]).values():
            assert all(ax.has_data() for ax in figure.axes)


def test_rows_are_chosen_by_what_is_asked_and_the_usual_of_the_rest(rows):
    assert {row["batch"] for row in chosen(rows, device="gpu", n=4096, devices=1)} == {"auto"}
    assert {row["batch"] for row in chosen(rows, n=4096, batch=...)} == {"auto", 1, 4, 16, 64}
    assert {row["mask"] for row in chosen(rows, mask="disc")} == {"disc"}
