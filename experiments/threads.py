"""Figure 3a: the speed of a search by the number of cores that correlate."""

from __future__ import annotations

from gembench.study.declare.experiment import Experiment, grid
from gembench.study.speed import threads

THREADS = [1, 2, 3, 4, 6, 8, 12, 16]


def cases(n, template, counts):
    """The grid of one size of micrograph and template."""
    return grid(method=["paper", "exact"], n=n, template=template, threads=counts)


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
           "paper": cases(4096, 160, sorted({*THREADS, threads.CORES}))},
    setup=threads.setup, run=threads.run, check=threads.check, skip=lambda case: threads.skip(case, THREADS),
    seconds=threads.seconds, metrics=threads.metrics, rates=threads.rates,
    compare="threads", baseline=1, rounds=4,
    columns=["templates", "templates_per_core_second", "projected_seconds", "arithmetic",
             "queue_depth", "queue_depth_reached", "producer_wait", "consumer_wait",
             "memory_of_more_templates", "one_reader_gain"],
)
