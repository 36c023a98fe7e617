"""Searches by real ranks, on emulated nodes, on simulated clusters and by a closed form."""

from __future__ import annotations

import math
import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from gembench.study.clusters import model, netns, ranks, simulation
from gembench.study.clusters.machines import BANK, CLUSTERS, MICROGRAPH, NETWORKS
from gembench.study.clusters.sheet import Entry

TIME_LIMIT = 300.0  # seconds of one launch


@dataclass(frozen=True)
class Searches:
    """What is measured together.

    evidence: real, emulated, simulated or model; machine: here, a network's name or a cluster's
    n: pixels a side of the micrographs; templates: of the bank; cases: nodes, storage, mode, micrographs
    template: pixels a side of an egg's box, 0 for KLH; keep: whether turned templates stay in memory
    """

    evidence: str
    machine: str
    n: int
    templates: int
    cases: tuple[tuple[int, str, str, int], ...]
    template: int = 0
    keep: bool = False

    axes = ("nodes", "storage", "distribute", "micrographs")

    def unavailable(self) -> str:
        """Why this cannot be measured here, '' if it can."""
        if self.evidence == "simulated":
            return simulation.unavailable()
        if self.evidence == "model":
            return ""
        emulated = self.evidence == "emulated"
        reason = ranks.unavailable(emulated=emulated) or (emulated and netns.unavailable()) or ""
        return reason or self._cores()

    def _cores(self) -> str:
        most, there = max(case[0] for case in self.cases), len(os.sched_getaffinity(0))
        return f"{most} ranks need {most} cores of {there}" if most > there else ""

    def measure(self, rounds: int) -> list[Entry]:
        """One entry for every round of every case."""
        if self.evidence == "model":
            return [self._entry(case, self._model(*case)) for case in self.cases]
        if self.evidence == "simulated":
            jobs = [self._job(*case) for case in self.cases]
            return [self._entry(case, seconds)
                    for case, seconds in zip(self.cases, simulation.simulate(jobs), strict=True)]
        plan = {"n": self.n, "template": self.template, "templates": self.templates, "keep": self.keep,
                "rounds": rounds, "cases": [(nodes, mode, count) for nodes, _, mode, count in self.cases]}
        most = max(case[0] for case in self.cases)
        with self._network(most) as nodes:
            told = ranks.launch("rank_search", plan, most, nodes=nodes, time_limit=TIME_LIMIT)
        if told.error:
            raise RuntimeError(told.error)
        storage = self.cases[0][1]
        return [{**entry, "distribute": entry["mode"], "storage": storage} for entry in told.entries]

    def _network(self, nodes: int) -> AbstractContextManager[netns.Nodes | None]:
        if self.evidence == "real":
            return nullcontext()
        return netns.emulated_nodes(nodes, NETWORKS[self.machine].bandwidth)

    def _entry(self, case: tuple[int, str, str, int], seconds: float) -> Entry:
        return {**dict(zip(self.axes, case, strict=True)), "seconds": seconds, "right": True}

    def pace(self) -> float:
        """Templates that a worker correlates in a second: the paper's pace at 4096^2, by pixels."""
        return CLUSTERS[self.machine].pace * (MICROGRAPH / self.n) ** 2

    def reduction_seconds(self, nodes: int) -> float:
        """Of the default reduction, which is a chain between nodes, folded on all cores."""
        cluster = CLUSTERS[self.machine]
        return model.chain(nodes, model.costs_of(cluster, self.n, cluster.cores)) if nodes > 1 else 0.0

    def _job(self, nodes: int, storage: str, mode: str, micrographs: int) -> simulation.SearchJob:
        return simulation.SearchJob(self.machine, nodes, storage, self.templates, self.pace(), micrographs,
                                    mode, self.reduction_seconds(nodes))

    def _model(self, nodes: int, storage: str, mode: str, micrographs: int) -> float:
        """The first micrograph waits for storage, the others find the templates in memory."""
        cluster = CLUSTERS[self.machine]
        if mode == "templates":
            first = model.search_seconds(cluster, nodes, storage, templates=self.templates, pace=self.pace())
            later = math.ceil(math.ceil(self.templates / nodes) / cluster.workers) / self.pace()
            return first + (micrographs - 1) * later + micrographs * self.reduction_seconds(nodes)
        busy = min(nodes, micrographs)
        each = math.ceil(self.templates / cluster.workers) / self.pace()
        first = model.search_seconds(cluster, 1, "local", templates=self.templates, pace=self.pace())
        if storage != "local":
            first = max(first, model.storage_seconds(storage, busy * self.templates))
        return first + (math.ceil(micrographs / nodes) - 1) * each


def paper_bank(evidence: str, machine: str, storages: tuple[str, ...]) -> Searches:
    """The paper's bank and micrograph on 1, 2, 4 ... all nodes of a cluster."""
    cluster = CLUSTERS[machine]
    nodes = [2**k for k in range(cluster.nodes.bit_length())]
    cases = tuple((p, storage, "templates", 1) for storage in storages for p in nodes)
    return Searches(evidence, machine, MICROGRAPH, BANK, cases)
