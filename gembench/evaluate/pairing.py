"""Which picks are held against which annotations, micrograph by micrograph."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.evaluate.partners import find_partners
from gembench.io.checks import PIXEL_SIZE_TOLERANCE
from gembench.io.names import path_key


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

    def with_score(self) -> Pair:
        """The same with only the picks that have a finite score."""
        return replace(self, picks=self.picks[np.isfinite(self.picks.score)])


@dataclass(frozen=True, eq=False)
class Pairing:
    """The pairs, in order of the micrographs' names, and what is to be said of them.

    unannotated: micrographs with picks that the truth does not list; without_picks: of the truth
    by_movie: names of picks and annotations that differ by what motion correction adds, see `partners`
    """

    pairs: list[Pair]
    unannotated: tuple[str, ...]
    without_picks: tuple[str, ...]
    by_movie: tuple[tuple[str, str], ...]


def pair_up(
    picks: Sequence[Picks],
    truth: Sequence[Picks],
    labels: Collection[str] | None,
    ignore_labels: Collection[str],
    views: Collection[int] | None,
) -> Pairing:
    """A pair for each micrograph of the truth, and the names that have no partner.

    The arguments and errors are those of `gembench.evaluate.evaluate`.
    """
    picked, annotated = _by_name(picks, "picks"), _by_name(truth, "annotations")
    partners = find_partners(list(picked), list(annotated))
    pairs = []
    for key in sorted(annotated, key=path_key):
        marks = annotated[key]
        nothing = Picks(marks.micrograph, np.empty(0), np.empty(0))
        picks_here = picked[partners.of[key]] if key in partners.of else nothing
        _check_pixel_size(picks_here, marks)
        unsure = np.isin(marks.label, list(ignore_labels))
        counted = ~unsure if labels is None else np.isin(marks.label, list(labels))
        unsure &= ~counted  # a label that is asked for counts, also if it is ignored by default
        pairs.append(Pair(marks.micrograph, _of_views(picks_here, views), marks[counted], marks[unsure]))
    if not any(len(pair.truth) for pair in pairs):
        present = sorted({str(label) or "(none)" for marks in truth for label in marks.label})
        label_names = "any but the ignored ones" if labels is None else ", ".join(sorted(labels)) or "(none)"
        raise InputError(
            f"truth: no particle with label {label_names} (it has: {', '.join(present) or 'no annotation'}):"
            " give other labels or other annotations"
        )
    return Pairing(
        pairs, tuple(sorted(picked.keys() - partners.of.values())),
        tuple(name for name in sorted(annotated, key=path_key)
              if name not in partners.of or not len(picked[partners.of[name]])),
        partners.by_movie,
    )


def _by_name(lists: Sequence[Picks], what: str) -> dict[str, Picks]:
    """The lists by their micrographs' names; a micrograph given twice is an error."""
    by_key: dict[str, Picks] = {}
    for part in lists:
        other = by_key.setdefault(path_key(part.micrograph), part)
        if other is not part:
            raise InputError(
                f"{part.micrograph}: two lists of {what} for this micrograph"
                f" (the other is named {other.micrograph}): give one"
            )
    return {part.micrograph: part for part in by_key.values()}


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
