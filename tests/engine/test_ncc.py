"""The equation, against sums pixel by pixel as the paper writes them."""

from __future__ import annotations

import numpy as np
import pytest

from gembench.engine.ncc import best, ncc


def by_hand(S, M, T, y, x):
    inside = [(j, i) for j in range(S.shape[0]) for i in range(S.shape[1]) if M[j, i]]
    s = np.array([S[j, i] for j, i in inside])
    t = np.array([T[y + j, x + i] for j, i in inside])
    return np.corrcoef(s, t)[0, 1]


@pytest.mark.parametrize("mean", [0, 1e4])
def test_ncc_is_the_correlation_coefficient_under_the_mask(mean):
    rng = np.random.default_rng(1)
    S, T = rng.normal(size=(4, 5)), rng.normal(mean, 3, (9, 8))
    M = rng.random((4, 5)) < 0.6
    scores = ncc(S, M, T)
    assert scores.shape == (6, 4)
    for y, x in np.ndindex(scores.shape):
        assert scores[y, x] == pytest.approx(by_hand(S, M, T, y, x), abs=1e-9)


def test_a_planted_template_scores_one_and_a_flat_place_none():
    rng = np.random.default_rng(2)
    S, M, T = rng.normal(size=(4, 4)), np.ones((4, 4)), rng.normal(size=(12, 12))
    T[3:7, 5:9] = 7 - 2 * S
    T[8:, :4] = 5
    scores = ncc(S, M, T)
    assert scores[3, 5] == pytest.approx(-1)
    assert scores[8, 0] == 0


def test_the_best_of_equals_is_the_first():
    rng = np.random.default_rng(3)
    first, second, T = rng.normal(size=(3, 3)), rng.normal(size=(3, 3)), rng.normal(size=(8, 8))
    mask = np.ones((3, 3))
    scores, index = best([(second, mask), (first, mask), (first, mask)], T)
    assert set(index.ravel().tolist()) == {0, 1}
    np.testing.assert_array_equal(scores, np.maximum(ncc(first, mask, T), ncc(second, mask, T)))
