"""Two-dimensional real transforms in blocks that stay in cache, for correlation with small templates.

A spectrum is stored with the rows' frequency first, shape (nkx, ny): blocks of its rows are then contiguous
for the transforms along y. A library's own inverse transform of 2048^2 points takes 20 to 50 ms here, most of
it strided memory traffic. In blocks of 16 rows the arithmetic takes 3 ms for each half, and what lies between
the halves goes to memory and back once, in 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gembench.engine.exact.kernels import (
    BLOCK,
    correlate_block,
    fold,
    fold_block,
    inverse_sigma,
    load_columns,
    transpose,
)
from gembench.engine.fft import FFTLibrary, aligned_zeros, complex_dtype

Array = NDArray[Any]


class BlockedTransform:
    """Forward and inverse transforms of one frame size; buffers of its own, so one object a thread.

    shape: (ny, nx) of the transform; all transforms are unnormalised
    """

    def __init__(self, library: FFTLibrary, shape: tuple[int, int], dtype: DTypeLike) -> None:
        self.ny, self.nx = shape
        self.dtype = np.dtype(dtype)
        self.frequencies = self.nx // 2 + 1
        self.padded = -(-self.frequencies // BLOCK) * BLOCK
        self._along_x = [library.row_transforms(self.nx, BLOCK, dtype) for _ in range(2)]
        self._along_y = library.row_transforms(self.ny, BLOCK, dtype)
        self._product = library.row_transforms(self.ny, BLOCK, dtype)
        self._native = self._product.native_ifft()
        self._native_rows = self._along_x[0].native_irfft(self.padded)

    def empty_halves(self, count: int) -> Array:
        """Storage for what lies between the halves of inverse transforms, (count, whole blocks of y, nkx)."""
        shape = count, -(-self.ny // BLOCK) * BLOCK, self.padded
        return aligned_zeros(shape, complex_dtype(self.dtype))

    def empty_rows(self, count: int, height: int) -> Array:
        """Storage for transformed rows of images of up to `height` rows, (count, height, nkx)."""
        return aligned_zeros((count, height, self.padded), complex_dtype(self.dtype))

    def rows(self, image: Array, out: Array) -> None:
        """Transform the rows of `image` (h, w), w <= nx, padded with zeros, to `out` (h, nkx)."""
        h, w = image.shape
        buffers = self._along_x[0]
        buffers.real[:] = 0
        for y in range(0, h, BLOCK):
            n = min(BLOCK, h - y)
            buffers.real[:n, :w] = image[y : y + n]
            buffers.rfft()
            out[y : y + n, : self.frequencies] = buffers.half[:n]

    def forward(self, image: Array) -> Array:
        """The spectrum of `image` (h, w), padded with zeros, as (nkx, ny)."""
        (rows,) = self.empty_rows(1, len(image))
        self.rows(image, rows)
        spectrum = aligned_zeros((self.padded, self.ny), complex_dtype(self.dtype))
        for x in range(0, self.padded, BLOCK):
            load_columns(rows, x, self._along_y.full)
            self._along_y.fft()
            spectrum[x : x + BLOCK] = self._along_y.full
        return spectrum

    def correlate(
        self, steps: Array, rows: Array, image: Array, square: Array, halves: Array, height: int
    ) -> None:
        """First half of several correlations: all but the inverse of their first `height` rows.

        steps: (n,) `kernels.STEP`; rows: conjugates of transformed rows, see `empty_rows`; image, square:
        spectra of the frame, (nkx, ny); halves: see `empty_halves`
        A block of the frame's spectra is read once for all steps.
        """
        template, product = self._along_y.full, self._product.full
        for x in range(0, self.padded, BLOCK):
            if self._native:
                require(correlate_block(
                    *self._native, steps, rows, x, template, image, square, product, halves, height
                ))
            else:
                for step in steps:
                    self._correlate_block(step, rows, x, square if step["square"] else image, halves, height)

    def _correlate_block(
        self, step: Any, rows: Array, x: int, spectrum: Array, halves: Array, height: int
    ) -> None:
        """BLOCK columns of one correlation."""
        template, product, first = self._along_y, self._product, int(step["first"])
        if step["load"]:
            load_columns(rows[step["rows"], : step["height"]], x, template.full)
            template.ifft()
        if step["conjugate"]:
            np.conjugate(template.full, out=template.full)
        np.multiply(template.full, spectrum[x : x + BLOCK], out=product.full)
        product.ifft()
        transpose(product.full, first, halves[step["half"], : min(height, self.ny - first)], x)

    def inverse_sigma(
        self, of: Any, halves: Array, y: int, floor: tuple[Any, Any], out: Array
    ) -> None:
        """Second half for a mask: BLOCK rows of 1 / sigma from row y on, as far as they go, in `out`.

        of: a `kernels.SIGMA`; y: a multiple of BLOCK; floor: see `normalise.variance_floor`
        """
        mean = self.inverse_rows(halves[of["mean"]], y, buffer=0)
        square = self.inverse_rows(halves[of["square"]], y, buffer=1)
        height = min(BLOCK, of["height"] - y)
        inverse_sigma(mean, square, 0, of["column"], *floor, out, 0, height, of["width"])

    def fold(
        self, halves: Array, y: int, sigmas: Array, scores: Array, floor: tuple[Any, Any], inverse: Array,
        whole: bool, score: Array, index: Array,
    ) -> None:
        """Second half for masks and templates: rows y to y + BLOCK folded into a running maximum.

        y: a multiple of BLOCK; sigmas: (m,) `kernels.SIGMA`; scores: (n,) `kernels.SCORE`, with the same
        sigma next to each other; inverse: the map of 1 / sigma if it is there as a `whole`, else a buffer
        for BLOCK rows of it
        """
        if self._native_rows:
            real, squares = (rows.real for rows in self._along_x)
            require(fold_block(
                *self._native_rows, halves, y, sigmas, scores, real, squares, *floor, inverse, whole, score,
                index,
            ))
            return
        sigma = -1
        for entry in scores:
            first, last = max(y, entry["top"]), min(y + BLOCK, entry["bottom"])
            if last <= first:
                continue
            if not whole and entry["sigma"] != sigma:
                sigma = entry["sigma"]
                self.inverse_sigma(sigmas[sigma], halves, y, floor, inverse)
            numerator = self.inverse_rows(halves[entry["half"]], y, buffer=0)
            fold(
                numerator, first - y, entry["column"] + entry["left"], inverse, first if whole else first - y,
                entry["left"], entry["index"], score, index, entry["map_top"] + first - entry["top"],
                entry["map_left"], last - first, entry["right"] - entry["left"],
            )

    def inverse_rows(self, half: Array, y: int, *, buffer: int) -> Array:
        """Second half: rows y to y + BLOCK of a correlation, y a multiple of BLOCK; real (BLOCK, nx).

        The result is one of two buffers, which the next call with that number overwrites.
        """
        rows = self._along_x[buffer]
        rows.irfft(half[y : y + BLOCK, : self.frequencies])
        return rows.real


def require(status: int) -> None:
    """Raises RuntimeError unless compiled transforms have succeeded."""
    if status:
        raise RuntimeError(f"the FFT library failed with status {status}")
