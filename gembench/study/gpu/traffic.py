"""The fewest bytes that a search must move through device memory, and what a plain copy moves."""

from __future__ import annotations

from statistics import median
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

COPY_BYTES = 1 << 30  # of each array; far beyond any cache
COPIES = 20


def least_bytes(
    transform: tuple[int, int], cut: int, dtype: DTypeLike, *, own_mask: bool, batch: int = 1,
    spectrum_bytes: int | None = None,
) -> float:
    """The fewest bytes a template can cost that is correlated by transforms larger than the cache.

    transform: (ny, nx) in pixels; cut: rows that the turned template covers; own_mask: whether sigma is made
    anew for each template; batch: templates that share one pass over the maps and the micrograph's spectra;
    spectrum_bytes: of one complex number kept in memory, if it is fewer than the dtype's two

    A two-dimensional transform goes through memory at least twice, once along rows and once along columns;
    all else can ride on these passes. So each inverse transform writes its half-spectrum once, between the
    column and the row pass, and reads it once; a forward transform does the same with `cut` rows. Inverse
    transforms: one a template, and two a mask of its own.
    """
    ny, nx = transform
    real = np.dtype(dtype).itemsize
    wide = spectrum_bytes or 2 * real
    columns = nx // 2 + 1
    inverse, forward = (3, 2) if own_mask else (1, 1)
    passes = 2 * wide * columns * (inverse * ny + forward * cut)
    maps = 2 * ny * nx * (real + 4)  # score and index, read and written
    shared = maps + (2 if own_mask else 1) * 2 * real * ny * columns + (0 if own_mask else ny * nx * real)
    return passes + shared / batch


def copy_bandwidth(cupy: Any, nbytes: int = COPY_BYTES, repeats: int = COPIES) -> float:
    """Bytes a second of a device-to-device copy, read and written both counted; the median of `repeats`.

    cupy: the module; nbytes: size of the array, halved until two of them take half of the free memory
    """
    free, _ = cupy.cuda.runtime.memGetInfo()
    while nbytes > free // 4:
        nbytes //= 2
    source = cupy.arange(nbytes // 4, dtype=np.float32)
    target = cupy.empty_like(source)
    seconds = []
    for _ in range(repeats + 2):  # the first two warm up
        start, stop = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        cupy.copyto(target, source)
        stop.record()
        stop.synchronize()
        seconds.append(cupy.cuda.get_elapsed_time(start, stop) / 1e3)
    return float(2 * source.nbytes / median(seconds[2:]))
