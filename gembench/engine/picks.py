"""Picks: particle positions on one micrograph."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Picks:
    """Particle positions on one micrograph, whether picked by a program or annotated by hand.

    All arrays have shape (n,). A column that was not given holds its 'unknown' value.

    micrograph: file name of the micrograph, without its folder
    x, y: centre of the particle in micrograph pixels, float64, 0-based, x right, y down
    score: figure of merit, float64; higher is better; NaN if unknown
    template: index in the template bank, int32; -1 if unknown
    view: index of the unrotated template, int32; -1 if unknown
    psi: in-plane angle in degrees, float64, counter-clockwise as displayed with y down; NaN if unknown
    label: what an annotator called it ('side', 'unsure', ...), str; '' if unknown
    pixel_size: A/px; None if unknown
    beside: highest score of the same template around the pick, float64, see `picking.beside`; NaN if unknown

    Raises ValueError if the columns differ in length.
    """

    micrograph: str
    x: FloatArray
    y: FloatArray
    score: FloatArray = field(default_factory=lambda: np.empty(0))
    template: IntArray = field(default_factory=lambda: np.empty(0, np.int32))
    view: IntArray = field(default_factory=lambda: np.empty(0, np.int32))
    psi: FloatArray = field(default_factory=lambda: np.empty(0))
    label: NDArray[np.str_] = field(default_factory=lambda: np.empty(0, np.str_))
    pixel_size: float | None = None
    beside: FloatArray = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        n = np.size(self.x)
        unknown: dict[str, tuple[type, object]] = {
            "x": (np.float64, 0.0), "y": (np.float64, 0.0), "score": (np.float64, np.nan),
            "template": (np.int32, -1), "view": (np.int32, -1), "psi": (np.float64, np.nan),
            "label": (np.str_, ""), "beside": (np.float64, np.nan),
        }
        for name, (dtype, value) in unknown.items():
            column: NDArray[Any] = np.atleast_1d(np.asarray(getattr(self, name), dtype))
            if column.size == 0 and n and name not in ("x", "y"):
                column = np.full(n, value, dtype)
            if column.shape != (n,):
                raise ValueError(f"{self.micrograph}: column {name} has {column.size} values for {n} picks")
            object.__setattr__(self, name, column)

    def __len__(self) -> int:
        return len(self.x)

    @property
    def xy(self) -> FloatArray:
        """Positions, shape (n, 2), columns x and y in pixels."""
        return np.column_stack([self.x, self.y])

    def __getitem__(self, selection: ArrayLike | slice) -> Picks:
        """The picks that `selection` (mask, indices or slice) names."""
        chosen = selection if isinstance(selection, slice) else np.asarray(selection)
        if isinstance(chosen, np.ndarray) and not chosen.size:
            chosen = slice(0)  # an empty list has no type that could index
        columns = {f.name: getattr(self, f.name)[chosen] for f in fields(self)
                   if f.name not in ("micrograph", "pixel_size")}
        return replace(self, **columns)

    def alone(self, part: float) -> NDArray[np.bool_]:
        """Which picks have at most this part of their own score beside them; none where it is unknown."""
        return np.asarray(self.beside <= part * self.score)

    def shifted(self, dx: float, dy: float) -> Picks:
        """The same picks moved by (dx, dy) pixels."""
        return replace(self, x=self.x + dx, y=self.y + dy)


def full_turn(psi: FloatArray) -> FloatArray:
    """Angles in [0, 360), degrees, exact if they lie there already; NaN for one without end.

    Programs write negative ones too, and turns of more than one.
    """
    return np.where(np.isinf(psi), np.nan, psi) % 360 % 360  # the first gives 360 for a tiny negative angle
