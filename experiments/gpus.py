"""Figure 3b: the speed of a search on GPUs, by their number, and against one core and all cores."""

from __future__ import annotations

import os
import shutil
import time
from types import SimpleNamespace

from gembench.data.workload import Pace, Workload, egg_bank
from gembench.study.declare.cases import case_key
from gembench.study.declare.devices import no_gpus
from gembench.study.declare.experiment import Experiment, grid
from gembench.study.declare.needs import no_cores, no_memory

BANK = 14_630  # templates of the paper's measurement
CORES = os.cpu_count() or 1
PER_THREAD = 8  # templates of a thread on a CPU, the same for all: none idles at the end
QUICK = 128  # pixels; its few templates go in batches of 4, so that there are several
PER_GPU = {QUICK: 12, 4096: 1024, 8192: 512}  # templates of a GPU, 2048 elsewhere: a part of a second's work
TEMPLATE = {QUICK: 24, 512: 64, 1024: 128}  # pixels; 160 from there on
PLACES = 20
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}
TOLERANCE_HALF = 2e-3  # of spectra stored in half precision
SMALL, LARGE = [512, 1024, 2048], [4096, 8192]
PRECISIONS = ["float32", "float64"]
ALONE = 1024  # pixels up to which CPUs are measured without a GPU that they could be compared with
ARRAYS = 6  # of n^2 numbers that a CPU thread holds at its most, by engine.plan


def skip(case):
    """Why there are not as many GPUs, or not as many cores and the memory for them, or nothing to compare."""
    if case.device == "gpu":
        return no_gpus(case.devices)
    numbers = case.devices * ARRAYS * case.n**2
    unable = no_cores(case.devices) or no_memory(f"{case.devices} threads", numbers, case.precision)
    return unable or (no_gpus(1) if case.n > ALONE else "")


def setup(case):
    """A micrograph, and a search of turned templates on the device; none is kept between runs."""
    from gembench.engine.search import open_search

    count = case.devices * (PER_GPU.get(case.n, 2048) if case.device == "gpu" else PER_THREAD)
    bank = egg_bank(case.template, count, case.mask)
    work = Workload.make((case.n, case.n), bank, places=PLACES)
    if case.device == "cpu":
        search = open_search(bank, dtype=case.precision, threads=case.devices, keep_bytes=0)
    else:
        search = open_search(bank, device=gpu_names(case.devices), dtype=case.precision, **gpu_options(case))
    return SimpleNamespace(work=work, search=search)


def gpu_names(count):
    """The first so many GPUs, as `open_search` and `--device` call them."""
    return "gpu:" + ",".join(map(str, range(count)))


def gpu_options(case):
    """What only a GPU search knows."""
    automatic = 4 if case.n == QUICK else None
    return {"batch": automatic if case.batch == "auto" else case.batch, "spectra": case.spectra}


def run(inputs, case):
    """The search of one micrograph, from its pixels in the host's memory to the maps in it."""
    pace, start = Pace(case.devices), time.perf_counter()
    maps = inputs.search.run(inputs.work.micrograph, on_template=pace)
    return SimpleNamespace(maps=maps, pace=pace, seconds=time.perf_counter() - start)


def check(output, inputs, case):
    """Scores and templates at twenty places are those of the direct sum."""
    from gembench.study.gpu.rate import score_error

    tolerance = TOLERANCE_HALF if case.spectra == "half" else TOLERANCE[case.precision]
    return {"error_at_places": score_error(inputs.work, output.maps, tolerance)}


def seconds(output, inputs, case):
    """Seconds a template at the steady pace of all threads or GPUs together."""
    return output.pace.seconds_per_template


def metrics(output, inputs, case):
    """Rate and dead time of T = N / r + k; on one GPU also where the time goes."""
    from gembench.study.gpu.rate import rate_and_dead_time

    steady = output.pace.done[output.pace.threads - 1 :]
    rate, dead = rate_and_dead_time(steady, output.seconds, len(inputs.work.bank))
    values = {"templates": len(inputs.work.bank), "seconds_in_all": output.seconds, "fitted_rate": rate,
              "dead_seconds": dead, "library": inputs.search.library.name}
    return values | gpu_metrics(inputs, case, rate, dead) if case.device == "gpu" else values


def gpu_metrics(inputs, case, rate, dead):
    """Bytes against a copy, stages, the paper's whole job, and the read-bound timeline where they belong."""
    from gembench.study.gpu import profile, timeline

    values = {"layout": str(inputs.search.plan.layout)}
    if case.devices == 1:
        values |= profile.stages(inputs.search, inputs.work)
        values |= profile.traffic(inputs.search, inputs.work, rate)
        if case.n == 2048:
            values |= timeline.klh(1 / rate, dead)
    if case.n == 4096 and case.batch == "auto":
        bank = egg_bank(case.template, BANK, case.mask)
        options = {"device": gpu_names(case.devices), "dtype": case.precision, **gpu_options(case)}
        values["whole_job_seconds"] = profile.whole_job(bank, inputs.work.micrograph, **options)
    return values


def rates(time, case):
    """What follows from the time of a template; the total for the paper's bank is projected, not measured."""
    return {"templates_per_second": 1 / time, "templates_per_device_second": 1 / (time * case.devices),
            "projected_seconds": BANK * time}


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
    setup=setup, run=run, check=check, skip=skip, seconds=seconds, metrics=metrics, rates=rates,
    compare="device", baseline="cpu", rounds=4,
    columns=["templates", "templates_per_second", "dead_seconds", "bandwidth_share", "whole_job_seconds",
             "error_at_places"],
)
