"""The field of view that a simulated micrograph is drawn on, before the microscope sees it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gembench.errors import InputError

MARGIN = 300.0  # A drawn beyond each edge: a particle cut by the frame is whole on the canvas

Grid = NDArray[np.float32]


@dataclass
class Canvas:
    """Phase shift and ice thickness of a specimen on a square grid with a margin around the micrograph.

    size: side of the micrograph, pixels
    pixel_size: A/px
    phase: phase shift of the beam, radians, float32 (n, n) with n >= size + 2 margin
    thickness: A of ice, carbon or contamination that takes electrons away, float32 (n, n)

    Positions are micrograph pixels (x right, y down); they may lie outside the frame.
    """

    size: int
    pixel_size: float
    phase: Grid = field(init=False)
    thickness: Grid = field(init=False)

    def __post_init__(self) -> None:
        from scipy.fft import next_fast_len

        if self.size < 1 or not (np.isfinite(self.pixel_size) and self.pixel_size > 0):
            raise InputError(f"simulation: size {self.size} px at {self.pixel_size} A/px is not usable;"
                             " both must be positive")
        n = next_fast_len(self.size + 2 * self.margin, real=True)
        self.phase = np.zeros((n, n), np.float32)
        self.thickness = np.zeros((n, n), np.float32)

    @property
    def margin(self) -> int:
        """Pixels between the canvas' edge and the micrograph's, above and to the left."""
        return int(np.ceil(MARGIN / self.pixel_size))

    @property
    def area(self) -> float:
        """Area of the canvas in square micrometres."""
        return float((len(self.phase) * self.pixel_size * 1e-4) ** 2)

    def around(self, x: float, y: float, reach: float) -> tuple[tuple[slice, slice], Grid, Grid]:
        """The part of the canvas within `reach` A of (x, y), and there the offsets from (x, y) in A.

        Returns the slices (rows, columns), dy (rows, 1) and dx (1, columns); empty if wholly outside.
        """
        spans, offsets = [], []
        for centre in (y + self.margin, x + self.margin):
            start = int(np.clip(np.floor(centre - reach / self.pixel_size), 0, len(self.phase)))
            stop = int(np.clip(np.ceil(centre + reach / self.pixel_size) + 1, 0, len(self.phase)))
            spans.append(slice(start, stop))
            offsets.append(((np.arange(start, stop) - centre) * self.pixel_size).astype(np.float32))
        return (spans[0], spans[1]), offsets[0][:, None], offsets[1][None]

    def frame(self, image: Grid) -> Grid:
        """The micrograph's part (size, size) of an image of the whole canvas."""
        inside = slice(self.margin, self.margin + self.size)
        return image[inside, inside]
