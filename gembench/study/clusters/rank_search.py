"""What every rank of the studies of clusters and distributions does: searches, shared out one way or another.

Maps are compared by their checksums with those of one process, whose first map is compared with direct sums.
"""

from __future__ import annotations

import json
import sys
import time
import zlib
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from gembench.data.workload import Workload, egg_bank
from gembench.engine.bank import TemplateBank
from gembench.engine.exact.producer import CPUSearch
from gembench.engine.mpi.distribution import hand_out, take
from gembench.engine.mpi.reductions import empty_maps, reduce_maps
from gembench.engine.score_map import ScoreMap, finished
from gembench.study.clusters.rank_reduction import first_ranks, peak_memory, sleep_until, tell
from gembench.study.measure.memory import forget_peak

Array = NDArray[Any]
Searched = tuple[list[int], list[list[float]]]  # checksums, and clocks as `reduction_seconds` has them
KEEP = 1 << 30  # bytes
PLACES = 20  # of a micrograph at which scores are compared with direct sums


def bank_of(plan: dict[str, Any]) -> TemplateBank:
    """KLH's two views turned in the plane, or turns of an egg where a box size is given."""
    if plan["template"]:
        return egg_bank(plan["template"], plan["templates"])
    from gembench.data.templates import simulated_templates

    views, masks = simulated_templates()
    return TemplateBank(views, masks, np.arange(plan["templates"] // 2) * 720 / plan["templates"])


def checksum(maps: ScoreMap) -> int:
    """One number for the bytes of maps."""
    return zlib.crc32(maps.index.tobytes(), zlib.crc32(maps.score.tobytes()))


def by_templates(communicator: MPI.Intracomm, search: CPUSearch, micrographs: list[Array]) -> Searched:
    """All ranks search each micrograph with their share of the bank; checksums on the root."""
    sums, searched, reduced = [], [], []
    for micrograph in micrographs:
        shape = (micrograph.shape[0], micrograph.shape[1])
        search.maps = empty_maps(communicator, shape, search.dtype)
        partial = search.partial(micrograph)
        searched.append(time.perf_counter())
        whole = reduce_maps(communicator, partial)
        reduced.append(time.perf_counter())
        if whole is not None:
            sums.append(checksum(finished(whole)))
    return sums, [searched, reduced]


def by_micrographs(communicator: MPI.Intracomm, search: CPUSearch, micrographs: list[Array]) -> Searched:
    """Whoever is free searches the next micrograph with the whole bank; the root has the checksums."""
    def work(micrograph: Array) -> int:
        return checksum(search.run(micrograph))

    if communicator.rank:
        take(communicator, micrographs, work)
        return [], []
    return list(hand_out(communicator, micrographs, work)), []


def reduction_seconds(communicator: MPI.Intracomm, clocks: list[list[float]]) -> float:
    """Seconds from the end of the slowest rank's search to that of the reduction, over all micrographs.

    clocks: of this rank, at the end of each search and of each reduction; all ranks read one machine's clock
    """
    slowest = np.array(clocks)
    communicator.Allreduce(MPI.IN_PLACE, slowest, MPI.MAX)
    return float((slowest[1] - slowest[0]).sum())


MODES = {"templates": by_templates, "micrographs": by_micrographs}


class Engines:
    """The searches of this rank by the part of the bank they have, made when first needed."""

    def __init__(self, bank: TemplateBank, keep: bool) -> None:
        self.bank, self.keep = bank, keep
        self.known: dict[tuple[int, int], CPUSearch] = {}

    def get(self, share: tuple[int, int]) -> CPUSearch:
        """The search of one part; templates are turned anew for every micrograph unless they are kept."""
        if share not in self.known:
            self.known[share] = CPUSearch(self.bank, share=share, keep_bytes=KEEP if self.keep else 0)
        return self.known[share]


def main() -> None:
    """Measure by the plan in the argument; round 0 makes the engines and is not told.

    One thread a rank. cases: [ranks, mode, number of micrographs] each; keep: whether turned templates stay
    """
    plan = json.loads(sys.argv[1])
    world = MPI.COMM_WORLD
    bank = bank_of(plan)
    most = max(micrographs for _, _, micrographs in plan["cases"])
    first = Workload.make((plan["n"], plan["n"]), bank, PLACES)
    micrographs = [np.roll(first.micrograph, 16 * shift, 1) for shift in range(most)]
    engines = Engines(bank, plan["keep"])
    communicators = {count: first_ranks(count) for count in sorted({case[0] for case in plan["cases"]})}
    exact = reference(first, micrographs) if world.rank == 0 else []
    for number in range(plan["rounds"] + 1):
        for nodes, mode, count in plan["cases"][:: 1 if number % 2 else -1]:
            sleep_until(world.Ibarrier())
            communicator = communicators[nodes]
            if communicator == MPI.COMM_NULL:
                continue
            engine = engines.get((communicator.rank, nodes) if mode == "templates" else (0, 1))
            forget_peak()
            communicator.Barrier()
            start = time.perf_counter()
            sums, clocks = MODES[mode](communicator, engine, micrographs[: count if number else 1])
            seconds = communicator.allreduce(time.perf_counter() - start, MPI.MAX)
            memory = peak_memory(communicator)
            reducing = reduction_seconds(communicator, clocks) if clocks else 0.0
            if number and world.rank == 0:
                tell(nodes=nodes, distribute=mode, micrographs=count, round=number, seconds=seconds,
                     reduction_seconds=reducing, right=sorted(sums) == sorted(exact[:count]), **memory)
    sleep_until(world.Ibarrier())


def reference(first: Workload, micrographs: list[Array]) -> list[int]:
    """The checksums of one process alone.

    Raises ValueError if its first map is not that of direct sums.
    """
    with CPUSearch(first.bank) as alone:
        maps = alone.run(micrographs[0])
        first.check(maps, "float32")
        return [checksum(maps), *(checksum(alone.run(micrograph)) for micrograph in micrographs[1:])]


def warm_up() -> None:
    """Have the kernels compiled, or loaded, before ranks are forked."""
    bank = egg_bank(16, 4)
    work = Workload.make((64, 64), bank, 5)
    with CPUSearch(bank) as search:
        search.run(work.micrograph)


if __name__ == "__main__":
    main()
