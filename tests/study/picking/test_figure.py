"""What the KLH study draws: which rows, in which names, with the paper's own points marked as the paper's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gembench.drawing import style
from gembench.study.declare.cases import Case
from gembench.study.declare.experiment import load_experiment
from gembench.study.measure.store import Row
from gembench.study.tell import figures

FILE = Path(__file__).parents[3] / "experiments" / "picking.py"
STUDY = load_experiment(FILE)
LINE = np.linspace(0, 1, 5)
PICTURED = [("2013-method", 4, templates) for templates in ("halves", "projections")]


class Planted(Row):
    """A row with arrays that no file holds."""

    @property
    def arrays(self):
        return planted_arrays(self.case)


def planted_arrays(case):
    at = np.linspace(0, 1, 11)
    curves = {"roc_fpr": LINE, "roc_tpr": LINE**0.1, "recall": 0.95 * LINE, "precision": 1 - LINE**9 / 2}
    for name in ("roc", "pr"):
        curves |= {f"{name}_at": at, f"{name}_low": 0.8 * (1 - at), f"{name}_high": 1 - at / 2}
    if (case["protocol"], case["angle_step"], case["templates"]) not in PICTURED:
        return curves
    halves = 2 if case["data"] == "klh" else 1
    small = np.random.default_rng(1).integers(0, 255, (64, 64)).astype(np.uint8)
    pictures = {"micrograph": small, "side_map": small / 255, "top_map": small / 255}
    return curves | pictures | {f"zoom_{name}": image for name, image in pictures.items()} | {
        "templates": np.random.default_rng(2).random((halves, 2, 16, 16)), "masks": np.ones((2, 16, 16)),
        "tops": np.array([[60, 60]]), "marks": np.array([[80.0, 80.0]]), "corner": np.array([20, 20]),
        "picks": np.array([[80.0, 80.0, 0], [60.0, 60.0, 1]]), "pixel_size": np.array(2.2),
        "ring_radius": np.array([np.nan])}


def rows(data):
    metrics = {"recall": 0.93, "precision": 0.82, "recall_interval": [0.9, 0.96],
               "precision_interval": [0.78, 0.86], "judged_micrographs": 41,
               "annotations": "548 side views", "templates_from": "halves"}
    run = {"experiment": "picking", "started": "2026-01-01", "machine": {"name": "here"}}
    return [Planted(Case(case), "ok", samples=(1.0,), metrics=metrics, run=run)
            for case in STUDY.grids["default"] if case.data == data]


@pytest.mark.parametrize(("data", "kind"), [("klh", "41 KLH"), ("simulated", "41 simulated")])
def test_curves_are_named_and_the_papers_points_are_the_papers(data, kind):
    drawn = figures.draw(STUDY, rows(data))
    assert set(drawn) == {f"{name}_{data}" for name in ("roc", "maps", "templates")}
    figure = drawn[f"roc_{data}"]
    left, right = figure.axes[:2]
    assert all(kind in ax.get_title(loc="left") for ax in (left, right))
    shown = [text.get_text() for legend in figure.legends for text in legend.texts]
    assert len(shown) == len(set(shown))  # rows on a GPU have the same curves, and are not drawn
    steps = [4, 9] if data == "klh" else [4]
    assert set(shown) >= {"2013 method, gEMpicker's settings",
                          *(f"{method}, {step}°" for method in ("2013 method", "gembench") for step in steps)}
    assert style.PAPER_NAME in shown
    assert not any("paper, 4" in name or "banded" in name for name in shown)
    stars = [line for line in right.lines if line.get_marker() == "*"]
    points = sorted((round(float(x), 3), round(float(y), 3)) for line in stars for x, y in line.get_xydata())
    assert points == [(0.936, 0.788), (0.940, 0.784)]
    texts = " ".join(text.get_text() for ax in (left, right) for text in ax.texts)
    assert texts.count("the paper") == 3
    assert len(left.collections) >= 2  # shaded intervals
    assert len(right.collections) >= 3
    assert (left.get_xlim(), left.get_ylim(), right.get_xlim()) == ((0, 0.5), (0.5, 1), (0.5, 1))


def test_the_papers_point_lies_in_the_roc_as_far_as_it_is_told():
    figure = figures.draw(STUDY, rows("klh")[1:2])["roc_klh"]
    (first, *_) = figure.axes[0].containers
    (bars_x, bars_y) = (bar.get_segments()[0] for bar in first.lines[2])
    np.testing.assert_allclose(bars_x[:, 0], [270 / (2084 - 979), 270 / 1042], atol=1e-3)
    np.testing.assert_allclose(bars_y[:, 1], [979 / 1042, 1], atol=1e-6)


def test_simulated_panels_say_so():
    pictured = [row for data in ("simulated", "klh") for row in rows(data)[:1]]
    drawn = figures.draw(STUDY, pictured)
    assert "simulated" in drawn["maps_simulated"].axes[0].get_title(loc="left")
    assert "projection" in drawn["templates_simulated"].axes[0].get_title(loc="left")
    assert "simulated" not in drawn["maps_klh"].axes[0].get_title(loc="left")
    assert "half A" in drawn["templates_klh"].axes[0].get_title(loc="left")
    assert len(drawn["templates_klh"].axes) == 6
    words = " ".join(text.get_text() for text in drawn["roc_klh"].texts)
    assert "548 side views" in words.replace("\n", " ")


def test_rows_of_one_case_are_drawn_alone():
    for row in [row for row in rows("klh") if row["protocol"] in ("gempicker", "banded")]:
        for figure in figures.draw(STUDY, [row]).values():
            assert figure.axes[0].has_data() or figure.axes[1].has_data()
