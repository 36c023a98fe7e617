"""Exact scores at single pixels, summed directly at full resolution under each template's mask."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gembench.engine.kernel import kernel
from gembench.engine.resample import TAPS, lagrange
from gembench.engine.templates import RotatedTemplate

Array = NDArray[Any]
ABREAST = 4  # neighbouring pixels that are scored together: weights are read once, and twice as fast


class DirectSums:
    """The bank's templates as runs of pixels under their masks.

    weights: S M / P under the masks, one run after another; a run is a row of a mask without gaps
    runs: (n, 4) int64, row and column of the first pixel from the template's centre, length, and where its
        weights begin; starts: (K + 1,) each template's first run
    sizes: (K,) pixels under each mask
    """

    def __init__(self, templates: Iterable[RotatedTemplate]) -> None:
        weights, runs, starts, sizes = [], [], [0], []
        begin = 0
        for template in templates:
            found = mask_runs(template.mask)
            lengths = found[:, 2]
            begins = begin + np.cumsum(lengths) - lengths
            begin += int(lengths.sum())
            weights.append(template.weights[template.mask])
            runs.append(np.column_stack([found[:, :2] + template.offset, lengths, begins]))
            starts.append(starts[-1] + len(found))
            sizes.append(int(lengths.sum()))
        self.weights = np.concatenate(weights)
        self.runs = np.concatenate(runs).astype(np.int64)
        self.starts = np.array(starts, np.int64)
        self.sizes = np.array(sizes, np.float64)

    @property
    def bytes(self) -> int:
        """Size of the arrays."""
        return self.weights.nbytes + self.runs.nbytes + self.starts.nbytes + self.sizes.nbytes

    def scores(
        self, image: Array, floor: tuple[Any, Any], windows: Array, y: Array, x: Array, first: Array,
        templates: Array, score: Array, index: Array,
    ) -> None:
        """The best of some templates at rows of ABREAST pixels of `image` (h, w), from y, x (n,) on.

        floor: of sigma^2, see `correlate.variance_floor`
        windows: (K, 4) first and last row, first and last column of each template's centre
        first: (n + 1,) where each row's templates begin in `templates`
        score, index: (n, ABREAST), are folded into; pixels outside a template's window are left out
        """
        best_of(image, float(floor[0]), float(floor[1]), windows, y, x, first, templates, self.weights,
                self.runs, self.starts, self.sizes, score, index)


def mask_runs(mask: Array) -> Array:
    """Row, first column and length of every unbroken run of true pixels in `mask` (h, w): (n, 3)."""
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, first = np.nonzero(edges == 1)
    last = np.nonzero(edges == -1)[1]
    return np.column_stack([rows, first, last - first])


@njit(nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
def run_sums(pixels: Array, weights: Array, sums: Array) -> None:
    """Add the sums of w T, T and T^2 under a run, at ABREAST neighbouring places, to `sums` (3, ABREAST).

    pixels: (n + ABREAST - 1,); weights: (n,). What is summed at one place serves the next ones too.
    """
    n = weights.shape[0]
    zero = type(weights[0])(0)
    a, b, c, d, total, square = zero, zero, zero, zero, zero, zero
    second, third, fourth = pixels[1 : n + 1], pixels[2 : n + 2], pixels[3 : n + 3]
    for i in range(n):
        weight, value = weights[i], pixels[i]
        a += weight * value
        b += weight * second[i]
        c += weight * third[i]
        d += weight * fourth[i]
        total += value
        square += value * value
    sums[0, 0] += a
    sums[0, 1] += b
    sums[0, 2] += c
    sums[0, 3] += d
    wide_total, wide_square = float(total), float(square)
    sums[1, 0] += wide_total
    sums[2, 0] += wide_square
    for j in range(1, ABREAST):
        old, new = float(pixels[j - 1]), float(pixels[j - 1 + n])
        wide_total += new - old
        wide_square += new * new - old * old
        sums[1, j] += wide_total
        sums[2, j] += wide_square


@kernel
def best_of(
    image: Array, local_floor: float, global_floor: float, windows: Array, y: Array, x: Array, first: Array,
    templates: Array, weights: Array, runs: Array, starts: Array, sizes: Array, score: Array, index: Array,
) -> None:
    """See `DirectSums.scores`; runs are summed in the image's type and added up in double precision."""
    sums = np.empty((3, ABREAST))
    edge = np.zeros(image.shape[1] + ABREAST, image.dtype)
    for group in range(y.shape[0]):
        for place in range(first[group], first[group + 1]):
            k = templates[place]
            if not windows[k, 0] <= y[group] <= windows[k, 1]:
                continue
            if x[group] + ABREAST <= windows[k, 2] or x[group] > windows[k, 3]:
                continue
            sums[:] = 0
            for run in range(starts[k], starts[k + 1]):
                row, column = y[group] + runs[run, 0], x[group] + runs[run, 1]
                length, begin = runs[run, 2], runs[run, 3]
                last = column + length + ABREAST - 1
                pixels = image[row, max(column, 0) : last]
                if column < 0 or last > image.shape[1]:  # some of the places lie outside the window
                    pixels = edge[: length + ABREAST - 1]
                    pixels[:] = 0
                    for i in range(max(-column, 0), min(length + ABREAST - 1, image.shape[1] - column)):
                        pixels[i] = image[row, column + i]
                run_sums(pixels, weights[begin : begin + length], sums)
            for j in range(ABREAST):
                if windows[k, 2] <= x[group] + j <= windows[k, 3]:
                    mean, moment = sums[1, j] / sizes[k], sums[2, j] / sizes[k]
                    variance = moment - mean * mean
                    enough = variance > local_floor * moment + global_floor
                    value = type(score[0, 0])(sums[0, j] / np.sqrt(variance) if enough else 0.0)
                    best = score[group, j]
                    if value > best or (value == best and k < index[group, j]):
                        score[group, j], index[group, j] = value, k


