"""EMAN2's .json files (info/NAME_info.json): the boxes of one micrograph, by their centres."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.io.atomic import atomic_text
from gembench.io.checks import read_text
from gembench.io.coordinates.notes import Notes
from gembench.io.coordinates.rows import NotCoordinatesError, usable_scores
from gembench.io.typed import parse_json

_BY_HAND = "manual"  # what EMAN2 writes where nothing else is known
_BOX = 'a box [x, y, "how it was made"], or with a score behind'


def read_eman(path: Path, micrograph: str, notes: Notes) -> Picks:
    """The picks of an EMAN2 info file: "boxes", a list of [x, y, kind, score]; kind is the label.

    Raises InputError if the file is no JSON, holds no boxes, or boxes of a tomogram (x, y, z).
    """
    boxes = _boxes(path)
    x, y, score, label = [], [], [], []
    for n, box in enumerate(boxes):
        if not isinstance(box, list) or len(box) < 2 or not all(map(_is_number, box[:2])):
            raise InputError(f"{path}: box {n} is {json.dumps(box)[:80]}, not {_BOX}; correct or delete it")
        if len(box) > 2 and _is_number(box[2]):
            raise InputError(f"{path}: box {n} has x, y and z, as boxes of tomograms have; give those of a"
                             " micrograph")
        x.append(float(box[0]))
        y.append(float(box[1]))
        score.append(float(box[3]) if len(box) > 3 and _is_number(box[3]) else np.nan)
        label.append(str(box[2]) if len(box) > 2 and box[2] != _BY_HAND else "")
    if not np.isfinite([*x, *y]).all():
        raise InputError(f"{path}: a box has a position that is not finite; correct or delete it")
    scores = np.array(score, np.float64)
    usable = scores if np.isnan(scores).all() else usable_scores(path, scores, notes)
    return Picks(micrograph, np.array(x), np.array(y), usable, label=np.array(label, np.str_))


def write_eman(path: Path, picks: Picks, box_size: int | None) -> None:
    """Write positions, labels ('manual' where unknown) and, where known, scores as EMAN2 reads them."""
    boxes: list[list[Any]] = []
    for x, y, score, label in zip(picks.x.tolist(), picks.y.tolist(), picks.score.tolist(),
                                  picks.label.tolist(), strict=True):
        boxes.append([x, y, label or _BY_HAND, *([] if np.isnan(score) else [score])])
    content: dict[str, Any] = {"boxes": boxes}
    if box_size is not None:
        content["boxsize"] = box_size
    atomic_text(path, json.dumps(content, indent=1) + "\n")


def _boxes(path: Path) -> list[Any]:
    try:
        content = parse_json(read_text(path), nan=True)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{path}: is not JSON ({str(error).splitlines()[0]}); copy it again") from error
    boxes = content.get("boxes") if isinstance(content, dict) else None
    if boxes is None and isinstance(content, dict):
        boxes = content.get("boxes_rct") or content.get("coords")
    if not isinstance(boxes, list):
        raise NotCoordinatesError(f'{path}: holds no "boxes"; give an info file of EMAN2')
    return boxes


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
