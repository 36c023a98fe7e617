"""Neighbouring templates of a bank compressed together, and their scores from the basis's correlations."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.banded.basis import common_box, in_box, make_basis
from gembench.engine.banded.grid import CoarseGrid
from gembench.engine.bank import RotatedTemplate
from gembench.engine.exact.kernels import sigma_squared
from gembench.engine.fft import FFTLibrary
from gembench.engine.kernel import kernel

Array = NDArray[Any]
AT_ONCE = 1024  # coarse pixels whose scores with all templates are held at once: 180 take 0.7 MiB of cache
RIM = 3  # coarse pixels beyond its window that a template is scored in, for the interpolation


class CompressedGroup:
    """Some neighbouring templates of a bank, compressed for one coarse grid.

    first: the index of the first; mask_of: (K,) each template's row among the distinct masks
    windows: (K, 4) int64, first and last row, first and last column of the centre in the frame, in pixels
    """

    def __init__(
        self, templates: list[RotatedTemplate], windows: Array, grid: CoarseGrid, length: int,
        tolerance: float, dtype: np.dtype[Any],
    ) -> None:
        self.first, self.windows, self.grid = templates[0].index, windows, grid
        box = common_box(templates)
        shape = (box[0].stop - box[0].start, box[1].stop - box[1].start)
        images = np.empty((len(templates), *shape), dtype)
        for image, template in zip(images, templates, strict=True):
            in_box(template.weights, template.offset, box, image)
        self.weights = make_basis(images, box, grid, length, tolerance)
        keys: dict[Any, int] = {}
        self.mask_of = np.array(
            [keys.setdefault((t.mask_key, t.offset), len(keys)) for t in templates], np.int64
        )
        firsts = np.unique(self.mask_of, return_index=True)[1]
        for image, template in zip(images, (templates[i] for i in firsts), strict=False):
            in_box(template.mask / template.mask.sum(), template.offset, box, image)
        # Few grey values far off make T^2 much stronger than the prior says, and sigma with it less certain.
        self.masks = make_basis(images[: len(firsts)], box, grid, length, tolerance)

    @property
    def transforms(self) -> int:
        """Inverse transforms that one micrograph takes."""
        return len(self.weights.spectra) + 2 * len(self.masks.spectra)

    def maps(self, library: FFTLibrary, image: Array, square: Array, run: Any) -> Array:
        """The basis correlated with T and T^2 - 1, given as spectra: (r + 2 m, ny, nx).

        run: calls a function for every item of a list, in any order
        """
        spectra = [*self.weights.spectra, *self.masks.spectra, *self.masks.spectra]
        sources = [image] * (len(self.weights.spectra) + len(self.masks.spectra))
        sources += [square] * len(self.masks.spectra)
        out = np.empty((len(spectra), *self.grid.shape), image.real.dtype)

        def correlate(i: int) -> None:
            out[i] = library.irfft2(sources[i] * spectra[i], self.grid.shape)

        run(correlate, range(len(spectra)))
        return out

    def fold(
        self, maps: Array, score: Array, index: Array, inverse: Array, lowest: Array, rows: slice
    ) -> None:
        """Fold the coarse scores of all templates into `rows` of the running maximum.

        score, index, inverse: (ny, nx), the best score, its template and its 1 / sigma
        lowest: (ny, nx), the smallest sigma^2 under any mask
        """
        step, (ny, nx) = self.grid.step, self.grid.shape
        y, x = (step * ((np.arange(n) + RIM) % n - RIM) for n in (ny, nx))
        rim, windows = RIM * step, self.windows
        inside = (x >= windows[:, 2:3] - rim) & (x <= windows[:, 3:] + rim)
        first, last = inside.argmax(1), nx - inside[:, ::-1].argmax(1)
        last = np.where(inside.any(1), last, first)
        used = (y[:, None] >= windows[:, 0] - rim) & (y[:, None] <= windows[:, 1] + rim)
        together = max(1, AT_ONCE // nx)
        work = self.workspace(together * nx)
        for start in range(rows.start, rows.stop, together):
            some = range(start, min(start + together, rows.stop))
            values = maps[:, some.start : some.stop].reshape(len(maps), -1)
            numerators, inverses, variance = self.products(values, work)
            fold_rows(numerators, inverses, self.mask_of, variance, used, first, last, np.int32(self.first),
                      some.start, some.stop, score, index, inverse, lowest)

    def workspace(self, n: int) -> tuple[Array, ...]:
        """Arrays for the products at `n` pixels."""
        k, m = len(self.weights.coefficients), len(self.masks.coefficients)
        dtype = self.weights.coefficients.dtype
        return np.empty(k * n, dtype), np.empty(m * n, dtype), np.empty(m * n, dtype)

    def products(self, values: Array, work: tuple[Array, ...]) -> tuple[Array, Array, Array]:
        """Numerators (K, n) of all templates and 1 / sigma (m, n) of all masks, from the basis's values.

        Also the smallest sigma^2 under any mask, (n,). values: (r + 2 m, n), in the order of `maps`; the
        results lie in `work`, which is of `workspace` for n or more pixels.
        """
        n, r, m = values.shape[1], len(self.weights.spectra), len(self.masks.spectra)
        factors = (self.weights.coefficients, self.masks.coefficients, self.masks.coefficients)
        parts = (values[:r], values[r : r + m], values[r + m :])
        numerators, means, squares = (
            np.matmul(factor, part, out=space[: len(factor) * n].reshape(len(factor), n))
            for factor, part, space in zip(factors, parts, work, strict=True)
        )
        lowest = np.full(n, np.inf, values.dtype)
        inverse_sigmas(means, squares, lowest)
        return numerators, means, lowest


@kernel
def inverse_sigmas(means: Array, squares: Array, lowest: Array) -> None:
    """Turn the means of T under masks (m, n) into 1 / sigma; 0 where the variance is not positive.

    lowest: (n,), takes the smallest variance
    """
    zero, one = type(means[0, 0])(0), type(means[0, 0])(1)
    tiny = type(means[0, 0])(1e-6)
    for j in range(means.shape[0]):
        mean, square = means[j], squares[j]
        for i in range(mean.shape[0]):
            variance = sigma_squared(mean[i], square[i] + one)
            value = one / np.sqrt(max(variance, tiny))
            mean[i] = value if variance > tiny else zero
            lowest[i] = min(lowest[i], variance)


@kernel
def fold_rows(
    numerators: Array, inverses: Array, mask_of: Array, variance: Array, used: Array, begin: Array,
    end: Array, first: Any, top: int, bottom: int, score: Array, index: Array, inverse: Array, lowest: Array,
) -> None:
    """Fold the scores of all templates at the rows from `top` to before `bottom` into the maximum.

    numerators: (K, n) of those rows, one after the other; variance: (n,) the smallest sigma^2 there
    used: (ny, K), whether a template is scored at a row; begin, end: (K,) its columns
    """
    for row in range(top, bottom):
        start = (row - top) * score.shape[1]
        anything = False
        for k in range(numerators.shape[0]):
            a, b = begin[k], end[k] if used[row, k] else begin[k]
            anything |= b > a
            numerator, sigma = numerators[k, start + a :], inverses[mask_of[k], start + a :]
            scores, indices, number = score[row, a:b], index[row, a:b], np.int32(first + k)
            for i in range(b - a):
                ncc = numerator[i] * sigma[i]
                better = ncc > scores[i]
                scores[i] = ncc if better else scores[i]
                indices[i] = number if better else indices[i]
        take_inverses(inverses, mask_of, first, start, index[row], inverse[row])
        if anything:
            for i in range(score.shape[1]):
                lowest[row, i] = min(lowest[row, i], variance[start + i])


@kernel
def fold_points(
    numerators: Array, inverses: Array, mask_of: Array, windows: Array, first: Any, y: Array, x: Array,
    score: Array, index: Array, inverse: Array,
) -> None:
    """The same at points of the frame, y, x (n,) int32, where each template's window holds them.

    numerators become scores; -2 outside the window
    """
    for k in range(numerators.shape[0]):
        numerator, sigma, number = numerators[k], inverses[mask_of[k]], np.int32(first + k)
        top, bottom, left, right = windows[k, 0], windows[k, 1], windows[k, 2], windows[k, 3]
        outside = type(numerator[0])(-2)
        for i in range(y.shape[0]):
            inside = (y[i] >= top) & (y[i] <= bottom) & (x[i] >= left) & (x[i] <= right)
            ncc = numerator[i] * sigma[i] if inside else outside
            numerator[i] = ncc
            better = ncc > score[i]
            score[i] = ncc if better else score[i]
            index[i] = number if better else index[i]
    take_inverses(inverses, mask_of, first, 0, index, inverse)


@kernel
def take_inverses(
    inverses: Array, mask_of: Array, first: Any, start: int, index: Array, inverse: Array
) -> None:
    """Set `inverse` (n,) to 1 / sigma of the template in `index`, where that is one of the group.

    inverses: (m, ...) of the group's masks, of which the columns from `start` on are meant
    """
    last = first + mask_of.shape[0]
    for i in range(index.shape[0]):
        if first <= index[i] < last:
            inverse[i] = inverses[mask_of[index[i] - first], start + i]
