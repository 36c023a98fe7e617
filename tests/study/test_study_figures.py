"""Drawings of the studies on planted rows: the paper's values stand in ours, and each says whose it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gembench.drawing import style
from gembench.study.declare.experiment import load_experiment, load_module
from gembench.study.measure.store import Row
from gembench.study.tell.figures import draw

FOLDER = Path(__file__).parents[2] / "experiments"
MakeRow = Callable[..., Row]


def figures(name: str, rows: list[Row]):
    with style.context():
        made = load_module(FOLDER / f"{name}_figure.py").figure(rows)
    return made if isinstance(made, dict) else {"": made}


def stars(ax) -> set[tuple[float, float]]:
    """The paper's values on these axes."""
    return {tuple(line.get_xydata()[0]) for line in ax.lines
            if line.get_marker() == "*" and line.get_markerfacecolor() == style.GOLD}


def words(figure) -> str:
    texts = [text.get_text() for ax in figure.axes for text in ax.texts]
    return " | ".join([*texts, *(entry.get_text() for box in figure.legends for entry in box.get_texts())])


def libraries(row: MakeRow, names: list[str]) -> list[Row]:
    speeds = {"fftw": 1.0, "mkl": 0.8, "cufft": 0.01}
    return [row([speeds[name] * (n / 512) ** 2] * 2, library=name, precision=precision, n=n)
            for precision in ("float32", "float64") for name in names for n in (512, 4096)]


def test_figure_2_has_the_papers_gpu_among_ours_or_beyond_the_edge(row: MakeRow) -> None:
    single, double = figures("fft_libraries", libraries(row, ["fftw", "mkl", "cufft"]))[""].axes
    assert (stars(single), stars(double)) == ({(4096, 47)}, {(4096, 30)})
    assert single.get_ylim()[1] > 100
    alone = figures("fft_libraries", libraries(row, ["fftw", "mkl"]))[""]
    assert stars(alone.axes[0]) == {(4096, 1)}  # on the upper edge, in parts of the axes
    assert alone.axes[0].get_ylim()[1] < 2
    assert "47× with cuFFT on a C2075" in words(alone)


def threads(row: MakeRow, most: int = 16) -> list[Row]:
    counts = [count for count in (1, 2, 4, 8, 16) if count <= most]
    return [row([4.0 / count] * 2, method=method, threads=count,
                metrics={"arithmetic": count * scale, "projected_seconds": 14_630 * 4 / count})
            for method, scale in (("paper", 1.0), ("exact", 1.1)) for count in counts]


@pytest.mark.parametrize("most", [2, 16])
def test_figure_3a_reaches_the_papers_eight_cores_on_any_machine(row: MakeRow, most: int) -> None:
    figure = figures("threads", threads(row, most))[""]
    left, right = figure.axes
    assert stars(left) == {(4, 3.5), (8, 5.5)}
    assert stars(right) == {(8, 0.25)}
    assert left.get_xlim()[1] > 8
    text = words(figure)
    assert "2013 method" in text
    (band,) = [area for area in left.collections if area.get_alpha() == 0.18]  # of the arithmetic alone
    reach = band.get_paths()[0].vertices
    np.testing.assert_allclose(reach[reach[:, 0] == most, 1].min(), most / 1.05)
    np.testing.assert_allclose(reach[:, 1].max(), most * 1.1 / 1.05)


def test_a_ladder_of_methods_calls_the_first_step_the_2013_method(row: MakeRow) -> None:
    rows = [row([time, 1.1 * time], step=step, n=4096)
            for step, time in (("paper", 0.4), ("disc", 0.1), ("banded", 0.01))]
    figure = figures("methods", rows)[""]
    (ax,) = figure.axes
    assert ax.get_yticklabels()[0].get_text().startswith("2013 method")
    assert stars(ax) == {(4.0, 0)}
    assert "4× the step before" in words(figure)


def test_picks_on_the_gpu_stand_beside_the_cpus_and_the_papers(row: MakeRow) -> None:
    metrics = {"picks_on_both": 51, "picks_on_gpu_only": 1, "picks_on_cpu_only": 0,
               "cpu_seconds_per_micrograph": 4.0, "templates": 180}
    rows = [row([0.1, 0.2], data="simulated", protocol=protocol, micrographs=2, metrics=metrics)
            for protocol in ("paper", "gembench")]
    figure = figures("gpu_picks", rows)[""]
    assert stars(figure.axes[0]) == {(5972 / 82, 2), (223 / 82, 2)}
    assert "51 picks on both, 1 on one only" in words(figure)


def test_padding_dots_stand_at_their_ratios(row: MakeRow) -> None:
    rows = [row([2.0 if not padded else 1.0] * 2, size=2047, library="mkl", padded=padded)
            for padded in (False, True)]
    (ax,) = figures("padding", rows)[""].axes
    assert ax.lines[1].get_xydata().tolist() == [[0, 2]]
    assert ax.get_xticklabels()[0].get_text().startswith("2047\nto ")


def test_every_figure_says_whose_numbers_it_shows_and_of_what_kind(row: MakeRow) -> None:
    study = load_experiment(FOLDER / "methods.py")
    rows = [row([1.0], step="paper", n=512)]
    for kind in ("measured", "simulated data"):
        judged = replace(study, evidence=lambda case, kind=kind: kind)
        object.__setattr__(judged, "figure", study.figure)
        (figure,) = draw(judged, rows).values()
        assert figure.texts[-1].get_text() == f"planned · Toy CPU · 2 cores · {kind} · 2026-01-01"


def test_a_figure_of_some_rows_speaks_of_these_alone(row: MakeRow) -> None:
    study = load_experiment(FOLDER / "methods.py")
    rows = [row([1.0], step="paper", n=512, kind="model"), row([1.0], step="disc", n=512, kind="measured")]
    judged = replace(study, evidence=lambda case: case.get("kind", "measured"),
                     figure=lambda rows: {"a": (style.figure()[0], rows[:1]), "b": style.figure()[0]})
    said = {name: figure.texts[-1].get_text() for name, figure in draw(judged, rows).items()}
    assert "measured" not in said["a"]
    assert "model" in said["a"]
    assert "measured and model" in said["b"]
