"""Searches by real ranks, on emulated nodes and by a closed form."""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

from gembench.study.clusters import netns, ranks
from gembench.study.clusters.model import formulas
from gembench.study.clusters.model.machines import BANK, CLUSTERS, MICROGRAPH, NETWORKS, STORAGE
from gembench.study.clusters.series import of_case
from gembench.study.clusters.sheet import Entry
from gembench.study.declare.cases import Case, check_case

TIME_LIMIT = 300.0  # seconds of one launch


class Job(NamedTuple):
    """What so many nodes do: all micrographs, shared out by micrographs or by templates."""

    nodes: int
    storage: str = "local"
    distribute: str = "templates"
    micrographs: int = 1


@dataclass(frozen=True)
class Searches:
    """Searches that are measured together.

    evidence: real, emulated or model; machine: here, a network's name or a cluster's
    n: pixels a side of the micrographs; templates: of the bank; varied: the axes of jobs that cases have
    template: pixels a side of an egg's box, 0 for KLH; keep: whether turned templates stay in memory
    """

    evidence: str
    machine: str
    n: int
    templates: int
    jobs: tuple[Job, ...]
    varied: tuple[str, ...]
    template: int = 0
    keep: bool = False

    axes = Job._fields

    def cases(self) -> list[Case]:
        """A case for every job."""
        shared = {"evidence": self.evidence, "machine": self.machine, "n": self.n,
                  "templates": self.templates}
        return [check_case(shared | {axis: getattr(job, axis) for axis in self.varied}) for job in self.jobs]

    def unavailable(self, case: Case) -> str:
        """Why a case cannot be measured here, '' if it can."""
        if self.evidence == "model":
            return ""
        emulated = self.evidence == "emulated"
        reason = ranks.unavailable(emulated=emulated) or (emulated and netns.unavailable()) or ""
        if not reason and case.nodes > _cores():
            return f"{case.nodes} ranks need {case.nodes} cores of {_cores()}"
        return reason

    def check(self, entry: Entry, case: Case) -> None:
        """Raise ValueError unless all maps are those of one process, byte by byte."""
        if self.evidence != "model" and not entry["right"]:
            raise ValueError("the maps differ from those of one process")

    def metrics(self, entries: Sequence[Entry], case: Case) -> Mapping[str, Any]:
        """The reduction's seconds and share of the time; by a formula also what went into it.

        tree_share: the share of the paper's reduction, where a formula gives it
        """
        samples = [entry for entry in entries if of_case(entry, case, self.axes)]
        metrics: dict[str, Any] = {
            "workers": case.nodes,
            "reduction_seconds": statistics.median(entry["reduction_seconds"] for entry in samples),
            "reduction_share": statistics.median(entry["reduction_seconds"] / entry["seconds"]
                                                 for entry in samples)}
        if self.evidence == "model":
            metrics["workers"] = case.nodes * CLUSTERS[self.machine].workers
            metrics["templates_per_worker_second"] = self.pace()
            if samples[0]["distribute"] == "templates":
                metrics["tree_share"] = self._tree_share(samples[0])
        return metrics

    def _tree_share(self, entry: Entry) -> float:
        """The share of the time that `tree` would take, folded on all of a node's cores."""
        cluster = CLUSTERS[self.machine]
        costs = formulas.costs_of(cluster, self.n, cluster.cores)
        tree = float(entry["micrographs"] * formulas.tree(entry["nodes"], costs))
        return tree / (float(entry["seconds"]) - float(entry["reduction_seconds"]) + tree)

    def measure(self, rounds: int) -> list[Entry]:
        """One entry for every round of every job that has a core for each of its ranks."""
        if self.evidence == "model":
            return [self._model(job) for job in self.jobs]
        jobs = [job for job in self.jobs if job.nodes <= _cores()]
        plan = {"n": self.n, "template": self.template, "templates": self.templates, "keep": self.keep,
                "rounds": rounds, "cases": [(job.nodes, job.distribute, job.micrographs) for job in jobs]}
        most = max(job.nodes for job in jobs)
        with self._network(most) as nodes:
            outcome = ranks.launch("rank_search", plan, most, nodes=nodes, time_limit=TIME_LIMIT)
        if outcome.error:
            raise RuntimeError(outcome.error)
        return [{**entry, "storage": jobs[0].storage} for entry in outcome.entries]

    def _network(self, nodes: int) -> AbstractContextManager[netns.Nodes | None]:
        if self.evidence == "real":
            return nullcontext()
        return netns.emulated_nodes(nodes, NETWORKS[self.machine].bandwidth)

    def pace(self) -> float:
        """Templates that a worker correlates in a second: the paper's pace at 4096^2, by pixels."""
        return CLUSTERS[self.machine].pace * (MICROGRAPH / self.n) ** 2

    def _model(self, job: Job) -> Entry:
        """The first micrograph waits for storage, the others find the templates in memory.

        The reduction is the default one, a chain between nodes, folded on all cores.
        """
        cluster, pace, templates = CLUSTERS[self.machine], self.pace(), self.templates
        storage, count = STORAGE[job.storage], job.micrographs
        reducing = 0.0
        if job.distribute == "templates":
            reducing = count * formulas.reduction_seconds(cluster, self.n, job.nodes)
            seconds = formulas.search_seconds(cluster, job.nodes, storage, templates=templates, pace=pace)
            seconds += (count - 1) * math.ceil(math.ceil(templates / job.nodes) / cluster.workers) / pace
        else:
            seconds = formulas.search_seconds(cluster, 1, STORAGE["local"], templates=templates, pace=pace)
            if not storage.own:
                seconds = max(seconds, storage.seconds(min(job.nodes, count) * templates))
            seconds += (math.ceil(count / job.nodes) - 1) * math.ceil(templates / cluster.workers) / pace
        return {**job._asdict(), "seconds": seconds + reducing, "reduction_seconds": reducing}


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def paper_bank(machine: str, storages: tuple[str, ...]) -> Searches:
    """The paper's bank and micrograph on 1, 2, 4 ... all nodes of a cluster, by the closed form."""
    nodes = [2**k for k in range(CLUSTERS[machine].nodes.bit_length())]
    jobs = tuple(Job(p, storage) for storage in storages for p in nodes)
    return Searches("model", machine, MICROGRAPH, BANK, jobs, ("storage", "nodes"))
