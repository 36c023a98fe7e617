"""The method exact: the paper's numbers within rounding, with fewer transforms and less memory traffic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gembench.engine.bank import RotatedTemplate
from gembench.engine.exact.blocks import BlockedTransform
from gembench.engine.exact.correlator import Correlator, Frame, Piece, Share
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
        self._transform = BlockedTransform(library, plan.transform, plan.dtype, plan.block)
        self._halves = self._transform.empty_halves(plan.halves)
        self._rows = self._transform.empty_rows(plan.halves, plan.box[0])
        self._inverse = np.empty((self._transform.block, plan.frame[1]), plan.dtype)

    def frame(self, micrograph: Array, share: Share) -> Frame:
        """The spectra of T and of T^2 - 1, (nkx padded, ny)."""
        image, square = standardised(micrograph, self.plan.dtype)
        self.counts.forward += 2
        (rows,) = self._transform.empty_rows(1, len(image))
        return Frame(self._spectrum(image, rows, share), self._spectrum(square, rows, share),
                     variance_floor(square))

    def _spectrum(self, image: Array, rows: Array, share: Share) -> Array:
        """The spectrum of an image (h, w), each consumer transforming a part; rows: (h, nkx), a buffer."""
        spectrum = self._transform.empty_spectrum()

        def along_x(consumer: Correlator, part: int, parts: int) -> None:
            assert isinstance(consumer, ExactCorrelator)
            some = slice(*_whole_blocks(len(image), part, parts))
            consumer._transform.rows(image[some], rows[some])

        def along_y(consumer: Correlator, part: int, parts: int) -> None:
            assert isinstance(consumer, ExactCorrelator)
            consumer._transform.columns(rows, spectrum, *_whole_blocks(len(spectrum), part, parts))

        share(along_x)
        share(along_y)
        return spectrum

    def process(self, frame: Frame, piece: Piece) -> None:
        """Correlate the masks, unless their 1 / sigma map is at hand, and the templates, then fold them."""
        layout = piece.layout
        if layout is None or layout.plan is not self.plan:
            layout = piece.layout = self._laid_out(piece)
        inverse = self._inverse
        if piece.shared_mask:
            first = piece.groups[0][0]
            inverse = frame.shared.get(first.mask_key, lambda: self._shared_sigma(frame, first))
        self._correlate(layout, frame)
        self.counts.templates += len(piece)
        self._transform.fold(
            self._halves, layout.height, layout.sigmas, layout.scores, frame.floor, inverse,
            piece.shared_mask, self.score, self.index,
        )

    def _laid_out(self, piece: Piece) -> _Layout:
        steps = _Steps(self.plan)
        sigmas = [] if piece.shared_mask else [self._sigma(steps, group[0]) for group in piece.groups]
        scores = [
            self._score(steps, template, number)
            for number, group in enumerate(piece.groups) for template in group
        ]
        height = max(self._size(group[0])[0] for group in piece.groups)
        return _Layout(self.plan, steps.images, np.array(steps.steps, STEP), height, np.array(sigmas, SIGMA),
                       np.array(scores, SCORE))

    def _size(self, template: RotatedTemplate) -> tuple[int, int]:
        """(h, w) of the places where the mask's cut lies inside the frame."""
        height, width = template.mask.shape
        return self.plan.frame[0] - height + 1, self.plan.frame[1] - width + 1

    def _sigma(self, steps: _Steps, template: RotatedTemplate) -> tuple[int, ...]:
        """The correlations of a template's mask added to the steps; a `kernels.SIGMA`."""
        halves, column = steps.add(template.mask, 1 / int(template.mask.sum()), squares=True)
        return (*halves, column, *self._size(template))

    def _score(self, steps: _Steps, template: RotatedTemplate, sigma: int) -> tuple[int, ...]:
        """A template's correlation added to the steps; a `kernels.SCORE`."""
        (half,), column = steps.add(template.weights, 1.0, squares=False)
        at = self.plan.window(template)
        return (
            sigma, half, column, at.rows.start, at.rows.stop, at.columns.start, at.columns.stop,
            at.map_rows.start, at.map_columns.start, template.index,
        )

    def _correlate(self, layout: _Layout, frame: Frame) -> None:
        """The first half of every step."""
        for image, rows in zip(layout.images, self._rows, strict=False):
            self._transform.rows(
                image.pixels, rows[: len(image.pixels)], scale=image.scale, turned=image.turned,
                conjugate=True,
            )
        self._transform.correlate(
            layout.steps, self._rows, frame.image, frame.square, self._halves, layout.height
        )
        self.counts.forward += len(layout.images)
        self.counts.inverse += len(layout.steps)

    def _shared_sigma(self, frame: Frame, template: RotatedTemplate) -> Array:
        """The whole map of 1 / sigma for a template's mask."""
        height, width = self._size(template)
        steps = _Steps(self.plan)
        sigmas = np.array([self._sigma(steps, template)], SIGMA)
        layout = _Layout(self.plan, steps.images, np.array(steps.steps, STEP), height, sigmas, sigmas[:0])
        self._correlate(layout, frame)
        whole = np.empty((height, width), self.plan.dtype)
        for y in range(0, height, self._transform.block):
            self._transform.inverse_sigma(sigmas[0], self._halves, y, frame.floor, self._inverse)
            whole[y : y + self._transform.block] = self._inverse[: height - y, :width]
        return whole


class _Image(NamedTuple):
    """What is to be transformed.

    pixels: (h, w), of a template's weights or mask; scale: of them; turned: by 180 degrees
    """

    pixels: Array
    scale: float
    turned: bool


@dataclass(frozen=True, eq=False)
class _Layout:
    """The correlations of one piece; see `kernels.STEP`, `SIGMA` and `SCORE`.

    height: rows of the correlations that are wanted
    """

    plan: Plan
    images: list[_Image]
    steps: Array
    height: int
    sigmas: Array
    scores: Array


class _Steps:
    """Correlations to be done together; an image and its 180-degree turn share a transform.

    Which of the two is transformed depends on their values alone, so that the result has the same bits
    whether they come together or not.

    steps: see `kernels.STEP`
    """

    def __init__(self, plan: Plan) -> None:
        self.images: list[_Image] = []
        self.steps: list[tuple[int, int, bool, bool, bool, int, int]] = []
        self._points = plan.transform[0] * plan.transform[1]  # the transforms are unnormalised
        self._last: tuple[tuple[int, ...], bytes] | None = None  # what is transformed last
        self._turned = False  # whether that transform was conjugated

    def add(self, image: Array, scale: float, *, squares: bool) -> tuple[list[int], int]:
        """Correlate scale * image (h, w) with T, and with T^2 - 1 if `squares`.

        Returns which halves that takes, and the column at which the first of the correlation is found: the
        spectrum of a turned image is the conjugate, but for a shift.
        """
        upright, upside_down = image.tobytes(), image[::-1, ::-1].tobytes()
        turned = upright > upside_down
        values = image.shape, upside_down if turned else upright
        load = values != self._last
        if load:
            self.images.append(_Image(image, scale / self._points, turned))
            self._last, self._turned = values, False
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


def _whole_blocks(length: int, part: int, parts: int) -> tuple[int, int]:
    """One of `parts` shares of `length` rows, in whole blocks: its first row, and the first after it.

    A row's place in its block, and so its rounding, is the same in any number of shares.
    """
    blocks = -(-length // BLOCK)
    return min(part * blocks // parts * BLOCK, length), min((part + 1) * blocks // parts * BLOCK, length)
