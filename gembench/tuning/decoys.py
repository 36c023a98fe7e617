"""Decoys from the false picks of some micrographs, for others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from gembench.engine.bank import TemplateBank
from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.io.images.mrc import write_stack
from gembench.io.names import micrograph_key
from gembench.picking.settings import PickSettings
from gembench.templates.decoys import LEAST, LEAST_UNFILTERED, false_picks
from gembench.templates.particles import Particles, averages
from gembench.templates.quality import LOW_AGREEMENT
from gembench.tuning.judging import Judge

NEAR = 0.8  # of the threshold: false picks below it are noise, which blurs the class
SHARPER = 0.6  # of the low-pass filter of the micrographs, on the average


def write_decoys(
    path: Path, picks: Sequence[Picks], names: Collection[str], judge: Judge, files: dict[str, Path],
    bank: TemplateBank, settings: PickSettings, threshold: float,
) -> int:
    """Average the false picks on some micrographs, of the judged views, into a stack of one decoy.

    names: of the micrographs; files: of all, by name; bank: of the templates, whose box it gets
    threshold: that is best on these micrographs; false picks far below it are left out, if enough are above
    Returns the number of picks. Raises InputError if they are too few, or cannot be averaged.
    """
    by, views = judge.by, judge.by.views
    if len({micrograph_key(name) for name in files.values()}) < len(files):
        raise InputError("some micrographs are named alike")
    if bank.box[0] != bank.box[1]:
        raise InputError(f"the templates' box of {bank.box[1]} x {bank.box[0]} px is not square")
    shown = [rows if views is None else rows[np.isin(rows.view, list(views))] for rows in picks
             if rows.micrograph in names]
    truth = [marks for marks in judge.truth if marks.micrograph in names]
    false = false_picks(shown, truth, judge.radius, labels=by.labels, ignore_labels=by.ignore_labels)
    scores = np.sort(np.concatenate([rows.score for rows in false]))[::-1]
    resolution = SHARPER * settings.lowpass
    lowpass = resolution if resolution > 2 * settings.pixel_size else None
    enough = LEAST_UNFILTERED if lowpass is None else LEAST
    if len(scores) < enough:
        raise InputError(f"{len(scores)} false picks, and a decoy needs {enough}")
    least = min(NEAR * threshold, scores[enough - 1])
    false = [rows[rows.score >= least] for rows in false]
    count = sum(map(len, false))
    made = averages(Particles(
        [rows for rows in false if len(rows)], list(files.values()), bank.box[0], settings.pixel_size,
        lowpass=lowpass, contrast=settings.contrast,
    ), warn=False)
    if made.agreements[0] is not None and made.agreements[0] < LOW_AGREEMENT:
        raise InputError(f"{count} false picks are no class of their own: averages of two halves of them"
                         f" correlate by {made.agreements[0]:.2f} only")
    write_stack(path, made.templates, made.pixel_size, settings.contrast)
    return count
