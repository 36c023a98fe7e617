"""What the particles of a data set are to a picker, and how picks of them are judged."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gembench.engine.filters import Contrast
from gembench.errors import InputError

UNSURE = "unsure"  # the label of marks that count neither way
LENGTHS = ("radius", "distance", "border", "lowpass")  # that a record may give
log = logging.getLogger("gembench")


@dataclass(frozen=True)
class Target:
    """The particles of one set; lengths are pixels of its micrographs.

    title: of the set, as figures spell it
    views: the label of the annotations that show each template, in their order; () if the set does not say
    symmetry: of each view in the plane, 0 where any turn leaves it as it is
    radius: within which a pick is an annotated particle; distance: between two picks; box: of templates
    border: what a pick keeps from the edges where the micrograph is mirrored there
    lowpass: resolution in A of the filter that suits the particles
    labels, shown: the labels that count as particles, the views whose picks are judged; None: all
    contrast: how particles look in the micrographs
    """

    title: str
    views: tuple[str, ...]
    symmetry: tuple[int, ...]
    radius: float
    distance: float
    box: int
    border: float
    lowpass: float
    labels: tuple[str, ...] | None = None
    shown: tuple[int, ...] | None = None
    contrast: Contrast = "dark"

    @property
    def label(self) -> str:
        """The label that counts as a particle, '' where all but unsure marks do, or several labels."""
        return self.labels[0] if self.labels and len(self.labels) == 1 else ""

    def marked(self, label: Any) -> Any:
        """Which annotations count as particles, by their label: bool (n,)."""
        return label != UNSURE if self.labels is None else np.isin(label, self.labels)

    def counts(self, view: Any) -> Any:
        """Which picks are judged, by their view: bool (n,)."""
        return np.ones(len(view), bool) if self.shown is None else np.isin(view, self.shown)


def target_of(
    name: str, record: Mapping[str, Any], templates: Path, masks: Path, pixel_size: float,
    marks: Collection[str],
) -> Target:
    """The target that a set's masks and record say.

    record: of the set. "views" may name the label of each template, "symmetry" its fold in the plane,
        "labels" what counts as a particle, "contrast" how particles look. The `LENGTHS`, of which low-pass is
        in A, follow from the smallest mask's width, where it has none, as KLH's do: a quarter of it, three
        quarters, half, and a fifth
    marks: labels of the annotations

    Picks are judged of the views whose label counts as a particle and is annotated; of all where annotations
    without a label may show any. A view that no annotation shows is warned of.

    Raises InputError if the record does not fit the templates and the annotations.
    """
    from gembench.io.images.mrc import read_stack

    stack = read_stack(templates, pixel_size=pixel_size)[0]
    shapes = read_stack(masks, pixel_size=pixel_size)[0]
    width = float(np.sqrt((shapes > 0).sum(axis=(1, 2)).min()))  # were the mask square
    certain = sorted(set(marks) - {UNSURE})
    alone = tuple(certain) if len(stack) == len(certain) == 1 else ()
    views = _listed(name, record, "views", str, len(stack)) or alone
    labels = _listed(name, record, "labels", str)
    for label in labels or ():
        if label not in certain:
            raise InputError(f'{name}: "labels": no annotation is labelled {label!r}; there are'
                             f" {', '.join(map(repr, certain)) or 'none'}")
    shown = _shown(name, views, labels, certain)
    lengths = dict(zip(LENGTHS, (round(width / 4), round(0.75 * width), round(width / 2),
                                 round(width * pixel_size / 5, 1)), strict=True))
    return Target(
        name, views, _listed(name, record, "symmetry", int, len(stack)) or (1,) * len(stack),
        box=stack.shape[1], labels=labels, shown=shown, contrast=_contrast(name, record),
        **{key: _length(name, record, key, value) for key, value in lengths.items()},
    )


def _shown(
    name: str, views: tuple[str, ...], labels: tuple[str, ...] | None, certain: Collection[str]
) -> tuple[int, ...] | None:
    """Numbers of the views whose picks are judged, None for all."""
    if not views or not any(certain):  # annotations without labels say nothing of views
        return None
    listed, there = ", ".join(map(repr, views)), ", ".join(map(repr, certain))
    absent = [view for view in dict.fromkeys(views) if view not in certain]
    if len(absent) == len(set(views)):
        raise InputError(f'{name}: "views": no annotation is labelled {listed}; there are {there}')
    if labels and not set(labels) & set(views):
        raise InputError(f'{name}: "labels": no view is labelled {", ".join(map(repr, labels))}, and no pick'
                         f' would be judged; the "views" are {listed}')
    every = not labels and (not absent or "" in certain)
    if absent:
        log.warning('%s: "views": no annotation is labelled %s%s; there are %s', name,
                    ", ".join(map(repr, absent)), "" if every else ", and picks of it are not judged", there)
    counted = labels or certain
    return None if every else tuple(number for number, view in enumerate(views) if view in counted)


def _length(name: str, record: Mapping[str, Any], key: str, default: float) -> float:
    value = record.get(key, default)
    if type(value) not in (int, float) or not 0 < value < float("inf"):
        raise InputError(f'{name}: "{key}": {value!r} is not a number above 0')
    return float(value)


def _contrast(name: str, record: Mapping[str, Any]) -> Contrast:
    value = record.get("contrast", "dark")
    if value == "dark":
        return "dark"
    if value == "bright":
        return "bright"
    raise InputError(f'{name}: "contrast": {value!r} is neither dark nor bright')


def _listed(
    name: str, record: Mapping[str, Any], key: str, kind: type, count: int | None = None
) -> tuple[Any, ...] | None:
    """Values of a kind, `count` of them where that is given; None if the record has none."""
    values = record.get(key)
    if values is None:
        return None
    if not isinstance(values, list) or not values or not all(type(value) is kind for value in values):
        raise InputError(f'{name}: "{key}": {values!r} is not a list of {kind.__name__}')
    if count is not None and len(values) != count:
        raise InputError(f'{name}: "{key}": {values!r} are {len(values)}, and there are {count} templates')
    if kind is int and min(values) < 0:
        raise InputError(f'{name}: "{key}": {values!r}: a symmetry is 1 or more, or 0 for any turn')
    return tuple(values)
