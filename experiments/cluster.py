"""Figure 4: the speed-up of one search by the number of nodes that share its templates."""

from __future__ import annotations

from gembench.study.clusters.hooks import Hooks
from gembench.study.clusters.searches import Job, Searches, paper_bank
from gembench.study.declare.experiment import Experiment

KLH = 180  # templates of the paper's case study
VARIED = ("storage", "nodes")
HERE = tuple(Job(nodes) for nodes in (1, 2, 4, 8))  # as many as there are cores
SETTINGS = {
    "quick": [
        Searches("real", "here", 256, 8, HERE[:2], VARIED, template=32),
        Searches("emulated", "1Gb/s", 256, 8, HERE[:2], VARIED, template=32),
        Searches("model", "adonis", 4096, 400, (Job(1, "cached"), Job(8, "cached")), VARIED),
    ],
    "default": [
        Searches("real", "here", 2048, KLH, HERE, VARIED),
        Searches("emulated", "1Gb/s", 2048, KLH, HERE, VARIED),
        paper_bank("griffon", ("shared", "local")), paper_bank("adonis", ("shared", "cached", "local")),
    ],
}
SETTINGS["paper"] = SETTINGS["default"]
HOOKS = Hooks(SETTINGS, rounds=2)

experiment = Experiment(
    name="cluster", title="Speed by the number of cluster nodes", paper="Fig. 4",
    about="All nodes share the templates of one micrograph; the reduction, which the paper's figure leaves"
    " out, is included. Ranks and emulated nodes are real code here, one thread each, the maps checked byte"
    " by byte against one process. The paper's clusters are closed forms: 14,630 templates of 160² on 4096²"
    " at the paper's pace of a core (0.25 templates a second on Dirac, by the clock) and of a GPU (22.9 on a"
    " C2075, by memory bandwidth), templates and masks read file by file: from one disk that all nodes share,"
    " from the memory of one file server, or from a disk of every node. The paper does not say how fast its"
    " storage was: those rates are assumed (gembench/study/clusters/model/machines.py), the second figure"
    " shows how far the paper's statements hang on them, and nothing is judged by them.",
    grids=HOOKS.grids(), evidence=HOOKS.evidence, setup=HOOKS.setup, run=HOOKS.run, check=HOOKS.check,
    skip=HOOKS.skip, seconds=HOOKS.seconds, memory=HOOKS.memory, metrics=HOOKS.metrics,
    compare="nodes", baseline=1, rounds=HOOKS.rounds, warmups=0, time_limit=600,
    columns=["workers", "reduction_seconds", "reduction_share", "tree_share"],
)
