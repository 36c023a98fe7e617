"""The method exact: the paper's numbers within rounding, with fewer transforms and less memory traffic."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.bank import RotatedTemplate
from gembench.engine.exact.blocks import BlockedTransform
from gembench.engine.exact.correlator import Correlator, Frame
from gembench.engine.exact.kernels import BLOCK, SCORE, SIGMA, STEP
from gembench.engine.exact.plan import Plan
from gembench.engine.fft import FFTLibrary
from gembench.engine.normalise import standardised, variance_floor

Array = NDArray[Any]


class ExactCorrelator(Correlator):
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
        """The correlations of a template's mask added to the steps; a `kernels.SIGMA`."""
        halves, column = steps.add(self.scaled_mask(template), squares=True)
        return (*halves, column, *self._size(template))

    def _score(self, steps: _Steps, template: RotatedTemplate, sigma: int) -> tuple[int, ...]:
        """A template's correlation added to the steps; a `kernels.SCORE`."""
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

    images: what is to be transformed, each (h, w); steps: see `kernels.STEP`
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
