"""From a score map to picks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gembench.engine.bank import TemplateBank
from gembench.engine.kernel import kernel
from gembench.engine.picks import Picks
from gembench.engine.score_map import ScoreMap, quadratic_offsets
from gembench.engine.ties import TIE, lowest_equals
from gembench.errors import InputError

Array = NDArray[Any]
PeakRule = Literal["nms", "gempicker"]
MaskOf = Callable[[int], tuple[Array, tuple[int, int]]]
PEAK_RULES: tuple[PeakRule, ...] = ("nms", "gempicker")
PORTION = 1 << 14  # pixels that are sorted first
# A template that looks the same after half a turn about a point beside its centre pixel makes two equal peaks
# on neighbouring pixels, and rounding would decide between them: the first of these twins is the peak.
TWIN = 2  # pixels, along each axis


@dataclass(frozen=True)
class PeakSettings:
    """Which peaks of a score map become picks.

    rule: 'nms' keeps local maxima, greedily by score, none closer than `distance` to a better one;
        'gempicker' follows the original program: take the best, blank the area under its turned mask, drop
        it if its box comes closer to an edge than `border`, go on until `threshold`; then drop both of any
        two closer than `distance`, and all above `high_threshold`
    With either, pixels up to `TWIN` apart whose scores differ by no more than rounding are one peak, at the
    first of them in reading order.
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
    """The picks of one micrograph, best first; see `picks_and_decoys`."""
    return picks_and_decoys(maps, bank, settings, micrograph)[0]


def picks_and_decoys(
    maps: ScoreMap, bank: TemplateBank, settings: PeakSettings, micrograph: str = ""
) -> tuple[Picks, int]:
    """The picks of one micrograph, best first, and at how many places a decoy of the bank won.

    Each carries score, template, view and psi; positions are centres in pixels of the score map. Of templates
    that score the same but for rounding, as those of a symmetric view do, it names the lowest. Decoys rule
    out what is close to them as every view does; they do not count as the best so many of a micrograph.
    """
    rows, columns = (_nms if settings.rule == "nms" else _gempicker)(maps, bank, settings)
    lures = bank.is_decoy(maps.index[rows, columns])
    rows, columns = rows[~lures][: settings.max_picks], columns[~lures][: settings.max_picks]
    index = lowest_equals(bank, maps.index[rows, columns])
    dy, dx = quadratic_offsets(maps, rows, columns) if settings.subpixel else (0.0, 0.0)
    return Picks(
        micrograph=micrograph, x=columns + dx, y=rows + dy, score=maps.score[rows, columns], template=index,
        view=bank.number(index), psi=bank.psi(index), pixel_size=bank.pixel_size,
    ), int(lures.sum())


def by_score(score: Array, places: Array) -> Array:
    """Flat places of a map (H, W), best score first; equals stay in their order."""
    return np.asarray(places[np.argsort(-score.reshape(-1)[places], kind="stable")])


def _from(maps: ScoreMap, threshold: float) -> Array:
    """The flat places that score at least `threshold`, in reading order."""
    return np.flatnonzero((maps.index >= 0) & (maps.score >= threshold))


def _nms(maps: ScoreMap, bank: TemplateBank, settings: PeakSettings) -> tuple[Array, Array]:
    score = maps.score
    places = _from(maps, settings.threshold)
    places = by_score(score, places[maxima(score, places)])
    rows, columns = np.divmod(places, score.shape[1])
    if len(rows):
        places = places[_first_of_plateau(score.shape, rows, columns)]
        places = first_twins(score, maps.index, places)
        rows, columns = np.divmod(places[_firsts(places)], score.shape[1])
        alone = far_enough(rows, columns, settings.distance)
        rows, columns = rows[alone], columns[alone]
    # Only now, so that the shoulder of a peak that is left out does not take its place.
    keep = inside(rows, columns, score.shape, (1, 1), settings.border)
    keep &= score[rows, columns] <= settings.high_threshold
    return rows[keep], columns[keep]


def maxima(score: Array, places: Array, slack: Array | None = None, tolerance: float = 0.0) -> Array:
    """Whether pixels of a map (H, W) are not below any of their neighbours: (n,) bool; places: (n,) flat.

    slack: (H, W), 0 if not given; the pixels are raised by `tolerance` times theirs, and where that is
        negative all are lowered by theirs instead
    """
    out = np.ones(len(places), np.bool_)
    none = np.broadcast_to(score.dtype.type(0), score.shape)
    # In the map's own type: a sum that is rounded and one that is not would make a pixel its own better.
    _find_maxima(score, none if slack is None else slack, places, score.dtype.type(tolerance), out)
    return out


@kernel
def _find_maxima(score: Array, slack: Array, places: Array, tolerance: Any, out: Array) -> None:
    """See `maxima`; `out` (n,) is true before, and false where a neighbour is higher."""
    height, width = score.shape
    for i in range(len(places)):
        y, x = divmod(places[i], width)
        here = score[y, x] - slack[y, x] if tolerance < 0 else score[y, x] + tolerance * slack[y, x]
        for v in range(max(y - 1, 0), min(y + 2, height)):
            for u in range(max(x - 1, 0), min(x + 2, width)):
                value = score[v, u] - slack[v, u] if tolerance < 0 else score[v, u]
                if value > here:
                    out[i] = False


