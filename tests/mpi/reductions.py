"""Every reduction against the serial fold, on however many ranks; the first rank prints one JSON line.

Argument: the shapes of the maps, a list of [height, width] in JSON.
"""

from __future__ import annotations

import json
import sys

import numpy as np
from mpi4py import MPI

from gembench.engine.fold import NO_SCORE, merge
from gembench.engine.reductions import REDUCTIONS, reduce_maps
from gembench.engine.score_map import ScoreMap
from gembench.errors import InputError

WORLD = MPI.COMM_WORLD
SCORES = np.array([-0.75, -0.0, 0.0, 0.5, np.nextafter(np.float32(0.5), np.float32(1)), 1.0])


def maps(rank, shape, dtype):
    """Few scores, so that nearly every pixel has a tie, and indices in no order of ranks; some unscored."""
    rng = np.random.default_rng(rank)
    score = rng.choice(SCORES.astype(dtype), shape)
    index = (rng.integers(0, 50, shape) * WORLD.size + rank).astype(np.int32)
    unscored = rng.random(shape) < 0.3
    score[unscored], index[unscored] = NO_SCORE, -1
    return ScoreMap(score, index)


def serial(shape, dtype):
    """The fold of all ranks' maps, one after another."""
    total = maps(0, shape, dtype)
    for rank in range(1, WORLD.size):
        other = maps(rank, shape, dtype)
        merge(total.score, total.index, other.score, other.index)
    return total


def same(result, shape, dtype, root):
    """Whether the root, and nobody else, has the bytes of the serial fold."""
    if root != WORLD.rank:
        return result is None
    expected = serial(shape, dtype)
    return all(
        ours.shape == theirs.shape and ours.dtype == theirs.dtype and ours.tobytes() == theirs.tobytes()
        for ours, theirs in ((result.score, expected.score), (result.index, expected.index))
    )


def outcome(name, shape, dtype, root, communicator=WORLD):
    """'same', 'different', or why the reduction was refused."""
    try:
        result = reduce_maps(communicator, maps(WORLD.rank, shape, dtype), name=name, threads=2, root=root)
    except InputError as error:
        return str(error)
    right = WORLD.allreduce(same(result, shape, dtype, root), MPI.LAND)
    return "same" if right else "different"


def main():
    outcomes = {}
    for name in REDUCTIONS:
        for shape in json.loads(sys.argv[1]):
            for dtype in (np.float32, np.float64):
                for root in sorted({0, WORLD.size - 1}):
                    case = f"{name} {shape} {np.dtype(dtype)} root {root}"
                    outcomes[case] = outcome(name, shape, dtype, root)
    for _ in range(3):  # what a reduction keeps with a communicator goes with it
        copy = WORLD.Dup()
        outcomes["shared on a copy"] = outcome("shared", [5, 7], np.float32, 0, copy)
        copy.Free()
    if WORLD.rank == 0:
        print(json.dumps(outcomes))


main()
