"""Values between coarse pixels, from the 6 x 6 coarse pixels around a cell, and how far they may be off.

Polynomials (Lagrange's) are exact for what is smooth, and lose 1 to 5 % of a peak that is as narrow as the
band allows. Where the spectrum is known, the weights of least mean square error (Wiener's interpolation;
kriging in geostatistics) lose a tenth of that at the same price: with R the autocorrelation among the coarse
pixels and r that between them and a pixel of the cell, they solve R w = r.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.banded.grid import RADII, TAPS, lagrange, ring_frequencies, ring_of

Array = NDArray[Any]
RIDGE = 1e-6  # of the variance: what keeps rounding small in the solution


@dataclass(frozen=True)
class Interpolation:
    """Weights, and what they do to waves of every ring of a spectrum, where in the cell that is most.

    weights: (36, step * step); the cell begins on coarse pixel (2, 2)
    blur: (RADII,) mean square error of such waves of mean square 1, in any direction and phase
    missing: (RADII,) part of a maximum that such waves make together
    """

    weights: Array
    blur: Array
    missing: Array

    def errors(self, energies: Array, power: Array) -> Array:
        """Root-mean-square error between coarse pixels of correlations, (K,), with a field of `power`.

        energies: (K, RADII) of what the field is correlated with, see `basis.ring_energies`
        """
        return np.asarray(np.sqrt(energies @ (power * self.blur)))

    def missing_peak(self, energies: Array, power: Array) -> Array:
        """The part of a peak that is missing between coarse pixels, (K,): a particle's in the field.

        What filtered the field's noise has left of the particle the square root of what it has of the noise.
        """
        spectrum = energies * np.sqrt(power)
        return np.asarray(spectrum @ self.missing / spectrum.sum(1))


@lru_cache(8)
def polynomial(step: int) -> Interpolation:
    """Lagrange's interpolation along both axes."""
    weights = np.empty((step, TAPS))
    for phase in range(step):
        lagrange(phase / step, weights[phase])
    return _judged(step, np.kron(weights, weights).T)


def of_least_error(step: int, spectrum: Array) -> Interpolation:
    """The interpolation that errs least for fields of an isotropic `spectrum`, (RADII,)."""
    among, towards = _waves(step)
    power = spectrum[: len(among)]
    covariance = np.tensordot(power, among, 1) + RIDGE * power.sum() * np.eye(TAPS**2)
    return _judged(step, np.linalg.solve(covariance, np.tensordot(power, towards, 1)))


def _judged(step: int, weights: Array) -> Interpolation:
    among, towards = _waves(step)
    kept = (towards * weights).sum(1)
    blur, missing = np.zeros(RADII), np.zeros(RADII)
    blur[: len(among)] = np.maximum(1 - 2 * kept + (weights * (among @ weights)).sum(1), 0).max(1)
    missing[: len(among)] = np.maximum(1 - kept, 0).max(1)
    return Interpolation(np.ascontiguousarray(weights), blur, missing)


@lru_cache(8)
def _waves(step: int) -> tuple[Array, Array]:
    """The correlation of waves in any direction, for each ring within the coarse band: J0(k distance).

    Among the coarse pixels, (rings, 36, 36), and from them to the cell's pixels, (rings, 36, step * step).
    """
    from scipy.special import j0

    frequencies = ring_frequencies()[: ring_of(0.5 / step) + 1, None, None]
    y, x = np.mgrid[:TAPS, :TAPS].reshape(2, -1, 1) * step
    v, u = np.mgrid[:step, :step].reshape(2, -1) + 2 * step
    return j0(frequencies * np.hypot(y - y.T, x - x.T)), j0(frequencies * np.hypot(y - v, x - u))
