"""Are the same particles picked on the GPU as on the CPU?"""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from gembench.engine.peaks import PeakSettings, find_picks
from gembench.study.declare.experiment import Experiment, grid

PROTOCOLS = {  # of the study picking
    "paper": {"average": 4, "peaks": PeakSettings("gempicker", 0.3, 0.9, max_picks=100)},
    "gembench": {"average": 1, "lowpass": 70.0, "edges": "reflect",
                 "peaks": PeakSettings("nms", 0.5, distance=120, border=75)},
}
SEED = 2
SCORES = 4e-5  # how far two maps may be apart that are each within 2e-5 of float64


def klh():
    """The real set where it is, in the folder that GEMBENCH_DATA names or in the user's cache."""
    from gembench.data.sets import find_set

    try:
        return find_set("klh")
    except ModuleNotFoundError:  # pooch, on a bare machine: nor is there a cache of ours
        return None


def skip(case):
    """Why there is nothing to compare, or nothing to compare it on."""
    from gembench.engine.gpu import device

    reason = device.unavailable()
    if reason or case.data == "simulated":
        return reason or ""
    return "" if klh() else "the real KLH micrographs are not here: set GEMBENCH_DATA"


def evidence_of(case):
    """Picks on micrographs of our simulator say nothing of real ones."""
    return "simulated data" if case.data == "simulated" else "measured"


def setup(case):
    """Filtered micrographs, the bank, a search on the GPU, and what the CPU finds, timed."""
    from gembench.engine.search import open_search
    from gembench.machine import cores

    images, bank, settings = real(case) if case.data == "klh" else simulated(case)
    options = {"edges": settings.edges, "dtype": settings.dtype}
    start = time.perf_counter()
    with open_search(bank, threads=cores(), **options) as search:
        maps = [search.run(image) for image in images]
    seconds = (time.perf_counter() - start) / len(images)
    peaks = replace(settings.peaks, subpixel=False)
    return SimpleNamespace(images=images, bank=bank, peaks=peaks, maps=maps, cpu_seconds=seconds,
                           search=open_search(bank, device="gpu", **options))


def real(case):
    """The first of the real micrographs that are there, with their templates turned in steps of 4 degrees."""
    from gembench.io.images.micrographs import read_micrograph
    from gembench.picking.prepare import filtered, load_bank
    from gembench.picking.settings import PickSettings

    data = klh()
    settings = PickSettings(data.pixel_size, case.angle_step, **PROTOCOLS[case.protocol])
    bank, _ = load_bank(data.templates, data.masks, settings)
    paths = data.micrographs[: case.micrographs]
    read = (read_micrograph(path, pixel_size=data.pixel_size) for path in paths)
    return [filtered(micrograph.data, settings)[0] for micrograph in read], bank, settings


def simulated(case):
    """Simulated micrographs, made in memory; the quick grid's are small."""
    from gembench.data.simulate import PIXEL_SIZE, simulate_micrograph
    from gembench.data.templates import simulated_templates
    from gembench.engine.bank import TemplateBank, grid_angles
    from gembench.picking.prepare import filtered
    from gembench.picking.settings import PickSettings

    settings = PickSettings(PIXEL_SIZE, case.angle_step, **PROTOCOLS[case.protocol])
    made = [simulate_micrograph(SEED, index, case.size)[0] for index in range(case.micrographs)]
    templates, masks = simulated_templates()
    bank = TemplateBank(templates, masks, grid_angles(case.angle_step), pixel_size=PIXEL_SIZE)
    return [filtered(image, settings)[0] for image in made], bank, settings


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
    return {(number, int(y), int(x), int(view)) for number, one in enumerate(maps)
            for picks in [find_picks(one, inputs.bank, inputs.peaks)]
            for y, x, view in zip(picks.y, picks.x, picks.view, strict=True)}


def metrics(output, inputs, case):
    """How many picks both have, how many only one of them has, and the CPU's time beside the GPU's."""
    ours, theirs = picked(output.maps, inputs), picked(inputs.maps, inputs)
    views = [[inputs.bank.view(one.index) for one in maps] for maps in (output.maps, inputs.maps)]
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


FULL = cases("simulated", 2) + cases("klh", 41)
experiment = Experiment(
    name="gpu_picks", title="The same picks on the GPU as on the CPU",
    about="The GPU's score maps are compared with the CPU's pixel by pixel, and the picks of both pick by"
    " pick, positions in whole pixels. Time is the GPU's for all micrographs, reading and filtering left out;"
    " the CPU's is that of all its cores.",
    grids={"quick": cases("simulated", 1, "paper", angle_step=60, size=400), "default": FULL, "paper": FULL},
    evidence=evidence_of,
    setup=setup, run=run, check=check, skip=skip, metrics=metrics, rounds=2, warmups=1,
    columns=["templates", "picks_on_both", "picks_on_gpu_only", "picks_on_cpu_only", "score_difference",
             "view_differences", "micrographs_searched", "device_busy", "gpu_seconds_per_micrograph",
             "cpu_seconds_per_micrograph"],
)
