"""Steps of a threshold: at every threshold they give what judging the picks above it gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.evaluate.evaluation import evaluate
from gembench.evaluate.matching import judge
from gembench.evaluate.pairing import Pair
from gembench.evaluate.steps import threshold_steps


def crowded(seed: int, decimals: int) -> Pair:
    """So many picks and marks on so little room that matchings change with the threshold."""
    rng = np.random.default_rng(seed)

    def some(n: int, label: str = "") -> Picks:
        x, y = np.round(rng.uniform(0, 60, (2, n)), 1)
        return Picks("a", x, y, np.round(rng.uniform(0, 1, n), decimals), label=np.full(n, label))

    return Pair("a", some(40), some(15, "side"), some(6, "unsure"))


def outcomes_at(steps, threshold, n):
    outcome = np.full(n, 9)
    for step in steps:
        if step.score >= threshold:
            outcome[step.pick] = step.outcome
    return outcome


@pytest.mark.parametrize("method", ["optimal", "greedy"])
@pytest.mark.parametrize("decimals", [1, 6])
def test_every_threshold_gives_what_judging_gives(method, decimals):
    changed = 0
    for seed in range(6):
        pair = crowded(seed, decimals)
        steps = threshold_steps(pair, 8.0, method)
        assert [step.score for step in steps] == sorted((step.score for step in steps), reverse=True)
        for threshold in [*pair.picks.score, 2.0, -1.0]:
            kept = np.flatnonzero(pair.picks.score >= threshold)
            expected, distance = judge(pair.picks[kept], pair.truth, pair.unsure, 8.0, method)
            outcome = outcomes_at(steps, threshold, 40)
            assert outcome[kept].tolist() == expected.tolist()
            assert set(np.delete(outcome, kept)) <= {9}
            partner = {step.pick: step.partner for step in steps if step.score >= threshold}
            for pick, length in zip(kept, distance, strict=True):
                at = partner[int(pick)]
                assert (at < 0) == np.isnan(length)
                if at >= 0:
                    assert np.hypot(*(pair.picks.xy[pick] - pair.truth.xy[at])) == pytest.approx(length)
        changed += len(steps) - 40
    assert (changed > 0) == (method == "optimal")


def test_picks_without_scores_are_one_step():
    pair = crowded(1, 3)
    pair = replace(pair, picks=replace(pair.picks, score=np.full(40, np.nan)))
    steps = threshold_steps(pair, 8.0, "optimal")
    assert {step.score for step in steps} == {-np.inf}
    counted = evaluate([pair.picks], [pair.truth], 8.0, resamples=0)
    alone = threshold_steps(replace(pair, unsure=pair.unsure[:0]), 8.0, "optimal")
    assert sum(step.outcome == 1 for step in alone) == counted.true_positives


def test_nothing_picked_and_nothing_annotated():
    pair = crowded(2, 3)
    assert threshold_steps(replace(pair, picks=pair.picks[:0]), 8.0, "optimal") == []
    bare = threshold_steps(replace(pair, truth=pair.truth[:0], unsure=pair.unsure[:0]), 8.0, "optimal")
    assert [step.outcome for step in bare] == [0] * 40


def test_a_position_that_is_not_finite_is_refused():
    pair = crowded(3, 3)
    x = pair.picks.x.copy()
    x[4] = np.nan
    with pytest.raises(InputError, match="position is not finite"):
        threshold_steps(replace(pair, picks=replace(pair.picks, x=x)), 8.0, "optimal")
