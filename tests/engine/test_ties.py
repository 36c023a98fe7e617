"""Picks on symmetric views name the lowest of the templates that no score can tell apart."""

from __future__ import annotations

import numpy as np
import pytest

from gembench.engine.bank import TemplateBank, grid_angles
from gembench.engine.exact.producer import search
from gembench.engine.peaks import PeakSettings, find_picks
from gembench.engine.score_map import ScoreMap
from gembench.engine.ties import TIE, lowest_equals
from gembench.engine.turning import disc_mask

RNG = np.random.default_rng(3)
PLAIN = RNG.normal(size=(15, 15))
HALF = PLAIN + PLAIN[::-1, ::-1]
QUARTER = HALF + np.rot90(HALF)
BAR = np.zeros((15, 15), bool)
BAR[3:12, 5:10] = True


def lowest(views, masks, step=45.0) -> list[int]:
    bank = TemplateBank(np.stack(views), masks, grid_angles(step))
    return lowest_equals(bank, np.arange(len(bank), dtype=np.int32)).tolist()


def test_equal_templates_are_found_by_the_symmetry_of_their_view():
    disc = disc_mask((15, 15))
    assert lowest([PLAIN], disc) == list(range(8))
    assert lowest([HALF], disc) == [0, 1, 2, 3, 0, 1, 2, 3]
    assert lowest([QUARTER], disc) == [0, 1] * 4
    assert lowest([PLAIN, HALF], disc) == [*range(8), 8, 9, 10, 11, 8, 9, 10, 11]
    assert lowest([HALF], disc, 120) == [0, 1, 2]


def test_a_mask_that_is_not_symmetric_tells_them_apart():
    uneven = BAR.copy()
    uneven[3, 10] = True
    assert lowest([QUARTER], BAR) == [0, 1, 2, 3, 0, 1, 2, 3]
    assert lowest([QUARTER], uneven) == list(range(8))


@pytest.mark.parametrize(("difference", "equal"), [(0.2 * TIE, True), (5 * TIE, False), (0.01, False)])
def test_equal_is_what_no_score_can_tell_apart(difference, equal):
    mask = disc_mask((15, 15))
    scale = np.linalg.norm((HALF - HALF[mask].mean())[mask])
    other = HALF.copy()
    other[2, 5] += difference * scale / np.sqrt(2)
    assert lowest([other], mask, 180) == [0, 0 if equal else 1]


@pytest.mark.parametrize("rule", ["nms", "gempicker"])
def test_picks_name_the_lowest_whatever_rounding_has_chosen(rule):
    bank = TemplateBank(HALF, disc_mask((15, 15)), grid_angles(30))
    score = np.zeros((60, 60), np.float32)
    score[[20, 40], [20, 40]] = 0.9, 0.8
    index = np.full(score.shape, 10, np.int32)
    index[40, 40] = 3
    picks = find_picks(ScoreMap(score, index), bank, PeakSettings(rule, threshold=0.5))
    assert picks.template.tolist() == [4, 3]
    assert picks.psi.tolist() == [120, 90]
    none = find_picks(ScoreMap(score * 0, index), bank, PeakSettings(rule, threshold=0.5))
    assert len(none) == 0


def test_methods_libraries_and_precisions_pick_the_same_templates():
    mask = disc_mask((15, 15))
    bank = TemplateBank(HALF, mask, grid_angles(20))
    micrograph = RNG.normal(size=(90, 90))
    for k, (y, x) in enumerate([(15, 15), (15, 60), (50, 20), (60, 62)]):
        turned = bank.rotated(2 * k + 9 * (k % 2))
        height, width = turned.weights.shape
        micrograph[y : y + height, x : x + width] += 300 * turned.weights
    named = set()
    for method in ("exact", "paper"):
        for dtype in ("float32", "float64"):
            for library in ("scipy", "numpy"):
                maps = search(micrograph, bank, method=method, library=library, dtype=dtype)
                picks = find_picks(maps, bank, PeakSettings(threshold=0.4, distance=8))
                assert len(picks) >= 4
                named.add((tuple(picks.template.tolist()), tuple(picks.psi.tolist())))
    assert len(named) == 1
    assert max(next(iter(named))[0]) < 9
