"""A bank on one device: one copy of every template and mask, and what is known of each turn of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.bank import TemplateBank
from gembench.engine.gpu.kernels import SURVEY_THREADS, Kernels, survey_source
from gembench.engine.gpu.turns import NONE, RECORD
from gembench.errors import InputError

Array = NDArray[Any]
SPLINE_PAD = 12  # pixels that scipy.ndimage adds before it filters, so that the edge is the nearest pixel


def spline_pad(bank: TemplateBank) -> int:
    """Pixels that the coefficients of the templates' splines reach beyond the box, 0 if there are none."""
    return SPLINE_PAD if bank.interpolation == "cubic" else 0


def coefficients(bank: TemplateBank) -> Array:
    """The templates as the device interpolates them, float64: pixels, or coefficients of a cubic spline."""
    from scipy.ndimage import spline_filter

    pad = spline_pad(bank)
    if not pad:
        return bank.templates
    padded = np.pad(bank.templates, ((0, 0), (pad, pad), (pad, pad)), mode="edge")
    return np.stack([spline_filter(view, 3, mode="nearest") for view in padded])


class TurnedBank:
    """A bank's templates, masks, turns and records in the memory of the current device.

    slots: (2 pairs,) of TURN. Raises InputError for a mask that is empty when turned, and for a template that
    is constant under its mask.
    """

    def __init__(self, cupy: Any, bank: TemplateBank, slots: Array) -> None:
        assert bank.masks is not None
        self.slots = slots
        self.box = np.int32(bank.box[0]), np.int32(bank.box[1])
        self.views = cupy.asarray(coefficients(bank))
        self.masks = cupy.asarray(np.ascontiguousarray(bank.masks).view(np.uint8))
        self.turns = cupy.asarray(slots.view(np.uint8))
        self.records = cupy.empty(len(slots) * RECORD.itemsize, np.uint8)
        self.kernels = Kernels(cupy, survey_source(spline_pad(bank)))
        self.kernels.launch("survey", (len(slots),), (SURVEY_THREADS,), (*self.pointers, *self.box),
                            shared=8 * SURVEY_THREADS)
        self.surveyed = self.records.get().view(RECORD)
        _check(bank, slots, self.surveyed)

    @property
    def pointers(self) -> tuple[Any, ...]:
        """What the kernels are given of the bank."""
        return self.views, self.masks, self.turns, self.records


def _check(bank: TemplateBank, slots: Array, records: Array) -> None:
    filled = slots["view"] != NONE
    for unusable, what in ((records["count"] == 0, "the mask of view {} is empty when turned by {:g} degrees:"
                            " widen it"),
                           (records["scale"] == 0, "template of view {} at {:g} degrees is constant under its"
                            " mask: check that template and mask belong together")):
        for place in np.flatnonzero(unusable & filled)[:1]:
            index = list(bank.search_order())[place]
            raise InputError(what.format(int(bank.view(index)), float(bank.psi(index))))
