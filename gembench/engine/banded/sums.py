"""Exact scores at single pixels, summed directly at full resolution under each template's mask."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gembench.engine.banded.basis import common_box, in_box
from gembench.engine.banded.grid import TAPS
from gembench.engine.banded.workers import Each
from gembench.engine.bank import RotatedTemplate
from gembench.engine.exact.kernels import sigma_squared
from gembench.engine.kernel import kernel, summing

Array = NDArray[Any]
ABREAST = 4  # neighbouring pixels that are scored together: weights are read once, and twice as fast
REACH = 16  # rows and columns of pixels that are scored from one patch of the image
CHUNK = 1024  # products that are added up in the image's type, and how much of a template stays in cache


class DirectSums:
    """The bank's templates in one box, as rows of weights that are as long as those of a patch of the image.

    One patch holds what any template covers at some pixels, so that a correlation there is a single sum
    without gaps. Rows of the mask one by one, whose ends do not fill registers, take nearly twice as long.

    weights: (K, n) S M / P of every template in the box that holds all, rows `patch[1]` numbers apart
    runs: (m, 3) int64, of every distinct mask: column, first row and the row after the last, in that box
    spans: (K, 2) int64, the first of each template's runs and the one after the last
    sizes: (K,) pixels under each mask
    """

    def __init__(self, templates: list[RotatedTemplate]) -> None:
        box = common_box(templates)
        height, width = (span.stop - span.start for span in box)
        self.origin = box[0].start, box[1].start
        self.patch = height + REACH, width + REACH + ABREAST
        self.weights = np.zeros((len(templates), height * self.patch[1]), templates[0].weights.dtype)
        self.spans = np.empty((len(templates), 2), np.int64)
        self.sizes = np.array([template.mask.sum() for template in templates], np.float64)
        span_of: dict[Any, tuple[int, int]] = {}  # by mask
        runs: list[Array] = []
        for weights, span, template in zip(self.weights, self.spans, templates, strict=True):
            cut = weights.reshape(height, -1)[:, :width]
            in_box(template.weights * template.mask, template.offset, box, cut)
            key = template.mask_key, template.offset
            if key not in span_of:
                begin = sum(map(len, runs))
                runs.append(self._runs(template))
                span_of[key] = begin, begin + len(runs[-1])
            span[:] = span_of[key]
        self.runs = np.concatenate(runs)
        self._patches: list[_Patch] = []

    def _runs(self, template: RotatedTemplate) -> Array:
        """The columns of a template's mask without gaps, see `runs`."""
        column, first, length = mask_runs(template.mask.T).T
        top, left = template.offset[0] - self.origin[0], template.offset[1] - self.origin[1]
        return np.column_stack([column + left, first + top, first + length + top])

    @staticmethod
    def bytes_of(templates: list[RotatedTemplate]) -> int:
        """Size of what is made of some templates, but for little."""
        height, width = (span.stop - span.start for span in common_box(templates))
        return int(len(templates) * height * (width + REACH + ABREAST) * templates[0].weights.itemsize)

    @staticmethod
    def patch_bytes(templates: list[RotatedTemplate]) -> int:
        """What a thread holds of the image while it scores some templates."""
        height, width = (span.stop - span.start for span in common_box(templates))
        pixels = (height + REACH) * (width + REACH + ABREAST)
        return int(pixels * (templates[0].weights.itemsize + 2 * np.dtype(np.float64).itemsize))

    def scores(
        self, image: Array, floor: tuple[Any, Any], windows: Array, y: Array, x: Array, first: Array,
        templates: Array, score: Array, index: Array, each: Each,
    ) -> None:
        """The best of some templates at rows of ABREAST pixels of `image` (h, w), from y, x (n,) on.

        floor: of sigma^2, see `normalise.variance_floor`
        windows: (K, 4) first and last row, first and last column of each template's centre
        first: (n + 1,) where each row's templates begin in `templates`
        score, index: (n, ABREAST), are folded into; pixels outside a template's window are left out
        each: see `workers.Each`
        """
        products = np.zeros((len(templates), ABREAST))
        corners = np.column_stack([y, x]) // REACH * REACH
        order = np.lexsort(corners.T)
        edges = np.flatnonzero(np.diff(corners[order], axis=0, prepend=-1).any(1))

        def score_patch(some: Array) -> None:
            patch = self._patches.pop() if self._patches else _Patch.of(self.patch, image.dtype)
            top, left = corners[some[0]].tolist()
            take_patch(image, top + self.origin[0], left + self.origin[1], patch.pixels, patch.totals)
            down, right = y[some] - top, x[some] - left
            correlate(patch.pixels, self.weights, down, right, some, first, templates, products)
            best_of(patch.totals, float(floor[0]), float(floor[1]), windows, y, x, down, right, some, first,
                    templates, products, self.runs, self.spans, self.sizes, patch.moments, score, index)
            self._patches.append(patch)

        each(score_patch, np.split(order, edges[1:]) if len(order) else [])


