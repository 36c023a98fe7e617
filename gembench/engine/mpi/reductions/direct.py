"""`direct`: every rank sends its maps to the root, which folds one after another (gEMpicker 2013)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gembench.engine.mpi.reductions.messages import LONGEST_MESSAGE, Array, fold, spans, wait

if TYPE_CHECKING:
    from mpi4py import MPI


def reduce(
    communicator: MPI.Intracomm, score: Array, index: Array, *, threads: int = 1, root: int = 0
) -> None:
    """Fold all ranks' maps, (n,), into the root's, by plain messages; time grows as the number of ranks."""
    if communicator.rank != root:
        for part in spans(score.size, LONGEST_MESSAGE):
            wait(communicator.Isend(score[part], root), communicator.Isend(index[part], root))
        return
    other_score, other_index = np.empty_like(score), np.empty_like(index)
    for rank in range(communicator.size):
        if rank == root:
            continue
        for part in spans(score.size, LONGEST_MESSAGE):
            wait(communicator.Irecv(other_score[part], rank), communicator.Irecv(other_index[part], rank))
        fold(score, index, other_score, other_index, threads)