def first_twins(score: Array, index: Array, places: Array, blank: Array | None = None) -> Array:
    """For each pixel the first, in reading order, of those around it that score the same but for rounding.

    score, index: (H, W) as in `ScoreMap`; places: (n,) flat, and as many are returned; blank: (H, W) bool,
        pixels that do not count
    """
    first = np.empty_like(places)
    none = np.broadcast_to(np.False_, score.shape)
    _find_twins(score, index, none if blank is None else blank, places, score.dtype.type(TIE), first)
    return first


@kernel
def _find_twins(score: Array, index: Array, blank: Array, places: Array, tie: Any, first: Array) -> None:
    """See `first_twins`."""
    width = score.shape[1]
    for i in range(len(places)):
        y, x = divmod(places[i], width)
        first[i] = places[i]
        # Backwards, so that the last one found is the first in reading order.
        for v in range(y, max(y - TWIN, 0) - 1, -1):
            for u in range(min(x + TWIN, width - 1), max(x - TWIN, 0) - 1, -1):
                earlier = v < y or u < x
                if earlier and index[v, u] >= 0 and not blank[v, u] and abs(score[v, u] - score[y, x]) <= tie:
                    first[i] = v * width + u


def _first_of_plateau(shape: tuple[int, ...], rows: Array, columns: Array) -> Array:
    """Which of some maxima, best first, is the first of its plateau: neighbours of equal scores are one."""
    from scipy.ndimage import label

    chosen = np.zeros(shape, bool)
    chosen[rows, columns] = True
    plateau = label(chosen, np.ones((3, 3)))[0][rows, columns]
    return _firsts(plateau)


def _firsts(values: Array) -> Array:
    """Where in a list each of its values comes first, in the list's order."""
    return np.sort(np.unique(values, return_index=True)[1])


def far_enough(rows: Array, columns: Array, distance: float) -> Array:
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

    picked = _walk(maps, bank, settings)
    rows, columns = np.divmod(np.array(picked, np.intp), maps.score.shape[1])
    points = np.column_stack([rows, columns])
    alone = np.ones(len(points), bool)
    if len(points) > 1:
        pairs = KDTree(points).query_pairs(settings.distance, output_type="ndarray")
        close = np.hypot(*(points[pairs[:, 0]] - points[pairs[:, 1]]).T) < settings.distance
        alone[pairs[close].ravel()] = False
    alone &= maps.score[rows, columns] <= settings.high_threshold
    return rows[alone], columns[alone]


def _walk(maps: ScoreMap, bank: TemplateBank, settings: PeakSettings) -> list[int]:
    """The flat places of the best, the best beside its turned mask, and so on, that have their box inside."""
    shape = (maps.score.shape[0], maps.score.shape[1])
    blank = np.zeros(shape, bool)
    blanked = blank.reshape(-1)
    picked: list[int] = []
    count = 0

    def mask_of(template: int) -> tuple[Array, tuple[int, int]]:
        mask = bank.mask(template)
        return mask, (-(mask.shape[0] // 2), -(mask.shape[1] // 2))

    for places in _portions(maps, settings.threshold):
        for best in places.tolist():
            while not blanked[best]:
                place = take_peak(maps.score, maps.index, blank, best, mask_of)
                y, x = divmod(place, shape[1])
                if inside(y, x, shape, bank.box, settings.border):
                    picked.append(place)
                    count += not bank.is_decoy(maps.index[y, x])
                    if count == settings.max_picks:
                        return picked
    return picked


def _portions(maps: ScoreMap, threshold: float) -> Iterator[Array]:
    """The flat places that score at least `threshold`, best first, a growing number at a time.

    A walk that ends early does not have to sort them all.
    """
    places, number = _from(maps, threshold), PORTION
    while len(places):
        scores = maps.score.reshape(-1)[places]
        lowest = np.partition(scores, -number)[-number] if number < len(places) else threshold
        yield by_score(maps.score, places[scores >= lowest])
        places, number = places[scores < lowest], 4 * number


def inside(rows: Any, columns: Any, shape: tuple[int, ...], box: tuple[int, int], border: float) -> Array:
    """Whether a box of pixels about centres keeps `border` pixels from every edge: bool, for each centre."""
    y, x = (
        (at - size // 2 >= border) & (at - size // 2 + size <= length - border)
        for at, size, length in zip((rows, columns), box, shape, strict=True)
    )
    return np.asarray(y & x)


def take_peak(score: Array, index: Array, blank: Array, best: int, mask_of: MaskOf) -> int:
    """The flat place of the first of a pixel's twins, with `blank` (H, W) set there and under its mask.

    score, index: (H, W) as in `ScoreMap`; best: flat; mask_of: gives for a template's index its turned mask,
        and that mask's first pixel, counted from the centre
    """
    place = int(first_twins(score, index, np.array([best]), blank)[0])
    y, x = divmod(place, blank.shape[1])
    mask, offset = mask_of(int(index[y, x]))
    top, left = y + offset[0], x + offset[1]
    y0, x0 = max(top, 0), max(left, 0)
    y1, x1 = min(top + mask.shape[0], blank.shape[0]), min(left + mask.shape[1], blank.shape[1])
    blank[y0:y1, x0:x1] |= mask[y0 - top : y1 - top, x0 - left : x1 - left]
    blank[y, x] = True  # even where the mask has a hole
    return place
