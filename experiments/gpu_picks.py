"""Are the same particles picked on the GPU as on the CPU?"""

from __future__ import annotations

from gembench.data.annotated import SIMULATED
from gembench.study.declare.experiment import Experiment, grid
from gembench.study.gpu import same_picks
from gembench.study.picking.evidence import evidence_of_picks


def cases(data, micrographs, protocol=tuple(same_picks.PROTOCOLS), angle_step=4, size=2048):
    """The grid of one data set."""
    return grid(data=data, micrographs=micrographs, size=size, angle_step=angle_step, protocol=protocol)


FULL = cases(SIMULATED, 2) + cases("klh", 41)
experiment = Experiment(
    name="gpu_picks", title="The same picks on the GPU as on the CPU",
    about="The GPU's score maps are compared with the CPU's pixel by pixel, and the picks of both pick by"
    " pick, positions in whole pixels. Time is the GPU's for all micrographs, reading and filtering left out;"
    " the CPU's is that of all its cores.",
    grids={"quick": cases(SIMULATED, 1, "paper", angle_step=60, size=400), "default": FULL, "paper": FULL},
    evidence=evidence_of_picks,
    setup=same_picks.setup, run=same_picks.run, check=same_picks.check, skip=same_picks.skip,
    metrics=same_picks.metrics, rounds=2, warmups=1,
    columns=["templates", "picks_on_both", "picks_on_gpu_only", "picks_on_cpu_only", "score_difference",
             "view_differences", "micrographs_searched", "device_busy", "gpu_seconds_per_micrograph",
             "cpu_seconds_per_micrograph"],
)
