"""`tree`: MPI_Reduce with an operation of our own (gEMpicker 2013), waited for without keeping the core.

An element of the reduction is a block of ELEMENT scores followed by their indices, so that the fold runs over
contiguous maps, and an MPI that hands the operation a few elements at a time (Intel's in 32 KiB) may.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from gembench.engine.kernel import kernel
from gembench.engine.mpi.reductions.messages import SLICE, Array, in_parts, spans, wait
from gembench.engine.score_map import NO_SCORE

if TYPE_CHECKING:
    from mpi4py import MPI

ELEMENT = 1024  # pixels: 8 KiB of float32 maps
REDUCED = 1 << 19  # pixels of one MPI_Reduce: MPICH allocates its buffers anew, beyond 4 MiB from fresh pages


def reduce(
    communicator: MPI.Intracomm, score: Array, index: Array, *, threads: int = 1, root: int = 0
) -> None:
    """Fold all ranks' maps, (n,), into the root's; time grows as the logarithm of the number of ranks."""
    from mpi4py import MPI

    block = np.dtype([("score", score.dtype, ELEMENT), ("index", np.int32, ELEMENT)])
    element = MPI.BYTE.Create_contiguous(block.itemsize).Commit()
    operation = MPI.Op.Create(_operation(score.dtype, threads), commute=True)
    try:
        for part in spans(score.size, REDUCED):
            blocks = _blocks(score[part], index[part], block)
            if communicator.rank == root:
                wait(communicator.Ireduce(MPI.IN_PLACE, [blocks, len(blocks), element], operation, root))
                _unblock(blocks, score[part], index[part])
            else:
                wait(communicator.Ireduce([blocks, len(blocks), element], None, operation, root))
    finally:
        operation.Free()  # MPI holds only so many
        element.Free()


def _operation(dtype: np.dtype[Any], threads: int) -> Callable[..., None]:
    """The operation of an MPI_Reduce of blocks of scores of this type."""
    size = ELEMENT * (dtype.itemsize + 4)

    def operation(incoming: MPI.buffer, inout: MPI.buffer, _: MPI.Datatype) -> None:
        maps = [np.asarray(maps_of).view(kind).reshape(-1, size // np.dtype(kind).itemsize)
                for maps_of in (inout, incoming) for kind in (dtype, np.int32)]
        count = len(maps[0])
        parts = min(threads, count * ELEMENT // SLICE)
        in_parts(lambda part: _merge(*(part_of[part] for part_of in maps)), count, parts)

    return operation


@kernel
def _merge(score: Array, index: Array, other_score: Array, other_index: Array) -> None:
    """Fold blocks as `score_map.merge` does maps; each (blocks, values), blocks seen as scores or indices."""
    first = index.shape[1] - ELEMENT
    for b in range(score.shape[0]):
        for i in range(ELEMENT):
            new, k = other_score[b, i], other_index[b, first + i]
            better = (new > score[b, i]) | ((new == score[b, i]) & (k < index[b, first + i]))
            score[b, i] = new if better else score[b, i]
            index[b, first + i] = k if better else index[b, first + i]


def _blocks(score: Array, index: Array, block: np.dtype[Any]) -> Array:
    """Maps, (n,), as blocks; the last one is filled up with pixels where nothing was scored."""
    blocks = np.empty(-(-score.size // ELEMENT), block)
    whole = score.size // ELEMENT
    for name, values, nothing in (("score", score, NO_SCORE), ("index", index, -1)):
        blocks[name][:whole] = values[: whole * ELEMENT].reshape(whole, ELEMENT)
        if whole < len(blocks):
            blocks[name][whole] = nothing
            blocks[name][whole, : score.size - whole * ELEMENT] = values[whole * ELEMENT :]
    return blocks


def _unblock(blocks: Array, score: Array, index: Array) -> None:
    """Put the blocks back into maps, (n,)."""
    for name, values in (("score", score), ("index", index)):
        whole = score.size // ELEMENT
        values[: whole * ELEMENT].reshape(whole, ELEMENT)[:] = blocks[name][:whole]
        values[whole * ELEMENT :] = blocks[name][whole:].reshape(-1)[: score.size - whole * ELEMENT]
