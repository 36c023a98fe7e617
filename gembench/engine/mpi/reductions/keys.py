"""Score and index as one 64-bit key: comparing two keys is comparing scores, then indices, lowest first."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.kernel import kernel

Array = NDArray[Any]
HIGHEST_INDEX = 2**31 - 2


def packed(score: Array, index: Array) -> NDArray[np.int64]:
    """One key for each score, (n,) float32 without NaN, and index, (n,) int32 from -1 to HIGHEST_INDEX.

    The high word holds the score's bits in an order-preserving form: those of a negative number but the
    sign are inverted, and -0.0 is +0.0. The low word holds the complement of the index, so that the larger
    key has the lower index, and in its last bit whether the score was -0.0.
    """
    keys = np.empty(score.size, np.int64)
    _pack(score.view(np.int32), index, keys)
    return keys


def unpack(keys: NDArray[np.int64], score: Array, index: Array) -> None:
    """Put back what was `packed`, bit by bit; score: (n,) float32, index: (n,) int32."""
    _unpack(keys, score.view(np.int32), index)


@kernel
def _pack(bits: Array, index: Array, keys: Array) -> None:
    for i in range(keys.size):
        minus_zero = np.int64(bits[i] == np.int32(-(2**31)))
        word = np.int64(bits[i]) * (1 - minus_zero)
        word ^= (word >> 63) & 0x7FFFFFFF
        keys[i] = (word << 32) | (np.int64(HIGHEST_INDEX - index[i]) << 1) | minus_zero


@kernel
def _unpack(keys: Array, bits: Array, index: Array) -> None:
    for i in range(keys.size):
        word = keys[i] >> 32
        word ^= (word >> 63) & 0x7FFFFFFF
        bits[i] = np.int32(word) | np.int32(-((keys[i] & 1) << 31))
        index[i] = np.int32(HIGHEST_INDEX - ((keys[i] & 0xFFFFFFFF) >> 1))
