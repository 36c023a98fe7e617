"""The pace of a search on GPUs, or on as many CPU threads, and where a GPU's time goes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from gembench.data.workload import Pace, Workload, egg_bank
from gembench.engine.score_map import ScoreMap
from gembench.engine.search import Search, open_search
from gembench.study.declare.cases import Case
from gembench.study.declare.devices import no_gpus
from gembench.study.declare.needs import no_cores, no_memory
from gembench.study.gpu import profile, timeline
from gembench.study.gpu.rate import rate_and_dead_time, score_error

BANK = 14_630  # templates of the paper's measurement
PER_THREAD = 8  # templates of a thread on a CPU, the same for all: none idles at the end
QUICK = 128  # pixels; its few templates go in batches of 4, so that there are several
PER_GPU = {QUICK: 12, 4096: 1024, 8192: 512}  # templates of a GPU, 2048 elsewhere: a part of a second's work
PLACES = 20
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}
TOLERANCE_HALF = 2e-3  # of spectra stored in half precision
ALONE = 1024  # pixels up to which CPUs are measured without a GPU that they could be compared with
ARRAYS = 6  # of n^2 numbers that a CPU thread holds at its most, by engine.plan


@dataclass
class Inputs:
    """A micrograph with its bank, and the search."""

    work: Workload
    search: Search


@dataclass
class Output:
    """The maps of a micrograph, when its templates were done, and the seconds of it all."""

    maps: ScoreMap
    pace: Pace
    seconds: float


def skip(case: Case) -> str:
    """Why there are not as many GPUs, or not as many cores and the memory for them, or nothing to compare."""
    if case.device == "gpu":
        return no_gpus(case.devices)
    numbers = case.devices * ARRAYS * case.n**2
    unable = no_cores(case.devices) or no_memory(f"{case.devices} threads", numbers, case.precision)
    return unable or (no_gpus(1) if case.n > ALONE else "")


def setup(case: Case) -> Inputs:
    """A micrograph, and a search of turned templates on the device; none is kept between runs."""
    count = case.devices * (PER_GPU.get(case.n, 2048) if case.device == "gpu" else PER_THREAD)
    bank = egg_bank(case.template, count, case.mask)
    work = Workload.make((case.n, case.n), bank, places=PLACES)
    if case.device == "cpu":
        return Inputs(work, open_search(bank, dtype=case.precision, threads=case.devices, keep_bytes=0))
    return Inputs(work, open_search(bank, **_on_gpus(case)))


def _on_gpus(case: Case) -> dict[str, Any]:
    """The options of a search on as many GPUs as the case has, the first of them."""
    automatic = 4 if case.n == QUICK else None
    return {"device": "gpu:" + ",".join(map(str, range(case.devices))), "dtype": case.precision,
            "batch": automatic if case.batch == "auto" else case.batch, "spectra": case.spectra}


def run(inputs: Inputs, case: Case) -> Output:
    """The search of one micrograph, from its pixels in the host's memory to the maps in it."""
    pace, start = Pace(case.devices), time.perf_counter()
    maps = inputs.search.run(inputs.work.micrograph, on_template=pace)
    return Output(maps, pace, time.perf_counter() - start)


def check(output: Output, inputs: Inputs, case: Case) -> dict[str, float]:
    """Scores and templates at twenty places are those of the direct sum."""
    tolerance = TOLERANCE_HALF if case.spectra == "half" else TOLERANCE[case.precision]
    return {"error_at_places": score_error(inputs.work, output.maps, tolerance)}


def seconds(output: Output, inputs: Inputs, case: Case) -> float:
    """Seconds a template at the steady pace of all threads or GPUs together."""
    return output.pace.seconds_per_template


def metrics(output: Output, inputs: Inputs, case: Case) -> dict[str, Any]:
    """Rate and dead time of T = N / r + k; on one GPU also where the time goes."""
    steady = output.pace.done[output.pace.threads - 1 :]
    rate, dead = rate_and_dead_time(steady, output.seconds, len(inputs.work.bank))
    values = {"templates": len(inputs.work.bank), "seconds_in_all": output.seconds, "fitted_rate": rate,
              "dead_seconds": dead, "library": inputs.search.library.name}
    return values | gpu_metrics(inputs, case, rate, dead) if case.device == "gpu" else values


def gpu_metrics(inputs: Inputs, case: Case, rate: float, dead: float) -> dict[str, Any]:
    """Bytes against a copy, stages, the paper's whole job, and the read-bound timeline where they belong."""
    search: Any = inputs.search  # whose plan says how it lays spectra out
    values: dict[str, Any] = {"layout": str(search.plan.layout)}
    if case.devices == 1:
        values |= profile.stages(search, inputs.work)
        values |= profile.traffic(search, inputs.work, rate)
        if case.n == 2048:
            values |= timeline.klh(1 / rate, dead)
    if case.n == 4096 and case.batch == "auto":
        bank = egg_bank(case.template, BANK, case.mask)
        values["whole_job_seconds"] = profile.whole_job(bank, inputs.work.micrograph, **_on_gpus(case))
    return values


def rates(time: float, case: Case) -> dict[str, float]:
    """What follows from the time of a template; the total for the paper's bank is projected, not measured."""
    return {"templates_per_second": 1 / time, "templates_per_device_second": 1 / (time * case.devices),
            "projected_seconds": BANK * time}
