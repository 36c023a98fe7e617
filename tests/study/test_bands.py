"""Lines and bars with bands: what is drawn is what was given."""

from __future__ import annotations

import numpy as np
import pytest

from gembench.drawing import style
from gembench.study.tell import bands


@pytest.fixture
def ax():
    with style.context():
        _, ax = style.figure()
        yield ax


def test_a_line_goes_through_the_medians_inside_its_band(ax):
    bands.line(ax, [512, 1024], [(2.0, 1.0, 4.0), (3.0, 2.5, 3.5)], "mkl")
    (drawn,), (band,) = ax.lines, ax.collections
    np.testing.assert_array_equal(drawn.get_xydata(), [[512, 2], [1024, 3]])
    assert drawn.get_color() == style.BLUE
    assert drawn.get_label() == "MKL"
    assert {(512.0, 1.0), (512.0, 4.0), (1024.0, 2.5), (1024.0, 3.5)} <= set(
        map(tuple, band.get_paths()[0].vertices.tolist()))


def ranges(ax):
    """The ends of the bars of each series of dots."""
    return [[segment.tolist() for segment in bar.get_segments()] for bar in ax.collections]


def test_dots_stand_at_the_medians_inside_their_ranges(ax):
    bands.dots(ax, {0.0: (3.0, 2.0, 4.0), 1.0: (0.5, 0.4, 0.6)}, style.series("fftw"), "FFTW")
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[0, 3], [1, 0.5]])
    np.testing.assert_allclose(ranges(ax), [[[[0, 2], [0, 4]], [[1, 0.4], [1, 0.6]]]])
    bands.dots(ax, {2: (3.0, 2.0, 4.0)}, style.series("mkl"), across=True)
    assert ranges(ax)[1] == [[[2, 2], [4, 2]]]


def test_lines_of_cases_run_from_the_top_down(ax):
    bands.lines_of_cases(ax, ["first", "second"])
    low, high = ax.get_ylim()
    assert low > 1 > 0 > high
    assert [label.get_text() for label in ax.get_yticklabels()] == ["first", "second"]


def test_times_are_said_in_their_units(ax):
    ax.plot([2e-4, 20], [0, 1])
    bands.times(ax)
    ax.figure.draw_without_rendering()
    shown = [label.get_text() for label in ax.get_xticklabels()]
    assert {"1 ms", "10 ms", "100 ms", "1 s", "10 s"} <= set(shown)


def test_octaves_mark_every_size_and_doubling(ax):
    bands.octaves(ax, [1024, 512, 1024], [0.3, 1.0, 5.0])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["512", "1024"]
    low, high = ax.get_ylim()
    shown = [tick for tick in ax.get_yticks() if low <= tick <= high]
    assert shown == [0.5, 1, 2, 4]


def test_a_name_without_a_look_stays_in_the_background():
    assert bands.look("fftw") == style.series("fftw")
    assert bands.look("a new library").color == style.GREY
