"""`chain`: segments go from rank to rank towards the root, each folding its own in, all at once.

The root receives every segment once, so that the time on a network is little above m / B, what it takes to
receive one rank's maps, for any number of ranks p: (p + s - 2) (a + m / (s B)) with s segments and the
latency a of a message (Rabenseifner and Träff, EuroPVM/MPI 2004, give the family).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from gembench.engine.mpi.reductions.messages import Array, fold, halves, spans, wait

if TYPE_CHECKING:
    from mpi4py import MPI

IN_FLIGHT = 20e3  # bytes that a link carries in a message's latency: 16 Gb/s x 10 us; 1 Gb/s x 0.1 ms is near
SHORTEST, LONGEST = 3 << 14, 1 << 22  # bytes of a segment: a shorter one costs more to handle than to send
DEPTH = 4  # segments of a rank that are under way at a time


def segment_bytes(size: int, ranks: int) -> int:
    """The length of a segment of maps of `size` bytes that takes least time: sqrt(m B a / (p - 2))."""
    best = np.sqrt(size * IN_FLIGHT / max(ranks - 2, 1))
    return int(np.clip(best, SHORTEST, LONGEST))


def reduce(communicator: MPI.Intracomm, score: Array, index: Array, *, root: int = 0) -> None:
    """Fold all ranks' maps, (n,), into the root's, by a pipeline."""
    ranks = communicator.size
    place = (communicator.rank - root) % ranks  # 0 at the root
    source, target = (communicator.rank + 1) % ranks, (communicator.rank - 1) % ranks
    pixel = score.itemsize + index.itemsize
    parts = list(spans(score.size, segment_bytes(score.size * pixel, ranks) // pixel)) if ranks > 1 else []
    ahead = iter(parts if place < ranks - 1 else [])  # segments whose receive is not posted yet
    free = [np.empty(parts[0].stop * pixel, np.uint8) for _ in parts[:DEPTH]]
    coming: deque[tuple[MPI.Request, Array]] = deque()
    going: deque[tuple[MPI.Request, Array]] = deque()
    for part in parts:
        while free and (following := next(ahead, None)):
            buffer = free.pop()
            size = (following.stop - following.start) * pixel
            coming.append((communicator.Irecv(buffer[:size], source), buffer))
        if place == ranks - 1:
            buffer = free.pop()
            other_score, other_index = halves(buffer, part.stop - part.start, score.dtype)
            other_score[:], other_index[:] = score[part], index[part]
        else:
            request, buffer = coming.popleft()
            wait(request)
            other_score, other_index = halves(buffer, part.stop - part.start, score.dtype)
        if place == 0:
            fold(score[part], index[part], other_score, other_index)
            free.append(buffer)
            continue
        if place < ranks - 1:
            fold(other_score, other_index, score[part], index[part])
        size = (part.stop - part.start) * pixel
        going.append((communicator.Isend(buffer[:size], target), buffer))
        if len(going) > DEPTH // 2:
            request, buffer = going.popleft()
            wait(request)
            free.append(buffer)
    wait(*(request for request, _ in going))
