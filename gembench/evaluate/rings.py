"""Rings in a score map: how much higher it is around places than at them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
LEVEL = 0.975  # of the means of random places, that rings are to be above


class Rings(NamedTuple):
    """Contrast of rings around some places, beside that of as many random places.

    contrast: mean over the places, score; places: how many
    random: mean at random places; random_high: what the mean of as many random places stays below, 97.5 %
    """

    contrast: float
    places: int
    random: float
    random_high: float


def ring_profile(score: Array, place: tuple[int, int], reach: int) -> Array | None:
    """Mean scores of the rings around a place (y, x) of a map (H, W), each a pixel wide: (reach + 1,).

    The first is the place itself. None where the largest ring leaves the map.
    """
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    radius = np.hypot(y, x).astype(int).ravel()
    row, column = place
    if min(row, column) < reach:
        return None
    around = score[row - reach : row + reach + 1, column - reach : column + reach + 1]
    if around.size != len(radius):
        return None
    return np.asarray((np.bincount(radius, around.ravel()) / np.bincount(radius))[: reach + 1])


def ring_contrasts(score: Array, places: Array, radii: tuple[int, int]) -> Array:
    """The mean score of the highest ring around each place, less the score at the place.

    score: (H, W); places: (n, 2) int, rows of y, x; radii: the smallest and the largest ring in pixels
    Returns (m,), for the m <= n places whose largest ring lies inside the map.
    """
    profiles = [ring_profile(score, (y, x), radii[1]) for y, x in np.asarray(places, int).reshape(-1, 2)]
    return np.array([rings[radii[0] :].max() - rings[0] for rings in profiles if rings is not None])


def compare_rings(
    maps: Iterable[tuple[Array, Array]], radii: tuple[int, int], margin: int, draws: int = 400, seed: int = 0
) -> Rings | None:
    """Rings around places on several score maps, beside random places on the same maps.

    maps: each with its places, as for `ring_contrasts`; margin: pixels from an edge that random places keep;
    draws: random places a map. None without any place.
    """
    rng = np.random.default_rng(seed)
    at_picks, at_random = [], []
    for score, places in maps:
        at_picks.append(ring_contrasts(score, places, radii))
        anywhere = rng.integers(margin, np.array(score.shape) - margin, (draws, 2))
        at_random.append(ring_contrasts(score, anywhere, radii))
    contrasts, drawn = np.concatenate(at_picks or [np.empty(0)]), np.concatenate(at_random or [np.empty(0)])
    if not len(contrasts) or not len(drawn):
        return None
    means = rng.choice(drawn, (2000, len(contrasts))).mean(axis=1)
    return Rings(float(contrasts.mean()), len(contrasts), float(drawn.mean()),
                 float(np.quantile(means, LEVEL)))
