"""`maxloc`, `key` and `scatter`: reductions by operations that every MPI has built in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gembench.engine.mpi.reductions.keys import packed, unpack
from gembench.engine.mpi.reductions.messages import LONGEST_MESSAGE, Array, spans
from gembench.errors import InputError

if TYPE_CHECKING:
    from mpi4py import MPI

PAIRS = 1 << 26  # pixels of one MPI_Reduce of float64 pairs: 1 GiB


def maxloc(communicator: MPI.Intracomm, score: Array, index: Array, *, root: int = 0) -> None:
    """MPI_Reduce by MAXLOC on pairs; the index, below 2^30, carries the sign of a score of zero.

    For MAXLOC -0.0 equals +0.0, and which of the two it keeps is not told by the index it keeps.
    """
    from mpi4py import MPI

    double = score.dtype == np.float64
    pair = np.dtype([("score", score.dtype), ("index", np.int32)], align=True)
    for part in spans(score.size, PAIRS):
        pairs = np.zeros(score[part].size, pair)
        pairs["score"] = score[part] + score.dtype.type(0)
        pairs["index"] = 2 * index[part] + ((score[part] == 0) & np.signbit(score[part]))
        _reduce(communicator, pairs, MPI.DOUBLE_INT if double else MPI.FLOAT_INT, MPI.MAXLOC, root)
        if communicator.rank == root:
            score[part], index[part] = pairs["score"], pairs["index"] >> 1
            np.negative(score[part], out=score[part], where=(pairs["index"] & 1).astype(bool))


def key(communicator: MPI.Intracomm, score: Array, index: Array, *, root: int = 0) -> None:
    """MPI_Reduce by MAX on keys of 64 bits; float32 scores only."""
    from mpi4py import MPI

    _require_float32(score, "key")
    for part in spans(score.size, LONGEST_MESSAGE):
        keys = packed(score[part], index[part])
        _reduce(communicator, keys, MPI.INT64_T, MPI.MAX, root)
        if communicator.rank == root:
            unpack(keys, score[part], index[part])


def scatter(communicator: MPI.Intracomm, score: Array, index: Array, *, root: int = 0) -> None:
    """MPI_Reduce_scatter by MAX on keys of 64 bits, then MPI_Gather; float32 scores only."""
    from mpi4py import MPI

    _require_float32(score, "scatter")
    size, rank = communicator.size, communicator.rank
    for part in spans(score.size, LONGEST_MESSAGE):
        keys = packed(score[part], index[part])
        ends = np.arange(size + 1) * keys.size // size
        counts = np.diff(ends)
        share = np.empty(counts[rank], np.int64)
        communicator.Reduce_scatter([keys, MPI.INT64_T], [share, MPI.INT64_T], counts.tolist(), MPI.MAX)
        whole = [keys, counts, ends[:-1], MPI.INT64_T] if rank == root else None
        communicator.Gatherv([share, MPI.INT64_T], whole, root)
        if rank == root:
            unpack(keys, score[part], index[part])


def _reduce(
    communicator: MPI.Intracomm, values: Array, kind: MPI.Datatype, operation: MPI.Op, root: int
) -> None:
    """Reduce into the root's own values."""
    from mpi4py import MPI

    if communicator.rank == root:
        communicator.Reduce(MPI.IN_PLACE, [values, values.size, kind], operation, root)
    else:
        communicator.Reduce([values, values.size, kind], None, operation, root)


def _require_float32(score: Array, name: str) -> None:
    if score.dtype != np.float32:
        raise InputError(f"reduction {name}: a key holds a float32 score, these are {score.dtype}: choose"
                         " shared, chain, direct, tree or maxloc")
