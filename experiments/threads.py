"""Figure 3a: the speed of a search by the number of cores that correlate."""

from __future__ import annotations

import os

from gembench.data.workload import Pace, Workload, egg_bank
from gembench.study.declare.experiment import Experiment, grid
from gembench.study.declare.needs import no_cores, no_memory
from gembench.study.measure import arithmetic

BANK = 14_630  # templates of the paper's measurement, to which the total is projected
PER_THREAD = {"paper": 4, "exact": 8}  # templates of a thread here, the same for all: none idles at the end
ARRAYS = {"paper": 11, "exact": 6}  # of n^2 float32 numbers that a thread holds at its most, by engine.plan
CORES = os.cpu_count() or 1
THREADS = [1, 2, 3, 4, 6, 8, 12, 16]


def skip(case):
    """Why there are not as many cores, or not the memory for all numbers of threads, which alternate."""
    arrays = sum(n for n in THREADS if n <= CORES) * ARRAYS[case.method]
    return no_cores(case.threads) or no_memory("all numbers of threads together", arrays * case.n**2)


def setup(case):
    """A micrograph and a search of turned templates with masks of their own; none is kept between runs."""
    from gembench.engine.exact.search import CPUSearch

    bank = egg_bank(case.template, PER_THREAD[case.method] * case.threads)
    work = Workload.make((case.n, case.n), bank, places=30)
    return work, CPUSearch(bank, method=case.method, threads=case.threads, keep_bytes=0)


def run(inputs, case):
    """One producer hands out templates; `threads` consumers turn, correlate and fold them."""
    work, search = inputs
    pace = Pace(case.threads)
    return search.run(work.micrograph, on_template=pace), pace


def check(output, inputs, case):
    """Scores and templates at thirty places are those of the direct sum."""
    return inputs[0].check(output[0], "float32")


def seconds(output, inputs, case):
    """Seconds a template at the steady pace of all threads together."""
    return output[1].seconds_per_template


def of_the_producer(case):
    """What more templates add to the memory, and one reader of files beside several; measured once."""
    from gembench.study.measure.producer import memory_growth, readers

    return memory_growth() | readers() if case.method == "paper" and case.threads == 1 else {}


def metrics(output, inputs, case):
    """How the queue behaved, in seconds summed over threads, and what as many threads do without it."""
    search = inputs[1]
    queue = search.statistics
    return of_the_producer(case) | {
        "templates": queue.counts.templates, "queue_depth": search.queue_depth,
        "queue_depth_reached": queue.deepest_queue, "producer_wait": queue.producer_wait,
        "consumer_wait": queue.consumer_wait, "seconds_in_all": queue.seconds,
        "arithmetic": arithmetic.flops(case.threads),
    }


def rates(time, case):
    """What follows from the time of a template; the total for the paper's bank is projected, not measured."""
    return {"templates_per_second": 1 / time, "templates_per_core_second": 1 / (time * case.threads),
            "projected_seconds": BANK * time}


def cases(n, template, threads):
    """The grid of one size of micrograph and template."""
    return grid(method=list(PER_THREAD), n=n, template=template, threads=threads)


experiment = Experiment(
    name="threads", title="Speed by the number of CPU cores", paper="Fig. 3a",
    about="Time is seconds a template at the steady pace of all threads, from a few templates a thread; what"
    " is done once a micrograph is left out. The total for the paper's 14,630 templates is projected from it."
    " float32, every template with a mask of its own, turned anew by its consumer. arithmetic: operations in"
    " a second of as many threads that multiply matrices in their caches, which share nothing but the"
    " machine. Also measured once: what 40 more templates add to the peak memory, of their own bytes, while"
    " the consumer is slow; and files of templates that one thread reads, over those that four read at once,"
    " the page cache dropped.",
    grids={"quick": cases(512, 64, [1, 2]), "default": cases(4096, 160, THREADS),
           "paper": cases(4096, 160, sorted({*THREADS, CORES}))},
    setup=setup, run=run, check=check, skip=skip, seconds=seconds, metrics=metrics, rates=rates,
    compare="threads", baseline=1, rounds=4,
    columns=["templates", "templates_per_core_second", "projected_seconds", "arithmetic",
             "queue_depth", "queue_depth_reached", "producer_wait", "consumer_wait",
             "memory_of_more_templates", "one_reader_gain"],
)
