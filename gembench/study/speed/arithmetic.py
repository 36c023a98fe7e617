"""What several threads of a machine gain when they do nothing but arithmetic.

Cores that are two halves of one, or that other guests of the same host use too, give less than one each.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

Array = NDArray[Any]
SIDE = 256  # of float32 matrices, three of which stay in a core's second cache
PRODUCTS = 40  # of one trial: some 10 ms
TRIALS = 15


def flops(threads: int) -> float:
    """Floating-point operations in a second on so many threads, in float32: the median of some trials.

    Every thread multiplies matrices of its own by the BLAS of numpy.
    """
    matrices = [np.ones((3, SIDE, SIDE), np.float32) for _ in range(threads)]
    rates = []
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
        for _ in range(1 + TRIALS):
            start = time.perf_counter()
            list(pool.map(_multiply, matrices))
            rates.append(threads * PRODUCTS * 2 * SIDE**3 / (time.perf_counter() - start))
    return median(rates[1:])


def _multiply(matrices: Array) -> None:
    a, b, product = matrices
    for _ in range(PRODUCTS):
        np.matmul(a, b, out=product)
