"""The grid: the values that are tried, and the settings that they make."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from gembench.engine.bank import TemplateBank
from gembench.engine.exact.plan import Edges
from gembench.engine.gpu.device import parse_device
from gembench.engine.search import Method
from gembench.errors import InputError
from gembench.picking.settings import PickSettings

LOWPASS_PARTS = (0.05, 0.1, 0.2)  # of the particle's width: of KLH 18, 36 and 72 A
# Scores from which picks are looked at: the best thresholds were 0.26 and more without a strong filter, 0.36
# and more under one, where noise scores high and makes low searches slow.
LOWEST, LOWEST_STRONG = 0.2, 0.3
STRONG = 0.08  # of the particle's width
AVERAGE = 4  # side of the averaging filter where there is no low-pass filter, as `PickSettings` has it


@dataclass(frozen=True)
class Grid:
    """What is tried. Of values that do equally well the first is taken.

    lowpass: A, 0 for none; None for none, and `LOWPASS_PARTS` of the particle's width
    edges: where scores are, see `PickSettings`
    angle_step: degrees, the coarse ones first: all filters and edges are searched with the first
    border, distance: parts of the particle's width, which is that of its smallest mask, were it square
    beside: parts of a pick's score, see `PickSettings`; without is always tried
    decoys: whether views of false picks are tried
    average: side of the averaging filter; None for `AVERAGE` without a low-pass filter, and 1 with one
    method: of the search; None for 'banded' with a low-pass filter on the CPU, else 'exact'
    lowest: score from which on picks are looked at; None for what suits the filter

    Raises InputError for an option without a value, or with one that means nothing.
    """

    lowpass: tuple[float, ...] | None = None
    edges: tuple[Edges, ...] = ("reflect", "mask", "box")
    angle_step: tuple[float, ...] = (10.0, 5.0)
    border: tuple[float, ...] = (0.0, 0.1, 0.25, 0.45)
    distance: tuple[float, ...] = (0.75, 0.5, 1.0)
    beside: tuple[float, ...] = (0.5, 0.6, 0.7)
    decoys: bool = True
    average: int | None = None
    method: Method | None = None
    lowest: float | None = None

    def __post_init__(self) -> None:
        for name in ("lowpass", "edges", "angle_step", "border", "distance"):
            values = getattr(self, name)
            if values is not None and not values:
                raise InputError(f"{name.replace('_', ' ')}: give at least one value to try")
        for name, least in (("border", 0.0), ("distance", 0.1)):
            for part in getattr(self, name):
                if not least <= part <= 3:
                    raise InputError(f"{name} {part:g}: give parts of the particle's width from {least:g} to"
                                     " 3")

    def filters(self, width: float, pixel_size: float) -> tuple[float, ...]:
        """The low-pass filters to try, A, for a particle of `width` pixels."""
        if self.lowpass is not None:
            return self.lowpass
        suited = [round(part * width * pixel_size) for part in LOWPASS_PARTS]
        return (0.0, *(float(a) for a in dict.fromkeys(suited) if a > 2 * pixel_size))

    def settings(self, base: PickSettings, lowpass: float, edges: Edges, angle_step: float, width: float,
                 device: str) -> PickSettings:
        """The settings of one search: all places that any border and distance could keep.

        base: what stays; width: of the particle, pixels; device: that searches
        """
        average = self.average if self.average is not None else 1 if lowpass else AVERAGE
        banded = bool(lowpass) and parse_device(device) is None
        method: Method = self.method or ("banded" if banded else "exact")
        lowest = self.lowest
        if lowest is None:
            lowest = LOWEST_STRONG if lowpass > STRONG * width * base.pixel_size else LOWEST
        peaks = replace(base.peaks, rule="nms", threshold=lowest, border=0.0, max_picks=None,
                        distance=in_pixels(min(self.distance), width))
        return replace(base, lowpass=lowpass, edges=edges, angle_step=angle_step, average=average,
                       method=method, peaks=peaks, mask_distance=False, beside=None)


def in_pixels(part: float, width: float) -> float:
    """A part of the particle's width, whole pixels."""
    return float(round(part * width))


def particle_width(bank: TemplateBank) -> float:
    """The width in pixels of the smallest mask that is of no decoy, were it square."""
    assert bank.masks is not None
    masks = np.asarray(bank.masks[: len(bank.masks) - bank.decoys])
    return sqrt(float(masks.sum(axis=(1, 2)).min()))
