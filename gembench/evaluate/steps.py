"""What picks are at every threshold: from one list of changes, the counts of `evaluate` at any threshold.

With the optimal matching a pick that comes in at a lower threshold may change what others are, so no single
list of outcomes serves every threshold. A matching only ever joins picks and annotations that are linked by
distances within the radius, so each linked group is judged by itself, once for each of its distinct scores.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from gembench.evaluate.matching import FALSE, IGNORED, TRUE, Indices, Method, match
from gembench.evaluate.pairing import Pair


class Step(NamedTuple):
    """One pick becomes something as the threshold reaches `score`.

    score: of the threshold; -inf where picks have no scores
    pick: index of the pick
    outcome: TRUE, FALSE or IGNORED of `gembench.evaluate.matching`, until a later step says otherwise
    partner: index of its particle if it is TRUE, else -1
    """

    score: float
    pick: int
    outcome: int
    partner: int


def threshold_steps(pair: Pair, radius: float, method: Method) -> list[Step]:
    """The steps of one micrograph by falling score.

    After all steps with score >= t the picks are what `gembench.evaluate.evaluate` counts at threshold t.
    Picks without any score are judged in one step.

    Raises InputError as `gembench.evaluate.matching.match` does.
    """
    scored = bool(np.isfinite(pair.picks.score).all())
    steps: list[Step] = []
    for group in _groups(pair, radius):
        scores = pair.picks.score[group]
        before: dict[int, tuple[int, int]] = {}
        for score in sorted({float(score) for score in scores}, reverse=True) if scored else [-np.inf]:
            members = group[scores >= score] if scored else group
            after = _outcomes(pair, members, radius, method)
            steps += [Step(score, pick, *now) for pick, now in after.items() if before.get(pick) != now]
            before = after
    return sorted(steps, key=lambda step: (-step.score, step.pick))


def _outcomes(pair: Pair, members: Indices, radius: float, method: Method) -> dict[int, tuple[int, int]]:
    """What some picks, of whole linked groups, are among themselves: outcome and partner by the pick."""
    picks = pair.picks[members]
    outcome = np.full(len(members), FALSE)
    partner = np.full(len(members), -1)
    matched = match(picks, pair.truth, radius, method)
    outcome[matched.pick], partner[matched.pick] = TRUE, matched.truth
    left = np.flatnonzero(outcome == FALSE)
    outcome[left[match(picks[left], pair.unsure, radius, method).pick]] = IGNORED
    return {int(pick): (int(outcome[n]), int(partner[n])) for n, pick in enumerate(members)}


def _groups(pair: Pair, radius: float) -> Iterator[Indices]:
    """The picks that particles or unsure annotations link within the radius, each group by rising index."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import KDTree

    n_picks, marks = len(pair.picks), np.concatenate([pair.truth.xy, pair.unsure.xy])
    if not n_picks:
        return
    links = np.empty((0, 2), np.intp)
    if len(marks) and np.isfinite(marks).all() and np.isfinite(pair.picks.xy).all():
        near = KDTree(pair.picks.xy).query_ball_tree(KDTree(marks), radius * (1 + 1e-9))
        links = np.array([(pick, n_picks + mark) for pick, row in enumerate(near) for mark in row],
                         np.intp).reshape(-1, 2)
    size = n_picks + len(marks)
    graph = coo_array((np.ones(len(links), np.int8), (links[:, 0], links[:, 1])), shape=(size, size))
    label = connected_components(graph, directed=False)[1][:n_picks]
    order = np.argsort(label, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(label[order])) + 1)
