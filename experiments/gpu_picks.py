"""Are the same particles picked on the GPU as on the CPU?"""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from gembench.data.annotated import SIMULATED
from gembench.engine.peaks import PeakSettings, find_picks
from gembench.study.declare.devices import no_gpus
from gembench.study.declare.experiment import Experiment, grid
from gembench.study.gpu.images import pick_images, real_set
from gembench.study.picking.evidence import evidence_of_picks

PROTOCOLS = {  # of the study picking
    "paper": {"average": 4, "peaks": PeakSettings("gempicker", 0.3, 0.9, max_picks=100)},
    "gembench": {"average": 1, "lowpass": 70.0, "edges": "reflect",
                 "peaks": PeakSettings("nms", 0.5, distance=120, border=75)},
}
SCORES = 4e-5  # how far two maps may be apart that are each within 2e-5 of float64


def skip(case):
    """Why there is nothing to compare, or nothing to compare it on."""
    reason = no_gpus()
    if reason or case.data == SIMULATED or real_set():
        return reason
    return "the real KLH micrographs are not here: set GEMBENCH_DATA"


def setup(case):
    """Filtered micrographs, the bank, a search on the GPU, and what the CPU finds, timed."""
    from gembench.engine.search import open_search
    from gembench.machine import cores

    images, bank, settings = pick_images(case.data, case.micrographs, case.size, case.angle_step,
                                         **PROTOCOLS[case.protocol])
    options = {"edges": settings.edges, "dtype": settings.dtype}
    start = time.perf_counter()
    with open_search(bank, threads=cores(), **options) as search:
        maps = [search.run(image) for image in images]
    seconds = (time.perf_counter() - start) / len(images)
    peaks = replace(settings.peaks, subpixel=False)
    return SimpleNamespace(images=images, bank=bank, peaks=peaks, maps=maps, cpu_seconds=seconds,
                           search=open_search(bank, device="gpu", **options))


def run(inputs, case):
    """The GPU's score maps of all micrographs, and how long they took and the device worked."""
    start, maps, device_seconds = time.perf_counter(), [], 0.0
    for image in inputs.images:
        maps.append(inputs.search.run(image))
        device_seconds += inputs.search.statistics.device_seconds
    return SimpleNamespace(maps=maps, seconds=time.perf_counter() - start, device_seconds=device_seconds)


def check(output, inputs, case):
    """Every score is the CPU's; where two templates score alike either may be named."""
    error = max(float(np.abs(ours.score - theirs.score).max())
                for ours, theirs in zip(output.maps, inputs.maps, strict=True))
    if not error <= SCORES:
        raise ValueError(f"scores are off by {error:.1e} of the CPU's; {SCORES:.0e} is allowed")
    return {"score_difference": error}


def picked(maps, inputs):
    """The picks of every micrograph, a set of (micrograph, row, column, view)."""
    return {(number, int(y), int(x), int(view)) for number, score_map in enumerate(maps)
            for picks in [find_picks(score_map, inputs.bank, inputs.peaks)]
            for y, x, view in zip(picks.y, picks.x, picks.view, strict=True)}


def metrics(output, inputs, case):
    """How many picks both have, how many only one of them has, and the CPU's time beside the GPU's."""
    ours, theirs = picked(output.maps, inputs), picked(inputs.maps, inputs)
    views = [[inputs.bank.view(score_map.index) for score_map in maps] for maps in (output.maps, inputs.maps)]
    differing = [np.count_nonzero(a != b) for a, b in zip(*views, strict=True)]
    return {"picks_on_both": len(ours & theirs), "picks_on_gpu_only": len(ours - theirs),
            "picks_on_cpu_only": len(theirs - ours), "view_differences": sum(differing),
            "templates": len(inputs.bank), "cpu_seconds_per_micrograph": inputs.cpu_seconds,
            "micrographs_searched": len(inputs.images), "device_busy": output.device_seconds / output.seconds,
            "gpu_seconds_per_micrograph": output.seconds / len(inputs.images),
            "layout": str(inputs.search.plan.layout)}


def cases(data, micrographs, protocol=tuple(PROTOCOLS), angle_step=4, size=2048):
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
    setup=setup, run=run, check=check, skip=skip, metrics=metrics, rounds=2, warmups=1,
    columns=["templates", "picks_on_both", "picks_on_gpu_only", "picks_on_cpu_only", "score_difference",
             "view_differences", "micrographs_searched", "device_busy", "gpu_seconds_per_micrograph",
             "cpu_seconds_per_micrograph"],
)
