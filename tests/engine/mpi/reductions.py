"""Every reduction against the serial fold, on however many ranks; the first rank prints one JSON line."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
from mpi4py import MPI

from gembench.engine.mpi.reductions import (
    REDUCTIONS,
    builtin,
    chain,
    direct,
    empty_maps,
    node_maps,
    reduce_maps,
    shared,
    tree,
)
from gembench.engine.score_map import NO_SCORE, ScoreMap, merge
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


@cache
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


def outcome(name, shape, dtype, root, communicator=WORLD, own=()):
    """'same', 'different', or why the reduction was refused.

    own: the ranks whose maps are arrays of their own, not those that the reduction likes best
    """
    partial = maps(WORLD.rank, shape, dtype)
    best = empty_maps(communicator, shape, dtype, name=name, root=root)
    assert (best is not None) == (name == "shared" and communicator.size > 1)
    if best and WORLD.rank not in own:
        best[0][:], best[1][:] = partial.score, partial.index
        partial = ScoreMap(*best)
    try:
        result = reduce_maps(communicator, partial, name=name, threads=2, root=root)
    except InputError as error:
        return str(error)
    right = WORLD.allreduce(same(result, shape, dtype, root), MPI.LAND)
    return "same" if right else "different"


def cut_small():
    """Maps of some thousand pixels pass in many pieces, as those beyond 2 GiB do."""
    direct.LONGEST_MESSAGE = builtin.LONGEST_MESSAGE = builtin.PAIRS = 1500
    tree.REDUCED = 2500  # neither is a whole number of blocks
    chain.LONGEST = shared.CHUNK = 1 << 12


def outcomes(label, shapes, dtypes):
    return {
        f"{name} {shape} {np.dtype(dtype)} root {root} {label}": outcome(name, shape, dtype, root)
        for name in REDUCTIONS for shape in shapes for dtype in dtypes for root in {0, WORLD.size - 1}
    }


def unseen_memory(communicator):
    """Where the last rank has no memory that others can see, or they see another's, none has any."""
    results = {}
    for name in ("_anonymous_file", "_opened"):
        real = getattr(node_maps, name)
        refused = {"_anonymous_file": lambda size: None, "_opened": not_there}[name]
        if WORLD.rank == WORLD.size - 1:
            setattr(node_maps, name, refused)
        best = empty_maps(communicator, (50, 61 + len(results)), np.float32)
        setattr(node_maps, name, real)
        results[f"shared unseen, {name}"] = "same" if best is None else "different"
    return results


def not_there(*memory):
    raise PermissionError("no entry")


def main():
    results = outcomes("whole", [(1, 1), (203, 331)], [np.float32, np.float64])
    cut_small()
    copy = WORLD.Dup()  # whose nodes are found anew
    for _ in range(3):
        for own in ([], range(WORLD.size), [0], [WORLD.size - 1]):
            label = f"shared in pieces, arrays of their own: {list(own)}"
            results[label] = outcome("shared", (97, 301), np.float32, 0, copy, own)
    results |= unseen_memory(copy)
    copy.Free()
    for name in ("direct", "tree", "maxloc", "key", "scatter", "chain"):
        results[f"{name} in pieces"] = outcome(name, (97, 301), np.float32, 0)
    if WORLD.rank == 0:
        print(json.dumps(results))


main()
