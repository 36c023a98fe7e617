"""Lines and bars with bands: what is drawn is what was given."""

from __future__ import annotations

import numpy as np
import pytest

from gembench.study.tell import bands, style


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
    assert drawn.get_label() == "mkl"
    assert {(512.0, 1.0), (512.0, 4.0), (1024.0, 2.5), (1024.0, 3.5)} <= set(
        map(tuple, band.get_paths()[0].vertices.tolist()))


def test_bars_stand_on_one_and_fall_below_it(ax):
    bands.bars(ax, {0.0: (3.0, 2.0, 4.0), 1.0: (0.5, 0.4, 0.6)}, "fftw", 0.5)
    rectangles = [(bar.get_y(), bar.get_y() + bar.get_height()) for bar in ax.patches]
    assert rectangles == [(1, 3.0), (1, 0.5)]


def test_octaves_mark_every_size_and_doubling(ax):
    bands.octaves(ax, [1024, 512, 1024], [0.3, 1.0, 5.0])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["512", "1024"]
    low, high = ax.get_ylim()
    shown = [tick for tick in ax.get_yticks() if low <= tick <= high]
    assert shown == [0.5, 1, 2, 4]


def test_a_name_without_a_look_stays_in_the_background():
    assert bands.look("fftw") == style.series("fftw")
    assert bands.look("a new library").color == style.GREY