def between(step: int, dtype: Any) -> Array:
    """What takes 6 x 6 coarse pixels to the step x step pixels of the cell in their middle.

    (36, step * step), by Lagrange interpolation along both axes; the cell begins on coarse pixel (2, 2).
    """
    weights = np.empty((step, TAPS))
    for phase in range(step):
        lagrange(phase / step, weights[phase])
    return np.ascontiguousarray(np.kron(weights, weights).T.astype(dtype))


@kernel
def gather_cells(maps: Array, rows: Array, columns: Array, out: Array) -> None:
    """The 6 x 6 coarse pixels around some cells of each map (r, ny, nx), cyclically: (r, c, 36).

    rows, columns: (c,) the coarse pixel that is each cell's first
    """
    ny, nx = maps.shape[1], maps.shape[2]
    for r in range(maps.shape[0]):
        plane = maps[r]
        for c in range(rows.shape[0]):
            target, x = out[r, c], columns[c] - 2
            whole = 0 <= x <= nx - TAPS
            for j in range(TAPS):
                row = plane[(rows[c] + j - 2) % ny]
                for i in range(TAPS):
                    target[TAPS * j + i] = row[x + i] if whole else row[(x + i) % nx]


@kernel
def near_best(
    scores: Array, least: Array, margins: Array, scale: Array, first: int, pixels: Array, found: Array,
    count: Array,
) -> None:
    """Append to found[g, count[g]:] the templates that may be the best at any pixel of group g.

    scores: (K, n) of one compressed group, -2 outside windows; first: the index of its first template
    least: (n,) the best score less its own uncertainty; a template k adds margins[k] * scale (n,) to its own
    pixels: (g, m) int, the pixels of each group, -1 for none
    """
    for k in range(scores.shape[0]):
        row = scores[k]
        for g in range(pixels.shape[0]):
            for j in range(pixels.shape[1]):
                i = pixels[g, j]
                if i >= 0 and row[i] > -2 and row[i] + margins[k] * scale[i] >= least[i]:
                    found[g, count[g]] = first + k
                    count[g] += 1
                    break
