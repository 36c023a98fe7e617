"""Reductions: the maps of all ranks folded into one on the root, by strategies with a name.

direct, tree: the paper's (gEMpicker 2013, Fig. 5), each also with the fold on several threads
maxloc, key, scatter: by MPI's built-in operations
chain: pipelined, within a few per cent of the network's bandwidth for any number of nodes
shared: in shared memory on every node, then `chain` between the nodes; the default
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

from gembench.engine.mpi.reductions import builtin, chain, direct, shared, tree
from gembench.engine.mpi.reductions.messages import Array
from gembench.engine.score_map import ScoreMap
from gembench.errors import InputError

if TYPE_CHECKING:
    from mpi4py import MPI

Strategy = Callable[..., None]
THREADS = "+threads"
REDUCTIONS: dict[str, Strategy] = {
    "direct": direct.reduce, f"direct{THREADS}": direct.reduce,
    "tree": tree.reduce, f"tree{THREADS}": tree.reduce,
    "maxloc": builtin.maxloc, "key": builtin.key, "scatter": builtin.scatter,
    "chain": chain.reduce, "shared": shared.reduce,
}
DEFAULT_REDUCTION = "shared"
# The others are only compared: MPI's own operations send pairs or keys that others do not need.
FOR_PICKING = ("shared", "chain", "direct", f"direct{THREADS}", "tree", f"tree{THREADS}")


def check_reduction(name: str, choices: Collection[str] = tuple(REDUCTIONS)) -> None:
    """Raise InputError unless this is the name of a reduction, one of some."""
    if name not in choices:
        raise InputError(f"reduction {name}: choose one of {', '.join(choices)}")


def empty_maps(
    communicator: MPI.Intracomm, shape: tuple[int, int], dtype: DTypeLike, *, name: str = DEFAULT_REDUCTION,
    root: int = 0,
) -> tuple[Array, Array] | None:
    """Maps (H, W) of scores and int32 indices, not filled, that a reduction takes less time for than others.

    Every rank must call. The same maps are given again for the same shape and type; None where any will do.
    """
    check_reduction(name)
    return shared.empty_maps(communicator, shape, dtype, root=root) if name == "shared" else None


def reduce_maps(
    communicator: MPI.Intracomm, partial: ScoreMap, *, name: str = DEFAULT_REDUCTION, threads: int = 1,
    root: int = 0,
) -> ScoreMap | None:
    """The fold of all ranks' maps on the root, None elsewhere: the best score, the lowest index of equals.

    partial: maps of one shape and type on all ranks, score float32 or float64 without NaN, index int32;
        score NO_SCORE and index -1 where nothing was scored. They are not to be used afterwards
    name: of the reduction; threads: that fold, in the reductions with '+threads' in their name

    The result is bit by bit that of `score_map.merge` over the ranks, whatever rank has which templates.
    Raises InputError for an unknown reduction, other types, and where keys are asked for with float64.
    """
    check_reduction(name)
    score, index = np.ascontiguousarray(partial.score), np.ascontiguousarray(partial.index)
    if score.dtype not in (np.float32, np.float64) or index.dtype != np.int32:
        raise InputError(f"maps of type {score.dtype} and {index.dtype}: give float32 or float64, and int32")
    options = {"threads": threads} if name.endswith(THREADS) else {}
    REDUCTIONS[name](communicator, score.reshape(-1), index.reshape(-1), root=root, **options)
    return ScoreMap(score, index) if communicator.rank == root else None