class _Patch(NamedTuple):
    """A patch of the image, see `take_patch`, and what `best_of` adds up; a thread has one for itself."""

    pixels: Array
    totals: Array
    moments: Array

    @classmethod
    def of(cls, shape: tuple[int, int], dtype: np.dtype[Any]) -> _Patch:
        return cls(np.empty(shape, dtype), np.empty((2, shape[0] + 1, shape[1])), np.empty((2, ABREAST)))


def mask_runs(mask: Array) -> Array:
    """Row, first column and length of every unbroken run of true pixels in `mask` (h, w): (n, 3)."""
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, first = np.nonzero(edges == 1)
    last = np.nonzero(edges == -1)[1]
    return np.column_stack([rows, first, last - first])


@summing
def add_products(pixels: Array, weights: Array, other: Array, sums: Array, other_sums: Array) -> None:
    """Add the sums of products of two templates, at ABREAST neighbouring places, to sums (ABREAST,) float64.

    pixels: (n + ABREAST - 1,); weights, other: (n,), of the two templates
    """
    n, zero = weights.shape[0], type(weights[0])(0)
    first, second, third, fourth = pixels[:n], pixels[1 : n + 1], pixels[2 : n + 2], pixels[3 : n + 3]
    a, b, c, d, e, f, g, h = zero, zero, zero, zero, zero, zero, zero, zero
    for i in range(n):
        weight, another = weights[i], other[i]
        a += weight * first[i]
        b += weight * second[i]
        c += weight * third[i]
        d += weight * fourth[i]
        e += another * first[i]
        f += another * second[i]
        g += another * third[i]
        h += another * fourth[i]
    for j, value, its in ((0, a, e), (1, b, f), (2, c, g), (3, d, h)):
        sums[j] += value
        other_sums[j] += its


@kernel
def correlate(
    patch: Array, weights: Array, down: Array, right: Array, some: Array, first: Array, templates: Array,
    products: Array,
) -> None:
    """Sums of S M / P times T for `some` rows of ABREAST pixels, `down` and `right` in a patch of the image.

    products: (len(templates), ABREAST), those of these rows are 0 before
    """
    pixels, length = patch.reshape(-1), weights.shape[1]
    spare = np.empty(ABREAST)
    for begin in range(0, length, CHUNK):
        end = min(begin + CHUNK, length)
        for i in range(some.shape[0]):
            shift = down[i] * patch.shape[1] + right[i]
            part = pixels[begin + shift : end + shift + ABREAST - 1]
            last = first[some[i] + 1]
            for place in range(first[some[i]], last, 2):
                template, alone = templates[place], place + 1 == last
                other = template if alone else templates[place + 1]
                add_products(part, weights[template, begin:end], weights[other, begin:end], products[place],
                             spare if alone else products[place + 1])


