"""The read-bound timeline: GPUs that wait for templates to be read (gEMpicker 2013, KLH case study)."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from heapq import heapreplace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

MICROGRAPHS, TEMPLATES, BOX = 82, 180, 272  # of the paper's KLH case


@dataclass(frozen=True)
class Producer:
    """One producer that reads templates into a bounded queue, and GPUs that take them from it.

    read: seconds to read one template with its mask; compute: seconds of one GPU for one template
    dead: seconds a micrograph beyond its templates; gpus: consumers; depth: templates that may wait
    """

    read: float
    compute: float
    dead: float = 0.0
    gpus: int = 1
    depth: int = 8

    def micrograph_seconds(self, templates: int) -> float:
        """From the first read to the merged maps of one micrograph, event by event."""
        free, taken, produced = [0.0] * self.gpus, [0.0] * templates, 0.0
        for number in range(templates):
            room = taken[number - self.depth] if number >= self.depth else 0.0
            produced = max(produced, room) + self.read
            taken[number] = max(produced, free[0])
            heapreplace(free, taken[number] + self.compute)
        return max(free) + self.dead

    def seconds(self, micrographs: int = MICROGRAPHS, templates: int = TEMPLATES) -> float:
        """One micrograph after the other, the templates read anew for each, as the original program does."""
        return micrographs * self.micrograph_seconds(templates)

    @property
    def unhindered(self) -> Producer:
        """The same with templates that are there at once: what the arithmetic alone takes."""
        return replace(self, read=0.0)


def reading_seconds(count: int = 60, box: int = BOX, folder: Path | None = None) -> float:
    """Seconds to read one template with its mask, two float32 images of `box`^2 pixels, from files of theirs.

    The files are written into a folder of their own in `folder` (the system's for temporary files if None)
    and dropped from the page cache first, where the system lets us and keeps one.
    """
    image = np.random.default_rng(1).standard_normal((box, box), np.float32)
    with TemporaryDirectory(dir=folder) as place:
        files = [Path(place) / f"{number}.raw" for number in range(2 * count)]
        for file in files:
            file.write_bytes(image.tobytes())
            drop_from_cache(file)
        start = time.perf_counter()
        for file in files:
            np.fromfile(file, np.float32)
        return (time.perf_counter() - start) / count


def drop_from_cache(file: Path) -> None:
    """Write the file out and give its pages back, where the system can."""
    with file.open("rb+") as handle:
        os.fsync(handle.fileno())
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def klh(compute: float, dead: float, read: float | None = None, most: int = 4) -> dict[str, Any]:
    """The KLH case on 1 to `most` GPUs, worked out from one GPU's rate and from how fast files are read.

    compute: seconds a template; dead: seconds a micrograph beyond them; read: seconds to read a template with
    its mask, measured now if None. Returns the metrics that the study stores, lists by number of GPUs.
    """
    read = reading_seconds() if read is None else read
    producers = [Producer(read, compute, dead, gpus, 2 * gpus) for gpus in range(1, most + 1)]
    waiting = [producer.seconds() for producer in producers]
    alone = [MICROGRAPHS * (TEMPLATES * compute / producer.gpus + dead) for producer in producers]
    return {"read_seconds_per_template": read, "timeline_seconds": waiting, "arithmetic_seconds": alone,
            "read_bound_seconds": waiting[-1], "compute_bound_seconds": alone[-1]}
