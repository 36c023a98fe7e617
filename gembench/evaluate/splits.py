"""Micrographs in two halves: choose a threshold on one, report on the other."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.evaluate.evaluation import best_threshold, threshold_for_recall
from gembench.evaluate.result import Evaluation
from gembench.io.names import micrograph_key

# session.square.hole.exposure[.preset], numbers of three digits, as the KLH images are named
_LEGINON = re.compile(r"(.+?\.\d{3}\.\d{3})(?:\.\d{3}){1,2}")


def field_of(name: str) -> str:
    """The field of view a micrograph shows, from its name: exposures of one field share it.

    Names in the style of the KLH set ('01nov26b.006.005.001.002.jpg') lose exposure and preset
    ('01nov26b.006.005'); any other name is its own field.
    """
    key = micrograph_key(name)
    parts = _LEGINON.fullmatch(key)
    return parts[1] if parts else key


def split_halves(
    names: Iterable[str], group: Callable[[str], str] = field_of
) -> tuple[list[str], list[str]]:
    """Two halves of the micrographs, those of one group together, the same whatever the given order.

    Groups are dealt in the order of their names, each to the half with fewer micrographs (the first at a
    tie), so that both halves span the whole session. Each half is sorted.
    """
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[group(name)].append(name)
    halves: tuple[list[str], list[str]] = ([], [])
    for field in sorted(groups):
        min(halves, key=len).extend(groups[field])
    return sorted(halves[0]), sorted(halves[1])


def at_other_halfs_threshold(
    picks: Sequence[Picks], judge: Callable[[list[Picks]], Evaluation], recall: float
) -> tuple[list[Picks], list[float]]:
    """The picks of each half of the micrographs that reach the threshold chosen on the other half.

    judge: judges the picks of some micrographs
    recall: that the threshold finds of the half it is chosen on; if no threshold does, it is that of the
        most that is found

    A single micrograph is its own other half. Returns picks, one list a micrograph, and both thresholds.
    """
    halves = split_halves([several.micrograph for several in picks])
    kept: list[Picks] = []
    thresholds: list[float] = []
    for chosen, reported in (halves, halves[::-1]):
        names = chosen or reported
        judged = judge([several for several in picks if several.micrograph in names])
        curve = judged.precision_recall
        most = float(curve.recall.max(initial=0.0)) if curve is not None else 0.0
        thresholds.append(threshold_for_recall(judged, min(recall, most)) if most else 1.0)
        kept += [several[several.score >= thresholds[-1]] for several in picks
                 if several.micrograph in reported]
    return kept, thresholds


def best_by_halves(
    picks: Sequence[Picks], truth: Sequence[Picks],
    judge: Callable[[Sequence[Picks], Sequence[Picks]], Evaluation],
) -> tuple[list[Picks], tuple[float, float]]:
    """The picks of each half of the micrographs that reach the threshold with the best F1 on the other half.

    truth: annotations, whose micrographs are halved; judge: judges picks against annotations
    Returns picks, one list a micrograph, and the thresholds that the first and the second half are judged at.
    Raises InputError if a half has no micrograph, or nothing that a threshold could be chosen by.
    """
    halves = split_halves([marks.micrograph for marks in truth])
    if not all(halves):
        raise InputError("1 micrograph cannot be halved: annotate a second field")
    parts = []
    for names in halves:
        keys = set(map(micrograph_key, names))
        parts.append([[rows for rows in table if micrograph_key(rows.micrograph) in keys]
                      for table in (picks, truth)])
    first, second = (best_threshold(judge(*part)) for part in reversed(parts))
    kept = [rows[rows.score >= least] for part, least in zip(parts, (first, second), strict=True)
            for rows in part[0]]
    return kept, (first, second)