@kernel
def take_patch(image: Array, y: int, x: int, patch: Array, totals: Array) -> None:
    """Copy the part of `image` from y, x on into `patch` (h, w), zero beyond the image.

    totals: (2, h + 1, w), takes the sums of T and of T^2 over the rows before each
    """
    height, width = patch.shape
    left, right = max(-x, 0), min(image.shape[1] - x, width)
    totals[:, 0] = 0
    for v in range(height):
        row = patch[v]
        row[:] = 0
        if 0 <= y + v < image.shape[0]:
            row[left:right] = image[y + v, x + left : x + right]
        add_row(row, totals[0, v], totals[1, v], totals[0, v + 1], totals[1, v + 1])


@kernel
def add_row(row: Array, mean: Array, moment: Array, next_mean: Array, next_moment: Array) -> None:
    """Put what was summed up, with the values and squares of one more row, into the next."""
    for u in range(row.shape[0]):
        value = float(row[u])
        next_mean[u] = mean[u] + value
        next_moment[u] = moment[u] + value * value


@kernel
def best_of(
    totals: Array, local_floor: float, global_floor: float, windows: Array, y: Array, x: Array, down: Array,
    right: Array, some: Array, first: Array, templates: Array, products: Array, runs: Array, spans: Array,
    sizes: Array, moments: Array, score: Array, index: Array,
) -> None:
    """Fold the scores of `some` rows of ABREAST pixels into the best, see `DirectSums.scores`.

    totals: of `take_patch`; products: of `correlate`; moments: (2, ABREAST), is overwritten
    """
    for i in range(some.shape[0]):
        group, mask = some[i], np.int64(-1)
        for place in range(first[group], first[group + 1]):
            k = templates[place]
            if not windows[k, 0] <= y[group] <= windows[k, 1]:
                continue
            if spans[k, 0] != mask:
                mask = spans[k, 0]
                sum_runs(totals, runs[mask : spans[k, 1]], down[i], right[i], moments)
            for j in range(ABREAST):
                if windows[k, 2] <= x[group] + j <= windows[k, 3]:
                    mean, moment = moments[0, j] / sizes[k], moments[1, j] / sizes[k]
                    variance = sigma_squared(mean, moment)
                    enough = variance > local_floor * moment + global_floor
                    value = type(score[0, 0])(products[place, j] / np.sqrt(variance) if enough else 0.0)
                    best = score[group, j]
                    if value > best or (value == best and k < index[group, j]):
                        score[group, j], index[group, j] = value, k


@kernel
def sum_runs(totals: Array, runs: Array, down: int, right: int, moments: Array) -> None:
    """The sums of T and of T^2 under a mask at ABREAST neighbouring places: (2, ABREAST)."""
    moments[:] = 0
    for run in range(runs.shape[0]):
        column, above, below = runs[run, 0] + right, runs[run, 1] + down, runs[run, 2] + down
        for j in range(ABREAST):
            moments[0, j] += totals[0, below, column + j] - totals[0, above, column + j]
            moments[1, j] += totals[1, below, column + j] - totals[1, above, column + j]


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
    scores: Array, least: Array, numerator: Array, moment: Array, of_numerator: Array, of_moment: Array,
    first: int, pixels: Array, near: Array, count: Array,
) -> None:
    """Append to near[g, count[g]:] the templates that may be the best at any pixel of group g.

    scores: (K, n) of one compressed group, -2 outside windows; first: the index of its first template
    least: (n,) the best score less its own uncertainty
    numerator, moment: (K,), of_numerator, of_moment: (n,) what a template's own is made of, see
        `errors.ErrorModel.margins`
    pixels: (g, m) int, the pixels of each group, -1 for none
    """
    for k in range(scores.shape[0]):
        row = scores[k]
        for g in range(pixels.shape[0]):
            for j in range(pixels.shape[1]):
                i = pixels[g, j]
                if i < 0 or row[i] <= -2:
                    continue
                margin = numerator[k] * of_numerator[i] + moment[k] * of_moment[i] * abs(row[i])
                if row[i] + margin >= least[i]:
                    near[g, count[g]] = first + k
                    count[g] += 1
                    break
