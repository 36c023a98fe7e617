"""Where the particles lie that were missed."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from gembench.engine.bank import TemplateBank
from gembench.engine.picks import Picks
from gembench.evaluate.matching import match
from gembench.evaluate.pairing import pair_up
from gembench.picking.settings import PickSettings
from gembench.tuning.judging import Judge
from gembench.tuning.result import Misses

BANDS = (0.0, 0.25, 0.5, 1.0)  # of the particle's width, from an edge


def misses(
    picks: Sequence[Picks], judge: Judge, shapes: dict[str, tuple[int, int]], width: float, unsearched: float
) -> Misses:
    """The distances from the edge of all annotated particles, and of those without a pick.

    shapes: rows and columns of every micrograph; width: of the particle, pixels
    unsearched: pixels from an edge in which nothing can be picked
    """
    by = judge.by
    edge, found = [np.empty(0)], [np.empty(0, bool)]
    for pair in pair_up(picks, judge.truth, by.labels, by.ignore_labels, by.views).pairs:
        last = np.array(shapes[pair.micrograph][::-1]) - 1
        edge.append(np.minimum(pair.truth.xy, last - pair.truth.xy).min(axis=1))
        found.append(np.isin(np.arange(len(pair.truth)), match(pair.picks, pair.truth, judge.radius).truth))
    distance, missed = np.concatenate(edge), ~np.concatenate(found)
    edges = tuple(part * width for part in BANDS)
    band = np.searchsorted(edges[1:], distance, "right")
    marked, lost = (tuple(np.bincount(some, minlength=len(edges)).tolist()) for some in (band, band[missed]))
    return Misses(edges, marked, lost, unsearched, int((distance[missed] < unsearched).sum()))


def unsearched_border(bank: TemplateBank, settings: PickSettings, views: Collection[int] | None) -> float:
    """Pixels from an edge in which no template of these views, at any angle, has a score that is picked."""
    border = settings.peaks.border
    if settings.edges == "reflect":
        return border
    if settings.edges == "box":
        return max(border, float(min(bank.box) // 2))
    reach = []
    for index in range(len(bank)):
        if not bank.is_decoy(index) and (views is None or int(bank.number(index)) in views):
            mask = bank.mask(index)
            for size, axis in zip(bank.box, (1, 0), strict=True):
                covered = np.flatnonzero(mask.any(axis))
                reach += [size // 2 - covered[0], covered[-1] - size // 2]
    return max(border, float(min(reach, default=0)))
