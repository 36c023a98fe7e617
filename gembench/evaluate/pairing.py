"""Which picks are held against which annotations, micrograph by micrograph."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.io.checks import PIXEL_SIZE_TOLERANCE
from gembench.io.names import micrograph_key


@dataclass(frozen=True, eq=False)
class Pair:
    """One micrograph: its picks, the particles to be found, and the annotations that count neither way."""

    micrograph: str
    picks: Picks
    truth: Picks
    unsure: Picks

    def at_threshold(self, threshold: float | None) -> Pair:
        """The same with only the picks whose score reaches the threshold."""
        if threshold is None:
            return self
        return replace(self, picks=self.picks[self.picks.score >= threshold])


def pair_up(
    picks: Sequence[Picks],
    truth: Sequence[Picks],
    labels: Collection[str] | None,
    ignore_labels: Collection[str],
    views: Collection[int] | None,
) -> tuple[list[Pair], tuple[str, ...]]:
    """A pair for each micrograph of the truth, in order of its name, and the names that only picks have.

    The arguments and errors are those of `gembench.evaluate.evaluate`.
    """
    picked, annotated = _by_key(picks, "picks"), _by_key(truth, "annotations")
    if picked and not picked.keys() & annotated.keys():
        raise InputError(
            f"picks and truth share no micrograph (picks: {_first(picked)}; truth: {_first(annotated)}):"
            " give files of the same micrographs"
        )
    pairs = []
    for key in sorted(annotated):
        marks = annotated[key]
        found = picked.get(key, Picks(marks.micrograph, np.empty(0), np.empty(0)))
        _check_pixel_size(found, marks)
        unsure = np.isin(marks.label, list(ignore_labels))
        wanted = ~unsure if labels is None else np.isin(marks.label, list(labels))
        unsure &= ~wanted  # a label that is asked for counts, also if it is ignored by default
        pairs.append(Pair(marks.micrograph, _of_views(found, views), marks[wanted], marks[unsure]))
    if not any(len(pair.truth) for pair in pairs):
        present = sorted({str(label) or "(none)" for marks in truth for label in marks.label})
        asked = "any but the ignored ones" if labels is None else ", ".join(sorted(labels)) or "(none)"
        raise InputError(
            f"truth: no particle with label {asked} (it has: {', '.join(present) or 'no annotation'}):"
            " give other labels or other annotations"
        )
    return pairs, tuple(sorted(picked[key].micrograph for key in picked.keys() - annotated.keys()))


def _by_key(lists: Sequence[Picks], what: str) -> dict[str, Picks]:
    """The lists by the key that pairs them; a micrograph given twice is an error."""
    by_key: dict[str, Picks] = {}
    for one in lists:
        key = micrograph_key(one.micrograph)
        if key in by_key:
            raise InputError(
                f"{one.micrograph}: two lists of {what} for this micrograph"
                f" (the other is named {by_key[key].micrograph}): give one"
            )
        by_key[key] = one
    return by_key


def _first(by_key: dict[str, Picks]) -> str:
    return f"{min(by_key)}, ..." if len(by_key) > 1 else "".join(by_key) or "none"


def _check_pixel_size(picks: Picks, truth: Picks) -> None:
    a, b = picks.pixel_size, truth.pixel_size
    if a is not None and b is not None and abs(a - b) > PIXEL_SIZE_TOLERANCE * b:
        raise InputError(
            f"{picks.micrograph}: picks at {a:g} A/px, annotations at {b:g} A/px:"
            " give coordinates of the same micrograph size"
        )


def _of_views(picks: Picks, views: Collection[int] | None) -> Picks:
    if views is None:
        return picks
    if (picks.view < 0).any():
        raise InputError(f"{picks.micrograph}: views {sorted(views)} asked for, but its picks name no view")
    return picks[np.isin(picks.view, list(views))]
