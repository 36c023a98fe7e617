"""Roseman's local normalised cross-correlation, as pure functions of arrays.

For a template S, a mask M with P = sum(M) and a micrograph T (Roseman 2003, Ultramicroscopy 94:225;
gEMpicker 2013, eq. 1):

    NCC(v) = (1/P) sum_x S(x) M(x) T(x + v) / sigma_MT(v)
    sigma_MT(v)^2 = (1/P) sum_x M(x) T(x + v)^2 - ((1/P) sum_x M(x) T(x + v))^2

with S normalised under M to mean 0 and variance 1. What is here prepares S and T for the transforms; the
quotient itself, fused with the running maximum, is in `fold`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gembench.errors import InputError

Array = NDArray[Any]

# sigma^2 that counts as none, in machine epsilons (float32: 1.2e-7). Rounding leaves in sigma^2 up to 10 of
# the local mean of T^2, by cancellation, and up to 3 of the rms of T^2 - 1, which the transforms spread over
# the whole micrograph. At the floor a score is good to 0.1, and at 100 times the floor to 1e-3. In noise
# the floor is 1.7e-5 of the micrograph's variance; pixels at 100 standard deviations raise it.
LOCAL_FLOOR, GLOBAL_FLOOR = 128, 8
BAND = 32  # rows


def normalised_weights(template: Array, mask: Array, what: str = "template") -> Array:
    """S M / P: `template` (h, w) normalised under boolean `mask` to mean 0 and variance 1, divided by P.

    Returns float64 (h, w). Raises InputError, naming `what`, if the template is constant under the mask.
    """
    inside = template[mask].astype(np.float64)
    deviation = inside - inside.mean()
    sigma = float(np.sqrt((deviation**2).mean()))
    if not sigma > 1e-9 * float(np.abs(inside).max(initial=0)):
        raise InputError(f"{what} is constant under its mask: check that template and mask belong together")
    weights = np.zeros(template.shape)
    weights[mask] = deviation / (sigma * inside.size)
    return weights


def standardised(micrograph: Array, dtype: DTypeLike) -> tuple[Array, Array]:
    """T and T^2 as the transforms want them: T with mean 0 and variance 1, and T^2 - 1.

    NCC does not change when T is shifted or scaled; both have mean 0 here, so that sigma^2 keeps its
    digits in float32. Raises InputError for a constant micrograph.
    """
    mean = sum(float(band.sum(dtype=np.float64)) for _, band in _bands(micrograph)) / micrograph.size
    squares = sum(float(((band.astype(np.float64) - mean) ** 2).sum()) for _, band in _bands(micrograph))
    sigma = np.sqrt(squares / micrograph.size)
    if not sigma > 1e-12 * abs(mean):
        raise InputError("the micrograph is constant: there is nothing to correlate")
    image, square = np.empty(micrograph.shape, dtype), np.empty(micrograph.shape, dtype)
    for rows, band in _bands(micrograph):
        wide = (band.astype(np.float64) - mean) / sigma
        image[rows] = wide
        square[rows] = wide * wide - 1
    return image, square


def _bands(image: Array) -> Iterator[tuple[slice, Array]]:
    """An image (h, w) a few rows at a time, which stay in cache while they are worked on."""
    for start in range(0, len(image), BAND):
        rows = slice(start, start + BAND)
        yield rows, image[rows]


def variance_floor(square: Array) -> tuple[Any, Any]:
    """What sigma^2 must exceed, for `square` = T^2 - 1 of a micrograph: (a, b) for a * mean of T^2 + b.

    The mean is that under the mask; both are scalars of the type of `square`.
    """
    epsilon = np.finfo(square.dtype).eps
    rms = np.sqrt((square**2).mean(dtype=np.float64))
    return square.dtype.type(LOCAL_FLOOR * epsilon), square.dtype.type(GLOBAL_FLOOR * epsilon * rms)

