"""What every rank of the reduction study does: fresh maps each round, a barrier, a reduction, a check.

One launch measures every strategy on several numbers of ranks; those that are left out sleep meanwhile.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any, cast

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from gembench.engine.mpi.reductions import empty_maps, reduce_maps
from gembench.engine.mpi.reductions.keys import packed, unpack
from gembench.engine.score_map import ScoreMap, merge
from gembench.study.clusters.counts import COUNTED, folded_pixels, received_bytes
from gembench.study.clusters.fresh import expected, fresh_maps, same
from gembench.study.measure.memory import forget_peak, peak_rss

Array = NDArray[Any]
COPIES = 4  # one after another, so that ranks that start late matter little


def sleep_until(request: MPI.Request) -> None:
    """Wait without taking time from the ranks that are measured."""
    while not request.Test():
        time.sleep(0.02)


def copied_bytes_per_second(communicator: MPI.Intracomm, source: Array, target: Array) -> float:
    """Bytes that all ranks together read and write in a second when all of them copy at once.

    From the first rank's start to the last one's end: all ranks are on one machine and read one clock.
    """
    np.copyto(target, source)  # so that no page is new
    communicator.Barrier()
    start = time.perf_counter()
    for _ in range(COPIES):
        np.copyto(target, source)
    end = communicator.allreduce(time.perf_counter(), MPI.MAX)
    elapsed = end - communicator.allreduce(start, MPI.MIN)
    return float(communicator.size * COPIES * 2 * source.nbytes / elapsed)


def timed(
    communicator: MPI.Intracomm, maps: ScoreMap, name: str, threads: int, link: str
) -> tuple[dict[str, float], ScoreMap | None]:
    """Seconds of the slowest rank, from a barrier on, with what was counted, and the root's result.

    Counts are numbers of whole maps; bytes that arrive are counted where the nodes' link has this name.
    """
    before = received_bytes(link)
    communicator.Barrier()
    with folded_pixels() as pixels:
        start = time.perf_counter()
        result = reduce_maps(communicator, maps, name=name, threads=threads)
        seconds = time.perf_counter() - start
    after = received_bytes(link)
    measured = {"seconds": communicator.allreduce(seconds, MPI.MAX)}
    if name.split("+")[0] in COUNTED:
        measured |= counted("folds", "folds", communicator, sum(pixels) / maps.score.size)
    if before is not None and after is not None:
        size = maps.score.nbytes + maps.index.nbytes
        measured |= counted("receives", "receive", communicator, (after - before) / size)
    return measured, result


def counted(root: str, everybody: str, communicator: MPI.Intracomm, count: float) -> dict[str, float]:
    """A count of the root, and its sum over all ranks."""
    return {f"root_{root}": communicator.bcast(count), f"all_{everybody}": communicator.allreduce(count)}


def peak_memory(communicator: MPI.Intracomm) -> dict[str, int | None]:
    """Bytes that the ranks held at their peaks since `forget_peak`: of the largest, and of all together.

    Both are None where the system does not tell. A page that ranks share counts in each of them.
    """
    peaks = [peak for peak in communicator.allgather(peak_rss()) if peak is not None]
    if len(peaks) < communicator.size:
        return {"peak_rss": None, "peak_rss_sum": None}
    return {"peak_rss": max(peaks), "peak_rss_sum": sum(peaks)}


def tell(**entry: Any) -> None:
    """One line to who has started the ranks."""
    print(json.dumps(entry), flush=True)


def one_round(plan: dict[str, Any], n: int, communicators: dict[int, MPI.Intracomm], number: int) -> None:
    """Every strategy on every number of ranks, in turned order every other round, with maps of its own."""
    world = MPI.COMM_WORLD
    fresh = fresh_maps((n, n), world.rank, world.size, number)
    work = ScoreMap(np.empty_like(fresh.score), np.empty_like(fresh.index))
    exact = expected((n, n), plan["nodes"], world.size, number) if world.rank == 0 else {}
    for nodes, communicator in communicators.items():
        sleep_until(world.Ibarrier())
        if communicator == MPI.COMM_NULL:
            continue
        rate = copied_bytes_per_second(communicator, fresh.score, work.score)
        if world.rank == 0:
            tell(nodes=nodes, round=number, copied=rate)
        for name, threads in plan["strategies"][:: 1 if number % 2 else -1]:
            liked = empty_maps(communicator, (n, n), fresh.score.dtype, name=name)
            maps = ScoreMap(*liked) if liked else work
            np.copyto(maps.score, fresh.score)
            np.copyto(maps.index, fresh.index)
            if world.rank == 0:
                tell(begun=name, nodes=nodes, threads=threads)
            forget_peak()
            measured, result = timed(communicator, maps, name, threads, plan["link"])
            memory = peak_memory(communicator)
            if result is not None:
                right = same(result, exact[nodes])
                tell(nodes=nodes, strategy=name, threads=threads, round=number, right=right, **measured,
                     **memory)


def first_ranks(count: int) -> MPI.Intracomm:
    """A communicator of the first ranks; COMM_NULL on the others."""
    world = MPI.COMM_WORLD
    return cast("MPI.Intracomm", world.Split(0 if world.rank < count else MPI.UNDEFINED, world.rank))


def warm_up() -> None:
    """Have the kernels compiled, or loaded, before ranks are forked."""
    maps, other = fresh_maps((64, 64), 0, 1, 0), fresh_maps((64, 64), 1, 2, 0)
    merge(maps.score, maps.index, other.score, other.index)
    keys = packed(maps.score.ravel(), maps.index.ravel())
    unpack(keys, maps.score.ravel(), maps.index.ravel())


def main() -> None:
    """Measure by the plan in the argument; round 0, with small maps, connects the ranks and is not told."""
    plan = json.loads(sys.argv[1])
    world = MPI.COMM_WORLD
    communicators = {nodes: first_ranks(nodes) for nodes in plan["nodes"]}
    for number in range(plan["rounds"] + 1):
        one_round(plan, plan["n"] if number else plan["n"] // 4, communicators, number)
    sleep_until(world.Ibarrier())


if __name__ == "__main__":
    main()
