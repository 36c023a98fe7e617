"""Roseman's local normalised cross-correlation, as pure functions of arrays.

For a template S, a mask M with P = sum(M) and a micrograph T (Roseman 2003, Ultramicroscopy 94:225;
gEMpicker 2013, eq. 1):

    NCC(v) = (1/P) sum_x S(x) M(x) T(x + v) / sigma_MT(v)
    sigma_MT(v)^2 = (1/P) sum_x M(x) T(x + v)^2 - ((1/P) sum_x M(x) T(x + v))^2

with S normalised under M to mean 0 and variance 1. What is here prepares S and T for the transforms; the
quotient itself, fused with the running maximum, is in `fold`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gembench.errors import InputError

Array = NDArray[Any]

# sigma^2 that counts as none, in units of the micrograph's variance. The rounding of a float32 transform
# leaves about 2e-7 of noise in sigma^2, so a score at this floor is good to 1 %, and at 0.01 to 1e-5.
VARIANCE_FLOOR = {"float32": 1e-5, "float64": 1e-12}


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
    wide = micrograph.astype(np.float64)
    wide -= wide.mean()
    sigma = float(np.sqrt((wide**2).mean()))
    if not sigma > 0:
        raise InputError("the micrograph is constant: there is nothing to correlate")
    wide /= sigma
    return wide.astype(dtype), (wide**2 - 1).astype(dtype)


def variance_floor(dtype: DTypeLike) -> float:
    """The sigma^2, in units of the micrograph's variance, at and below which a score is 0."""
    return VARIANCE_FLOOR[np.dtype(dtype).name]

