"""What engine.cluster and engine.ranks promise, on however many ranks; the first rank prints one JSON line.

Argument: a folder that all ranks can write.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from mpi4py import MPI

from gembench.engine.bank import TemplateBank
from gembench.engine.exact.producer import CPUSearch
from gembench.engine.mpi.distribution import SharedSearch, hand_out, take
from gembench.engine.mpi.ranks import all_ranks, cores_of_rank, from_root
from gembench.errors import InputError
from gembench.machine import cores

RANKS = all_ranks()
FOLDER = Path(sys.argv[1])


def handed_out(items, work):
    """(rank, what its work gave) of every item, on the root."""
    def work_here(item):
        return RANKS.rank, work(item)

    if RANKS.rank:
        return take(RANKS, items, work_here)
    return list(hand_out(RANKS, items, work_here))


def last_to_end(item):
    """Item 0 waits until all others are begun, which they never are if its rank keeps any of them waiting.

    Returns the item and how many are begun.
    """
    (FOLDER / f"{item}").touch()
    end = time.monotonic() + 60
    while item == 0 and len(list(FOLDER.iterdir())) < 12 and time.monotonic() < end:
        time.sleep(0.01)
    return item, len(list(FOLDER.iterdir()))


def hand_outs():
    """Every item comes back once, whether there are more of them than ranks or fewer or none."""
    results = {count: handed_out(range(count), lambda item: item**2) for count in (0, 1, 2, 25)}
    if RANKS.size > 1:
        results["last"] = handed_out(range(12), last_to_end)
    return results


def micrograph(seed, shape=(83, 97)):
    return np.random.default_rng(seed).normal(size=shape)


def banks():
    """A bank whose views are all tied with each other, and one that is smaller than the number of ranks."""
    views = np.random.default_rng(5).normal(size=(2, 13, 12))
    return {
        "tied": TemplateBank(views[[0, 1, 0, 1, 0]], angles=np.arange(0, 360, 45)),
        "small": TemplateBank(views),
    }


def searched(bank, images, **options):
    """The maps of some micrographs on the root, by a search that all ranks share."""
    engine = SharedSearch(RANKS, bank, library="scipy", **options)
    if RANKS.rank:
        engine.serve()
        return []
    results = []
    for image, exclude in images:
        try:
            results.append(engine.run(image, exclude=exclude))
        except InputError as error:
            results.append(str(error))
    engine.close()
    return results


def searches():
    """For every kind of search, whether it gives the bytes of one process, and what it says of bad input."""
    exclude = np.zeros((83, 97), bool)
    exclude[20:60, 30:40] = True
    broken = micrograph(1)
    broken[3, 4] = np.nan
    images = [(micrograph(0), None), (broken, None), (micrograph(2, (64, 101)), None),
              (micrograph(3), exclude), (micrograph(4)[0], None), (micrograph(6, (8, 9)), None)]
    results = {}
    for name, bank in banks().items():
        for options in ({}, {"method": "paper"}, {"dtype": "float64", "reduction": "direct"}, {"threads": 2}):
            ours = searched(bank, images, **options)
            if RANKS.rank == 0:
                results[f"{name} {options}"] = compared(bank, images, ours, **options)
    return results


def compared(bank, images, ours, reduction="", **options):
    said = []
    with CPUSearch(bank, library="scipy", **options) as alone:
        for (image, exclude), our in zip(images, ours, strict=True):
            try:
                whole = alone.run(image, exclude=exclude)
            except InputError as error:
                said.append("same" if str(error) == our else f"{error} became {our}")
                continue
            same = [a.tobytes() for a in (whole.score, whole.index)] == [
                b.tobytes() for b in (our.score, our.index)]
            said.append("same" if same else "different")
    return said


def refused_on_the_last_rank():
    """What the root hears if one rank alone cannot search; the next micrograph goes well."""
    engine = SharedSearch(RANKS, banks()["small"], library="scipy")
    partial = engine._search.partial

    def refusing(image, **options):
        if image[0, 0] == 0 and RANKS.rank == RANKS.size - 1:
            raise InputError("no memory")
        return partial(image, **options)

    engine._search.partial = refusing
    if RANKS.rank:
        return engine.serve()
    image, said = micrograph(0), []
    for first in (0, 1):
        image[0, 0] = first
        try:
            said.append(engine.run(image).score.shape)
        except InputError as error:
            said.append(str(error))
    engine.close()
    return said


def from_a_root_that_fails():
    def make():
        raise InputError("no such file")

    try:
        return RANKS.gather(from_root(RANKS, make))
    except InputError:
        return RANKS.gather("raised")


def main():
    results = {
        "handed out": hand_outs(),
        "searches": searches(),
        "refused": refused_on_the_last_rank(),
        "from root": RANKS.gather(from_root(RANKS, lambda: 7)),
        "failed": from_a_root_that_fails(),
        "cores": [cores(), RANKS.allreduce(cores_of_rank(RANKS), MPI.SUM)],
    }
    if RANKS.rank == 0:
        print(json.dumps(results))


main()
