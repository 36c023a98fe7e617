"""Coarse grids: a micrograph cropped in Fourier space, and coarse maps read between their pixels.

What a filter has removed from a micrograph costs nothing to leave out: a frame whose band ends at 1 / (2 s)
cycles a pixel is held exactly by every s-th pixel, and its correlations are too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.banded.workers import Each
from gembench.engine.exact.kernels import BLOCK, TILE
from gembench.engine.fft import FFTLibrary, aligned_zeros, complex_dtype
from gembench.engine.fft.sizes import fast_size
from gembench.engine.kernel import kernel

Array = NDArray[Any]
GAP = 8  # coarse pixels, at least, in which the frame's far edge turns into its near one
TAPS = 6  # of the Lagrange interpolation between coarse pixels, along each axis
PORTION = 8 * BLOCK  # rows that a thread transforms with buffers of its own
FOLDING = 22.0  # ns a point of a coarse map, of all that grows with it but its transform along one axis
RADII = 128  # rings of a power spectrum, from 0 to the corner at sqrt(1/2) cycles a pixel


@dataclass(frozen=True)
class CoarseGrid:
    """Every `step`-th pixel of a frame that is continued to repeat smoothly.

    frame: (h, w) in pixels; shape: (ny, nx) of the coarse grid; pixel (i, j) lies on frame pixel
    (i * step, j * step), and on (i - ny) * step before the frame's first row, likewise for columns
    """

    step: int
    frame: tuple[int, int]
    shape: tuple[int, int]

    @classmethod
    def over(cls, frame: tuple[int, int], step: int) -> CoarseGrid:
        """The smallest fast grid with `step` over a frame (h, w)."""
        ny, nx = (fast_size(-(-n // step) + GAP, FOLDING) for n in frame)
        return cls(step, frame, (ny, nx))

    @property
    def fine(self) -> tuple[int, int]:
        """(h, w) in pixels of the continued frame."""
        return self.shape[0] * self.step, self.shape[1] * self.step

    def spectrum(self, library: FFTLibrary, image: Array, each: Each) -> Array:
        """The spectrum of `image`, of the frame's shape, on the coarse grid: (ny, nx // 2 + 1).

        Its unnormalised inverse transform is the image without what lies beyond the coarse band.
        each: see `workers.Each`
        """
        (ny, nx), (fine_y, fine_x) = self.shape, self.fine
        image = _continued(image, fine_y)
        kept = nx // 2 + 1
        columns = aligned_zeros((kept, fine_y), complex_dtype(image.dtype))
        width = self.frame[1]
        ramp, right, left = _bridge(width, fine_x - width)
        out = np.empty((ny, kept), columns.dtype)
        scale = columns.dtype.type(1 / (fine_y * fine_x))

        def along_x(first: int) -> None:
            transforms = library.row_transforms(fine_x, BLOCK, image.dtype)
            for y in range(first, min(first + PORTION, fine_y), BLOCK):
                rows = image[y : y + BLOCK]
                transforms.real[: len(rows), :width] = rows
                transforms.real[: len(rows), width:] = (
                    rows[:, right] + ramp * (rows[:, left] - rows[:, right])
                )
                transforms.rfft()
                columns[:, y : y + BLOCK] = transforms.half[: len(rows), :kept].T

        def along_y(first: int) -> None:
            transforms = library.row_transforms(fine_y, BLOCK, image.dtype)
            for x in range(first, min(first + PORTION, kept), BLOCK):
                block = columns[x : x + BLOCK]
                transforms.full[: len(block)] = block
                transforms.fft()
                full = transforms.full[: len(block)]
                out[: -(-ny // 2), x : x + BLOCK] = scale * full[:, : -(-ny // 2)].T
                out[-(-ny // 2) :, x : x + BLOCK] = scale * full[:, fine_y - ny // 2 :].T

        each(along_x, range(0, fine_y, PORTION))
        each(along_y, range(0, kept, PORTION))
        if ny % 2 == 0:
            out[ny // 2] = 0  # half of it would belong to the other sign
        if nx % 2 == 0:
            out[:, -1] = 0
        return out

    def rings(self) -> Array:
        """The ring of every frequency of its real transforms: (ny, nx // 2 + 1) int32."""
        return _rings(self)

    def frequencies(self) -> tuple[Array, Array]:
        """Along y (ny,) and x (nx // 2 + 1,), in cycles a pixel of the frame."""
        return np.fft.fftfreq(self.shape[0], self.step), np.fft.rfftfreq(self.shape[1], self.step)


def _bridge(n: int, gap: int) -> tuple[Array, Array, Array]:
    """How `gap` pixels lead from the last of n pixels back to the first: weights and the two sources.

    Both edges are mirrored, and one fades into the other in the middle third.
    """
    at = np.arange(gap)
    t = np.clip(3 * (at + 0.5) / gap - 1, 0, 1)
    ramp = (t * t * (3 - 2 * t)).astype(np.float32)
    return ramp, np.clip(n - 2 - at, 0, n - 1), np.clip(gap - at, 0, n - 1)


def _continued(image: Array, height: int) -> Array:
    """`image` (h, w) with rows that lead from its last back to its first, (height, w)."""
    ramp, below, above = _bridge(len(image), height - len(image))
    added = image[below] + ramp[:, None] * (image[above] - image[below])
    return np.concatenate([image, added.astype(image.dtype)])


@lru_cache(4)
def _rings(grid: CoarseGrid) -> Array:
    """See `CoarseGrid.rings`."""
    y, x = grid.frequencies()
    return _ring_of(np.hypot(y[:, None], x)).astype(np.int32)


@lru_cache(4)
def rings(length: int) -> Array:
    """The ring of every frequency of a (length, length) real transform: (length, length // 2 + 1) int."""
    return _ring_of(np.hypot(np.fft.fftfreq(length)[:, None], np.fft.rfftfreq(length)[None]))


@lru_cache(4)
def ring_sizes(length: int) -> Array:
    """How many frequencies of a complex transform (length, length) each ring holds: (RADII,)."""
    return np.bincount(rings(length).ravel(), np.tile(doubled(length), length), RADII)


def _ring_of(frequencies: Array) -> Array:
    """The rings that hold some frequencies, int64."""
    return np.asarray(np.minimum((frequencies * (RADII / np.sqrt(0.5))).astype(np.int64), RADII - 1))


def ring_of(frequency: float) -> int:
    """The ring that holds a frequency in cycles a pixel."""
    return min(int(frequency * RADII / np.sqrt(0.5)), RADII - 1)


def ring_frequencies() -> Array:
    """The frequency in the middle of each ring, in radians a pixel: (RADII,)."""
    return np.asarray((np.arange(RADII) + 0.5) * (2 * np.pi * np.sqrt(0.5) / RADII))


@lru_cache(4)
def doubled(length: int) -> Array:
    """How often each column of a real transform of `length` stands for a frequency: 1 or 2."""
    twice = np.full(length // 2 + 1, 2.0)
    twice[0] = 1
    if length % 2 == 0:
        twice[-1] = 1
    return twice


def ring_power(image: Array, length: int) -> Array:
    """Mean power of `image` (h, w) at each ring's frequencies, (RADII,); white noise of variance 1 has 1.

    From up to 16 windowed pieces of at most `length` pixels a side, spread evenly; empty rings get 0.
    """
    from scipy.fft import rfft2

    height, width = (min(n, length) for n in image.shape)
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1]).astype(image.dtype)
    starts = [np.unique(np.linspace(0, n - piece, min(4, -(-n // piece))).astype(int))
              for n, piece in zip(image.shape, (height, width), strict=True)]
    power = np.zeros((length, length // 2 + 1))
    for y in starts[0]:
        for x in starts[1]:
            spectrum = rfft2(window * image[y : y + height, x : x + width], s=(length, length))
            power += spectrum.real**2 + spectrum.imag**2
    power *= doubled(length) / (len(starts[0]) * len(starts[1]) * (window**2).sum())
    total = np.bincount(rings(length).ravel(), power.ravel(), RADII)
    return np.asarray(total / np.maximum(ring_sizes(length), 1))


@kernel
def lagrange(t: float, weights: Array) -> None:
    """Weights of the values at -2, -1, 0, 1, 2, 3 for the value at t, 0 <= t < 1."""
    for i in range(TAPS):
        product = 1.0
        for j in range(TAPS):
            if j != i:
                product *= (t - (j - 2)) / (i - j)
        weights[i] = product


@kernel
def _spread(coarse: Array, step: int, first: int, out: Array) -> None:
    """Put values between the rows of `coarse` (n, w) into out[y], y frame rows from `first`, cyclically."""
    weights = np.empty((step, TAPS), coarse.dtype)
    for phase in range(step):
        lagrange(phase / step, weights[phase])
    n, width = coarse.shape[0], out.shape[1]
    for y in range(out.shape[0]):
        row, phase = divmod(first + y, step)
        w = weights[phase]
        a, b, c = coarse[(row - 2) % n], coarse[(row - 1) % n], coarse[row % n]
        d, e, f = coarse[(row + 1) % n], coarse[(row + 2) % n], coarse[(row + 3) % n]
        target = out[y]
        for x in range(width):
            target[x] = w[0] * a[x] + w[1] * b[x] + w[2] * c[x] + w[3] * d[x] + w[4] * e[x] + w[5] * f[x]


@kernel
def _turned_over(source: Array, target: Array) -> None:
    """The transpose of `source`, tile by tile."""
    height, width = source.shape
    for y0 in range(0, height, TILE):
        for x0 in range(0, width, TILE):
            for y in range(y0, min(y0 + TILE, height)):
                for x in range(x0, min(x0 + TILE, width)):
                    target[x, y] = source[y, x]


def upsampled(coarse: Array, step: int, first: tuple[int, int], shape: tuple[int, int]) -> Array:
    """A coarse map (ny, nx) at every pixel of `shape` (H, W), whose first lies on frame pixel `first`.

    Lagrange interpolation over 6 coarse pixels along each axis.
    """
    ny, nx = coarse.shape
    across = np.empty((nx, ny), coarse.dtype)
    _turned_over(np.ascontiguousarray(coarse), across)
    wide = np.empty((shape[1], ny), coarse.dtype)
    _spread(across, step, first[1], wide)
    # Rows of a power of two bytes would all fall into the same few sets of the cache.
    back = np.empty((ny, shape[1] + TILE), coarse.dtype)
    _turned_over(wide, back)
    out = np.empty(shape, coarse.dtype)
    _spread(back, step, first[0], out)
    return out
