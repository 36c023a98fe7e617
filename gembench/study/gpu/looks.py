"""What the figures of the GPU study share: which rows, which colours, which words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gembench.study.tell import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Rows = Sequence[Any]
LOOKS = {"one core": style.SERIES["fftw"], "all cores": style.SERIES["mkl"], "one GPU": style.SERIES["cufft"]}
MASKS = {"own": "a mask each", "disc": "one disc"}
USUAL = {"mask": "own", "spectra": "single", "batch": "auto"}


def chosen(rows: Rows, **wanted: Any) -> list[Any]:
    """The rows with these values, and the usual ones of what is not asked for; ... stands for any value."""
    return [row for row in rows
            if all(value is ... or row[axis] == value for axis, value in {**USUAL, **wanted}.items())]


def horizontal(ax: Axes, names: Sequence[str]) -> None:
    """The axis of horizontal bars at 0, 1, ..., the first on top, named at the left."""
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
