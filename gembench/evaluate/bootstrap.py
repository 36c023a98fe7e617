"""Confidence intervals by resampling whole micrographs, the unit that varies independently."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gembench.engine.picks import FloatArray

LEVEL = 0.95
Interval = tuple[float, float]


def resampled(micrographs: int, resamples: int, seed: int) -> NDArray[np.int64]:
    """How often each micrograph is drawn in each resample, shape (resamples, micrographs).

    Each row draws as many micrographs as there are, with replacement; the same seed gives the same rows.
    """
    equal = np.full(micrographs, 1 / micrographs)
    return np.random.default_rng(seed).multinomial(micrographs, equal, size=resamples)


def interval(values: FloatArray, level: float = LEVEL) -> Interval | None:
    """The central `level` of the resampled values (NaN, an undefined one, left out); None if none is left."""
    defined = values[np.isfinite(values)]
    if not len(defined):
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
