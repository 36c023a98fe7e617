"""The methods of a search: how a few templates are correlated with one frame and folded into maps.

A correlator belongs to one consumer thread: it owns its buffers and its running maximum. The spectra of
the frame are shared and only read.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gembench.engine.bank import RotatedTemplate
from gembench.engine.exact.correlate import standardised, variance_floor
from gembench.engine.exact.fold import BLOCK, NO_SCORE, fold, inverse_sigma
from gembench.engine.exact.fused import SCORE, SIGMA, STEP
from gembench.engine.exact.plan import SHARED_MAPS, Plan
from gembench.engine.exact.spectra import BlockedTransform
from gembench.engine.fft import FFTLibrary, aligned_zeros

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

    The latest few are kept.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._maps: dict[MaskKey, Array] = {}

    def get(self, key: MaskKey, make: Callable[[], Array]) -> Array:
        """The map for `key`, made by `make` if it is not at hand."""
        with self._lock:
            if key not in self._maps:
                if len(self._maps) == SHARED_MAPS:
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

    def process(self, frame: Frame, groups: list[list[RotatedTemplate]], *, shared_mask: bool) -> None:
        """Correlate groups of templates of one mask with the frame and fold them into `score` and `index`.

        shared_mask: whether other pieces of work have that mask too; there is one group then
        """


class _Maps:
    """A running maximum over the micrograph and its index map.

    maps: score and index to use, (H, W) of the plan's type and int32; by default of its own
    """

    def __init__(self, plan: Plan, library: FFTLibrary, maps: tuple[Array, Array] | None = None) -> None:
        self.plan, self.library = plan, library
        self.points = plan.transform[0] * plan.transform[1]
        self.score, self.index = maps or (
            np.empty(plan.micrograph, plan.dtype), np.empty(plan.micrograph, np.int32)
        )
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

    def process(self, frame: Frame, groups: list[list[RotatedTemplate]], *, shared_mask: bool) -> None:
        """Correlate and fold one template after the other."""
        for template in chain.from_iterable(groups):
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
    inverse; forward transforms skip the rows outside the mask, and a template that is another's 180-degree
    turn shares its. Templates are taken a few at a time, so that a block of the frame's spectra, and of the
    running maximum, is read once for all of them.
    """

    def __init__(self, plan: Plan, library: FFTLibrary, maps: tuple[Array, Array] | None = None) -> None:
        super().__init__(plan, library, maps)
        self._transform = BlockedTransform(library, plan.transform, plan.dtype)
        self._halves = self._transform.empty_halves(plan.halves)
        self._rows = self._transform.empty_rows(plan.halves, plan.box[0])
        self._inverse = np.empty((BLOCK, plan.frame[1]), plan.dtype)

    def frame(self, micrograph: Array) -> Frame:
        """The spectra of T and of T^2 - 1, (nkx padded, ny)."""
        image, square = standardised(micrograph, self.plan.dtype)
        self.counts.forward += 2
        return Frame(self._transform.forward(image), self._transform.forward(square), variance_floor(square))

    def process(self, frame: Frame, groups: list[list[RotatedTemplate]], *, shared_mask: bool) -> None:
        """Correlate the masks, unless their 1 / sigma map is at hand, and the templates, then fold them."""
        shared = frame.shared.get(
            groups[0][0].mask_key, lambda: self._shared_sigma(frame, groups[0][0])
        ) if shared_mask else None
        steps = _Steps()
        sigmas = [] if shared_mask else [self._sigma(steps, group[0]) for group in groups]
        scores = [
            self._score(steps, template, number)
            for number, group in enumerate(groups) for template in group
        ]
        height = max(self._size(group[0])[0] for group in groups)
        self._correlate(steps, frame, height)
        self.counts.templates += len(scores)
        inverse = self._inverse if shared is None else shared
        tables = np.array(sigmas, SIGMA), np.array(scores, SCORE)
        for y in range(0, height, BLOCK):
            self._transform.fold(
                self._halves, y, *tables, frame.floor, inverse, shared_mask, self.score, self.index
            )

    def _size(self, template: RotatedTemplate) -> tuple[int, int]:
        """(h, w) of the places where the mask's cut lies inside the frame."""
        height, width = template.mask.shape
        return self.plan.frame[0] - height + 1, self.plan.frame[1] - width + 1

    def _sigma(self, steps: _Steps, template: RotatedTemplate) -> tuple[int, ...]:
        """The correlations of a template's mask added to the steps; a `fused.SIGMA`."""
        halves, column = steps.add(self.scaled_mask(template), squares=True)
        return (*halves, column, *self._size(template))

    def _score(self, steps: _Steps, template: RotatedTemplate, sigma: int) -> tuple[int, ...]:
        """A template's correlation added to the steps; a `fused.SCORE`."""
        (half,), column = steps.add(self.scaled_weights(template), squares=False)
        at = self.plan.window(template)
        return (
            sigma, half, column, at.rows.start, at.rows.stop, at.columns.start, at.columns.stop,
            at.map_rows.start, at.map_columns.start, template.index,
        )

    def _correlate(self, steps: _Steps, frame: Frame, height: int) -> None:
        """The first half of every step."""
        for image, rows in zip(steps.images, self._rows, strict=False):
            used = rows[: len(image)]
            self._transform.rows(image, used)
            np.conjugate(used, out=used)
        table = np.array(steps.steps, STEP)
        self._transform.correlate(table, self._rows, frame.image, frame.square, self._halves, height)
        self.counts.forward += len(steps.images)
        self.counts.inverse += len(table)

    def _shared_sigma(self, frame: Frame, template: RotatedTemplate) -> Array:
        """The whole map of 1 / sigma for a template's mask."""
        height, width = self._size(template)
        steps = _Steps()
        (sigma,) = np.array([self._sigma(steps, template)], SIGMA)
        self._correlate(steps, frame, height)
        whole = np.empty((height, width), self.plan.dtype)
        for y in range(0, height, BLOCK):
            self._transform.inverse_sigma(sigma, self._halves, y, frame.floor, self._inverse)
            whole[y : y + BLOCK] = self._inverse[: height - y, :width]
        return whole


class _Steps:
    """Correlations to be done together; an image and its 180-degree turn share a transform.

    Which of the two is transformed depends on their values alone, so that the result has the same bits
    whether they come together or not.

    images: what is to be transformed, each (h, w); steps: see `fused.STEP`
    """

    def __init__(self) -> None:
        self.images: list[Array] = []
        self.steps: list[tuple[int, int, bool, bool, bool, int, int]] = []
        self._turned = False  # whether the transform at hand was conjugated

    def add(self, image: Array, *, squares: bool) -> tuple[list[int], int]:
        """Correlate an image (h, w) with T, and with T^2 - 1 if `squares`.

        Returns which halves that takes, and the column at which the first of the correlation is found: the
        spectrum of a turned image is the conjugate, but for a shift.
        """
        turned = image.tobytes() > image[::-1, ::-1].tobytes()
        upright = image[::-1, ::-1] if turned else image
        load = not self.images or not np.array_equal(upright, self.images[-1])
        if load:
            self.images.append(upright)
            self._turned = False
        conjugate, self._turned = turned != self._turned, turned
        height, width = image.shape
        first, column = (height - 1, width - 1) if turned else (0, 0)
        halves = []
        for square in (False, True)[: 1 + squares]:
            halves.append(len(self.steps))
            self.steps.append((
                len(self.images) - 1, height, load and not square, conjugate and not square, square, first,
                halves[-1],
            ))
        return halves, column
