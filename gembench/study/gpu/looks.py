"""What the figures of the GPU study share: which rows, which colours, which words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gembench.drawing import style

Rows = Sequence[Any]
LOOKS = {"one core": style.SERIES["fftw"], "all cores": style.SERIES["mkl"], "one GPU": style.SERIES["cufft"]}
MASKS = {"own": "a mask each", "disc": "one disc"}
USUAL = {"mask": "own", "spectra": "single", "batch": "auto"}


def chosen(rows: Rows, **values: Any) -> list[Any]:
    """The rows with these values, and the usual ones of what is not asked for; ... stands for any value."""
    return [row for row in rows
            if all(value is ... or row[axis] == value for axis, value in {**USUAL, **values}.items())]
