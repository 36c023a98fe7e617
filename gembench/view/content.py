"""What a page of picks holds: pictures, picks, marks, and what each pick is at every threshold."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.evaluate.matching import Method
from gembench.evaluate.pairing import Pair, pair_up
from gembench.evaluate.steps import threshold_steps
from gembench.io.names import micrograph_key
from gembench.view.pictures import Picture, picture

log = logging.getLogger("gembench")
PICTURES = 40
SHARE_OF_WIDTH = 0.05  # of a micrograph, that a circle spans where nothing says how large particles are


@dataclass(frozen=True)
class Judging:
    """How picks are judged; the names and meanings are those of `gembench.evaluate.evaluate`.

    radius: None where the page is to choose: half the size of the circles
    """

    radius: float | None = None
    method: Method = "optimal"
    labels: Collection[str] | None = None
    ignore_labels: Collection[str] = ("unsure",)
    views: Collection[int] | None = None


@dataclass(frozen=True)
class Shown:
    """What is shown of a set.

    title: of the page
    box: side of a pick's box and diameter of its circle, pixels; None: twice the radius, or a share
    threshold: that the page opens with; None: of all picks
    command: words of the command that takes the threshold; none if there is no such command
    output: stem of the STAR file that the command writes; the threshold is added. None if it writes none
    pictures: how many micrographs have a picture, at most
    """

    title: str
    box: float | None = None
    threshold: float | None = None
    command: tuple[str, ...] = ()
    output: str | None = None
    pictures: int = PICTURES


def content(
    micrographs: Sequence[Path], picks: Sequence[Picks], truth: Sequence[Picks] | None, judging: Judging,
    shown: Shown,
) -> dict[str, Any]:
    """All that the page shows, as JSON values.

    micrographs: their files; those of picks and annotations are found by name
    truth: annotations, one list a micrograph; None without any

    A micrograph that cannot be read is named and has no picture. Raises InputError as
    `gembench.evaluate.evaluate` does, or if none can be read, or none is one of the picks' or annotations'.
    """
    files = {micrograph_key(path): path for path in micrographs}
    pairs = _pairs(picks, truth, judging)
    named = {micrograph_key(entry.micrograph): entry.micrograph for entry in [*(truth or ()), *picks]}
    if named and not named.keys() & files.keys():
        raise InputError(f"{micrographs[0].parent}: none of its micrographs is one of the picks or"
                         f" annotations (such as {next(iter(named.values()))}); give the folder of these"
                         " micrographs")
    keys = sorted(named.keys() | files.keys())
    pictured = _sample([key for key in keys if key in files], shown.pictures)
    if without := len(named.keys() - files.keys()):
        log.warning("%s: %d micrographs with picks or annotations are not in this folder; the page counts"
                    " them but has no picture of them", micrographs[0].parent, without)
    lists = {micrograph_key(entry.micrograph): entry for entry in picks}
    marks = {micrograph_key(entry.micrograph): entry for entry in truth or ()}
    scored = all(np.isfinite(entry.score).all() for entry in picks)
    pages = _pictures({key: files[key] for key in pictured})
    box = shown.box or (2 * judging.radius if judging.radius else None) or _share(
        [entry.shape[1] for entry in pages.values()])
    radius = judging.radius if judging.radius is not None else box / 2
    entries = []
    for key in keys:
        pair = pairs.get(key)
        own = pair.picks if pair else _of_views(lists.get(key), judging.views)
        entry: dict[str, Any] = {"name": files[key].name if key in files else named[key]}
        if key in pages:
            height, width = pages[key].shape
            entry |= {"width": width, "height": height} | pages[key]._asdict()
            del entry["shape"]
        if own is not None:
            entry |= _columns(own, scored)
        if pair:
            entry["judged"] = True
            entry["marks"] = [[x, y, str(label)] for (x, y), label in zip(
                marks[key].xy.tolist(), marks[key].label, strict=True)]
            entry["steps"] = [[_or_none(step.score), *step[1:]] for step in threshold_steps(
                pair, radius, judging.method)]
        entries.append(entry)
    return {
        "title": shown.title, "box": box, "radius": radius, "method": judging.method, "scored": scored,
        "picked": bool(picks), "threshold": shown.threshold, "command": _quoted(shown.command),
        "output": shown.output and _quoted([shown.output]), "without": len(keys) - len(pages),
        "labels": None if judging.labels is None else sorted(judging.labels),
        "ignored": sorted(judging.ignore_labels), "micrographs": entries,
    }


def _pictures(files: dict[str, Path]) -> dict[str, Picture]:
    """The pictures of those micrographs that can be read; raises InputError if none can."""
    pictures: dict[str, Picture] = {}
    refused: list[InputError] = []
    for key, path in files.items():
        try:
            pictures[key] = picture(path, len(files))
        except InputError as error:
            refused.append(error)
    if refused and not pictures:
        raise InputError(f"{next(iter(files.values())).parent}: none of its micrographs can be read; the"
                         f" first: {refused[0]}")
    for reason in refused:
        log.warning("%s: it has no picture on the page", reason)
    return pictures


def _pairs(picks: Sequence[Picks], truth: Sequence[Picks] | None, judging: Judging) -> dict[str, Pair]:
    """What is judged, by the key of its micrograph, as `evaluate` pairs it."""
    if truth is None:
        return {}
    pairing = pair_up(picks, truth, judging.labels, judging.ignore_labels, judging.views)
    if left_out := pairing.unannotated:
        log.warning("%d micrographs have picks but no annotations: they are shown, not judged", len(left_out))
    return {micrograph_key(pair.micrograph): pair for pair in pairing.pairs}


def _of_views(picks: Picks | None, views: Collection[int] | None) -> Picks | None:
    return picks if picks is None or views is None else picks[np.isin(picks.view, list(views))]


def _sample(keys: Sequence[str], most: int) -> list[str]:
    """At most so many of the keys, evenly spread."""
    if len(keys) <= most:
        return list(keys)
    return [keys[n * len(keys) // most] for n in range(most)]


def _share(widths: Iterable[int]) -> float:
    return max(1.0, SHARE_OF_WIDTH * max(widths, default=0))


def _columns(picks: Picks, scored: bool) -> dict[str, Any]:
    """The columns of picks that are known, as lists."""
    columns: dict[str, Any] = {"x": picks.x.tolist(), "y": picks.y.tolist(), "view": picks.view.tolist(),
                               "template": picks.template.tolist(), "pixel_size": picks.pixel_size}
    columns["psi"] = [_or_none(value) for value in picks.psi.tolist()]
    if scored:
        columns["score"] = picks.score.tolist()
    return columns


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _quoted(words: Iterable[str]) -> str:
    import shlex

    return shlex.join(words)
