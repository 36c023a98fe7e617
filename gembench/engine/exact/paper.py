"""The method of gEMpicker (2013), transform by transform."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.bank import RotatedTemplate
from gembench.engine.exact.correlator import Correlator, Frame, Piece, Share
from gembench.engine.exact.kernels import fold, inverse_sigma
from gembench.engine.fft import aligned_zeros
from gembench.engine.normalise import standardised, variance_floor

Array = NDArray[Any]


class PaperCorrelator(Correlator):
    """The method of gEMpicker (2013): whole frames, 2 forward and 3 inverse transforms for every template.

    With the 2 of the micrograph that makes 5 K + 2 for K templates; nothing is shared or pruned.
    """

    def frame(self, micrograph: Array, share: Share) -> Frame:
        """The spectra of T and of T^2 - 1, (ny, nx // 2 + 1)."""
        image, square = standardised(micrograph, self.plan.dtype)
        return Frame(self._forward(image), self._forward(square), variance_floor(square))

    def process(self, frame: Frame, piece: Piece) -> None:
        """Correlate and fold one template after the other."""
        for template in chain.from_iterable(piece.groups):
            self._fold(frame, template)

    def _fold(self, frame: Frame, template: RotatedTemplate) -> None:
        """NCC of one template into the running maximum."""
        at = self.plan.window(template)
        points = self.plan.transform[0] * self.plan.transform[1]  # the transforms are unnormalised
        weights = self._forward(template.weights / points)
        numerator = self._inverse(np.multiply(frame.image, np.conjugate(weights, out=weights), out=weights))
        mask = self._forward(template.mask / (template.mask.sum() * points))
        np.conjugate(mask, out=mask)
        mean = self._inverse(frame.image * mask)
        square = self._inverse(np.multiply(frame.square, mask, out=mask))
        y, x = at.rows.start, at.columns.start
        height, width = at.rows.stop - y, at.columns.stop - x
        inverse = np.empty((height, width), self.plan.dtype)
        inverse_sigma(mean, square, y, x, *frame.floor, inverse, 0, height, width)
        fold(
            numerator, y, x, inverse, 0, 0, np.int32(template.index), self.score, self.index,
            at.map_rows.start, at.map_columns.start, height, width,
        )
        self.counts.templates += 1

    def _forward(self, image: Array) -> Array:
        padded = aligned_zeros(self.plan.transform, self.plan.dtype)
        padded[: image.shape[0], : image.shape[1]] = image
        self.counts.forward += 1
        return self.library.rfft2(padded)

    def _inverse(self, spectrum: Array) -> Array:
        self.counts.inverse += 1
        return self.library.irfft2(spectrum, self.plan.transform)
