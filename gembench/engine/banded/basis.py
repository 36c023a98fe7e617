"""A bank in few numbers: coarse scores of all templates from the correlations of a small basis.

Turned templates are much alike. The K templates of a bank are, to a stated error, sums of r << K basis
templates (their leading singular vectors, weighted as a filtered micrograph weights frequencies), and the
masks likewise. With C (K, r) the coefficients and B (r, n) the correlations of the basis at n pixels, all
numerators at once are one matrix product C B; the means of T and T^2 under all masks are two more. The
products are folded while they are in cache.

Measured on KLH low-passed at 20 A, 180 turns of the side view: 61 basis templates leave an error of 1e-3, and
360 turns need no more. What turning costs in transforms it then costs in matrix products at 90 GFLOP/s.
Finer turns so cost little and find more: beside turns of 0.5 degrees, the best scores of 12 side views are
lower by 5.7 % at 9 degrees, 1.3 % at 4, 0.26 % at 2 and 0.05 % at 1, and a micrograph of 2048^2 pixels takes
1, 1.3, 1.5 and 2.3 times as long; by the method exact it takes as many times as there are more templates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.banded.grid import RADII, CoarseGrid, doubled, ring_of, rings
from gembench.engine.bank import RotatedTemplate
from gembench.engine.fft import complex_dtype

Array = NDArray[Any]


@dataclass(frozen=True)
class Basis:
    """Images as sums of a few.

    coefficients: (K, r); spectra: (r, ny, nx // 2 + 1), conjugate, on the coarse grid
    energies: (K, RADII), each image in each ring: the summed square of its spectrum, a pixel
    lost: (K, RADII), what is lost of that
    """

    coefficients: Array
    spectra: Array
    energies: Array
    lost: Array

    def errors(self, power: Array) -> Array:
        """Root-mean-square error of each correlation, (K,), for an image of `power` (RADII,) by ring."""
        return np.asarray(np.sqrt(self.lost @ power), self.coefficients.dtype)


def common_box(templates: list[RotatedTemplate]) -> tuple[slice, slice]:
    """The rows and columns, counted from the centre pixel, that hold the cuts of all templates."""
    spans = []
    for axis in range(2):
        first = min(t.offset[axis] for t in templates)
        last = max(t.offset[axis] + t.mask.shape[axis] for t in templates)
        spans.append(slice(first, last))
    return spans[0], spans[1]


def in_box(cut: Array, offset: tuple[int, int], box: tuple[slice, slice], out: Array) -> None:
    """Put a template's cut into `out`, which spans `box`, zero elsewhere."""
    y, x = offset[0] - box[0].start, offset[1] - box[1].start
    out[:] = 0
    out[y : y + cut.shape[0], x : x + cut.shape[1]] = cut


def ring_energies(images: Array, length: int) -> Array:
    """The summed square of each image's spectrum in each ring, a pixel: (K, RADII). images: (K, h, w)."""
    from scipy.fft import rfft2

    ring, twice = rings(length).ravel(), doubled(length)
    energies = np.empty((len(images), RADII))
    for of_rings, image in zip(energies, images, strict=True):
        square = np.abs(rfft2(image, s=(length, length))) ** 2 * twice
        of_rings[:] = np.bincount(ring, square.ravel(), RADII) / length**2
    return energies


def prior(length: int, step: int) -> Array:
    """The power that a micrograph worth a coarse grid of `step` is thought to have, by frequency.

    That of white noise under a Gaussian that falls to 0.4 at the band's end, and stronger at low
    frequencies, of mean 1: (length, length // 2 + 1). It only shapes the basis; errors are measured.
    """
    y, x = np.fft.fftfreq(length)[:, None], np.fft.rfftfreq(length)[None]
    square = y * y + x * x
    power = np.exp(2 * np.log(0.4) * square * (2 * step) ** 2) * (1 + (0.02 / step) / (square + 1e-4) ** 0.5)
    power *= 1 / (power * doubled(length)).sum() * length**2
    return np.asarray(power)


def make_basis(
    images: Array, box: tuple[slice, slice], grid: CoarseGrid, length: int, tolerance: float
) -> Basis:
    """The smallest basis of `images` (K, h, w), which span `box`, within `tolerance` under the prior.

    length: pixels of the square that spectra are taken on, at least h and w
    """
    from scipy.fft import rfft2
    from scipy.linalg import eigh

    twice, power = doubled(length), prior(length, grid.step)
    band = rings(length) <= ring_of(0.5 / grid.step)
    root = np.sqrt(power * twice)[band] / length
    vectors = np.empty((len(images), 2 * int(band.sum())), np.float32)
    for vector, image in zip(vectors, images, strict=True):
        spectrum = rfft2(image, s=(length, length))[band] * root
        vector[: len(root)], vector[len(root) :] = spectrum.real, spectrum.imag
    gram = (vectors @ vectors.T).astype(np.float64)
    del vectors, vector
    values, modes = eigh(gram)
    values, modes = values[::-1], modes[:, ::-1]
    left = np.maximum(gram.diagonal()[:, None] - np.cumsum(modes**2 * values, axis=1), 0)
    enough = np.flatnonzero(np.sqrt(left.max(0)) <= tolerance)
    rank = int(enough[0]) + 1 if enough.size else len(images)
    coefficients = np.ascontiguousarray(modes[:, :rank]).astype(images.dtype)
    flat = images.reshape(len(images), -1)
    basis = coefficients.T @ flat
    rest = coefficients @ basis
    lost = ring_energies(np.subtract(flat, rest, out=rest).reshape(images.shape), length)
    beyond = ring_of(0.5 / grid.step)
    energies = ring_energies(images, length)
    lost[:, beyond:] = energies[:, beyond:]
    return Basis(coefficients, _spectra(basis.reshape(rank, *images.shape[1:]), box, grid), energies, lost)


def group_bytes(
    templates: list[RotatedTemplate], number: int, step: int, length: int, dtype: np.dtype[Any]
) -> int:
    """Bytes held while `number` of some templates are compressed; see `make_basis`."""
    height, width = (span.stop - span.start for span in common_box(templates))
    images = number * height * width * dtype.itemsize
    vectors = number * 2 * int((rings(length) <= ring_of(0.5 / step)).sum()) * 4
    return int(images + max(vectors, images))


def _spectra(images: Array, box: tuple[slice, slice], grid: CoarseGrid) -> Array:
    """Conjugate spectra on the coarse grid of `images` (r, h, w): Fourier sums over their few pixels."""
    wide = complex_dtype(images.dtype)
    along = []
    for frequencies, span in zip(grid.frequencies(), box, strict=True):
        phase = 2j * np.pi * np.outer(frequencies, np.arange(span.start, span.stop))
        along.append(np.exp(phase).astype(wide))
    out = np.empty((len(images), grid.shape[0], grid.shape[1] // 2 + 1), wide)
    for image, spectrum in zip(images.astype(wide), out, strict=True):
        np.matmul(along[0], image @ along[1].T, out=spectrum)
    return out
