"""Which pixels of a FineMap have to be exact for its picks to be.

Both rules go down from score to score, level by level: what a pick that is already certain rules out is never
looked at.
"""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.banded.map import EXACT, SEEN, FineMap
from gembench.engine.bank import TemplateBank
from gembench.engine.kernel import kernel
from gembench.engine.peaks import (
    TWIN,
    PeakSettings,
    by_score,
    far_enough,
    first_twins,
    inside,
    maxima,
    take_peak,
)
from gembench.engine.ties import TIE

Array = NDArray[Any]
FLAT = 1.0  # of a pixel's ripple, by which a peak may seem to lie below its neighbours
LEVEL = 0.05  # of the score, by which one level lies below the other
MOVED = TWIN * 2**0.5  # pixels between a maximum and its pick, the first of its twins


def levels(fine: FineMap, threshold: float) -> list[float]:
    """The scores down to which is gone, one after the other."""
    return [*np.arange(float(fine.bound.max()) - LEVEL, threshold, -LEVEL).tolist(), threshold]


def settle_maxima(fine: FineMap, settings: PeakSettings) -> None:
    """Make every local maximum that `nms` can keep exact, with the pixels around it."""
    closed = ~fine.allowed  # also what lies so close to a pick that is certain that it cannot be moved away
    taken = np.zeros_like(closed)  # where no other pick can be
    exact = np.empty(0, np.int64)
    for level in levels(fine, settings.threshold) if settings.distance > 2 * TWIN else []:
        look_down_to(fine, level, closed)
        progress = True
        while len(likely := _likely_maxima(fine, level, closed)):
            chosen = _leaders(fine, likely, settings.distance) if progress else _best_quarter(fine, likely)
            exact = np.concatenate([exact, refine_peaks(fine, chosen, settings)])
            progress = _close_around(fine, closed, taken, exact, level, settings.distance)
            exact = exact[~closed.ravel()[exact]]
    look_down_to(fine, settings.threshold, closed)
    refine_peaks(fine, _likely_maxima(fine, settings.threshold, closed), settings)
    while len(false := _false_maxima(fine, settings.threshold, closed)):
        refine_peaks(fine, false, settings)


def look_down_to(fine: FineMap, level: float, closed: Array) -> None:
    """Look at the cells that may reach the level and hold, or touch, a pixel that is not `closed`."""
    rows, columns = np.nonzero((fine.bound >= level) & ~fine.looked)
    step, margin = fine.coarse.grid.step, fine.margin
    open_ = np.zeros(len(rows), np.bool_)
    touching_open(closed, (rows + fine.first_cell[0]) * step - margin,
                  (columns + fine.first_cell[1]) * step - margin, step, open_)
    fine.look(rows[open_], columns[open_])


def _likely_maxima(fine: FineMap, level: float, closed: Array) -> Array:
    """Flat places of pixels that may reach the level, are open, and hardly below any of their neighbours."""
    places = fine.open_places(level, closed)
    return places[maxima(fine.score, places, fine.ripple, FLAT)]


def _false_maxima(fine: FineMap, level: float, closed: Array) -> Array:
    """Flat places of open pixels that are not exact, and maxima once scores are lowered by their slack."""
    places = fine.open_places(level, closed)
    places = places[fine.score.ravel()[places] - fine.slack.ravel()[places] >= level]
    return np.asarray(places[maxima(fine.score, places, fine.slack, -1.0)])


def _leaders(fine: FineMap, places: Array, distance: float) -> Array:
    """Those of some pixels that are the best within `distance`, by their scores so far."""
    places = by_score(fine.score, places)
    return np.asarray(places[far_enough(*np.divmod(places, fine.score.shape[1]), distance)])


