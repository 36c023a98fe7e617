"""Templates that no score can tell apart, and the index by which a pick names them.

A view that looks the same after half a turn has every template twice in a bank that turns it all around. Both
score the same but for rounding, and rounding depends on the method, the FFT library and the precision.
"""

from __future__ import annotations

from math import inf
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from gembench.engine.bank import RotatedTemplate, TemplateBank
from gembench.engine.turning import rotate, rotate_mask

Array = NDArray[Any]
TIE = 5e-6  # of the score; rounding of float32 is some 1e-6
ALIKE = 0.05  # norm of the difference of two views, of which each has 1, that may be templates' twins
RIGHT_ANGLES = (90, 180, 270)  # degrees; other turns interpolate otherwise, which scores tell apart

_of_banks: WeakKeyDictionary[TemplateBank, Ties] = WeakKeyDictionary()


def lowest_equals(bank: TemplateBank, indices: Array) -> Array:
    """For each index, (n,) int, the lowest of the templates that score as it does but for rounding.

    With unit vectors S and S' under one mask, |NCC - NCC'| <= |S - S'| whatever the micrograph (Cauchy and
    Schwarz). Templates of one view at right angles to each other are equal if that is at most TIE.
    """
    ties = _of_banks.setdefault(bank, Ties({}, []))
    if len(indices) and not ties.symmetries:
        assert bank.masks is not None
        ties.symmetries.extend(map(_symmetries, bank.templates, bank.masks))
    for index in set(indices.tolist()) - ties.lowest.keys():
        ties.lowest[index] = _lowest(bank, index, ties.symmetries[int(bank.view(index))])
    return np.array([ties.lowest[index] for index in indices.tolist()], indices.dtype)


class Ties(NamedTuple):
    """What is known of a bank: for an index the lowest equal one; for a view what `_symmetries` gives."""

    lowest: dict[int, int]
    symmetries: list[list[int]]


def _lowest(bank: TemplateBank, index: int, symmetries: list[int]) -> int:
    indices = np.arange(index)
    indices = indices[bank.view(indices) == bank.view(index)]
    turns = np.round(float(bank.psi(index)) - bank.psi(indices), 6) % 360
    partners = indices[np.isin(turns, symmetries)].tolist()
    template = bank.rotated(index) if partners else None
    return next((k for k in partners if template and distance(template, bank.rotated(k)) <= TIE), index)


def distance(first: RotatedTemplate, second: RotatedTemplate) -> float:
    """|S - S'| of two templates as unit vectors under their mask; infinite if they do not share it."""
    if first.offset != second.offset or not np.array_equal(first.mask, second.mask):
        return inf
    return float(np.linalg.norm(first.weights - second.weights) * np.sqrt(first.mask.sum()))


def _symmetries(template: Array, mask: Array) -> list[int]:
    """The right angles by which a view may be turned and look the same."""
    return [turn for turn in RIGHT_ANGLES if _alike(template, mask, turn)]


def _alike(template: Array, mask: Array, turn: int) -> bool:
    """Whether a view may look the same after a turn."""
    if not np.array_equal(rotate_mask(mask, turn), mask):
        return False
    upright, turned = (image[mask] - image[mask].mean() for image in (template, rotate(template, turn)))
    return bool(np.linalg.norm(upright - turned) <= ALIKE * np.linalg.norm(upright))
