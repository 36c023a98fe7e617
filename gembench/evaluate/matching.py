"""Picks paired one to one with annotated particles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gembench.engine.picks import FloatArray, Picks
from gembench.errors import InputError

Method = Literal["optimal", "greedy"]
Indices = NDArray[np.intp]

TRUE, FALSE, IGNORED = 1, 0, -1  # what a pick is found to be


@dataclass(frozen=True, eq=False)
class Matching:
    """Pairs of picks and annotated particles on one micrograph; arrays of shape (pairs,), by rising pick.

    pick, truth: indices of the two partners; no index occurs twice in either
    distance: between their centres, pixels
    """

    pick: Indices
    truth: Indices
    distance: FloatArray

    def __len__(self) -> int:
        return len(self.pick)


def match(picks: Picks, truth: Picks, radius: float, method: Method = "optimal") -> Matching:
    """Pair picks with annotated particles one to one, at most `radius` pixels (inclusive) apart.

    'optimal': of all such pairings one with the most pairs and, among those, the smallest total distance.
    'greedy': in the order of falling score (equal scores in their given order, unknown scores last) each
    pick takes the nearest particle that is still free (the first of equally near ones). A pick then never
    depends on picks of lower score, so that a threshold can be applied before or after alike.

    Raises InputError for a negative radius, an unknown method or a position that is not finite.
    """
    if not 0 <= radius < np.inf:
        raise InputError(f"matching radius {radius:g} px: give a finite distance of 0 px or more")
    for several in (picks, truth):
        if not np.isfinite(several.xy).all():
            raise InputError(f"{several.micrograph}: a position is not finite: remove that line")
    if method == "optimal":
        return _optimal(*_candidates(picks, truth, radius), radius)
    if method == "greedy":
        return _greedy(*_candidates(picks, truth, radius), picks.score)
    raise InputError(f"matching method {method!r}: use 'optimal' or 'greedy'")


def judge(
    picks: Picks, truth: Picks, unsure: Picks, radius: float, method: Method
) -> tuple[NDArray[np.int8], FloatArray]:
    """What each pick is: TRUE, FALSE or IGNORED, and its distance to its particle.

    Particles are matched first; what is left is matched with the unsure annotations, and a pick that finds
    one is ignored. Returns two arrays of shape (picks,): int8 outcome, and pixels (NaN where not TRUE).

    Raises InputError as `match` does.
    """
    outcome = np.full(len(picks), FALSE, np.int8)
    distance = np.full(len(picks), np.nan)
    pairs = match(picks, truth, radius, method)
    outcome[pairs.pick] = TRUE
    distance[pairs.pick] = pairs.distance
    left = np.flatnonzero(outcome == FALSE)
    outcome[left[match(picks[left], unsure, radius, method).pick]] = IGNORED
    return outcome, distance


def _candidates(picks: Picks, truth: Picks, radius: float) -> tuple[Indices, Indices, FloatArray]:
    """Every pair within the radius: pick, particle and distance, ordered by pick, then particle."""
    from scipy.spatial import KDTree

    if not len(picks) or not len(truth):
        return np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0)
    near = KDTree(picks.xy).query_ball_tree(KDTree(truth.xy), radius * (1 + 1e-9))
    pick = np.repeat(np.arange(len(picks)), [len(row) for row in near])
    particle = np.array([j for row in near for j in sorted(row)], np.intp)
    # one subtraction for both directions, so that swapping the lists gives the same distances to the bit
    offset = np.abs(picks.xy[pick] - truth.xy[particle])
    distance = np.hypot(offset[:, 0], offset[:, 1])
    kept = distance <= radius
    return pick[kept], particle[kept], distance[kept]


def _optimal(pick: Indices, particle: Indices, distance: FloatArray, radius: float) -> Matching:
    """The assignment problem, solved exactly in each connected group of candidate pairs."""
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(pick):
        return Matching(pick, particle, distance)
    n_picks, n = int(pick.max()) + 1, int(pick.max()) + int(particle.max()) + 2
    links = coo_array((np.ones(len(pick), np.int8), (pick, n_picks + particle)), shape=(n, n))
    group = connected_components(links, directed=False)[1][pick]
    order = np.argsort(group, kind="stable")
    pairs: list[Indices] = []
    for members in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        rows, row = np.unique(pick[members], return_inverse=True)
        columns, column = np.unique(particle[members], return_inverse=True)
        # leaving one pair out must cost more than any distances can save
        cost = np.full((len(rows), len(columns)), 1 + radius * (1 + min(len(rows), len(columns))), float)
        cost[row, column] = distance[members]
        entry = np.full(cost.shape, -1, np.intp)
        entry[row, column] = members
        assigned = entry[linear_sum_assignment(cost)]
        pairs.append(assigned[assigned >= 0])
    chosen = np.sort(np.concatenate(pairs))
    return Matching(pick[chosen], particle[chosen], distance[chosen])


def _greedy(pick: Indices, particle: Indices, distance: FloatArray, score: FloatArray) -> Matching:
    """The best pick chooses first."""
    rank = np.empty(len(score), np.intp)
    rank[np.argsort(-score, kind="stable")] = np.arange(len(score))  # NaN sorts last
    used: tuple[set[int], set[int]] = set(), set()
    chosen = []
    for entry in np.lexsort((particle, distance, rank[pick])):
        i, j = int(pick[entry]), int(particle[entry])
        if i not in used[0] and j not in used[1]:
            used[0].add(i)
            used[1].add(j)
            chosen.append(entry)
    index = np.sort(np.array(chosen, np.intp))
    return Matching(pick[index], particle[index], distance[index])
