"""The engine's loops over pixels, compiled by numba; every kernel releases the GIL.

All of them are branch-free in the inner loop, so that LLVM vectorises them, and deterministic: equal
scores keep the lowest template index, whatever the order of arrival.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.kernel import kernel

Array = NDArray[Any]
NO_SCORE = np.float32(-2.0)  # below every correlation: 'no template was scored here'
BLOCK = 16  # rows a block: 256 KiB of complex64 at n = 2048, so that four blocks fit a 2 MiB cache
TILE = 16  # columns a transposition turns at a time: two 64-byte lines of complex64


@kernel
def load_columns(rows: Array, x: int, full: Array) -> None:
    """Put rows[y, x + i] into full[i, y], and zero beyond the last row; full: (BLOCK, ny)."""
    height = rows.shape[0]
    for y0 in range(0, height, TILE):
        for i in range(BLOCK):
            column = full[i]
            for y in range(y0, min(y0 + TILE, height)):
                column[y] = rows[y, x + i]
    full[:, height:] = 0


@kernel
def inverse_sigma(
    mean: Array, square: Array, y: int, x: int, local_floor: Any, global_floor: Any,
    out: Array, v: int, height: int, width: int,
) -> None:
    """Put 1 / sigma_MT into out[v:, 0:], and 0 where sigma_MT^2 is not above `correlate.variance_floor`.

    mean, square: (1/P) sum M T and (1/P) sum M (T^2 - 1), read from [y:, x:]; sigma_MT^2 is
        square + 1 - mean^2 (Roseman 2003)
    local_floor, global_floor: scalars of the arrays' type, so that nothing is widened
    """
    zero, one = type(local_floor)(0), type(local_floor)(1)
    for j in range(height):
        means, squares = mean[y + j, x : x + width], square[y + j, x : x + width]
        row = out[v + j, 0:width]
        for i in range(width):
            moment = squares[i] + one
            variance = moment - means[i] * means[i]
            floor = local_floor * moment + global_floor
            inverse = one / np.sqrt(max(variance, floor))
            row[i] = inverse if variance > floor else zero


@kernel
def fold(
    numerator: Array, y: int, x: int, inverse: Array, v: int, u: int, k: Any, score: Array, index: Array,
    t: int, s: int, height: int, width: int,
) -> None:
    """NCC_k = numerator * inverse into the running maximum and its index (gEMpicker 2013, eq. 1 and 2).

    numerator is read from [y:, x:], inverse from [v:, u:], and score and index change in [t:, s:]
    k: np.int32, the template's index
    """
    for j in range(height):
        numerators, inverses = numerator[y + j, x : x + width], inverse[v + j, u : u + width]
        scores, indices = score[t + j, s : s + width], index[t + j, s : s + width]
        for i in range(width):
            ncc = numerators[i] * inverses[i]
            better = (ncc > scores[i]) | ((ncc == scores[i]) & (k < indices[i]))
            scores[i] = ncc if better else scores[i]
            indices[i] = k if better else indices[i]


@kernel
def merge(score: Array, index: Array, other_score: Array, other_index: Array) -> None:
    """Fold another pair of maps into `score` and `index`; ties keep the lowest index."""
    for j in range(score.shape[0]):
        for i in range(score.shape[1]):
            new, k = other_score[j, i], other_index[j, i]
            better = (new > score[j, i]) | ((new == score[j, i]) & (k < index[j, i]))
            score[j, i] = new if better else score[j, i]
            index[j, i] = k if better else index[j, i]
