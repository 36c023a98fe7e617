"""The methods of a search: how a few templates are correlated with one frame and folded into maps.

A correlator belongs to one consumer thread: it owns its buffers and its running maximum. The spectra of
the frame are shared and only read.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gembench.engine.correlate import standardised, variance_floor
from gembench.engine.fft import FFTLibrary, aligned_zeros
from gembench.engine.fold import BLOCK, NO_SCORE, fold, inverse_sigma
from gembench.engine.plan import Plan
from gembench.engine.spectra import BlockedTransform
from gembench.engine.templates import RotatedTemplate

Array = NDArray[Any]
MaskKey = tuple[tuple[int, ...], bytes]


@dataclass
class Counts:
    """Two-dimensional transforms done, and templates correlated."""

    forward: int = 0
    inverse: int = 0
    templates: int = 0

    def add(self, other: Counts) -> None:
        """Add another consumer's counts to these."""
        self.forward += other.forward
        self.inverse += other.inverse
        self.templates += other.templates


@dataclass
class Frame:
    """The spectra of one standardised micrograph, of T and of T^2 - 1, and the sigma maps that are shared.

    floor: of sigma^2, see `correlate.variance_floor`
    """

    image: Array
    square: Array
    floor: tuple[Any, Any]
    shared: SigmaMaps = field(default_factory=lambda: SigmaMaps())


class SigmaMaps:
    """1 / sigma maps that several consumers share: the first that needs one makes it, the others wait.

    The latest few are kept: templates arrive with equal masks next to each other.
    """

    KEPT = 4

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._maps: dict[MaskKey, Array] = {}

    def get(self, key: MaskKey, make: Callable[[], Array]) -> Array:
        """The map for `key`, made by `make` if it is not at hand."""
        with self._lock:
            if key not in self._maps:
                if len(self._maps) == self.KEPT:
                    del self._maps[next(iter(self._maps))]
                self._maps[key] = make()
            return self._maps[key]


class Correlator(Protocol):
    """What the search asks of a method."""

    score: Array
    index: Array
    counts: Counts

    def frame(self, micrograph: Array) -> Frame:
        """The spectra of a micrograph with its margins, (h, w)."""

    def reset(self) -> None:
        """Forget the running maximum and the counts."""

    def process(self, frame: Frame, templates: list[RotatedTemplate], *, shared_mask: bool) -> None:
        """Correlate templates of one mask with the frame and fold them into `score` and `index`."""


class _Maps:
    """A running maximum over the micrograph and its index map."""

    def __init__(self, plan: Plan, library: FFTLibrary) -> None:
        self.plan, self.library = plan, library
        self.points = plan.transform[0] * plan.transform[1]
        self.score = np.empty(plan.micrograph, plan.dtype)
        self.index = np.empty(plan.micrograph, np.int32)
        self.counts = Counts()
        self.reset()

    def reset(self) -> None:
        self.score.fill(NO_SCORE)
        self.index.fill(-1)
        self.counts = Counts()

    def scaled_weights(self, template: RotatedTemplate) -> Array:
        """S M / P over the number of points, since the library's transforms are unnormalised."""
        scaled: Array = (template.weights / self.points).astype(self.plan.dtype)
        return scaled

    def scaled_mask(self, template: RotatedTemplate) -> Array:
        """M / P over the number of points."""
        scaled: Array = (template.mask / (template.mask.sum() * self.points)).astype(self.plan.dtype)
        return scaled


