"""Two-dimensional real transforms in blocks that stay in cache, for correlation with small templates.

A spectrum is stored with the rows' frequency first, shape (nkx, ny): blocks of its rows are then contiguous
for the transforms along y. A library's own inverse transform of 2048^2 points takes 20 to 50 ms here, most of
it strided memory traffic. In blocks of 16 rows the arithmetic takes 3 ms for each half, and what lies between
the halves goes to memory and back once, in 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gembench.engine.fft import FFTLibrary, aligned_zeros, complex_dtype
from gembench.engine.fold import BLOCK, fold, inverse_sigma, load_columns
from gembench.engine.fused import correlate_block, fold_block, sigma_block
from gembench.engine.transpose import transpose

Array = NDArray[Any]


@dataclass(frozen=True)
class Correlation:
    """A template, or a mask, and what it is correlated with.

    rows: (h, nkx), the conjugate of its transformed rows
    spectra: of frames, (nkx, ny)
    out: for each spectrum an `empty_half`, which gets what lies between the halves of the inverse transform
    turned: (h, w) of a template that is the one with these rows turned by 180 degrees; its spectrum is the
        conjugate then, and its correlation is found w - 1 columns further on
    """

    rows: Array
    spectra: list[Array]
    out: list[Array]
    turned: tuple[int, int] | None = None

    @property
    def column(self) -> int:
        """Where the first column of the correlation is found."""
        return self.turned[1] - 1 if self.turned else 0


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

    def empty_half(self) -> Array:
        """Storage for what lies between the halves of an inverse transform, (whole blocks of y, nkx)."""
        return aligned_zeros((-(-self.ny // BLOCK) * BLOCK, self.padded), complex_dtype(self.dtype))

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

    def correlate(self, work: list[Correlation], height: int) -> None:
        """First half of several correlations: all but the inverse of their first `height` rows.

        A block of a frame's spectrum is read once for all of them, and neighbours with the same rows share
        the transform of these.
        """
        for x in range(0, self.padded, BLOCK):
            rows, turned = None, False
            for one in work:
                new, conjugate = one.rows is not rows, bool(one.turned) != (turned and one.rows is rows)
                self._correlate_block(one, x, height, new, conjugate)
                rows, turned = one.rows, bool(one.turned)

    def _correlate_block(self, one: Correlation, x: int, height: int, new: bool, conjugate: bool) -> None:
        """BLOCK columns of one correlation.

        new: whether the template's transform is not the one at hand; conjugate: whether to conjugate it
        """
        template, product = self._along_y.full, self._product
        first = one.turned[0] - 1 if one.turned else 0
        height = min(height, self.ny - first)
        for spectrum, half in zip(one.spectra, one.out, strict=True):
            if self._native:
                require(correlate_block(
                    *self._native, new, conjugate, one.rows, x, template, spectrum, product.full, first,
                    half[:height],
                ))
            else:
                if new:
                    load_columns(one.rows, x, template)
                    self._along_y.ifft()
                if conjugate:
                    np.conjugate(template, out=template)
                np.multiply(template, spectrum[x : x + BLOCK], out=product.full)
                product.ifft()
                transpose(product.full, first, half[:height], x)
            new = conjugate = False

    def inverse_sigma(
        self, halves: list[Array], y: int, x: int, floor: tuple[Any, Any], out: Array, height: int, width: int
    ) -> None:
        """Second half for a mask: rows of both its correlations from row y on, and of 1 / sigma in `out`.

        y: a multiple of BLOCK; x: first column of the correlations; floor, height, width: see `fold`
        """
        mean, square = self._along_x
        if self._native_rows:
            require(sigma_block(
                *self._native_rows, halves[0], halves[1], y, mean.real, square.real, x, *floor, out, height,
                width,
            ))
            return
        for rows, half in zip(self._along_x, halves, strict=True):
            rows.irfft(half[y : y + BLOCK, : self.frequencies])
        inverse_sigma(mean.real, square.real, 0, x, *floor, out, 0, height, width)

    def fold(self, half: Array, y: int, *places: Any) -> None:
        """Second half for a template: rows of its correlation from row y on, folded into a running maximum.

        y: a multiple of BLOCK; places: the arguments of `fold.fold` after the numerator
        """
        rows = self._along_x[0]
        if self._native_rows:
            require(fold_block(*self._native_rows, half, y, rows.real, *places))
        else:
            rows.irfft(half[y : y + BLOCK, : self.frequencies])
            fold(rows.real, *places)

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
