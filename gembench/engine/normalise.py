"""Templates and micrographs as the equation of `ncc` and the transforms want them: mean 0 and variance 1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gembench.engine.kernel import kernel, summing
from gembench.errors import InputError

Array = NDArray[Any]

# sigma^2 that counts as none, in machine epsilons (float32: 1.2e-7). Rounding leaves in sigma^2 up to 10 of
# the local mean of T^2, by cancellation, and up to 3 of the rms of T^2 - 1, which the transforms spread over
# the whole micrograph. At the floor a score is good to 0.1, and at 100 times the floor to 1e-3. In noise
# the floor is 1.7e-5 of the micrograph's variance; pixels at 100 standard deviations raise it.
LOCAL_FLOOR, GLOBAL_FLOOR = 128, 8
BAND = 32  # rows
SPARSE = 16  # rows and columns between pixels that tell roughly where the mean is


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
    # Near the mean, however far some pixels lie off, so that the squares keep their digits.
    near = float(micrograph[::SPARSE, ::SPARSE].mean(dtype=np.float64))
    sums = np.zeros(2)
    for _, band in _bands(micrograph):
        add_moments(band, near, sums)
    offset, squares = sums / micrograph.size
    mean, sigma = near + offset, np.sqrt(max(squares - offset**2, 0))
    if not sigma > 1e-12 * abs(mean):
        raise InputError("the micrograph is constant: there is nothing to correlate")
    image, square = np.empty(micrograph.shape, dtype), np.empty(micrograph.shape, dtype)
    for rows, band in _bands(micrograph):
        standardise(band, mean, 1 / sigma, image[rows], square[rows])
    return image, square


def _bands(image: Array) -> Iterator[tuple[slice, Array]]:
    """An image (h, w) a few rows at a time, in float32 or float64."""
    for start in range(0, len(image), BAND):
        rows = slice(start, start + BAND)
        single = image.dtype == np.float32
        yield rows, np.ascontiguousarray(image[rows], np.float32 if single else np.float64)


@summing
def add_moments(values: Array, origin: float, sums: Array) -> None:
    """Add the sums of (values - origin) and of its square, values (h, w), to `sums` (2,), in float64."""
    first, second = 0.0, 0.0
    for j in range(values.shape[0]):
        row = values[j]
        for i in range(row.shape[0]):
            deviation = np.float64(row[i]) - origin
            first += deviation
            second += deviation * deviation
    sums[0] += first
    sums[1] += second


@kernel
def standardise(values: Array, mean: float, scale: float, image: Array, square: Array) -> None:
    """Put T = (values - mean) * scale into `image` and T^2 - 1 into `square`, all (h, w)."""
    for j in range(values.shape[0]):
        row, ones, squares = values[j], image[j], square[j]
        for i in range(row.shape[0]):
            value = (row[i] - mean) * scale
            ones[i] = value
            squares[i] = value * value - 1


def variance_floor(square: Array) -> tuple[Any, Any]:
    """What sigma^2 must exceed, for `square` = T^2 - 1 of a micrograph: (a, b) for a * mean of T^2 + b.

    The mean is that under the mask; both are scalars of the type of `square`.
    """
    epsilon = np.finfo(square.dtype).eps
    sums = np.zeros(2)
    add_moments(square, 0.0, sums)
    rms = np.sqrt(sums[1] / square.size)
    return square.dtype.type(LOCAL_FLOOR * epsilon), square.dtype.type(GLOBAL_FLOOR * epsilon * rms)

