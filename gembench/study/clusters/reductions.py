"""The reduction study's three kinds of evidence: real ranks, emulated nodes, closed forms.

All cases of a setting, one kind of evidence on one machine with maps of one size, are measured together.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from gembench.study.clusters import netns, ranks
from gembench.study.clusters.model import formulas
from gembench.study.clusters.model.machines import CLUSTERS, NETWORKS, PIXEL_BYTES
from gembench.study.clusters.series import of_case
from gembench.study.clusters.sheet import Entry
from gembench.study.declare.cases import Case
from gembench.study.declare.grid import grid

TIME_LIMIT = 400.0  # seconds of one launch
RANK_MAPS = 6  # maps that a rank of a measurement holds at its most: its own, a copy, the other's, MPI's
COUNTS = ("root_folds", "all_folds", "root_receives", "all_receive")


@dataclass(frozen=True)
class Reductions:
    """Reductions that are measured together.

    evidence: real, emulated or model; machine: here, a network's name or a cluster's
    n: pixels a side of the maps; nodes: numbers of ranks; strategies: with their threads
    """

    evidence: str
    machine: str
    n: int
    nodes: tuple[int, ...]
    strategies: tuple[tuple[str, int], ...]

    axes = ("nodes", "strategy", "threads")

    def cases(self) -> list[Case]:
        """All numbers of ranks of a strategy, one strategy after another."""
        return [case for strategy, threads in self.strategies
                for case in grid(evidence=self.evidence, machine=self.machine, n=self.n, nodes=self.nodes,
                                 threads=threads, strategy=strategy)]

    def unavailable(self, case: Case) -> str:
        """Why this cannot be measured here, '' if it can."""
        if self.evidence == "model":
            return ""
        emulated = self.evidence == "emulated"
        return ranks.unavailable(emulated=emulated) or (emulated and netns.unavailable()) or self._memory()

    def _memory(self) -> str:
        import psutil

        need = max(self.nodes) * RANK_MAPS * self.n**2 * PIXEL_BYTES / 2**30
        there = psutil.virtual_memory().total / 2**30
        return f"{max(self.nodes)} ranks need {need:.0f} GiB of {there:.0f}" if need > 0.8 * there else ""

    def check(self, entry: Entry, case: Case) -> None:
        """Raise ValueError for maps other than a serial fold's, and for formulas faster than their links."""
        if self.evidence == "model":
            least = self.bound(case.nodes)
            if entry["seconds"] < 0.999 * least:
                raise ValueError(f"{entry['seconds']:.3g} s are less than the link needs, {least:.3g} s")
        elif not entry["right"]:
            raise ValueError("the maps differ from those of a serial fold")

    def bound(self, p: int, copied: float = 0.0) -> float:
        """Seconds that p ranks need at least.

        On a network m / B, what the root has to receive; in one memory every rank's maps are read and the
        result is written, (p + 1) m at the `copied` bytes a second.
        """
        size = self.n**2 * PIXEL_BYTES
        if self.evidence == "real":
            return (p + 1) * size / copied
        links = NETWORKS if self.evidence == "emulated" else CLUSTERS
        return size / links[self.machine].bandwidth

    def metrics(self, entries: Sequence[Entry], case: Case) -> Mapping[str, Any]:
        """The bound, R^2 of both shapes over the curve that the case belongs to, and what was counted.

        root_folds, all_folds: maps that the root and all ranks have folded; root_receives, all_receive: maps
        that have arrived by the network there, whatever the MPI did; each where it can be counted
        """
        samples = [entry for entry in entries if of_case(entry, case, self.axes)]
        rates = [entry["copied"] for entry in entries if self.evidence == "real"
                 and "copied" in entry and entry["nodes"] == case.nodes]
        bound = self.bound(case.nodes, statistics.median(rates) if rates else 0.0)
        fit = formulas.shapes(self._curve(entries, case))
        median = statistics.median(entry["seconds"] for entry in samples)
        metrics = {"bound": bound, "times_bound": median / bound, "r2_linear": fit.linear if fit else None,
                   "r2_logarithmic": fit.logarithmic if fit else None}
        for count in COUNTS:
            if count in samples[0]:
                metrics[count] = statistics.median(entry[count] for entry in samples)
        if rates:
            metrics["copied_gb_per_second"] = statistics.median(rates) / 1e9
        if self.machine in CLUSTERS:
            metrics["fold_seconds"] = CLUSTERS[self.machine].fold_seconds(case.n**2, case.threads)
        return metrics

    def _curve(self, entries: Sequence[Entry], case: Case) -> dict[int, float]:
        """The median seconds of the case's strategy by the number of ranks."""
        seconds: dict[int, list[float]] = {}
        for entry in entries:
            if "seconds" in entry and of_case(entry, case, ("strategy", "threads")):
                seconds.setdefault(entry["nodes"], []).append(entry["seconds"])
        return {p: statistics.median(rounds) for p, rounds in sorted(seconds.items())}

    def measure(self, rounds: int) -> list[Entry]:
        """One entry for every round of every case: nodes, strategy, threads, seconds, right; or an error."""
        if self.evidence == "model":
            return [{"nodes": p, "strategy": name, "threads": threads,
                     "seconds": formulas.STRATEGIES[name](p, self._costs(threads))}
                    for p in self.nodes for name, threads in self.strategies]
        return self._launched(rounds)

    def _costs(self, threads: int) -> formulas.Costs:
        return formulas.costs_of(CLUSTERS[self.machine], self.n, threads)

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
                    "link": netns.INSIDE if self.evidence == "emulated" else "",
                    "strategies": [(name + "+threads" * (threads > 1), threads) for name, threads in left]}
            with self._network() as nodes:
                outcome = ranks.launch("rank_reduction", plan, max(self.nodes), nodes=nodes,
                                       time_limit=TIME_LIMIT)
            entries = [entry for entry in outcome.entries if entry.get("round")]
            if not outcome.error:
                break
            begun = [entry for entry in outcome.entries if "begun" in entry]
            if not begun:
                raise RuntimeError(outcome.error)
            broken = (begun[-1]["begun"].removesuffix("+threads"), begun[-1]["threads"])
            left.remove(broken)
            errors += [{"nodes": p, "strategy": broken[0], "threads": broken[1], "error": outcome.error}
                       for p in self.nodes]
        for entry in entries:
            if "strategy" in entry:
                entry["strategy"] = entry["strategy"].removesuffix("+threads")
        return entries + errors
