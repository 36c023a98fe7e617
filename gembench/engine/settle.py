"""Which pixels of a FineMap have to be exact for its picks to be.

Both rules go down from score to score, level by level: what lies under a pick that is already certain is never
looked at.
"""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gembench.engine.fine import EXACT, SEEN, FineMap
from gembench.engine.peaks import PeakSettings

Array = NDArray[Any]
FLAT = 0.4  # of a pixel's ripple, by which a peak may seem to lie below its neighbours
LEVEL = 0.05  # of the score, by which one level lies below the other
BLUR = 10.0  # pixels, at most, within which pixels are one peak
RING = 2  # pixels around an exact maximum that are made exact: a twin may lie beside it


def levels(fine: FineMap, threshold: float) -> list[float]:
    """The scores down to which is gone, one after the other."""
    return [*np.arange(float(fine.bound.max()) - LEVEL, threshold, -LEVEL).tolist(), threshold]


def settle_maxima(fine: FineMap, settings: PeakSettings) -> None:
    """Make every local maximum that `nms` can keep exact, with the pixels around it."""
    closed = ~fine.allowed  # also what lies too close to a pick that is certain
    exact = np.empty(0, np.int64)
    for level in levels(fine, settings.threshold) if settings.distance > 2 * RING else []:
        look_down_to(fine, level, closed)
        progress = True
        while progress:
            leaders = _leaders(fine, *_likely_maxima(fine, level, closed), settings.distance)
            exact = np.concatenate([exact, refine_peaks(fine, *leaders, settings.threshold)])
            exact, progress = _close_around(fine, closed, exact, level, settings.distance)
    look_down_to(fine, settings.threshold, closed)
    refine_peaks(fine, *_likely_maxima(fine, settings.threshold, closed), settings.threshold)


def look_down_to(fine: FineMap, level: float, closed: Array) -> None:
    """Look at the cells that may reach the level and are not `closed`, (H, W) bool, all over."""
    rows, columns = np.nonzero((fine.bound >= level) & ~fine.looked)
    y, x = fine.pixels_of(rows, columns)
    y, x = np.clip(y, 0, closed.shape[0] - 1), np.clip(x, 0, closed.shape[1] - 1)
    open_ = ~closed[y, x].reshape(len(rows), fine.coarse.grid.step**2).all(1)
    fine.look(rows[open_], columns[open_])


def _likely_maxima(fine: FineMap, level: float, closed: Array) -> tuple[Array, Array]:
    """Pixels that may reach the level, are not closed, and hardly below any of their neighbours."""
    y, x = np.divmod(fine.open_places(level, closed), closed.shape[1])
    likely = is_maximum(fine.score, fine.ripple, y, x, FLAT)
    return y[likely], x[likely]


def _leaders(fine: FineMap, y: Array, x: Array, distance: float) -> tuple[Array, Array]:
    """Those of some pixels that are the best within `distance`, by their scores so far."""
    from scipy.spatial import KDTree

    order = np.argsort(-fine.score[y, x], kind="stable")
    points = np.column_stack([y, x])[order]
    free, leaders = np.ones(len(points), bool), []
    tree = KDTree(points) if len(points) else None
    for i in range(len(points)):
        if free[i] and tree is not None:
            leaders.append(order[i])
            free[tree.query_ball_point(points[i], distance)] = False
    return y[leaders], x[leaders]


def _close_around(
    fine: FineMap, closed: Array, exact: Array, level: float, distance: float
) -> tuple[Array, bool]:
    """Close the surroundings of exact maxima above the level that nothing near them can outdo.

    The pick itself may still prove to be another pixel of the same peak, within BLUR.
    exact: flat places; returned without those that need not be tried again, and whether any was closed
    """
    peaks = exact[(fine.score.ravel()[exact] >= level) & ~closed.ravel()[exact]]
    y, x = np.divmod(peaks, closed.shape[1])
    top = is_maximum(fine.score, fine.slack, y, x, 0.0)
    peaks = peaks[top][np.argsort(-fine.score.ravel()[peaks[top]], kind="stable")]
    done = close_around(fine.score, fine.slack, fine.state, closed, peaks, distance,
                        min(BLUR, distance / 4))
    return exact[~np.isin(exact, peaks[done])], bool(done.any())


def _overlap(shape: tuple[int, ...], y: int, x: int, reach: int) -> tuple[Any, Any]:
    """The part of a map within `reach` of a pixel, and the same part of a stamp about its centre."""
    area = tuple(slice(max(at - reach, 0), min(at + reach + 1, n)) for at, n in zip((y, x), shape, strict=True))
    inner = tuple(slice(one.start - at + reach, one.stop - at + reach)
                  for one, at in zip(area, (y, x), strict=True))
    return area, inner


