"""FineMap: a score map that knows how well it knows each pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.banded.coarse import Coarse
from gembench.engine.banded.grid import TAPS, upsampled
from gembench.engine.banded.group import fold_points
from gembench.engine.banded.sums import ABREAST, DirectSums, gather_cells, near_best
from gembench.engine.banded.workers import Each
from gembench.engine.kernel import kernel
from gembench.engine.score_map import ScoreMap

Array = NDArray[Any]
BATCH = 512  # pixels whose scores with all templates a thread holds at once
GUESSED, SEEN, EXACT = 0, 1, 2
WAVE = 4  # batches whose pixels are summed directly together
PRODUCTS = 1 << 18  # sums that are under way at once, 8 MiB; more only where one pixel asks for them
OUTSIDE = -1 << 30  # the row of a pixel that is none


class FineMap:
    """Scores at every pixel of a micrograph: guessed between coarse pixels, seen, or exact.

    score, index: (H, W) as in `ScoreMap`; slack: (H, W), the exact score is at most score + slack
    ripple: (H, W), the part of the slack that may change from pixel to pixel
    state: (H, W) uint8, GUESSED, SEEN (all templates compared, within the slack) or EXACT
    allowed: (H, W) bool, where any template is scored
    Cells are looked at, and refined, some at a time, by several threads: `workers.Each`. Which come together
    does not depend on the number of threads, nor do scores.
    """

    def __init__(
        self, coarse: Coarse, image: Array, floor: tuple[Any, Any], sums: DirectSums, margin: int,
        allowed: Array, each: Each,
    ) -> None:
        self.coarse, self.image, self.floor, self.sums, self.margin = coarse, image, floor, sums, margin
        self.allowed, self._each = allowed, each
        self.windows = np.concatenate([group.windows for group in coarse.groups])
        shape = (allowed.shape[0], allowed.shape[1])
        step = coarse.grid.step
        # Cells begin on coarse pixels; the first row of cells may begin before the map.
        self.first_cell = (margin // step, margin // step)
        self.cells = tuple(-(-(margin + n) // step) - margin // step for n in shape)
        self.bound = self._cell_bounds()
        self._strength = np.stack([self._cut(at_corners(each)) for each in coarse.errors.strength])
        self._between = [reading.weights.astype(coarse.score.dtype) for reading in coarse.between]
        self.looked = np.zeros(self.cells, bool)
        scored = np.where(coarse.index < 0, coarse.score.dtype.type(0), coarse.score)
        self.score = upsampled(scored, step, (margin, margin), shape)
        self.slack, self.index = np.empty_like(self.score), np.empty(shape, np.int32)
        guess(self.bound, np.maximum(self._cut(coarse.index), 0), allowed, step, margin % step, self.score,
              self.slack, self.index)
        self.ripple = np.zeros_like(self.slack)
        self.state = np.zeros(shape, np.uint8)
        self._seen: list[Array] = []
        self._chosen = np.zeros(shape, bool)

    def _cut(self, coarse_map: Array) -> Array:
        """The first coarse pixel of every cell."""
        rows = (self.first_cell[0] + np.arange(self.cells[0])) % coarse_map.shape[0]
        columns = (self.first_cell[1] + np.arange(self.cells[1])) % coarse_map.shape[1]
        return np.asarray(coarse_map[np.ix_(rows, columns)])

    def _cell_bounds(self) -> Array:
        """The highest score that any pixel of each cell may have."""
        coarse = self.coarse
        upper = coarse.errors.highest(coarse.score, coarse.index, coarse.inverse, coarse.lowest)
        return np.asarray(np.minimum(self._cut(at_corners(upper)), upper.dtype.type(1)))

    def pixels_of(self, rows: Array, columns: Array) -> tuple[Array, Array]:
        """The map's rows and columns of all pixels of some cells, (c * step * step,), cell by cell."""
        step = self.coarse.grid.step
        inner = np.arange(step)
        y = (self.first_cell[0] + rows)[:, None, None] * step + inner[:, None] - self.margin
        x = (self.first_cell[1] + columns)[:, None, None] * step + inner - self.margin
        y, x = np.broadcast_arrays(y, x)
        return y.ravel(), x.ravel()

    def cell_of(self, y: Array, x: Array) -> tuple[Array, Array]:
        """The cells that hold pixels of the map."""
        step = self.coarse.grid.step
        return (y + self.margin) // step - self.first_cell[0], (x + self.margin) // step - self.first_cell[1]

    def look(self, rows: Array, columns: Array) -> None:
        """Compare all templates at every pixel of some cells."""
        new = ~self.looked[rows, columns]
        rows, columns = rows[new], columns[new]
        self.looked[rows, columns] = True
        self._seen += self._each(lambda part: self._look(rows[part], columns[part]), self._batches(len(rows)))

    def _batches(self, cells: int) -> list[slice]:
        """Which of some cells a thread takes at once."""
        number = max(1, BATCH // self.coarse.grid.step**2)
        return [slice(start, start + number) for start in range(0, cells, number)]

    def _look(self, rows: Array, columns: Array) -> Array:
        """See `look`; returns the flat places of the pixels that were seen."""
        y, x, _, score, index, inverse, strength, doubtful = self._compared(rows, columns)
        height, width = self.allowed.shape
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        y, x = y[inside], x[inside]
        seen = self.allowed[y, x] & (self.state[y, x] == GUESSED)
        inside[inside] = seen
        y, x = y[seen], x[seen]
        score, inverse, strength = score[inside], inverse[inside], strength[:, inside]
        self.score[y, x], self.index[y, x] = score, index[inside]
        slack = self.coarse.errors.slack(score, self.index[y, x], inverse, strength)
        self.slack[y, x] = np.where(doubtful[inside], 2, slack)
        ripple = self.coarse.errors.ripple(score, self.index[y, x], inverse, strength)
        self.ripple[y, x] = np.where(doubtful[inside], 2, ripple)
        self.state[y, x] = SEEN
        return np.asarray(y * width + x)

    def open_places(self, level: float, closed: Array) -> Array:
        """The flat places of pixels that were seen, are neither exact nor closed, and may reach a level."""
        places = np.concatenate([np.empty(0, np.int64), *self._seen])
        places = places[(self.state.ravel()[places] == SEEN) & ~closed.ravel()[places]]
        self._seen = [places]
        return np.asarray(places[self.upper_at(places) >= level])

    def upper_at(self, places: Array) -> Array:
        """The highest score that the pixels at flat places may have."""
        return np.asarray(self.score.ravel()[places] + self.slack.ravel()[places])

    def _compared(self, rows: Array, columns: Array) -> tuple[Any, ...]:
        """Pixels of some cells, the scores of every group's templates there, and the best."""
        coarse, grid = self.coarse, self.coarse.grid
        y, x = self.pixels_of(rows, columns)
        n, dtype = len(y), coarse.score.dtype
        score, index = np.full(n, -2, dtype), np.full(n, -1, np.int32)
        inverse, least = np.zeros(n, dtype), np.full(n, np.inf, dtype)
        frame_y, frame_x = (y + self.margin).astype(np.int32), (x + self.margin).astype(np.int32)
        at = ((rows + self.first_cell[0]) % grid.shape[0], (columns + self.first_cell[1]) % grid.shape[1])
        scores = []
        for group, maps in zip(coarse.groups, coarse.maps, strict=True):
            patches = np.empty((len(maps), len(rows), TAPS**2), dtype)
            gather_cells(maps, *at, patches)
            values, rank = np.empty((len(maps), n), dtype), len(group.weights.spectra)
            for some, between in zip((slice(rank), slice(rank, None)), self._between, strict=True):
                np.matmul(patches[some], between, out=values[some].reshape(-1, len(rows), between.shape[1]))
            numerators, inverses, lowest = group.products(values, group.workspace(n))
            np.minimum(least, lowest, out=least)
            fold_points(numerators, inverses, group.mask_of, group.windows, np.int32(group.first), frame_y,
                        frame_x, score, index, inverse)
            scores.append(numerators)
        strength = np.repeat(self._strength[:, rows, columns], grid.step**2, axis=1)
        return y, x, scores, score, index, inverse, strength, coarse.errors.doubtful(least, strength)

    def refine(self, y: Array, x: Array) -> Array:
        """Make the pixels y, x (n,) of the map exact; returns the flat places of all that became so."""
        new = self.allowed[y, x] & (self.state[y, x] != EXACT)
        y, x = y[new], x[new]
        cells = np.unique(np.ravel_multi_index(self.cell_of(y, x), self.cells))
        rows, columns = np.unravel_index(cells, self.cells)
        self.look(rows, columns)
        chosen = self._chosen
        chosen[y, x] = True
        batches, made = self._batches(len(rows)), [np.empty(0, np.int64)]
        for k in range(0, len(batches), WAVE):
            rivals = self._each(lambda part: self._rivals(rows[part], columns[part], chosen),
                                batches[k : k + WAVE])
            made.append(self._sum_directly(*(np.concatenate(parts) for parts in zip(*rivals, strict=True))))
        chosen[y, x] = False
        return np.concatenate(made)

    def _rivals(self, rows: Array, columns: Array, chosen: Array) -> tuple[Array, Array, Array, Array]:
        """The rows of ABREAST pixels of some cells that hold `chosen` ones, and what may be the best there.

        Returns their pixels y, x (g, ABREAST), with y OUTSIDE beyond a cell that is narrower, and of each row
        how many templates may be the best of any of its pixels, and which.
        """
        y, x, scores, best, index, inverse, strength, doubtful = self._compared(rows, columns)
        groups = self._groups(y, x, chosen)
        uncertain = np.where(doubtful, 2, 0.5 * self.coarse.errors.slack(best, index, inverse, strength))
        # A template's own uncertainty, for the 1 / sigma of the best: they differ little.
        *of_each, of_numerator, of_moment = self.coarse.errors.margins(inverse, strength)
        near = np.empty((len(groups), sum(map(len, scores))), np.int32)
        count = np.zeros(len(groups), np.int64)
        for group, values in zip(self.coarse.groups, scores, strict=True):
            numerator, moment = (error[group.first : group.first + len(values)] for error in of_each)
            near_best(values, best - uncertain, numerator, moment, of_numerator, of_moment, group.first,
                      groups, near, count)
        templates = near[np.arange(near.shape[1]) < count[:, None]]
        return np.where(groups < 0, OUTSIDE, y[groups]), x[groups], count, templates

    def _sum_directly(self, y: Array, x: Array, count: Array, templates: Array) -> Array:
        """Make rows of pixels exact, see `_rivals`; returns the flat places of those in the map."""
        first = np.concatenate([[0], np.cumsum(count)])
        score = np.full(y.shape, -2, self.image.dtype)
        index = np.full(y.shape, -1, np.int32)
        start = 0
        while start < len(y):
            stop = max(start + 1, int(np.searchsorted(first, first[start] + PRODUCTS, "right")) - 1)
            rows = slice(start, stop)
            self.sums.scores(
                self.image, self.floor, self.windows, y[rows, 0] + self.margin, x[rows, 0] + self.margin,
                first[start : stop + 1] - first[start], templates[first[start] : first[stop]], score[rows],
                index[rows], self._each,
            )
            start = stop
        height, width = self.allowed.shape
        held = (index >= 0) & (y >= 0) & (y < height) & (x >= 0) & (x < width)
        held[held] = self.allowed[y[held], x[held]]
        y, x, score, index = y[held], x[held], score[held], index[held]
        self.score[y, x], self.index[y, x], self.slack[y, x] = score, index, 0
        self.ripple[y, x], self.state[y, x] = 0, EXACT
        return np.unique(y * width + x)

    def _groups(self, y: Array, x: Array, chosen: Array) -> Array:
        """Rows of ABREAST pixels that hold the chosen ones of some cells, as places in y, x: (g, ABREAST).

        -1 for pixels beyond a cell that is narrower.
        """
        step = self.coarse.grid.step
        height, width = chosen.shape
        starts = [min(at, max(step - ABREAST, 0)) for at in range(0, step, ABREAST)]
        places = np.arange(len(y)).reshape(-1, step)
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        inside[inside] = chosen[y[inside], x[inside]]
        groups = np.full((len(places), len(starts), ABREAST), -1)
        for i, start in enumerate(starts):
            part = places[:, start : start + ABREAST]
            groups[:, i, : part.shape[1]] = part
        each = groups.reshape(-1, ABREAST)
        return np.asarray(each[(inside[each] & (each >= 0)).any(1)])

    def finished(self) -> ScoreMap:
        """The map as a search returns it; what is not exact is not above the exact score.

        It is made of this map's own arrays, which has to be left alone then.
        """
        finish(self.state, self.slack, self.allowed, self.score)
        return ScoreMap(self.score, self.index)


def at_corners(values: Array) -> Array:
    """The highest of the coarse pixels (ny, nx) at the four corners of each cell, cyclically."""
    for axis in range(2):
        values = np.maximum(values, np.roll(values, -1, axis))
    return values


@kernel
def guess(
    bound: Array, nearest: Array, allowed: Array, step: int, skip: int, score: Array, slack: Array,
    index: Array,
) -> None:
    """Limit guessed scores (H, W) to the bounds of their cells, and say how much higher they may be.

    bound, nearest: (ny, nx) of each cell of step x step pixels the highest score, and the template thought of
    skip: rows and columns of the first cells that lie outside; slack, index: (H, W), are filled
    """
    height, width = score.shape
    highest, template = np.empty(width, bound.dtype), np.empty(width, nearest.dtype)
    none, nothing, zero = np.int32(-1), type(score[0, 0])(-2), type(score[0, 0])(0)
    last = -1
    for y in range(height):
        cell = (y + skip) // step
        if cell != last:
            last = cell
            for x in range(width):
                highest[x], template[x] = bound[cell, (x + skip) // step], nearest[cell, (x + skip) // step]
        scores, slacks, indices, here = score[y], slack[y], index[y], allowed[y]
        for x in range(width):
            value = min(scores[x], highest[x])
            scores[x] = value if here[x] else nothing
            slacks[x] = highest[x] - value if here[x] else zero
            indices[x] = template[x] if here[x] else none


@kernel
def finish(state: Array, slack: Array, allowed: Array, score: Array) -> None:
    """Lower the scores (H, W) of pixels that were seen by their slack, and put 0 where none is allowed."""
    zero, one = type(score[0, 0])(0), type(score[0, 0])(1)
    for y in range(score.shape[0]):
        scores, slacks, states, here = score[y], slack[y], state[y], allowed[y]
        for x in range(scores.shape[0]):
            value = scores[x] - (slacks[x] if states[x] == SEEN else zero)
            scores[x] = max(min(value, one), -one) if here[x] else zero