class PaperCorrelator(_Maps):
    """The method of gEMpicker (2013): whole frames, 2 forward and 3 inverse transforms for every template.

    With the 2 of the micrograph that makes 5 K + 2 for K templates; nothing is shared or pruned.
    """

    def frame(self, micrograph: Array) -> Frame:
        """The spectra of T and of T^2 - 1, (ny, nx // 2 + 1)."""
        image, square = standardised(micrograph, self.plan.dtype)
        return Frame(self._forward(image), self._forward(square), variance_floor(square))

    def process(self, frame: Frame, templates: list[RotatedTemplate], *, shared_mask: bool) -> None:
        """Correlate and fold one template after the other."""
        for template in templates:
            self._fold(frame, template)

    def _fold(self, frame: Frame, template: RotatedTemplate) -> None:
        """NCC of one template into the running maximum."""
        at = self.plan.window(template)
        weights = self._forward(self.scaled_weights(template))
        numerator = self._inverse(np.multiply(frame.image, np.conjugate(weights, out=weights), out=weights))
        mask = self._forward(self.scaled_mask(template))
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


class ExactCorrelator(_Maps):
    """The same numbers within rounding, with sigma maps shared by equal masks and work kept in cache.

    A template costs one pruned forward and one inverse transform, a mask one pruned forward and two
    inverse; forward transforms skip the rows outside the mask, and the inverse those outside the window.
    """

    def __init__(self, plan: Plan, library: FFTLibrary) -> None:
        super().__init__(plan, library)
        self._transform = BlockedTransform(library, plan.transform, plan.dtype)
        self._halves = [self._transform.empty_half(), self._transform.empty_half()]
        self._inverse = np.empty(plan.frame, plan.dtype)

    def frame(self, micrograph: Array) -> Frame:
        """The spectra of T and of T^2 - 1, (nkx padded, ny)."""
        image, square = standardised(micrograph, self.plan.dtype)
        self.counts.forward += 2
        return Frame(self._transform.forward(image), self._transform.forward(square), variance_floor(square))

    def process(self, frame: Frame, templates: list[RotatedTemplate], *, shared_mask: bool) -> None:
        """Make or fetch the mask's 1 / sigma map, then correlate and fold each template."""
        first = templates[0]
        if shared_mask:
            inverse = frame.shared.get(
                first.mask_key, lambda: self._sigma(frame, first, np.empty_like(self._inverse))
            )
        else:
            inverse = self._sigma(frame, first, self._inverse)
        for template in templates:
            self._fold(frame, template, inverse)

    def _sigma(self, frame: Frame, template: RotatedTemplate, out: Array) -> Array:
        """1 / sigma at every place where the mask's cut lies inside the frame, in the corner of `out`."""
        height = self.plan.frame[0] - template.mask.shape[0] + 1
        width = self.plan.frame[1] - template.mask.shape[1] + 1
        transform = self._transform
        rows = transform.rows(self.scaled_mask(template), conjugate=True)
        transform.correlate(rows, [frame.image, frame.square], self._halves, slice(0, height))
        for block, y in enumerate(range(0, height, BLOCK)):
            mean = transform.inverse_block(self._halves[0], block, buffer=0)
            square = transform.inverse_block(self._halves[1], block, buffer=1)
            inverse_sigma(mean, square, 0, 0, *frame.floor, out, y, min(BLOCK, height - y), width)
        self.counts.forward += 1
        self.counts.inverse += 2
        return out

    def _fold(self, frame: Frame, template: RotatedTemplate, inverse: Array) -> None:
        """NCC of one template into the running maximum."""
        at = self.plan.window(template)
        rows = self._transform.rows(self.scaled_weights(template), conjugate=True)
        self._transform.correlate(rows, [frame.image], self._halves[:1], at.rows)
        height, width = at.rows.stop - at.rows.start, at.columns.stop - at.columns.start
        for block, y in enumerate(range(0, height, BLOCK)):
            fold(
                self._transform.inverse_block(self._halves[0], block, buffer=0), 0, at.columns.start,
                inverse, at.rows.start + y, at.columns.start, np.int32(template.index),
                self.score, self.index, at.map_rows.start + y, at.map_columns.start,
                min(BLOCK, height - y), width,
            )
        self.counts.forward += 1
        self.counts.inverse += 1
        self.counts.templates += 1
