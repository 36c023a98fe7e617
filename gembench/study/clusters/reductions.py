"""The reduction study's four kinds of evidence: real ranks, emulated nodes, simulated clusters, closed forms.

All cases of a setting, one kind of evidence on one machine with maps of one size, are measured together.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from gembench.study.clusters import model, netns, ranks, simulation
from gembench.study.clusters.machines import CLUSTERS, NETWORKS, PIXEL_BYTES
from gembench.study.clusters.series import Series, of_case
from gembench.study.clusters.sheet import Entry

TIME_LIMIT = 400.0  # seconds of one launch
RANK_MAPS = 6  # maps that a rank of a measurement holds at its most: its own, a copy, the other's, MPI's


@dataclass(frozen=True)
class Setting:
    """What is measured together.

    evidence: real, emulated, simulated or model; machine: here, a network's name or a cluster's
    n: pixels a side of the maps; nodes: numbers of ranks; strategies: with their threads
    """

    evidence: str
    machine: str
    n: int
    nodes: tuple[int, ...]
    strategies: tuple[tuple[str, int], ...]

    axes = ("nodes", "strategy", "threads")

    def unavailable(self) -> str:
        """Why this cannot be measured here, '' if it can."""
        if self.evidence == "simulated":
            return simulation.unavailable()
        if self.evidence == "model":
            return ""
        emulated = self.evidence == "emulated"
        return ranks.unavailable(emulated=emulated) or (emulated and netns.unavailable()) or self._memory()

    def _memory(self) -> str:
        import psutil

        need = max(self.nodes) * RANK_MAPS * self.n**2 * PIXEL_BYTES / 2**30
        there = psutil.virtual_memory().total / 2**30
        return f"{max(self.nodes)} ranks need {need:.0f} GiB of {there:.0f}" if need > 0.8 * there else ""

    def bound(self, copied: float = 0.0) -> Callable[[int], float]:
        """Seconds that p ranks need at least.

        On a network m / B, what the root has to receive; in one memory every rank's maps are read and the
        result is written, (p + 1) m at the `copied` bytes a second.
        """
        size = self.n**2 * PIXEL_BYTES
        if self.evidence == "real":
            return lambda p: (p + 1) * size / copied
        links = NETWORKS if self.evidence == "emulated" else CLUSTERS
        return lambda p: size / links[self.machine].bandwidth

    def measure(self, rounds: int) -> list[Entry]:
        """One entry for every round of every case: nodes, strategy, threads, seconds, right; or an error."""
        if self.evidence == "model":
            return [self._entry(p, name, threads, model.STRATEGIES[name](p, self._costs(threads)))
                    for p in self.nodes for name, threads in self.strategies]
        if self.evidence == "simulated":
            cases = [(p, name, threads) for p in self.nodes for name, threads in self.strategies]
            jobs = [simulation.ReductionJob(self.machine, p, name, self.n, threads)
                    for p, name, threads in cases]
            return [self._entry(*case, seconds)
                    for case, seconds in zip(cases, simulation.simulate(jobs), strict=True)]
        return self._launched(rounds)

    def _costs(self, threads: int) -> model.Costs:
        return model.costs_of(CLUSTERS[self.machine], self.n, threads)

    def _entry(self, nodes: int, strategy: str, threads: int, seconds: float) -> Entry:
        return {"nodes": nodes, "strategy": strategy, "threads": threads, "seconds": seconds}

    def _network(self) -> AbstractContextManager[netns.Nodes | None]:
        if self.evidence == "real":
            return nullcontext()
        return netns.emulated_nodes(max(self.nodes), NETWORKS[self.machine].bandwidth)

    def _launched(self, rounds: int) -> list[Entry]:
        """By real ranks; a strategy that ends the launch is left out of the next one.

        Raises RuntimeError if no strategy had begun when a launch ended with an error.
        """
        left, errors = list(self.strategies), list[Entry]()
        entries: list[Entry] = []
        while left:
            plan = {"n": self.n, "nodes": self.nodes, "rounds": rounds,
                    "strategies": [(name + "+threads" * (threads > 1), threads) for name, threads in left]}
            with self._network() as nodes:
                told = ranks.launch("rank_reduction", plan, max(self.nodes), nodes=nodes,
                                    time_limit=TIME_LIMIT)
            entries = [entry for entry in told.entries if entry.get("round")]
            if not told.error:
                break
            begun = [entry for entry in told.entries if "begun" in entry]
            if not begun:
                raise RuntimeError(told.error)
            broken = (begun[-1]["begun"].removesuffix("+threads"), begun[-1]["threads"])
            left.remove(broken)
            errors += [{"nodes": p, "strategy": broken[0], "threads": broken[1], "error": told.error}
                       for p in self.nodes]
        for entry in entries:
            if "strategy" in entry:
                entry["strategy"] = entry["strategy"].removesuffix("+threads")
        return entries + errors


@dataclass
class ReductionSeries(Series):
    """The samples of one case, and what they are compared with."""

    setting: Setting

    def copied(self) -> float:
        """Bytes a second that the ranks copied together, where they share a memory; the median of rounds."""
        rounds = [float(entry["copied"]) for entry in self.entries
                  if "copied" in entry and entry["nodes"] == self.case["nodes"]]
        return statistics.median(rounds)

    def bound(self) -> float:
        """Seconds that this case needs at least."""
        copied = self.copied() if self.setting.evidence == "real" else 0.0
        return self.setting.bound(copied)(self.case["nodes"])

    def curve(self) -> dict[int, float]:
        """The median seconds of this strategy by the number of ranks."""
        seconds: dict[int, list[float]] = {}
        for entry in self.entries:
            if "seconds" in entry and of_case(entry, self.case, ("strategy", "threads")):
                seconds.setdefault(entry["nodes"], []).append(entry["seconds"])
        return {p: statistics.median(all_rounds) for p, all_rounds in sorted(seconds.items())}
