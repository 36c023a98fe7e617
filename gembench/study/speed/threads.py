"""The pace of a search by the number of its threads: a producer, its queue and the consumers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from gembench.data.workload import Pace, Workload, egg_bank
from gembench.engine.exact.producer import CPUSearch
from gembench.engine.score_map import ScoreMap
from gembench.study.declare.cases import Case
from gembench.study.declare.needs import no_cores, no_memory
from gembench.study.speed import arithmetic

BANK = 14_630  # templates of the paper's measurement, to which the total is projected
PER_THREAD = {"paper": 4, "exact": 8}  # templates of a thread here, the same for all: none idles at the end
ARRAYS = {"paper": 11, "exact": 6}  # of n^2 float32 numbers that a thread holds at its most, by engine.plan
CORES = os.cpu_count() or 1

Inputs = tuple[Workload, CPUSearch]
Output = tuple[ScoreMap, Pace]


def skip(case: Case, threads: Sequence[int]) -> str:
    """Why there are not as many cores, or not the memory for all numbers of threads, which alternate."""
    arrays = sum(n for n in threads if n <= CORES) * ARRAYS[case.method]
    return no_cores(case.threads) or no_memory("all numbers of threads together", arrays * case.n**2)


def setup(case: Case) -> Inputs:
    """A micrograph and a search of turned templates with masks of their own; none is kept between runs."""
    bank = egg_bank(case.template, PER_THREAD[case.method] * case.threads)
    work = Workload.make((case.n, case.n), bank, places=30)
    return work, CPUSearch(bank, method=case.method, threads=case.threads, keep_bytes=0)


def run(inputs: Inputs, case: Case) -> Output:
    """One producer hands out templates; `threads` consumers turn, correlate and fold them."""
    work, search = inputs
    pace = Pace(case.threads)
    return search.run(work.micrograph, on_template=pace), pace


def check(output: Output, inputs: Inputs, case: Case) -> dict[str, float]:
    """Scores and templates at thirty places are those of the direct sum."""
    return inputs[0].check(output[0], "float32")


def seconds(output: Output, inputs: Inputs, case: Case) -> float:
    """Seconds a template at the steady pace of all threads together."""
    return output[1].seconds_per_template


def metrics(output: Output, inputs: Inputs, case: Case) -> dict[str, Any]:
    """How the queue behaved, in seconds summed over threads, and what as many threads do without it."""
    search = inputs[1]
    queue = search.statistics
    return _of_the_producer(case) | {
        "templates": queue.counts.templates, "queue_depth": search.queue_depth,
        "queue_depth_reached": queue.deepest_queue, "producer_wait": queue.producer_wait,
        "consumer_wait": queue.consumer_wait, "seconds_in_all": queue.seconds,
        "arithmetic": arithmetic.flops(case.threads),
    }


def _of_the_producer(case: Case) -> dict[str, Any]:
    """What more templates add to the memory, and one reader of files beside several; measured once."""
    from gembench.study.speed.producer import memory_growth, readers

    return memory_growth() | readers() if case.method == "paper" and case.threads == 1 else {}


def rates(time: float, case: Case) -> dict[str, float]:
    """What follows from the time of a template; the total for the paper's bank is projected, not measured."""
    return {"templates_per_second": 1 / time, "templates_per_core_second": 1 / (time * case.threads),
            "projected_seconds": BANK * time}
