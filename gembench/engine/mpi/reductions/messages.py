"""What the reductions share: spans of long maps, waiting that leaves the core to others, the fold."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.score_map import merge

if TYPE_CHECKING:
    from mpi4py import MPI

Array = NDArray[Any]
LONGEST_MESSAGE = 1 << 27  # pixels of the longest message: 1 GiB, since not every MPI counts beyond 2^31
YIELDS = 10  # looks at a message before the first sleep: 200 took 1.7 times the processor time on 8 nodes
LONGEST_SLEEP = 1e-3  # seconds
SLICE = 1 << 18  # fewest pixels worth a thread of their own: 0.3 ms of folding


def spans(size: int, length: int) -> Iterator[slice]:
    """Slices of `length` pixels, the last one shorter, that cover `size` pixels."""
    return (slice(start, min(start + length, size)) for start in range(0, size, length))


def halves(buffer: Array, pixels: int, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """A buffer of bytes seen as the scores of so many pixels, of that type, followed by their indices."""
    middle = pixels * dtype.itemsize
    return buffer[:middle].view(dtype), buffer[middle : middle + 4 * pixels].view(np.int32)


def wait(*requests: MPI.Request) -> None:
    """Wait for messages; see `wait_until`."""
    from mpi4py import MPI

    wait_until(lambda: MPI.Request.Testall(list(requests)))


def wait_until(ready: Callable[[], bool]) -> None:
    """Wait without keeping the core from other ranks, as most MPIs' own waiting does."""
    looks, sleep = 0, 2e-5
    while not ready():
        looks += 1
        if looks < YIELDS:
            os.sched_yield()
        else:
            time.sleep(sleep)
            sleep = min(1.5 * sleep, LONGEST_SLEEP)


def fold(score: Array, index: Array, other_score: Array, other_index: Array, threads: int = 1) -> None:
    """Fold other maps, (n,), into `score` and `index`, (n,), on so many threads; ties keep the lowest."""
    def fold_part(part: slice) -> None:
        merge(*(array[None, part] for array in (score, index, other_score, other_index)))

    in_parts(fold_part, score.size, min(threads, score.size // SLICE))


def in_parts(function: Callable[[slice], None], size: int, parts: int) -> None:
    """Call a function, which must release the GIL, with slices that cover `size`, on a thread each."""
    if parts < 2:
        function(slice(0, size))
        return
    with ThreadPoolExecutor(parts) as pool:  # some 0.1 ms; numba's own threads obey OMP_NUM_THREADS
        for _ in pool.map(function, spans(size, -(-size // parts))):
            pass
