"""What a device is told of a bank: every template's turn, in pairs, and the batches of pairs.

Neighbours in search order make a pair, whatever the share or the batch: two real correlations ride in one
complex transform, and so a template's rounding never depends on how the bank is divided.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gembench.engine.bank import TemplateBank
from gembench.engine.turning import exact_cos_sin

Array = NDArray[Any]
NONE = -1
TURN = np.dtype([
    ("cosine", "f8"), ("sine", "f8"), ("view", "i4"), ("disc", "i4"), ("index", "i4"),
], align=True)
RECORD = np.dtype([
    ("mean", "f8"), ("scale", "f8"), ("count", "i4"), ("top", "i4"), ("bottom", "i4"), ("left", "i4"),
    ("right", "i4"), ("same", "i4"),
], align=True)


class Batch(NamedTuple):
    """Neighbouring pairs whose templates all have a mask of their own, or all the same disc.

    first, pairs: of the bank's pairs; disc: the view whose disc is shared, NONE if there is none
    templates: how many of them belong to the share
    """

    first: int
    pairs: int
    disc: int
    templates: int


def turns(bank: TemplateBank, share: tuple[int, int] = (0, 1)) -> Array:
    """Every template of the bank in search order, (2 pairs,) of TURN.

    view is NONE for the place that is left over in an odd bank, and index for templates outside the share:
    these are transformed with their neighbour if need be, but not scored.
    """
    order = np.array(bank.share(0, 1))
    slots = np.zeros(len(order) + len(order) % 2, TURN)
    slots["view"] = slots["index"] = NONE
    filled = slots[: len(order)]
    filled["view"], angles = bank.view(order), bank.psi(order)
    filled["index"] = np.where(np.isin(order, bank.share(*share)), order, NONE)
    filled["disc"] = np.array(bank.disc_views)[filled["view"]]
    distinct, which = np.unique(angles, return_inverse=True)
    turned = np.array([exact_cos_sin(float(psi)) for psi in distinct])
    filled["cosine"], filled["sine"] = turned[which].T
    return slots


def batches(bank: TemplateBank, slots: Array, pairs: int) -> Iterator[Batch]:
    """The pairs that hold a template of the share, at most `pairs` at a time, in order."""
    discs = _discs(bank, slots)
    scored = (slots["index"] != NONE).reshape(-1, 2).sum(1)
    places = np.flatnonzero(scored)
    first = 0
    while first < len(places):
        disc, stop = discs[places[first]], first
        while stop < len(places) and stop - first < pairs and discs[places[stop]] == disc:
            stop += 1
        yield Batch(int(places[first]), stop - first, int(disc), int(scored[places[first:stop]].sum()))
        first = stop


def _discs(bank: TemplateBank, slots: Array) -> Array:
    """For each pair the first view with the disc that both templates share, or NONE."""
    assert bank.masks is not None
    seen: dict[bytes, int] = {}
    of_view = np.array([
        seen.setdefault(bank.masks[view].tobytes(), view) if disc else NONE
        for view, disc in enumerate(bank.disc_views)
    ])
    pairs = slots["view"].reshape(-1, 2)
    first = of_view[pairs[:, 0]]
    second = np.where(pairs[:, 1] == NONE, first, of_view[pairs[:, 1]])
    return np.where(first == second, first, NONE)


def struct(name: str, dtype: np.dtype[Any]) -> str:
    """The C structure that an aligned `dtype` of doubles and ints describes."""
    kinds = {"f8": "double", "i4": "int"}
    assert dtype.fields is not None
    fields = "".join(f" {kinds[kind[0].str[1:]]} {field};" for field, kind in dtype.fields.items())
    return f"struct {name} {{{fields} }};\n"
