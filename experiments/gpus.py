"""Figure 3b: the speed of a search on GPUs, by their number, and against one core and all cores."""

from __future__ import annotations

import os
import shutil

from gembench.study.declare.cases import case_key
from gembench.study.declare.experiment import Experiment, grid
from gembench.study.gpu import speed
from gembench.study.gpu.speed import QUICK

CORES = os.cpu_count() or 1
TEMPLATE = {QUICK: 24, 512: 64, 1024: 128}  # pixels; 160 from there on
SMALL, LARGE = [512, 1024, 2048], [4096, 8192]
PRECISIONS = ["float32", "float64"]


def cases(n, device=("cpu", "gpu"), precision="float32", mask="own", devices=1, batch="auto",
          spectra="single"):
    """The grid of these sizes of micrograph."""
    sizes = [n] if isinstance(n, int) else n
    return [case for size in sizes for case in grid(
        n=size, template=TEMPLATE.get(size, 160), precision=precision, mask=mask, devices=devices,
        batch=batch, spectra=spectra, device=device)]


def declared(cpu_sizes):
    """Every question of the study, with the CPU asked at these sizes only."""
    every = sorted({16, CORES} - {1})  # 16: so that rows of such a machine are known elsewhere
    questions = [
        *cases(SMALL + LARGE, "gpu", PRECISIONS), *cases(cpu_sizes, "cpu", PRECISIONS),
        *cases(cpu_sizes, "cpu", PRECISIONS, devices=every), *cases(2048, "cpu", devices=[4, 8]),
        *cases([2048, 4096], "gpu", devices=[2, 4]),
        *cases([2048, 4096], "gpu", mask="disc"), *cases(cpu_sizes[2:4], "cpu", mask="disc"),
        *cases(4096, "gpu", batch=[1, 4, 16, 64]),
        *cases([2048, 4096], "gpu", mask=["own", "disc"], spectra="half"),
    ]
    return list({case_key(case): case for case in questions}.values())  # 8 may be all cores


experiment = Experiment(
    name="gpus", title="Speed on GPUs, by their number and against the CPU", paper="Fig. 3b",
    about="Time is seconds a template at the steady pace of all devices together: GPUs, or CPU cores that"
    " correlate with the FFT library that `auto` takes there. Every template is turned on the device that"
    " correlates it. least bytes: what the method must move through the GPU's memory, each transform passing"
    " it twice; the copy is a device-to-device copy of the same run, read and written bytes both counted. The"
    " read-bound timeline is worked out from measured rates of searching and of reading templates from files;"
    " the whole job is 14,630 templates, timed once.",
    grids={"quick": [*cases(QUICK), *cases(QUICK, "gpu", spectra="half"), *cases(QUICK, "gpu", devices=2)],
           "default": declared(SMALL + LARGE if shutil.which("nvidia-smi") else SMALL),
           "paper": declared(SMALL + LARGE)},
    setup=speed.setup, run=speed.run, check=speed.check, skip=speed.skip, seconds=speed.seconds,
    metrics=speed.metrics, rates=speed.rates,
    compare="device", baseline="cpu", rounds=4,
    columns=["templates", "templates_per_second", "dead_seconds", "bandwidth_share", "whole_job_seconds",
             "error_at_places"],
)
