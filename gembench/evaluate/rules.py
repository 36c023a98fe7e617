"""Which of stored picks are kept: the rules that need no score map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gembench.engine.peaks import far_enough
from gembench.engine.picks import Picks
from gembench.errors import InputError


@dataclass(frozen=True)
class Rules:
    """What picks must satisfy, in the order of the fields but for `views`, which come first.

    threshold: lowest score; distance: pixels between centres, the better of two stays
    border: pixels from an edge to a centre; max_picks: the best so many; views: of these only
    beside: part of a pick's score that its template must not exceed beside it, see `picking.beside`
    """

    threshold: float | None = None
    distance: float = 0.0
    border: float = 0.0
    beside: float | None = None
    max_picks: int | None = None
    views: frozenset[int] | None = None

    def __post_init__(self) -> None:
        if self.threshold is not None and not np.isfinite(self.threshold):
            raise InputError(f"threshold {self.threshold}: give a finite score")
        if self.beside is not None and not 0 < self.beside <= 1:
            raise InputError(f"beside {self.beside}: give a part of the pick's own score above 0, at most 1,"
                             " such as 0.5")
        for name, least in (("distance", 0), ("border", 0), ("max_picks", 1)):
            value = getattr(self, name)
            if value is not None and not (value >= least and np.isfinite(value)):
                raise InputError(f"{name.replace('_', ' ')} {value}: give at least {least}")


def keep(picks: Picks, rules: Rules, shape: tuple[int, int] | None = None) -> Picks:
    """The picks of a micrograph that satisfy the rules, best first if they have scores.

    shape: rows and columns of the micrograph, for `border`
    Raises InputError for a rule that the picks cannot answer: scores or views that they do not have.
    """
    needs_scores = rules.threshold is not None or rules.distance > 0 or rules.max_picks is not None
    needs_scores = needs_scores or rules.beside is not None
    if needs_scores and not np.isfinite(picks.score).all():
        raise InputError(f"{picks.micrograph}: some picks have no score: filter by border or views only")
    if rules.views is not None:
        if (picks.view < 0).any():
            raise InputError(f"{picks.micrograph}: some picks name no view: leave out --views")
        picks = picks[np.isin(picks.view, list(rules.views))]
    if np.isfinite(picks.score).all():
        picks = picks[np.argsort(-picks.score, kind="stable")]
    if rules.threshold is not None:
        picks = picks[picks.score >= rules.threshold]
    if rules.distance > 0 and len(picks):
        picks = picks[far_enough(picks.y, picks.x, rules.distance)]
    if rules.border > 0:
        assert shape is not None
        far_edge = np.array([shape[1] - 1, shape[0] - 1])
        room = np.minimum(picks.xy, far_edge - picks.xy).min(axis=1)
        picks = picks[room >= rules.border]
    if rules.beside is not None:
        if np.isnan(picks.beside).any():
            raise InputError(f"{picks.micrograph}: some picks do not say what is beside them: pick with"
                             " --beside-column, into a new folder or with --overwrite")
        picks = picks[picks.alone(rules.beside)]
    return picks[: rules.max_picks]
