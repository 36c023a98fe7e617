"""Decoys: views of what is picked and is no particle, from false picks.

What is left of false picks at a good threshold is often a class of its own: ends of longer complexes, another
protein, a kind of contamination. Their average, competing with the templates, wins where such a thing is. 12
examples under a low-pass filter, or 25 without one, were enough for ends of tubes; more are better.

A decoy that is scored at the picks alone, which are dropped where it comes within a margin of their score,
does no better: on 41 micrographs of KLH by halves F1 0.931 without a decoy, 0.978 where it competes
everywhere, and at the picks 0.979, 0.977, 0.971 and 0.954 with margins of 0, 0.02, 0.05 and 0.08.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.evaluate.matching import FALSE, judge
from gembench.evaluate.pairing import pair_up

log = logging.getLogger("gembench")
LEAST = 12  # false picks, under a low-pass filter; 80 made of F1 0.980 0.986
LEAST_UNFILTERED = 25


def false_picks(
    picks: Sequence[Picks], truth: Sequence[Picks], radius: float, *, labels: Collection[str] | None = None,
    ignore_labels: Collection[str] = ("unsure",), threshold: float | None = None,
) -> list[Picks]:
    """The picks of every annotated micrograph that lie on no particle and on no annotation to be ignored.

    The arguments and errors are those of `evaluate.evaluate`.
    """
    chosen = []
    for pair in pair_up(picks, truth, labels, ignore_labels, None).pairs:
        pair = pair.at_threshold(threshold)
        outcome, _ = judge(pair.picks, pair.truth, pair.unsure, radius, "optimal")
        chosen.append(pair.picks[outcome == FALSE])
    return chosen


def require_enough(picks: Sequence[Picks], lowpass: float | None) -> int:
    """The number of false picks; raises InputError if they are too few for a decoy, warns if they are few.

    lowpass: resolution in A of the filter on the average, None for none
    """
    count = sum(map(len, picks))
    if count < LEAST:
        raise InputError(f"{count} false picks: a decoy needs at least {LEAST}: pick at a lower threshold, or"
                         " do without")
    if count < LEAST_UNFILTERED and not lowpass:
        log.warning("%d false picks are few for a decoy: filter it with --lowpass, as the templates, or give"
                    " %d", count, LEAST_UNFILTERED)
    return count
