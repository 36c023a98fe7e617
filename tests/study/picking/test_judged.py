"""How picks of KLH are judged: unsure marks neither way, borders by each micrograph's own size, distances."""

from __future__ import annotations

import numpy as np
import pytest

from gembench.data.annotated import Annotated
from gembench.data.klh import TARGET
from gembench.data.workload import egg_bank, planted_micrograph
from gembench.engine.exact.producer import search
from gembench.engine.peaks import PeakSettings, find_picks
from gembench.engine.picks import Picks
from gembench.study.picking.judged import ENOUGH, OUTSIDE, check_scores, distances, judged, within


def marks(name="m.mrc", **label):
    """Marks 200 px apart in a row, so many of each label."""
    labels = [text for text, number in label.items() for _ in range(number)]
    return Picks(name, 200.0 * np.arange(len(labels)), np.full(len(labels), 100.0), label=labels)


def picks_at(x, name="m.mrc", view=0):
    x = np.asarray(x, float)
    return Picks(name, x, np.full(len(x), 100.0), np.linspace(0.9, 0.4, len(x)),
                 view=np.full(len(x), view, np.int32))


def test_a_pick_on_an_unsure_mark_is_neither_true_nor_false():
    truth = [marks(side=2, unsure=1, top=1)]
    result = judged([picks_at([5, 195, 410, 590, 1000])], truth, TARGET)
    assert (result.true_positives, result.false_positives, result.ignored) == (2, 2, 1)
    assert result.n_truth == 2
    assert judged([picks_at([5, 195], view=1)], truth, TARGET).n_picks == 0  # top views are not judged
    assert judged([picks_at([5, 195])], [*truth, marks("other", side=9)], TARGET).n_truth == 2


def test_marks_beyond_the_border_of_their_own_micrograph_count_neither_way():
    truth = within(marks(side=5), (201, 901), 100)
    assert truth.label.tolist() == [OUTSIDE, "side", "side", "side", "side"]
    assert within(marks(side=5), (201, 900), 100).label.tolist()[3:] == ["side", OUTSIDE]
    assert within(marks(side=5), (200, 2000), 100).label.tolist() == [OUTSIDE] * 5
    result = judged([picks_at([0, 200, 400])], [truth], TARGET)
    assert (result.true_positives, result.false_positives, result.ignored, result.n_truth) == (2, 0, 1, 4)


def test_distances_are_to_marks_that_no_peak_placed():
    count = ENOUGH + 4
    truth = marks(side=count, unsure=1)
    source = np.array(["candidate"] * 4 + ["by eye"] * (ENOUGH + 1))
    data = Annotated("klh", [], [truth], None, None, 2.2, {"m": source})
    picks = picks_at(np.append(truth.x[:4] + 30, truth.x[4:] + 3))
    assert distances([picks], data) == {"n_placed": ENOUGH, "placed_distance_px": pytest.approx(3)}
    few = distances([picks[:-2]], data)
    assert few == {"n_placed": ENOUGH - 1, "placed_distance_px": None}


def test_a_score_that_is_not_the_direct_sum_is_found_out():
    bank = egg_bank(32, 6)
    image, _ = planted_micrograph((160, 160), bank)
    picks = find_picks(search(image, bank), bank, PeakSettings(threshold=0.5))
    assert len(picks) >= 1
    check_scores(picks, image, bank)
    wrong = Picks("m", picks.x, picks.y, picks.score + 1e-3, picks.template)
    with pytest.raises(AssertionError, match="summed directly"):
        check_scores(wrong, image, bank)
