"""Random maps of ranks, another one each round, and the serial fold that every reduction must equal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gembench.engine.score_map import NO_SCORE, ScoreMap, merge

LEVELS = 256  # values that a score may have: few enough for ties between ranks
TEMPLATES = 1000  # of a rank


def fresh_maps(shape: tuple[int, int], rank: int, ranks: int, seed: int) -> ScoreMap:
    """Random maps of a rank: scores in [-1, 1) with many ties, indices of its own share of the bank.

    A sixteenth of the rows is without any score.
    """
    rng = np.random.default_rng([seed, rank])
    bits = rng.integers(0, LEVELS * TEMPLATES, shape, np.uint32)
    score = (bits % LEVELS).astype(np.float32) * np.float32(2 / LEVELS) - np.float32(1)
    index = (bits // LEVELS).astype(np.int32) * np.int32(ranks) + np.int32(rank)
    score[: shape[0] // 16], index[: shape[0] // 16] = NO_SCORE, -1
    return ScoreMap(score, index)


def expected(shape: tuple[int, int], nodes: Sequence[int], ranks: int, seed: int) -> dict[int, ScoreMap]:
    """The serial fold of the first ranks' maps, by how many they are."""
    total, maps = fresh_maps(shape, 0, ranks, seed), {}
    for rank in range(1, max(nodes)):
        other = fresh_maps(shape, rank, ranks, seed)
        merge(total.score, total.index, other.score, other.index)
        if rank + 1 in nodes:
            maps[rank + 1] = ScoreMap(total.score.copy(), total.index.copy())
    return maps


def same(maps: ScoreMap, exact: ScoreMap) -> bool:
    """Whether maps are equal byte by byte."""
    return (np.array_equal(maps.score.view(np.int32), exact.score.view(np.int32))
            and np.array_equal(maps.index, exact.index))
