"""Figure 5: the time of a reduction of all ranks' maps, by the number of ranks."""

from __future__ import annotations

from gembench.study.clusters.hooks import Hooks
from gembench.study.clusters.reductions import Reductions
from gembench.study.declare.experiment import Experiment

PAPER = (("direct", 1), ("tree", 1), ("direct", 2), ("tree", 2))  # two threads here, all eight there
OURS = (("key", 1), ("scatter", 1), ("chain", 1), ("shared", 1))
FIRST = (("direct", 1), ("tree", 1), ("shared", 1))  # the paper's two and the default
ON_CLUSTER = (("direct", 1), ("tree", 1), ("direct", 8), ("tree", 8), ("chain", 8))
POWERS = (2, 4, 8, 16, 32, 64)
SETTINGS = {
    "quick": [
        Reductions("real", "here", 256, (2, 3), FIRST),
        Reductions("emulated", "100Mb/s", 128, (2, 3, 4), FIRST),
        Reductions("model", "adonis", 256, (2, 4, 8), (("direct", 1), ("tree", 1), ("chain", 8))),
    ],
    "default": [
        Reductions("real", "here", 4096, (2, 4, 8), (*PAPER, *OURS)),
        Reductions("emulated", "100Mb/s", 512, POWERS, FIRST),
        Reductions("emulated", "1Gb/s", 4096, (8,), (("tree", 1), ("shared", 1))),
        Reductions("model", "griffon", 4096, POWERS, ON_CLUSTER),
        Reductions("model", "adonis", 4096, POWERS[:3], ON_CLUSTER),
    ],
}
SETTINGS["paper"] = [
    *SETTINGS["default"],
    Reductions("real", "here", 2048, (2, 4, 8), (*PAPER, *OURS, ("maxloc", 1))),
    Reductions("emulated", "100Mb/s", 256, POWERS, (*FIRST, *OURS[:-1], ("maxloc", 1))),
    Reductions("emulated", "1Gb/s", 2048, (2, 4, 8), (*FIRST, *OURS[:-1])),
]
HOOKS = Hooks(SETTINGS, rounds=2)  # 64 emulated nodes take half a minute a round

experiment = Experiment(
    name="reduction", title="Reducing all ranks' maps to one", paper="Fig. 5",
    about="Time from a barrier to the end of the slowest rank; score and index of every pixel, checked byte"
    " by byte against a serial fold. Real ranks share this machine's memory: their bound is every rank's maps"
    " read once and the result written, at the rate at which all of them copy. Emulated nodes run the same"
    " MPI code in network namespaces on links of a limited rate: their bound is m / B, the time to receive"
    " one rank's maps. Folds are counted on the ranks, and what arrives by the network on the nodes' links."
    " The paper's clusters are closed forms, with its links and with rates of memory that it does not give"
    " and that are assumed (gembench/study/clusters/model/machines.py): nothing there was measured.",
    grids=HOOKS.grids(), evidence=HOOKS.evidence, setup=HOOKS.setup, run=HOOKS.run, check=HOOKS.check,
    skip=HOOKS.skip, seconds=HOOKS.seconds, memory=HOOKS.memory, metrics=HOOKS.metrics,
    compare="strategy", baseline="direct", rounds=HOOKS.rounds, warmups=0, time_limit=900,
    columns=["bound", "times_bound", "r2_linear", "r2_logarithmic", "root_folds", "root_receives"],
)
