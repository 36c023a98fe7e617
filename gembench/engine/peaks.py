"""From a score map to picks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gembench.engine.picks import Picks
from gembench.engine.score_map import ScoreMap
from gembench.engine.templates import TemplateBank
from gembench.errors import InputError

Array = NDArray[Any]
PeakRule = Literal["nms", "gempicker"]
PEAK_RULES: tuple[PeakRule, ...] = ("nms", "gempicker")


@dataclass(frozen=True)
class PeakSettings:
    """Which peaks of a score map become picks.

    rule: 'nms' keeps local maxima, greedily by score, none closer than `distance` to a better one;
        'gempicker' follows the
        original program: take the best, blank the area under its turned mask, drop it if its box comes
        closer to an edge than `border`, go on until `threshold`; then drop both of any two closer than
        `distance`, and all above `high_threshold`
    threshold, high_threshold: scores; distance: pixels between centres
    border: pixels; with 'nms' from an edge to the centre, with 'gempicker' to the template's box
    max_picks: the best so many on a micrograph, None for all
    subpixel: refine positions by a quadratic fit through the peak and its neighbours
    """

    rule: PeakRule = "nms"
    threshold: float = 0.3
    high_threshold: float = 1.0
    distance: float = 0.0
    border: float = 0.0
    max_picks: int | None = None
    subpixel: bool = True

    def __post_init__(self) -> None:
        if self.rule not in PEAK_RULES:
            raise InputError(f"peak rule '{self.rule}' is unknown: choose from {', '.join(PEAK_RULES)}")
        if not -1 <= self.threshold <= self.high_threshold:
            raise InputError(
                f"threshold {self.threshold} and high threshold {self.high_threshold}: scores lie within"
                " [-1, 1], and the threshold below the high one"
            )
        for name, least in (("distance", 0), ("border", 0), ("max_picks", 1)):
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise InputError(f"{name.replace('_', ' ')} {value}: give at least {least}")


def find_picks(maps: ScoreMap, bank: TemplateBank, settings: PeakSettings, micrograph: str = "") -> Picks:
    """The picks of one micrograph, best first.

    Each carries score, template, view and psi; positions are centres in pixels of the score map.
    """
    rows, columns = (_nms if settings.rule == "nms" else _gempicker)(maps, bank, settings)
    if settings.max_picks is not None:
        rows, columns = rows[: settings.max_picks], columns[: settings.max_picks]
    index = maps.index[rows, columns]
    dy, dx = _quadratic_offsets(maps, rows, columns) if settings.subpixel else (0.0, 0.0)
    return Picks(
        micrograph=micrograph, x=columns + dx, y=rows + dy, score=maps.score[rows, columns], template=index,
        view=bank.view(index), psi=bank.psi(index), pixel_size=bank.pixel_size,
    )


def _by_score(maps: ScoreMap, chosen: Array) -> tuple[Array, Array]:
    """Rows and columns where `chosen` (H, W) is true, best score first; equals in reading order."""
    flat = np.flatnonzero(chosen)
    flat = flat[np.argsort(-maps.score.reshape(-1)[flat], kind="stable")]
    rows, columns = np.divmod(flat, maps.score.shape[1])
    return rows, columns


def _nms(maps: ScoreMap, bank: TemplateBank, settings: PeakSettings) -> tuple[Array, Array]:
    from scipy.ndimage import label, maximum_filter

    score = maps.score
    chosen = (maps.index >= 0) & (score >= settings.threshold)
    chosen &= score >= maximum_filter(score, 3, mode="nearest")
    rows, columns = _by_score(maps, chosen)
    # Neighbours on a plateau of equal scores are one peak, even when no distance is asked for.
    plateau = label(chosen, np.ones((3, 3)))[0][rows, columns]
    first = np.sort(np.unique(plateau, return_index=True)[1])
    rows, columns = rows[first], columns[first]
    if len(rows):
        alone = _far_enough(rows, columns, settings.distance)
        rows, columns = rows[alone], columns[alone]
    # Only now, so that the shoulder of a peak that is left out does not take its place.
    wanted = _inside(score.shape, (1, 1), settings.border) & (score <= settings.high_threshold)
    keep = wanted[rows, columns]
    return rows[keep], columns[keep]


def _far_enough(rows: Array, columns: Array, distance: float) -> Array:
    """Positions, in a list of points that is best first, of those with none better closer than `distance`."""
    from scipy.spatial import KDTree

    points = np.column_stack([rows, columns])
    tree = KDTree(points)
    free = np.ones(len(points), bool)
    kept = []
    for i, point in enumerate(points):
        if free[i]:
            kept.append(i)
            near = np.array(tree.query_ball_point(point, distance))
            free[near[np.hypot(*(points[near] - point).T) < distance]] = False
    return np.array(kept)


def _gempicker(maps: ScoreMap, bank: TemplateBank, settings: PeakSettings) -> tuple[Array, Array]:
    from scipy.spatial import KDTree

    rows, columns = _by_score(maps, (maps.index >= 0) & (maps.score >= settings.threshold))
    inside = _inside(maps.score.shape, bank.box, settings.border)
    blank = np.zeros(maps.score.shape, bool)
    picked = []
    for i, (y, x) in enumerate(zip(rows.tolist(), columns.tolist(), strict=True)):
        if blank[y, x]:
            continue
        _blank_under(blank, bank.mask(int(maps.index[y, x])), y, x)
        if inside[y, x]:
            picked.append(i)
            if settings.max_picks is not None and len(picked) == settings.max_picks:
                break
    points = np.column_stack([rows[picked], columns[picked]])
    alone = np.ones(len(points), bool)
    if len(points) > 1:
        pairs = KDTree(points).query_pairs(settings.distance, output_type="ndarray")
        close = np.hypot(*(points[pairs[:, 0]] - points[pairs[:, 1]]).T) < settings.distance
        alone[pairs[close].ravel()] = False
    alone &= maps.score[points[:, 0], points[:, 1]] <= settings.high_threshold
    return points[alone, 0], points[alone, 1]


def _inside(shape: tuple[int, ...], box: tuple[int, int], border: float) -> Array:
    """True at centres whose box of pixels keeps `border` pixels from every edge: (H, W) bool."""
    y, x = (
        (at - size // 2 >= border) & (at - size // 2 + size <= length - border)
        for at, size, length in zip(np.ogrid[: shape[0], : shape[1]], box, shape, strict=True)
    )
    return np.asarray(y & x)


def _blank_under(blank: Array, mask: Array, y: int, x: int) -> None:
    """Set `blank` where `mask`, its centre pixel at (y, x), covers it."""
    top, left = y - mask.shape[0] // 2, x - mask.shape[1] // 2
    y0, x0 = max(top, 0), max(left, 0)
    y1, x1 = min(top + mask.shape[0], blank.shape[0]), min(left + mask.shape[1], blank.shape[1])
    blank[y0:y1, x0:x1] |= mask[y0 - top : y1 - top, x0 - left : x1 - left]


def _quadratic_offsets(maps: ScoreMap, rows: Array, columns: Array) -> tuple[Array, Array]:
    """The vertex of the parabola through a peak and its two neighbours along each axis, within half a pixel.

    A peak beside a pixel without a score, or on the map's edge, stays where it is.
    """
    padded = np.pad(maps.score.astype(np.float64), 1, mode="edge")
    scored = np.pad(maps.index >= 0, 1)
    y, x = rows + 1, columns + 1
    offsets = []
    for dy, dx in ((1, 0), (0, 1)):
        before, here, after = padded[y - dy, x - dx], padded[y, x], padded[y + dy, x + dx]
        curvature = before - 2 * here + after
        usable = (curvature < 0) & scored[y - dy, x - dx] & scored[y + dy, x + dx]
        vertex = 0.5 * (before - after) / np.where(usable, curvature, 1)
        offsets.append(np.where(usable, np.clip(vertex, -0.5, 0.5), 0.0))
    return offsets[0], offsets[1]
