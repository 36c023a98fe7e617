"""How a bank is divided into what a consumer takes at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from gembench.engine.bank import RotatedTemplate, TemplateBank
from gembench.engine.exact.correlator import Piece
from gembench.engine.exact.plan import BATCH
from gembench.engine.turning import rotate_mask


def slices(bank: TemplateBank, indices: Iterable[int], transforms: int) -> Iterator[list[int]]:
    """The indices, in search order, in slices that need about as many inverse transforms when turned.

    Each is 2 for a mask and 1 for a template; a mask that other slices share is not counted, and comes alone.
    """
    assert bank.masks is not None
    symmetric = [np.array_equal(rotate_mask(mask, 180), mask) for mask in bank.masks]
    some: list[int] = []
    free = transforms
    for index in indices:
        view = int(bank.view(index))
        last = int(bank.view(some[-1])) if some else -1
        shared = bank.disc_views[view]
        half_turn = bool(some) and abs(float(bank.psi(index)) - float(bank.psi(some[-1]))) == 180
        same = view == last and (shared or (symmetric[view] and half_turn))
        cost = 1 if same or shared else 3
        if some and (cost > free or (not same and (shared or bank.disc_views[last]))):
            yield some
            some, free, cost = [], transforms, 1 if shared else 3
        some.append(index)
        free -= cost
        if shared and len(some) == BATCH:
            free = 0
    if some:
        yield some


def grouped(
    bank: TemplateBank, indices: Iterable[int], dtype: np.dtype[Any], transforms: int
) -> Iterator[Piece]:
    """Turned templates in pieces of neighbours, those with the same mask in one group.

    A piece needs at most `transforms` inverse transforms, 2 for each mask and 1 for each template; with a
    mask that other pieces share it holds that mask only, and its transforms are not counted.
    """
    groups: list[list[RotatedTemplate]] = []
    free = transforms
    for index in indices:
        template = bank.rotated(index, dtype)
        shared = bank.disc_views[template.view]
        same = bool(groups) and template.mask_key == groups[-1][0].mask_key
        cost = 1 if same or shared else 3
        if groups and (cost > free or (not same and (shared or bank.disc_views[groups[0][0].view]))):
            yield Piece(groups, bank.disc_views[groups[0][0].view])
            groups, free, same, cost = [], transforms, False, 1 if shared else 3
        if same:
            groups[-1].append(template)
        else:
            groups.append([template])
        free -= cost
        if shared and len(groups[-1]) == BATCH:
            free = 0
    if groups:
        yield Piece(groups, bank.disc_views[groups[0][0].view])
