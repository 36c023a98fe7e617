"""Picks of a data set judged against annotations, and what they may be judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.data.annotated import Annotated
from gembench.data.target import UNSURE, Target
from gembench.engine.bank import TemplateBank
from gembench.engine.picks import Picks
from gembench.evaluate import Evaluation, evaluate, match
from gembench.io.names import micrograph_key

OUTSIDE = "outside"  # the label of marks beyond the border, which settings have nobody look for
ENOUGH = 30  # marks whose position no correlation peak gave, for a mean distance to say something
TOLERANCE = 2e-5  # of a score in float32


def judged(
    picks: Sequence[Picks], truth: Sequence[Picks], target: Target, threshold: float | None = None,
    resamples: int = 0,
) -> Evaluation:
    """Picks of a target against the annotations of the same micrographs; unsure marks count neither way."""
    names = {micrograph_key(several.micrograph) for several in picks}
    marks = [several for several in truth if micrograph_key(several.micrograph) in names]
    return evaluate(picks, marks, target.radius, labels=target.labels, ignore_labels=(UNSURE, OUTSIDE),
                    views=target.shown, threshold=threshold, resamples=resamples)


def within(marks: Picks, shape: tuple[int, ...], border: float) -> Picks:
    """Marks of a micrograph of `shape` (H, W); those nearer to an edge than `border` pixels are OUTSIDE."""
    inside = np.minimum(marks.xy, np.array(shape[::-1]) - 1 - marks.xy).min(axis=1) >= border
    return replace(marks, label=np.where(inside, marks.label, OUTSIDE))


def distances(picks: Sequence[Picks], data: Annotated) -> dict[str, Any]:
    """The mean distance of picks to marks whose position no correlation peak gave; None if they are too few.

    n_placed: how many of these marks a pick is on
    """
    target = data.target
    pixels: list[float] = []
    truth = {micrograph_key(marks.micrograph): marks for marks in data.truth}
    for picked in picks:
        marks = truth.get(micrograph_key(picked.micrograph))
        if marks is not None:
            placed = marks[target.marked(marks.label) & data.placed(marks)]
            pixels += match(picked[target.counts(picked.view)], placed, target.radius).distance.tolist()
    mean = float(np.mean(pixels)) if len(pixels) >= ENOUGH else None
    return {"n_placed": len(pixels), "placed_distance_px": mean}


def check_scores(picks: Picks, image: NDArray[np.floating], bank: TemplateBank) -> None:
    """Raise AssertionError if a pick's score is not that of its template, summed directly in float64.

    picks: in pixels of the filtered image (H, W)
    """
    for x, y, score, index in zip(picks.x, picks.y, picks.score, picks.template, strict=True):
        template = bank.rotated(int(index))
        # A position refined by half a pixel may come from either side.
        rows, columns = {ceil(y - 0.5), floor(y + 0.5)}, {ceil(x - 0.5), floor(x + 0.5)}
        expected = [template.score_at(image, row, column) for row in rows for column in columns]
        exact = [value for value in expected if value is not None]
        if len(exact) == len(expected) and min(abs(score - value) for value in exact) > TOLERANCE:
            raise AssertionError(f"score {score} at {x}, {y}, but {exact} summed directly")
