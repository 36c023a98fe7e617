"""Sharing out micrographs against sharing out templates, by the number of micrographs."""

from __future__ import annotations

from gembench.study.clusters.hooks import Hooks
from gembench.study.clusters.searches import Job, Searches
from gembench.study.declare.experiment import Experiment

KLH = 180  # templates of the paper's case study
VARIED = ("nodes", "micrographs", "distribute")


def shared_out(nodes, micrographs):
    """Both ways to share out so many micrographs."""
    return tuple(Job(nodes, "local", mode, count) for count in micrographs
                 for mode in ("micrographs", "templates"))


ON_GRIFFON = Searches("model", "griffon", 2048, KLH, shared_out(64, (1, 4, 16, 64)), VARIED)
SETTINGS = {
    "quick": [
        Searches("real", "here", 256, 8, shared_out(2, (1, 2)), VARIED, template=32, keep=True),
        Searches("model", "adonis", 2048, KLH, shared_out(4, (1, 2, 8)), VARIED),
    ],
    "default": [
        Searches("real", "here", 1024, 24, shared_out(2, (1, 2, 8)), VARIED, template=80, keep=True),
        ON_GRIFFON,
    ],
    "paper": [
        Searches("real", "here", 2048, KLH, shared_out(2, (1, 2, 8)), VARIED, keep=True), ON_GRIFFON,
    ],
}
HOOKS = Hooks(SETTINGS, rounds=2)

experiment = Experiment(
    name="distribution", title="Micrographs or templates shared out",
    about="The same micrographs and templates: either whole micrographs are handed out to whoever is free, or"
    " all search every micrograph with a share of the templates, and the maps are reduced. Real ranks have"
    " one thread each; their maps are checked byte by byte against one process. The cluster is a closed form"
    " of the paper's Griffon at its pace, with KLH's 180 templates: few micrographs leave most nodes idle"
    " when whole ones are handed out, 180 templates leave most of its 512 cores idle when templates are.",
    grids=HOOKS.grids(), evidence=HOOKS.evidence, setup=HOOKS.setup, run=HOOKS.run, check=HOOKS.check,
    skip=HOOKS.skip, seconds=HOOKS.seconds, memory=HOOKS.memory, metrics=HOOKS.metrics,
    rates=lambda seconds, case: {"micrographs_per_second": case.micrographs / seconds},
    compare="distribute", baseline="micrographs", rounds=HOOKS.rounds, warmups=0, time_limit=600,
    columns=["micrographs_per_second", "reduction_share", "tree_share"],
)
