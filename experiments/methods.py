"""From the paper's method to the fastest: transforms, time and agreement, one step after another."""

from __future__ import annotations

from gembench.study.declare.experiment import Experiment, grid
from gembench.study.speed.steps import Step, Steps

STEPS = {
    "paper": Step("paper", templates=8),  # 2 forward and 3 inverse transforms
    "blocks": Step("exact", batch=1),  # past the caches, forward transforms pruned
    "batches": Step("exact"),  # four templates at a time
    "opposite": Step("exact", circle=360.0),  # psi and psi + 180 degrees share a forward transform
    "ellipse": Step("exact", "ellipse", 360.0),  # and a map of 1/sigma, their mask being symmetric
    "disc": Step("exact", "disc", 360.0),  # one mask for all
    "banded": Step("banded", "disc", 360.0, templates=180),  # the band that LOWPASS leaves
}
HOOKS = Steps(STEPS)


def cases(n, template):
    """The grid of one size of micrograph and template."""
    return grid(n=n, template=template, step=list(STEPS))


experiment = Experiment(
    name="methods", title="From the paper's method to the fastest",
    about="One core, float32. Each step keeps what the steps before it brought; the first three have masks"
    " that differ at every angle. Time is seconds a template at the steady pace; of banded, which takes all"
    " templates at once, a 180th of the whole search. The counts are of all transforms of one micrograph,"
    " 5 K + 2 for K templates by the paper's method; share_of_transforms is what of its time they take, the"
    " rest being products, the normalisation and the maximum. Differences are to float64 maps of the method"
    " exact; scores are also checked against direct sums, the picks of banded against those of exact.",
    grids={"quick": cases(512, 64), "default": cases(2048, 160), "paper": cases(4096, 160)},
    setup=HOOKS.setup, run=HOOKS.run, check=HOOKS.check, seconds=HOOKS.seconds, metrics=HOOKS.metrics,
    compare="step", baseline="paper", rounds=4, time_limit=900,
    columns=["method", "templates", "forward", "inverse", "transforms", "share_of_transforms",
             "score_difference", "index_differences", "picks"],
)
