"""Two-dimensional real transforms in blocks that stay in cache, for correlation with small templates.

A spectrum is stored with the rows' frequency first, shape (nkx, ny): blocks of its rows are then
contiguous for the transforms along y. A library's own inverse transform of 2048^2 points takes 26 to 50 ms
here, most of it strided memory traffic. In blocks of 16 rows the arithmetic takes 3 ms for each half,
and the transposition between the halves, in pieces of 16 x 16, another 5.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gembench.engine.fft import FFTLibrary, aligned_zeros, complex_dtype
from gembench.engine.fold import BLOCK, gather, load_columns, scatter

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

    def empty_half(self) -> Array:
        """Storage for what lies between the halves of an inverse transform: (ny / BLOCK, nkx, BLOCK)."""
        return aligned_zeros((-(-self.ny // BLOCK), self.padded, BLOCK), complex_dtype(self.dtype))

    def rows(self, image: Array, *, conjugate: bool = False) -> Array:
        """Transform the rows of `image` (h, w), w <= nx, padded with zeros, to (h, nkx)."""
        h, w = image.shape
        out = aligned_zeros((h, self.padded), complex_dtype(self.dtype))
        buffers = self._along_x[0]
        buffers.real[:] = 0
        for y in range(0, h, BLOCK):
            n = min(BLOCK, h - y)
            buffers.real[:n, :w] = image[y : y + n]
            buffers.rfft()
            out[y : y + n, : self.frequencies] = buffers.half[:n]
        return np.conjugate(out, out=out) if conjugate else out

    def forward(self, image: Array) -> Array:
        """The spectrum of `image` (h, w), padded with zeros, as (nkx, ny)."""
        rows = self.rows(image)
        spectrum = aligned_zeros((self.padded, self.ny), complex_dtype(self.dtype))
        for x in range(0, self.padded, BLOCK):
            load_columns(rows, x, self._along_y.full)
            self._along_y.fft()
            spectrum[x : x + BLOCK] = self._along_y.full
        return spectrum

    def correlate(self, rows: Array, spectra: list[Array], out: list[Array], keep: slice) -> None:
        """First half of the correlation of a template with each of `spectra`: all but the rows' inverse.

        rows: (h, nkx), the *conjugate* of the template's transformed rows
        out: one `empty_half` a spectrum, which gets the rows `keep` of the correlation
        """
        template, product = self._along_y, self._product
        blocks = -(-(keep.stop - keep.start) // BLOCK)
        for x in range(0, self.padded, BLOCK):
            load_columns(rows, x, template.full)
            template.ifft()
            for spectrum, half in zip(spectra, out, strict=True):
                np.multiply(template.full, spectrum[x : x + BLOCK], out=product.full)
                product.ifft()
                scatter(product.full, keep.start, half[:blocks], x)

    def inverse_block(self, half: Array, block: int, *, buffer: int) -> Array:
        """Second half of `correlate`: rows block * BLOCK to (block + 1) * BLOCK, real (BLOCK, nx).

        The result is one of two buffers, which the next call with that number overwrites.
        """
        rows = self._along_x[buffer]
        gather(half, block, rows.half)
        rows.irfft()
        return rows.real
