"""What one producer and a bounded queue are for: memory that more templates do not fill, and one reader."""

from __future__ import annotations

import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from gembench.data.workload import egg_bank
from gembench.study.gpu.timeline import drop_from_cache

PAUSE = 0.01  # s; turning a template of 96 pixels takes a tenth of it
READERS = 4  # threads that read at once, as four consumers without a producer would


def peak_memory(templates: int, n: int, box: int) -> int:
    """Most bytes that a search of one thread allocates at once, its own maps and turned templates included.

    templates: turned ones of box x box pixels with masks of their own, none kept; n: the micrograph's side
    The consumer rests after each template, so that the producer runs ahead as far as the queue lets it.
    """
    from gembench.engine.exact.producer import CPUSearch

    bank = egg_bank(box, templates)
    image = np.random.default_rng(1).standard_normal((n, n), np.float32)
    with CPUSearch(bank, method="paper", threads=1, keep_bytes=0) as search:
        search.run(image)  # plans and tables that stay are made
        tracemalloc.start()
        try:
            search.run(image, on_template=lambda count: time.sleep(PAUSE))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


def memory_growth(templates: int = 40, n: int = 192, box: int = 96) -> dict[str, float]:
    """What of the bytes of as many templates again a search holds at once: 0 if the queue bounds it."""
    once, twice = (peak_memory(count, n, box) for count in (templates, 2 * templates))
    bank = egg_bank(box, 2 * templates)
    turned = [bank.rotated(index, np.float32) for index in range(len(bank))]
    added = sum(template.weights.nbytes + template.mask.nbytes for template in turned) / 2
    return {"memory_of_more_templates": (twice - once) / added}


def _read(files: list[Path]) -> None:
    for file in files:
        np.fromfile(file, np.float32)


def readers(count: int = 96, box: int = 160, rounds: int = 3, folder: Path | None = None) -> dict[str, Any]:
    """How many times as fast one thread reads files from this machine's storage as several that read at once.

    All read the same files, a template each, in alternating rounds; the files are dropped from the page cache
    before, where the system lets us. `one_reader_gain` is the median with its range; above 1 one reader is
    faster.
    """
    image = np.random.default_rng(1).standard_normal((box, box), np.float32)
    gains, rates = [], []
    with TemporaryDirectory(dir=folder) as place:
        files = [Path(place) / f"{number}.raw" for number in range(count)]
        for file in files:
            file.write_bytes(image.tobytes())
        for _ in range(rounds):
            alone, together = reading_seconds_of(files, 1), reading_seconds_of(files, READERS)
            gains.append(together / alone)
            rates.append(count / alone)
    return {"files_per_second": median(rates), "one_reader_gain": median(gains),
            "one_reader_gain_interval": [min(gains), max(gains)]}


def reading_seconds_of(files: list[Path], threads: int) -> float:
    """Seconds that so many threads need to read all files, each its share of them."""
    for file in files:
        drop_from_cache(file)
    with ThreadPoolExecutor(threads) as pool:
        start = time.perf_counter()
        list(pool.map(_read, [files[part::threads] for part in range(threads)]))
        return time.perf_counter() - start
