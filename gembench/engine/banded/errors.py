"""How far coarse scores may be from exact ones; the docstring of `banded` has the inequality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.banded.grid import CoarseGrid, ring_frequencies, ring_of, ring_sizes
from gembench.engine.banded.group import CompressedGroup
from gembench.engine.banded.interpolation import Interpolation
from gembench.engine.fft import FFTLibrary

Array = NDArray[Any]
DEVIATIONS = 6.0  # standard errors that a score is trusted to lie within: all but 2e-9 of a normal variable
RISE_DEVIATIONS = 4.0  # of a peak's curvature that are reckoned with


@dataclass(frozen=True)
class BankRings:
    """What a bank holds at which frequencies.

    energies: (K, RADII), see `basis.ring_energies`, of spectra of `length` pixels a side
    box: (h, w) that holds all templates
    """

    energies: Array
    length: int
    box: tuple[int, int]

    def beyond(self, power: Array, step: int) -> float:
        """The largest rms numerator that a micrograph of `power` by ring has beyond the band of a grid."""
        first = ring_of(0.5 / step)
        return float(np.sqrt((self.energies[:, first:] @ power[first:]).max()))

    def rise(self, power: Array, step: int) -> tuple[float, float]:
        """How far a peak may rise above the coarse pixels around it: relative to its height, and beyond that.

        A maximum of height h in a random field has a curvature of h m2, give or take the field's deviation
        times sqrt(m4 - m2^2), with m2 and m4 the moments of its spectrum; a coarse pixel is at most half a
        step away along each axis.
        """
        square, spectrum = ring_frequencies() ** 2, self.energies * power
        variance = spectrum.sum(1)
        m2, m4 = spectrum @ square / variance, spectrum @ square**2 / variance
        spread = RISE_DEVIATIONS * np.sqrt(variance * np.maximum(m4 - m2**2, 0))
        return float(m2.max() * step**2 / 8), float(spread.max() * step**2 / 8)


@dataclass(frozen=True)
class ErrorModel:
    """Errors of one micrograph's coarse scores. The micrograph has variance 1.

    numerator, moment: (K,) rms error of each template's numerator, and of the mean of T^2 under its mask
    missing: (K,) the part of a template's score that may be missing at a peak between coarse pixels
    strength: (2, ny, nx), how much larger than elsewhere both errors are around each coarse pixel
    rise: how much higher than on the coarse pixels around it a peak may be, see `BankRings.rise`
    """

    numerator: Array
    moment: Array
    missing: Array
    strength: Array
    rise: tuple[float, float]

    @classmethod
    def measured(
        cls, bank: BankRings, grid: CoarseGrid, groups: list[CompressedGroup], library: FFTLibrary,
        spectra: Sequence[Array], powers: tuple[Array, Array], between: tuple[Interpolation, Interpolation],
    ) -> ErrorModel:
        """The errors for the micrograph of some spectra and powers by ring, of T and of T^2 - 1.

        between: how numerators, and means under masks, are read between coarse pixels
        """
        dtype = spectra[0].real.dtype
        lost = np.concatenate([group.weights.errors(powers[0]) for group in groups])
        numerator = np.hypot(lost, between[0].errors(bank.energies, powers[0])).astype(dtype)
        lost = np.concatenate([group.masks.errors(powers[1])[group.mask_of] for group in groups])
        energies = np.concatenate([group.masks.energies[group.mask_of] for group in groups])
        moment = np.hypot(lost, between[1].errors(energies, powers[1])).astype(dtype)
        of_weights = _inside(grid.step, np.concatenate([group.weights.lost for group in groups]))
        of_masks = _inside(grid.step, np.concatenate([group.masks.lost for group in groups]))
        of_weights += bank.energies.mean(0) * between[0].blur
        of_masks += np.concatenate([group.masks.energies for group in groups]).mean(0) * between[1].blur
        strength = np.stack([_strength(bank, grid, library, spectrum, lost, power) for spectrum, lost, power
                             in zip(spectra, (of_weights, of_masks), powers, strict=True)])
        missing = between[0].missing_peak(bank.energies, powers[0]).astype(dtype)
        return cls(numerator, moment, missing, strength, bank.rise(powers[0], grid.step))

    def doubtful(self, lowest: Array, strength: Array) -> Array:
        """Where an approximate sigma^2 says nothing, its error being more than half of it: bool.

        lowest: the smallest under any mask; strength: (2, ...) there
        """
        return np.asarray(lowest < 2 * DEVIATIONS * float(self.moment.max()) * strength[1])

    def ripple(self, score: Array, index: Array, inverse: Array, strength: Array) -> Array:
        """The part of the slack that may change from pixel to pixel: sigma's error is smooth."""
        error = DEVIATIONS * self.numerator[index] * strength[0] * inverse
        return np.asarray(error + self.missing[index] * np.abs(score), score.dtype)

    def slack(self, score: Array, index: Array, inverse: Array, strength: Array) -> Array:
        """What the exact score may differ by, for the template `index` and its 1 / sigma, `inverse`."""
        of_variance = DEVIATIONS * self.moment[index] * strength[1]
        slack = self.ripple(score, index, inverse, strength) + 0.5 * of_variance * np.abs(score) * inverse**2
        return np.asarray(slack, score.dtype)

    def highest(self, score: Array, index: Array, inverse: Array, lowest: Array) -> Array:
        """The highest score that any pixel around each coarse one may have: (ny, nx), 1 where in doubt.

        score, index, inverse, lowest: (ny, nx), see `CompressedGroup.fold`
        """
        slack = self.slack(score, index, inverse, self.strength)
        relative, beyond = self.rise
        upper = score * (1 + relative) + beyond * inverse + slack
        doubtful = self.doubtful(lowest, self.strength)
        return np.where(index < 0, 0, np.where(doubtful, 1, upper)).astype(slack.dtype)

    def margins(self, inverse: Array, strength: Array) -> tuple[Array, Array, Array, Array]:
        """What `near_best` allows each template beside the best: half of its own slack, without `missing`.

        The difference of two scores is taken to err by half of what both may err by together: an assumption,
        that two errors seldom both reach their bound with opposite signs. Returns (K,) and (K,) of numerators
        and moments, and what these are multiplied by at the places of inverse and strength, (n,) and (n,);
        the latter times the template's score.
        """
        return (0.5 * DEVIATIONS * self.numerator, 0.25 * DEVIATIONS * self.moment, strength[0] * inverse,
                strength[1] * inverse**2)


def _inside(step: int, lost: Array) -> Array:
    """The mean over templates of what is lost of them, (K, RADII), inside the coarse band: (RADII,)."""
    mean = lost.mean(0)
    mean[ring_of(0.5 / step) :] = 0
    return np.asarray(mean)


def _strength(
    bank: BankRings, grid: CoarseGrid, library: FFTLibrary, spectrum: Array, energies: Array, power: Array
) -> Array:
    """How much larger than `power` tells an error is around each coarse pixel: (ny, nx).

    The error is the correlation with something of the size of the templates that has `energies` (RADII,)
    in each ring: noise of that spectrum stands for it.
    """
    from scipy.ndimage import uniform_filter

    gain = np.sqrt(energies * bank.length**2 / np.maximum(ring_sizes(bank.length), 1))
    gain = gain.astype(spectrum.real.dtype)
    error = library.irfft2(spectrum * gain[grid.rings()], grid.shape)
    error *= error
    square = uniform_filter(error, [max(1, n // grid.step) for n in bank.box], mode="wrap")
    square *= error.dtype.type(1 / (energies @ power))
    return np.asarray(np.sqrt(square, out=square))
