"""Whether a GPU picks the particles that the CPU picks: its score maps and picks beside the CPU's."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.data.annotated import SIMULATED
from gembench.engine.bank import TemplateBank
from gembench.engine.peaks import PeakSettings, find_picks
from gembench.engine.score_map import ScoreMap
from gembench.engine.search import Search, open_search
from gembench.machine import cores
from gembench.study.declare.cases import Case
from gembench.study.declare.devices import no_gpus
from gembench.study.gpu.images import pick_images, real_set

SCORES = 4e-5  # how far two maps may be apart that are each within 2e-5 of float64
PROTOCOLS: dict[str, dict[str, Any]] = {  # of the study picking
    "paper": {"average": 4, "peaks": PeakSettings("gempicker", 0.3, 0.9, max_picks=100)},
    "gembench": {"average": 1, "lowpass": 70.0, "edges": "reflect",
                 "peaks": PeakSettings("nms", 0.5, distance=120, border=75)},
}


@dataclass
class Inputs:
    """Filtered micrographs, their bank, the search on the GPU, and the CPU's maps and seconds."""

    images: list[NDArray[Any]]
    bank: TemplateBank
    peaks: PeakSettings
    maps: list[ScoreMap]
    cpu_seconds: float
    search: Search


@dataclass
class Output:
    """The GPU's maps, the seconds of all, and those that the device worked."""

    maps: list[ScoreMap]
    seconds: float
    device_seconds: float


def skip(case: Case) -> str:
    """Why there is nothing to compare, or nothing to compare it on."""
    reason = no_gpus()
    if reason or case.data == SIMULATED or real_set():
        return reason
    return "the real KLH micrographs are not here: set GEMBENCH_DATA"


def setup(case: Case) -> Inputs:
    """Filtered micrographs, the bank, a search on the GPU, and what the CPU finds, timed."""
    images, bank, settings = pick_images(case.data, case.micrographs, case.size, case.angle_step,
                                         **PROTOCOLS[case.protocol])
    options: dict[str, Any] = {"edges": settings.edges, "dtype": settings.dtype}
    start = time.perf_counter()
    with open_search(bank, threads=cores(), **options) as search:
        maps = [search.run(image) for image in images]
    seconds = (time.perf_counter() - start) / len(images)
    peaks = replace(settings.peaks, subpixel=False)
    return Inputs(images, bank, peaks, maps, seconds, open_search(bank, device="gpu", **options))


def run(inputs: Inputs, case: Case) -> Output:
    """The GPU's score maps of all micrographs, and how long they took and the device worked."""
    start, maps, device_seconds = time.perf_counter(), [], 0.0
    for image in inputs.images:
        maps.append(inputs.search.run(image))
        device_seconds += inputs.search.statistics.device_seconds
    return Output(maps, time.perf_counter() - start, device_seconds)


def check(output: Output, inputs: Inputs, case: Case) -> dict[str, float]:
    """Every score is the CPU's; where two templates score alike either may be named."""
    error = max(float(np.abs(ours.score - theirs.score).max())
                for ours, theirs in zip(output.maps, inputs.maps, strict=True))
    if not error <= SCORES:
        raise ValueError(f"scores are off by {error:.1e} of the CPU's; {SCORES:.0e} is allowed")
    return {"score_difference": error}


def metrics(output: Output, inputs: Inputs, case: Case) -> dict[str, Any]:
    """How many picks both have, how many only one of them has, and the CPU's time beside the GPU's."""
    ours, theirs = _picked(output.maps, inputs), _picked(inputs.maps, inputs)
    views = [[inputs.bank.view(score_map.index) for score_map in maps] for maps in (output.maps, inputs.maps)]
    differing = [np.count_nonzero(a != b) for a, b in zip(*views, strict=True)]
    search: Any = inputs.search  # whose plan says how it lays spectra out
    return {"picks_on_both": len(ours & theirs), "picks_on_gpu_only": len(ours - theirs),
            "picks_on_cpu_only": len(theirs - ours), "view_differences": sum(differing),
            "templates": len(inputs.bank), "cpu_seconds_per_micrograph": inputs.cpu_seconds,
            "micrographs_searched": len(inputs.images), "device_busy": output.device_seconds / output.seconds,
            "gpu_seconds_per_micrograph": output.seconds / len(inputs.images),
            "layout": str(search.plan.layout)}


def _picked(maps: Sequence[ScoreMap], inputs: Inputs) -> set[tuple[int, int, int, int]]:
    """The picks of every micrograph, a set of (micrograph, row, column, view)."""
    return {(number, int(y), int(x), int(view)) for number, score_map in enumerate(maps)
            for picks in [find_picks(score_map, inputs.bank, inputs.peaks)]
            for y, x, view in zip(picks.y, picks.x, picks.view, strict=True)}