def _best_quarter(fine: FineMap, places: Array) -> Array:
    """A quarter of some pixels, those that may be highest."""
    order = np.argsort(-fine.upper_at(places), kind="stable")
    return np.asarray(places[order[: max(16, len(places) // 4)]])


def _close_around(
    fine: FineMap, closed: Array, taken: Array, exact: Array, level: float, distance: float
) -> bool:
    """Close what the exact maxima that must become picks rule out; whether there were any.

    closed, taken: (H, W) bool, see `settle_maxima`; exact: flat places of the pixels that are exact and open.
    Nothing that may be a maximum outdoes such a pick from within the distance.
    """
    from scipy.spatial import KDTree

    width = closed.shape[1]
    peaks = exact[fine.score.ravel()[exact] >= level]
    peaks = peaks[maxima(fine.score, peaks, fine.slack, 0.0)]
    peaks = by_score(fine.score, peaks)
    rivals = np.concatenate([peaks, _likely_maxima(fine, level, closed)])
    if not len(peaks):
        return False
    points, upper = np.column_stack(np.divmod(rivals, width)), fine.upper_at(rivals)
    tree, progress = KDTree(points), False
    picks = first_twins(fine.score, fine.index, peaks)
    for i, (place, pick) in enumerate(zip(peaks.tolist(), picks.tolist(), strict=True)):
        if closed.flat[place] or taken.flat[pick]:
            closed.flat[place] = True
            continue
        near = np.array(tree.query_ball_point(points[i], distance + 2 * MOVED))
        near = near[(upper[near] >= upper[i]) & (near != i)]
        if closed.ravel()[rivals[near]].all():
            y, x = divmod(pick, width)
            _stamp(closed, y, x, distance - MOVED)
            _stamp(taken, y, x, distance)
            progress = True
    return progress


def _stamp(pixels: Array, y: int, x: int, radius: float) -> None:
    """Set the pixels (H, W) closer to one of them than `radius`."""
    area = _area(pixels.shape, y, x, int(np.ceil(radius)))
    v, u = np.ogrid[area]
    pixels[area] |= (v - y) ** 2 + (u - x) ** 2 < radius**2


def _area(shape: tuple[int, ...], y: int, x: int, reach: int) -> tuple[slice, ...]:
    """The part of a map within `reach` of a pixel."""
    return tuple(slice(max(at - reach, 0), min(at + reach + 1, n))
                 for at, n in zip((y, x), shape, strict=True))


def refine_peaks(fine: FineMap, places: Array, settings: PeakSettings) -> Array:
    """Make pixels exact, and on from there until the surroundings of every exact maximum are.

    places: flat; returns those of all pixels that became exact
    """
    all_made = [np.empty(0, np.int64)]
    width = fine.allowed.shape[1]
    y, x = np.divmod(places, width)
    while len(y):
        made = fine.refine(y, x)
        all_made.append(made)
        # What was made exact may also leave one of its neighbours a maximum.
        y, x = _around(fine, *np.divmod(made, width), TWIN, exact=True)
        peaks = np.unique(y * width + x)
        peaks = peaks[fine.score.ravel()[peaks] >= settings.threshold]
        peaks = peaks[maxima(fine.score, peaks, fine.slack, -1.0)]
        peaks = np.union1d(peaks, first_twins(fine.score, fine.index, peaks))
        y, x = _rivals(fine, *np.divmod(peaks, width), settings.distance)
    return np.concatenate(all_made)


def _rivals(fine: FineMap, y: Array, x: Array, distance: float) -> tuple[Array, Array]:
    """The pixels around exact maxima that are not exact: their neighbours, and twins that count.

    A lower twin does not where the maximum rules it out.
    """
    dy, dx = np.mgrid[-TWIN : TWIN + 1, -TWIN : TWIN + 1].reshape(2, -1, 1)
    v, u = y + dy, x + dx
    chosen = (v >= 0) & (v < fine.allowed.shape[0]) & (u >= 0) & (u < fine.allowed.shape[1])
    v, u, height = v[chosen], u[chosen], np.broadcast_to(fine.score[y, x], chosen.shape)[chosen]
    counts = (distance <= 2 * TWIN) | (np.maximum(abs(dy), abs(dx)) <= 1) | np.zeros_like(chosen)
    used = counts[chosen] | (fine.score[v, u] + fine.slack[v, u] >= height - TIE)
    used &= fine.allowed[v, u] & (fine.state[v, u] != EXACT)
    return v[used], u[used]


def _around(fine: FineMap, y: Array, x: Array, ring: int, exact: bool = False) -> tuple[Array, Array]:
    """The pixels up to `ring` from some that are exact, or that are not yet."""
    dy, dx = np.mgrid[-ring : ring + 1, -ring : ring + 1].reshape(2, -1, 1)
    y, x = (y + dy).ravel(), (x + dx).ravel()
    inside = (y >= 0) & (y < fine.allowed.shape[0]) & (x >= 0) & (x < fine.allowed.shape[1])
    y, x = y[inside], x[inside]
    chosen = fine.allowed[y, x] & ((fine.state[y, x] == EXACT) == exact)
    return y[chosen], x[chosen]


def settle_walk(fine: FineMap, settings: PeakSettings, bank: TemplateBank, masks: Any) -> None:
    """Make exact what gEMpicker's rules walk through: best first, the turned mask blanked each time.

    masks: of a template's index, its cut and the offset from its centre
    """
    y, x = np.divmod(np.array(_walk(fine, settings, bank, masks), np.int64), fine.allowed.shape[1])
    y, x = _around(fine, y, x, 1)  # what the fit of a parabola looks at
    fine.refine(y, x)


def _walk(fine: FineMap, settings: PeakSettings, bank: TemplateBank, masks: Any) -> list[int]:
    """The flat places that the walk stops at, in its order."""
    blank = ~fine.allowed
    exact: list[tuple[float, int]] = []  # exact pixels not yet taken, as a heap of (-score, place)
    taken: list[int] = []
    picked = 0
    for level in levels(fine, settings.threshold):
        look_down_to(fine, level, blank)
        hot = fine.open_places(level, blank)
        upper = fine.upper_at(hot)
        order = np.argsort(-upper, kind="stable")
        hot, upper = hot[order], upper[order]
        at = 0
        while True:
            while at < len(hot) and (blank.flat[hot[at]] or fine.state.flat[hot[at]] == EXACT):
                at += 1
            limit = upper[at] if at < len(hot) else level
            if exact and -exact[0][0] >= limit:
                best = heapq.heappop(exact)[1]
                while not blank.flat[best]:
                    _take_exact(fine, best, TWIN, blank, exact)
                    taken.append(take_peak(fine.score, fine.index, blank, best, masks.__getitem__))
                    y, x = divmod(taken[-1], blank.shape[1])
                    is_pick = not bank.is_decoy(fine.index[y, x])
                    picked += is_pick and bool(inside(y, x, blank.shape, bank.box, settings.border))
                    if picked == settings.max_picks:
                        return taken
            elif at < len(hot):
                _take_exact(fine, int(hot[at]), fine.coarse.grid.step, blank, exact)
            else:
                break
    return taken


def _take_exact(
    fine: FineMap, place: int, reach: int, blank: Array, exact: list[tuple[float, int]]
) -> None:
    """Make a pixel exact, with those within `reach` of it that may be as high."""
    y, x = divmod(place, blank.shape[1])
    area = _area(blank.shape, y, x, reach)
    near = (fine.score[area] + fine.slack[area] >= fine.score[y, x] - TIE) & (fine.state[area] == SEEN)
    rows, columns = np.nonzero(near & ~blank[area])
    rows, columns = rows + area[0].start, columns + area[1].start
    for made in fine.refine(rows, columns).tolist():
        heapq.heappush(exact, (-float(fine.score.flat[made]), made))


@kernel
def touching_open(closed: Array, y: Array, x: Array, step: int, out: Array) -> None:
    """Set out[i] where the cell of step x step pixels at y[i], x[i] or its rim has a pixel not `closed`."""
    height, width = closed.shape
    for i in range(len(y)):
        for v in range(max(y[i] - 1, 0), min(y[i] + step + 1, height)):
            for u in range(max(x[i] - 1, 0), min(x[i] + step + 1, width)):
                if not closed[v, u]:
                    out[i] = True