def refine_peaks(fine: FineMap, y: Array, x: Array, threshold: float) -> Array:
    """Make pixels exact, and on from there until the surroundings of every exact maximum are.

    Returns the flat places of all that became exact.
    """
    dy, dx = np.mgrid[-RING : RING + 1, -RING : RING + 1].reshape(2, -1, 1)
    height, width = fine.allowed.shape
    all_made = [np.empty(0, np.int64)]
    while len(y):
        made = fine.refine(y, x)
        all_made.append(made)
        y, x = np.divmod(made[fine.score.ravel()[made] >= threshold], width)
        peak = is_maximum(fine.score, fine.slack, y, x, -1.0)
        y, x = (y[peak] + dy).ravel(), (x[peak] + dx).ravel()
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        y, x = y[inside], x[inside]
        open_ = fine.allowed[y, x] & (fine.state[y, x] != EXACT)
        y, x = y[open_], x[open_]
    return np.concatenate(all_made)


def settle_walk(fine: FineMap, settings: PeakSettings, box: tuple[int, int], masks: Any) -> None:
    """Make exact what gEMpicker's rules walk through: best first, the turned mask blanked each time.

    box: (h, w) of the templates; masks: of a template's index, its cut and the offset from its centre
    """
    blank = ~fine.allowed
    exact: list[tuple[float, int]] = []  # exact pixels not yet taken, as a heap of (-score, place)
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
                place = heapq.heappop(exact)[1]
                if not blank.flat[place]:
                    y, x = divmod(place, blank.shape[1])
                    _blank(blank, *masks[int(fine.index[y, x])], y, x)
                    picked += _counts(y, x, blank.shape, box, settings.border)
                    if picked == settings.max_picks:
                        return
            elif at < len(hot):
                _take_exact(fine, int(hot[at]), blank, exact)
            else:
                break


def _counts(y: int, x: int, shape: tuple[int, ...], box: tuple[int, int], border: float) -> bool:
    """Whether a pick's box keeps `border` pixels from every edge."""
    return all(border <= at - size // 2 and at - size // 2 + size <= length - border
               for at, size, length in zip((y, x), box, shape, strict=True))


def _take_exact(fine: FineMap, place: int, blank: Array, exact: list[tuple[float, int]]) -> None:
    """Make a pixel exact, with those around it that may be as high."""
    width, step = blank.shape[1], fine.coarse.grid.step
    y, x = divmod(place, width)
    area, _ = _overlap(blank.shape, y, x, step)
    near = (fine.score[area] + fine.slack[area] >= fine.score[y, x]) & (fine.state[area] == SEEN)
    rows, columns = np.nonzero(near & ~blank[area])
    rows, columns = rows + area[0].start, columns + area[1].start
    fine.refine(rows, columns)
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        heapq.heappush(exact, (-float(fine.score[row, column]), row * width + column))


def _blank(blank: Array, mask: Array, offset: tuple[int, int], y: int, x: int) -> None:
    """Set `blank` where a template's cut mask, its centre pixel at (y, x), covers it."""
    top, left = y + offset[0], x + offset[1]
    y0, x0 = max(top, 0), max(left, 0)
    y1, x1 = min(top + mask.shape[0], blank.shape[0]), min(left + mask.shape[1], blank.shape[1])
    blank[y0:y1, x0:x1] |= mask[y0 - top : y1 - top, x0 - left : x1 - left]


@njit(nogil=True, error_model="numpy", cache=True)
def is_maximum(score: Array, slack: Array, y: Array, x: Array, tolerance: float) -> Array:
    """Whether pixels, raised by `tolerance` times their slack, are not below their neighbours: (n,) bool.

    A negative tolerance lowers the neighbours by their slack instead.
    """
    height, width = score.shape
    out = np.ones(len(y), np.bool_)
    for i in range(len(y)):
        here = score[y[i], x[i]] + max(tolerance, 0) * slack[y[i], x[i]]
        for v in range(max(y[i] - 1, 0), min(y[i] + 2, height)):
            for u in range(max(x[i] - 1, 0), min(x[i] + 2, width)):
                value = score[v, u] - slack[v, u] if tolerance < 0 else score[v, u]
                if value > here:
                    out[i] = False
    return out


@njit(nogil=True, error_model="numpy", cache=True)
def close_around(
    score: Array, slack: Array, state: Array, closed: Array, peaks: Array, distance: float, blur: float
) -> Array:
    """Set `closed` from `blur` to distance - blur around each peak that has no rival; which have none.

    A rival is an open pixel within distance + blur, though not within blur, that may be higher.
    """
    height, width = score.shape
    done = np.zeros(len(peaks), np.bool_)
    reach = int(np.ceil(distance + blur))
    for number in range(len(peaks)):
        y, x = divmod(peaks[number], width)
        here, rival = score[y, x], closed[y, x]
        for v in range(max(y - reach, 0), min(y + reach + 1, height)):
            if rival:
                break
            for u in range(max(x - reach, 0), min(x + reach + 1, width)):
                if state[v, u] != 0 and not closed[v, u] and score[v, u] + slack[v, u] >= here:
                    apart = (v - y) ** 2 + (u - x) ** 2
                    if blur * blur < apart <= (distance + blur) ** 2:
                        rival = True
                        break
        if rival:
            continue
        done[number] = True
        for v in range(max(y - reach, 0), min(y + reach + 1, height)):
            for u in range(max(x - reach, 0), min(x + reach + 1, width)):
                apart = (v - y) ** 2 + (u - x) ** 2
                if blur * blur < apart < (distance - blur) ** 2:
                    closed[v, u] = True
    return done
