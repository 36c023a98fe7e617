"""Measures the table of `fft_sizes`: `python -m gembench.engine.fft.costs` prints it.

A cost is nanoseconds a point, in float32, of the row transforms that the exact method makes of every
template: a block of 16 complex rows inverted in place, and 16 real rows inverted, the mean of the two. Of
several passes over all sizes the least counts, since whatever else runs can only add; and the mean of MKL and
FFTW, so that a size is good with either.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from gembench.engine.exact.kernels import BLOCK
from gembench.engine.fft.library import FFTLibrary, fft_library
from gembench.engine.fft.sizes import smooth_sizes

LIBRARIES = ("mkl", "fftw")
SIZES = (256, 8400)  # the smallest and the largest in the table: micrographs, and tiles of larger ones
PASSES, CALLS, SECONDS = 3, 5, 0.01  # of one pass: at least so many calls and so long for a size


def least_seconds(function: Callable[[], None]) -> float:
    """The shortest of at least CALLS calls that take SECONDS together."""
    end = time.perf_counter() + SECONDS
    least, calls = float("inf"), 0
    while calls < CALLS or time.perf_counter() < end:
        start = time.perf_counter()
        function()
        least = min(least, time.perf_counter() - start)
        calls += 1
    return least


def row_cost(library: FFTLibrary, n: int) -> float:
    """Nanoseconds a point of one block of inverse row transforms of length `n`, complex and real."""
    rows = library.row_transforms(n, BLOCK, "float32")
    seconds = least_seconds(rows.ifft) + least_seconds(rows.irfft)
    return seconds * 1e9 / (2 * n * BLOCK)


def measure(sizes: list[int], passes: int = PASSES) -> dict[int, float]:
    """The cost of each size, nanoseconds a point."""
    libraries = [fft_library(name) for name in LIBRARIES]
    fastest = {(library, n): float("inf") for library in libraries for n in sizes}
    for _ in range(passes):
        for library, n in fastest:
            fastest[library, n] = min(fastest[library, n], row_cost(library, n))
    return {n: sum(fastest[library, n] for library in libraries) / len(libraries) for n in sizes}


def as_source(costs: dict[int, float], width: int = 104) -> str:
    """The table as it stands in `fft_sizes`, in lines of at most `width` characters."""
    lines = [""]
    for item in (f"{n}: {cost:.2f}," for n, cost in costs.items()):
        if len(lines[-1]) + len(item) >= width:
            lines.append("")
        lines[-1] += f" {item}" if lines[-1] else item
    return "COSTS = {\n" + "".join(f"    {line}\n" for line in lines) + "}"


if __name__ == "__main__":
    print(as_source(measure([n for n in smooth_sizes(SIZES[1]) if n >= SIZES[0]])))
