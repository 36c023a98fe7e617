"""The one type for picks and annotations."""

from __future__ import annotations

import numpy as np
import pytest

from gembench.engine.picks import Picks


def three() -> Picks:
    return Picks("m.mrc", [1, 2, 3], [4, 5, 6], score=[0.5, 0.25, 0.75], psi=[0, 90, 4], pixel_size=2.2)


def test_missing_columns_hold_their_unknown_value():
    picks = three()
    assert len(picks) == 3
    assert picks.template.tolist() == picks.view.tolist() == [-1, -1, -1]
    assert picks.label.tolist() == ["", "", ""]
    assert np.isnan(Picks("m", [1.0], [2.0]).score).all()
    assert picks.x.dtype == picks.score.dtype == np.float64
    assert picks.template.dtype == np.int32


def test_selections_take_every_column():
    picks = three()
    for chosen in ([2, 0], np.array([True, False, True])):
        assert sorted(picks[chosen].score.tolist()) == [0.5, 0.75]
    assert picks[1:].xy.tolist() == [[2, 5], [3, 6]]
    assert picks[[2, 0]].psi.tolist() == [4, 0]
    assert (picks[:0].micrograph, picks[:0].pixel_size, len(picks[:0])) == ("m.mrc", 2.2, 0)
    assert len(picks[[]]) == 0


def test_shifted():
    assert three().shifted(0.5, -1).xy.tolist() == [[1.5, 3], [2.5, 4], [3.5, 5]]


@pytest.mark.parametrize("columns", [
    {"score": [1, 2]}, {"label": ["a"]}, {"y": [1, 2]}, {"psi": np.zeros((3, 1))},
])
def test_columns_of_another_length_are_an_error(columns):
    with pytest.raises(ValueError, match=next(iter(columns))):
        Picks("m.mrc", **({"x": [1, 2, 3], "y": [4, 5, 6]} | columns))
