"""Two-dimensional real transforms in blocks that stay in cache, for correlation with small templates.

A spectrum is stored with the rows' frequency first, shape (nkx, ny): blocks of its rows are then contiguous
for the transforms along y. A library's own inverse transform of 2048^2 points takes 20 to 50 ms here, most of
it strided memory traffic. In blocks of 16 rows the arithmetic takes 3 ms for each half, and what lies between
the halves goes to memory and back once, in 3.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gembench.engine.exact import kernels
from gembench.engine.exact.kernels import BLOCK
from gembench.engine.fft import FFTLibrary, RowTransforms, aligned_zeros, complex_dtype
from gembench.engine.fft.native import NativeTuple

Array = NDArray[Any]


class BlockedTransform:
    """Forward and inverse transforms of one frame size; buffers of its own, so one object a thread.

    shape: (ny, nx) of the transform; all transforms are unnormalised
    block: rows that a library gets at once that is called from Python, a multiple of BLOCK; one that compiled
        code calls gets BLOCK
    """

    def __init__(
        self, library: FFTLibrary, shape: tuple[int, int], dtype: DTypeLike, block: int = BLOCK
    ) -> None:
        self.library = library
        self.ny, self.nx = shape
        self.dtype = np.dtype(dtype)
        self.frequencies = self.nx // 2 + 1
        self.padded = -(-self.frequencies // BLOCK) * BLOCK
        self._natives = _natives(library, shape, dtype, self.padded)
        block = BLOCK if self._natives else block
        self._along_x = [library.row_transforms(self.nx, block, dtype) for _ in range(2)]
        self._along_y = [library.row_transforms(self.ny, block, dtype) for _ in range(2)]
        self.block = block

    def empty_halves(self, count: int) -> Array:
        """Storage for what lies between the halves of inverse transforms, (count, whole blocks of y, nkx)."""
        shape = count, -(-self.ny // BLOCK) * BLOCK, self.padded
        return aligned_zeros(shape, complex_dtype(self.dtype))

    def empty_rows(self, count: int, height: int) -> Array:
        """Storage for transformed rows of images of up to `height` rows, (count, height, nkx)."""
        return aligned_zeros((count, height, self.padded), complex_dtype(self.dtype))

    def empty_spectrum(self) -> Array:
        """Storage for a spectrum, (nkx, ny)."""
        return aligned_zeros((self.padded, self.ny), complex_dtype(self.dtype))

    def rows(
        self, image: Array, out: Array, *, scale: float = 1.0, turned: bool = False, conjugate: bool = False
    ) -> None:
        """Transform the rows of `image` (h, w), w <= nx, padded with zeros, to `out` (h, nkx).

        scale: of the image; turned: take it turned by 180 degrees; conjugate: what comes out
        """
        (h, w), buffers = image.shape, self._along_x[0]
        factor: Any = np.asarray(scale, self.dtype)[()]
        buffers.real[:, w:] = 0
        if self._natives:
            native = self._natives.rfft
            require(kernels.transform_rows(
                native, image, factor, turned, conjugate, buffers.real, buffers.half, out
            ))
            return
        image = image[::-1, ::-1] if turned else image
        for y in range(0, h, self.block):
            n = min(self.block, h - y)
            np.multiply(image[y : y + n], factor, out=buffers.real[:n, :w])
            self.library.rfft_rows(buffers.real[:n], buffers.half[:n])
            (np.conjugate if conjugate else np.positive)(
                buffers.half[:n], out=out[y : y + n, : self.frequencies]
            )

    def columns(self, rows: Array, spectrum: Array, first: int = 0, last: int | None = None) -> None:
        """Transform the columns `first` to `last`, multiples of BLOCK, of transformed rows into a spectrum.

        rows: (h, nkx), see `rows`; spectrum: (nkx, ny)
        """
        last, full = self.padded if last is None else last, self._along_y[0].full
        if self._natives:
            require(kernels.transform_columns(self._natives.fft, rows, full, spectrum, first, last))
            return
        for x in range(first, last, self.block):
            part = full[: min(self.block, last - x)]
            kernels.load_columns(rows, x, part)
            self.library.fft_rows(part, inverse=False)
            spectrum[x : x + len(part)] = part

    def forward(self, image: Array) -> Array:
        """The spectrum of `image` (h, w), padded with zeros, as (nkx, ny)."""
        (rows,), spectrum = self.empty_rows(1, len(image)), self.empty_spectrum()
        self.rows(image, rows)
        self.columns(rows, spectrum)
        return spectrum

    def correlate(
        self, steps: Array, rows: Array, image: Array, square: Array, halves: Array, height: int
    ) -> None:
        """First half of several correlations: all but the inverse of their first `height` rows.

        steps: (n,) `kernels.STEP`; rows: conjugates of transformed rows, see `empty_rows`; image, square:
        spectra of the frame, (nkx, ny); halves: see `empty_halves`
        A block of the frame's spectra is read once for all steps.
        """
        template, product = (buffers.full for buffers in self._along_y)
        if self._natives:
            require(kernels.correlate(
                self._natives.ifft, steps, rows, template, image, square, product, halves, height
            ))
            return
        for x in range(0, self.padded, self.block):
            n = min(self.block, self.padded - x)
            for step in steps:
                spectrum = square if step["square"] else image
                self._correlate_block(step, rows, x, template[:n], spectrum, product[:n], halves, height)

    def _correlate_block(
        self, step: Any, rows: Array, x: int, template: Array, spectrum: Array, product: Array, halves: Array,
        height: int,
    ) -> None:
        """Some columns of one correlation."""
        first = int(step["first"])
        if step["load"]:
            kernels.load_columns(rows[step["rows"], : step["height"]], x, template)
            self.library.fft_rows(template, inverse=True)
        kernels.multiply(template, bool(step["conjugate"]), spectrum, x, product)
        self.library.fft_rows(product, inverse=True)
        kernels.transpose(product, first, halves[step["half"], : min(height, self.ny - first)], x)

    def inverse_sigma(
        self, of: Any, halves: Array, y: int, floor: tuple[Any, Any], out: Array
    ) -> None:
        """Second half for a mask: a block of rows of 1 / sigma from row y on, as far as they go, in `out`.

        of: a `kernels.SIGMA`; y: a multiple of BLOCK; floor: see `normalise.variance_floor`
        """
        mean = self.inverse_rows(halves[of["mean"]], y, buffer=0)
        square = self.inverse_rows(halves[of["square"]], y, buffer=1)
        height = min(self.block, of["height"] - y)
        kernels.inverse_sigma(mean, square, 0, of["column"], *floor, out, 0, height, of["width"])

    def fold(
        self, halves: Array, height: int, sigmas: Array, scores: Array, floor: tuple[Any, Any],
        inverse: Array, whole: bool, score: Array, index: Array,
    ) -> None:
        """Second half for masks and templates: rows up to `height` folded into a running maximum.

        sigmas: (m,) `kernels.SIGMA`; scores: (n,) `kernels.SCORE`, with the same sigma next to each other;
        inverse: the map of 1 / sigma if it is there as a `whole`, else a buffer for a block of rows of it
        """
        if self._natives:
            real, squares = (buffers.real for buffers in self._along_x)
            require(kernels.fold_all(
                self._natives.irfft, halves, height, sigmas, scores, real, squares, *floor, inverse, whole,
                score, index,
            ))
            return
        for y in range(0, height, self.block):
            self._fold_block(halves, y, sigmas, scores, floor, inverse, whole, score, index)

    def _fold_block(
        self, halves: Array, y: int, sigmas: Array, scores: Array, floor: tuple[Any, Any], inverse: Array,
        whole: bool, score: Array, index: Array,
    ) -> None:
        """Some rows of `fold`."""
        sigma = -1
        for entry in scores:
            first, last = max(y, entry["top"]), min(y + self.block, entry["bottom"])
            if last <= first:
                continue
            if not whole and entry["sigma"] != sigma:
                sigma = entry["sigma"]
                self.inverse_sigma(sigmas[sigma], halves, y, floor, inverse)
            numerator = self.inverse_rows(halves[entry["half"]], y, buffer=0)
            kernels.fold(
                numerator, first - y, entry["column"] + entry["left"], inverse, first if whole else first - y,
                entry["left"], entry["index"], score, index, entry["map_top"] + first - entry["top"],
                entry["map_left"], last - first, entry["right"] - entry["left"],
            )

    def inverse_rows(self, half: Array, y: int, *, buffer: int) -> Array:
        """Second half: a block of rows from y on, a multiple of BLOCK, of a correlation; real (n, nx).

        The result is one of two buffers, which the next call with that number overwrites.
        """
        part = half[y : y + self.block, : self.frequencies]
        real = self._along_x[buffer].real[: len(part)]
        self.library.irfft_rows(part, real)
        return real


class _Natives(NamedTuple):
    """The transforms that compiled code can call, see `fft.rows.Native`: along x and along y.

    Plain tuples, since numba's cache holds the types of arguments, and a class of ours may move.
    """

    rfft: NativeTuple
    irfft: NativeTuple
    fft: NativeTuple
    ifft: NativeTuple


def _natives(library: FFTLibrary, shape: tuple[int, int], dtype: DTypeLike, padded: int) -> _Natives | None:
    """Those of BLOCK rows, planned now; None if the library has none."""
    along_x: RowTransforms = library.row_transforms(shape[1], BLOCK, dtype)
    along_y: RowTransforms = library.row_transforms(shape[0], BLOCK, dtype)
    natives = along_x.native_rfft(), along_x.native_irfft(padded), along_y.native_fft(), along_y.native_ifft()
    plain = [(native.function, native.plan, native.has_status) for native in natives if native is not None]
    return _Natives(*plain) if len(plain) == len(natives) else None


def require(status: int) -> None:
    """Raises RuntimeError unless compiled transforms have succeeded."""
    if status:
        raise RuntimeError(f"the FFT library failed with status {status}")
