"""SimGrid: the paper's clusters step by step, message by message and template by template.

One process simulates once, so `simulate` starts a process that forks another for every job. Platforms are
built in code: nodes around a switch that never blocks, links with both ways apart, the flow model CM02.
Debian's python3-simgrid is found where Debian puts it, also from a virtual environment of the same Python.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from gembench.study.clusters.machines import CLUSTERS, PIXEL_BYTES, STORAGE, Cluster
from gembench.study.clusters.model import Costs, costs_of, segments

EXTENSION = f"simgrid{sysconfig.get_config_var('EXT_SUFFIX')}"
DEBIAN = Path("/usr/lib/python3/dist-packages") / EXTENSION
# InfiniBand: flows share links fairly, no TCP window limits them, no acknowledgements travel the other way.
SETTINGS = ("--cfg=network/model:CM02", "--cfg=network/TCP-gamma:0", "--cfg=network/crosstraffic:0",
            "--log=root.thresh:error")
TIME_LIMIT = 300.0  # seconds for all jobs of a call


@dataclass(frozen=True)
class ReductionJob:
    """One reduction of maps of n^2 pixels over the first nodes of a cluster; the root is node 0."""

    cluster: str
    nodes: int
    strategy: str
    n: int
    threads: int = 1


@dataclass(frozen=True)
class SearchJob:
    """A bank of templates against micrographs on the first nodes of a cluster.

    pace: templates a worker correlates in a second; distribute: micrographs or templates
    reduction: seconds of one reduction, added after every micrograph whose templates are shared out
    """

    cluster: str
    nodes: int
    storage: str
    templates: int
    pace: float
    micrographs: int = 1
    distribute: str = "templates"
    reduction: float = 0.0


Job = ReductionJob | SearchJob


def unavailable() -> str:
    """Why SimGrid cannot be used here, '' if it can."""
    if importlib.util.find_spec("simgrid") or DEBIAN.exists():
        return ""
    return f"no SimGrid for Python {sys.version_info.major}.{sys.version_info.minor}" \
        " (Debian: apt-get install python3-simgrid)"


def simulate(jobs: Sequence[Job]) -> list[float]:
    """The simulated seconds of every job.

    Raises RuntimeError with SimGrid's last words if a simulation fails.
    """
    asked = json.dumps([{"kind": type(job).__name__, **asdict(job)} for job in jobs])
    done = subprocess.run([sys.executable, "-m", __name__], input=asked, capture_output=True, text=True,
                          timeout=TIME_LIMIT, check=False)
    if done.returncode:
        raise RuntimeError(f"SimGrid: {(done.stderr.strip().splitlines() or ['no words'])[-1]}")
    seconds: list[float] = json.loads(done.stdout.splitlines()[-1])
    return seconds


def load_simgrid() -> ModuleType:
    """The module, the environment's own or Debian's."""
    spec = importlib.util.find_spec("simgrid") or importlib.util.spec_from_file_location("simgrid", DEBIAN)
    if spec is None or spec.loader is None:
        raise RuntimeError(unavailable())
    module = sys.modules["simgrid"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Platform:
    """A cluster in SimGrid: `hosts` and their mailboxes."""

    def __init__(self, simgrid: ModuleType, cluster: Cluster, nodes: int) -> None:
        self.simgrid, self.cluster = simgrid, cluster
        self.engine = simgrid.Engine(["gembench", *SETTINGS])
        zone = simgrid.NetZone.create_star_zone("switch")
        self.hosts = [self._host(zone, number) for number in range(nodes)]
        self.disks = [host.create_disk(f"disk{number}", STORAGE["local"].bandwidth, 1e6)
                      for number, host in enumerate(self.hosts)]
        zone.seal()

    def _host(self, zone: Any, number: int) -> Any:
        """A node and its link; work on it is time that passes, since no node has more actors than cores."""
        host = zone.create_host(f"node{number}", 1.0)
        for way, ends in (("up", (host.netpoint, None)), ("down", (None, host.netpoint))):
            link = zone.create_link(f"{way}{number}", self.cluster.bandwidth)
            link.set_latency(self.cluster.latency / 2).seal()
            zone.add_route(*ends, None, None, [self.simgrid.LinkInRoute(link)], False)
        return host

    def box(self, name: object) -> Any:
        """A mailbox."""
        return self.simgrid.Mailbox.by_name(str(name))

    def start(self, number: int, actor: Callable[[], None]) -> None:
        """Have an actor begin on a node."""
        self.simgrid.Actor.create(f"actor on node {number}", self.hosts[number], actor)

    def run(self) -> float:
        """Simulate; returns the seconds until the last actor ends."""
        self.engine.run()
        return float(self.engine.clock)


def reduce(platform: Platform, job: ReductionJob) -> None:
    """Start the actors of a reduction."""
    costs = costs_of(platform.cluster, job.n, job.threads)
    size = job.n**2 * PIXEL_BYTES
    for rank in range(job.nodes):
        platform.start(rank, _bound(REDUCTIONS[job.strategy], platform, rank, job.nodes, size, costs))


def _bound(function: Callable[..., None], *arguments: Any) -> Callable[[], None]:
    """SimGrid takes plain functions only."""
    return lambda: function(*arguments)


def _direct(platform: Platform, rank: int, ranks: int, size: int, costs: Costs) -> None:
    if rank:
        platform.box(rank).put("maps", size)
        return
    for source in range(1, ranks):
        platform.box(source).get()
        platform.simgrid.this_actor.sleep_for(costs.fold)


def _tree(platform: Platform, rank: int, ranks: int, size: int, costs: Costs) -> None:
    """The binomial tree: in round k ranks with bit k set send and are done, the others receive and fold."""
    bit = 1
    while bit < ranks:
        if rank & bit:
            platform.box(rank).put("maps", size)
            return
        if rank + bit < ranks:
            platform.box(rank + bit).get()
            platform.simgrid.this_actor.sleep_for(costs.fold)
        bit <<= 1


def _scatter(platform: Platform, rank: int, ranks: int, size: int, costs: Costs) -> None:
    """Every pair exchanges a part, then the root gathers the folded parts."""
    part = size // ranks
    for distance in range(1, ranks):
        to, source = (rank + distance) % ranks, (rank - distance) % ranks
        sent = platform.box(f"{rank}>{to}").put_async("part", part)
        platform.box(f"{source}>{rank}").get()
        platform.simgrid.this_actor.sleep_for(costs.fold / ranks)
        sent.wait()
    if rank:
        platform.box(rank).put("folded", part)
        return
    for source in range(1, ranks):
        platform.box(source).get()


def _chain(platform: Platform, rank: int, ranks: int, size: int, costs: Costs) -> None:
    """Segments go from rank to rank; the next one is received while one is folded."""
    pieces = segments(ranks, costs)
    sent: list[Any] = []
    incoming = platform.box(rank + 1)
    last = rank == ranks - 1
    coming = None if last else incoming.get_async()  # a pair, both of which must stay alive
    for number in range(pieces):
        if coming is not None:
            coming[0].wait()
            coming = incoming.get_async() if number < pieces - 1 else None
            platform.simgrid.this_actor.sleep_for(costs.fold / pieces)
        if rank:
            sent.append(platform.box(rank).put_async("segment", size // pieces))
    for one in sent:
        one.wait()


REDUCTIONS: dict[str, Callable[..., None]] = {
    "direct": _direct, "tree": _tree, "scatter": _scatter, "chain": _chain,
}


def search(platform: Platform, job: SearchJob) -> None:
    """Start the actors of a search: a producer on every node, and its workers."""
    if job.distribute == "templates":
        shares = [[len(range(rank, job.templates, job.nodes))] * job.micrographs for rank in range(job.nodes)]
    else:
        shares = [[job.templates] * len(range(rank, job.micrographs, job.nodes)) for rank in range(job.nodes)]
    everyone = platform.simgrid.Barrier(job.nodes)
    for rank, share in enumerate(shares):
        platform.start(rank, _bound(_node, platform, rank, share, job, everyone))


def _node(platform: Platform, rank: int, share: list[int], job: SearchJob, everyone: Any) -> None:
    """One micrograph after another; templates are read for the first one and kept."""
    for number, templates in enumerate(share):
        _micrograph(platform, rank, templates, job, read=number == 0)
        if job.distribute == "templates":
            everyone.wait()
            platform.simgrid.this_actor.sleep_for(job.reduction)


def _micrograph(platform: Platform, rank: int, templates: int, job: SearchJob, *, read: bool) -> None:
    """The producer fills a bounded queue, workers empty it; ends when the last worker has.

    Templates are read and correlated a few at a time, but one by one in the beginning and at the end.
    """
    simgrid, device = platform.simgrid, STORAGE[job.storage]
    disk = platform.disks[rank if job.storage == "local" else 0]
    workers = min(platform.cluster.workers, templates)
    if not workers:
        return
    waiting, free = simgrid.Semaphore(0), simgrid.Semaphore(2 * workers)
    done = simgrid.Barrier(workers + 1)
    queue: deque[int] = deque()

    def work() -> None:
        while True:
            waiting.acquire()
            taken = queue.popleft()
            if not taken:
                break
            free.release()
            simgrid.this_actor.sleep_for(taken / job.pace)
        done.wait()

    for _ in range(workers):
        platform.start(rank, work)
    start = 0
    while start < templates:
        count = max(1, min(start, templates - start) // (4 * workers))
        start += count
        if read:
            disk.read(round(device.seconds(count) * STORAGE["local"].bandwidth))
        free.acquire()
        queue.append(count)
        waiting.release()
    for _ in range(workers):
        queue.append(0)
        waiting.release()
    done.wait()


def seconds_of(simgrid: ModuleType, asked: dict[str, Any]) -> float:
    """Simulate one job in this process, which can do no second one."""
    kind = asked.pop("kind")
    job = ReductionJob(**asked) if kind == ReductionJob.__name__ else SearchJob(**asked)
    platform = Platform(simgrid, CLUSTERS[job.cluster], job.nodes)
    if isinstance(job, ReductionJob):
        reduce(platform, job)
    else:
        search(platform, job)
    return platform.run()


def _start(simgrid: ModuleType, asked: dict[str, Any]) -> tuple[int, int]:
    """`seconds_of` in a process of its own; returns its id and the pipe that tells the result."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writing, f"{seconds_of(simgrid, asked)!r}\n".encode())
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(writing)
    return child, reading


def _finish(child: int, reading: int) -> float:
    """The result of a process that was started."""
    with os.fdopen(reading) as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    if status:
        raise RuntimeError(f"a simulation ended with exit code {os.waitstatus_to_exitcode(status)}")
    return float(answer)


def main() -> None:
    """Simulate the jobs on standard input, as many at a time as there are cores."""
    jobs = json.load(sys.stdin)
    simgrid = load_simgrid()
    running: deque[tuple[int, int]] = deque()
    seconds = []
    for job in jobs:
        if len(running) == len(os.sched_getaffinity(0)):
            seconds.append(_finish(*running.popleft()))
        running.append(_start(simgrid, job))
    seconds += [_finish(*one) for one in running]
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
