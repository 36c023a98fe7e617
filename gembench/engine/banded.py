"""BandedSearch: the search on the band that a filter has left, and the exact formula where picks are.

1. The spectra of micrograph and templates decide a coarse grid; what lies beyond its band is measured.
2. The scores of all templates on the coarse grid come from a compressed bank (`compressed`).
3. Cells of the coarse grid that may hold a score of interest are looked at pixel by pixel (`fine`).
4. Where the peak rules look (`settle`), the best templates are summed directly at full resolution (`refine`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from gembench.engine.compressed import CompressedGroup, common_box, in_box, ring_energies
from gembench.engine.correlate import standardised, variance_floor
from gembench.engine.fft import fft_library
from gembench.engine.fine import EXACT, SEEN, Coarse, FineMap
from gembench.engine.fold import BLOCK, NO_SCORE
from gembench.engine.peaks import PeakSettings
from gembench.engine.plan import Edges, Plan, make_plan
from gembench.engine.refine import DirectSums
from gembench.engine.resample import (
    RADII,
    CoarseGrid,
    interpolation_loss,
    ring_frequencies,
    ring_of,
    ring_power,
)
from gembench.engine.score_map import ScoreMap
from gembench.engine.search import Search, SearchStatistics, _checked
from gembench.engine.settle import settle_maxima, settle_walk
from gembench.engine.templates import TemplateBank

Array = NDArray[Any]
log = logging.getLogger("gembench")

STEPS = (8, 6, 5, 4, 3, 2)
BAND_ERROR = 1e-3  # rms of a numerator beyond the coarse band that is accepted, of the micrograph's sigma
RISE = 0.09  # of a peak's height that may hide between coarse pixels
RISE_DEVIATIONS = 4.0  # of a peak's curvature that are reckoned with
TOLERANCE = 1e-3  # of the compression
DOUBTFUL = 5e-4  # part of the micrograph in which every template may have to be summed directly
GROUP = 360  # templates compressed together: the products cost as the square of their number


@dataclass
class BandedStatistics(SearchStatistics):
    """What one banded search did.

    step: pixels between coarse pixels, 1 if the micrograph was searched by the method exact; basis: of
    templates and masks; error: rms of coarse scores where sigma is the micrograph's
    seen, exact: pixels at which all templates were compared, and that were summed directly
    """

    step: int = 1
    basis: int = 0
    error: float = 0.0
    seen: int = 0
    exact: int = 0


@dataclass
class Prepared:
    """The bank for one step."""

    grid: CoarseGrid
    groups: list[CompressedGroup] = field(default_factory=list)


class BandedSearch:
    """A template bank ready to be run over filtered micrographs; use as a context manager.

    bank, library, dtype, edges, threads: as for `search.Search`
    peaks: the rules that picks will be taken by. What they look at is exact: positions, scores and templates
        of `find_picks(maps, bank, peaks)` are those of the method exact. Other scores are approximate: the
        more so below the threshold, and where a better pick rules others out.
    A micrograph whose band allows no coarse grid is searched by the method exact, which is logged.
    """

    method = "banded"

    def __init__(
        self, bank: TemplateBank, *, peaks: PeakSettings | None = None, library: str = "auto",
        dtype: str = "float32", edges: Edges = "mask", threads: int = 1,
    ) -> None:
        self.bank = bank
        self.peaks = peaks or PeakSettings(threshold=0.25)
        self.library = fft_library(library)
        self.dtype, self.edges, self.threads = dtype, edges, threads
        self.statistics = BandedStatistics()
        self._one_thread = ThreadpoolController()
        self._exact = Search(bank, library=library, dtype=dtype, edges=edges, threads=threads)
        self.plan: Plan | None = None
        self._prepared: dict[int, Prepared] = {}
        self._sums: DirectSums | None = None
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the threads and free what was kept."""
        self._exact.close()
        if self._pool is not None:
            self._pool.shutdown()
        self._pool, self.plan, self._sums = None, None, None
        self._prepared.clear()

    @property
    def bytes(self) -> int:
        """Bytes that the latest search held at its most, with what is kept for the next, without the bank.

        The basis has to be made before its size is known: 0 before the first micrograph.
        """
        if self.plan is None or self._sums is None:
            return 0
        real = self.plan.dtype.itemsize
        kept = self._sums.bytes + sum(t.weights.nbytes + t.mask.nbytes for t in self._templates)
        groups = [group for prepared in self._prepared.values() for group in prepared.groups]
        kept += sum(group.weights.spectra.nbytes + group.masks.spectra.nbytes for group in groups)
        maps = max((sum(g.transforms * g.grid.shape[0] * g.grid.shape[1] for g in prepared.groups)
                    for prepared in self._prepared.values()), default=0)
        frame, pixels = np.prod(self.plan.frame), np.prod(self.plan.micrograph)
        # Of T, T^2 - 1, and a fine map's score, slack, ripple and the like, index and marks.
        return int(kept + real * (maps + 2 * frame + 6 * pixels) + (2 * 4 + 4) * pixels)

    def run(
        self, micrograph: Array, *, exclude: Array | None = None,
        on_template: Callable[[int], None] | None = None,
    ) -> ScoreMap:
        """Correlate one micrograph (H, W) with every template of the bank; as `Search.run`.

        The numerical libraries use one thread meanwhile: the engine's own are over rows and basis templates.
        """
        with self._one_thread.limit(limits=1, user_api="blas"):
            return self._run(micrograph, exclude, on_template)

    def _run(
        self, micrograph: Array, exclude: Array | None, on_template: Callable[[int], None] | None
    ) -> ScoreMap:
        start = time.perf_counter()
        exclude = None if exclude is None else np.asarray(exclude, bool)
        image = _checked(micrograph, exclude)
        self._plan_for((image.shape[0], image.shape[1]))
        assert self.plan is not None
        if self.plan.margin:
            image = np.pad(image, self.plan.margin, mode="reflect")
        frame, square = standardised(image, self.plan.dtype)
        powers = ring_power(frame, self._length), ring_power(square, self._length)
        step = self._step(powers[0])
        coarse = self._coarse(step, frame, square, powers) if step else None
        if coarse is None or coarse.doubtful[coarse.index >= 0].mean() > DOUBTFUL:
            why = "is not low-pass filtered" if coarse is None else "is almost constant in places"
            log.warning("the micrograph %s: it is searched by the method exact", why)
            maps = self._exact.run(micrograph, exclude=exclude, on_template=on_template)
            self.statistics = BandedStatistics(**vars(self._exact.statistics))
            return maps
        if on_template is not None:
            on_template(len(self.bank))
        maps = self._settled(coarse, frame, square, exclude)
        self.statistics.seconds = time.perf_counter() - start
        return maps

    def _plan_for(self, shape: tuple[int, int]) -> None:
        """Turn the templates, and note where each is scored in micrographs of `shape`."""
        if self.plan is not None and self.plan.micrograph == shape:
            return
        self._prepared.clear()
        self.plan = plan = make_plan(shape, self.bank, self.library, dtype=self.dtype, edges=self.edges,
                                     threads=self.threads)
        templates = [self.bank.rotated(k, plan.dtype) for k in range(len(self.bank))]
        self._templates, self._sums = templates, DirectSums(templates)
        self._masks = [(t.mask, t.offset) for t in templates]
        windows = [plan.window(t) for t in templates]
        self._windows = plan.margin + np.array([
            [w.map_rows.start, w.map_rows.stop - 1, w.map_columns.start, w.map_columns.stop - 1]
            for w in windows
        ])
        self._allowed = np.zeros(shape, bool)
        for window in windows:
            self._allowed[window.map_rows, window.map_columns] = True
        box = common_box(templates)
        self._length = max(64, max(part.stop - part.start for part in box))
        image = np.empty((1, box[0].stop - box[0].start, box[1].stop - box[1].start), plan.dtype)
        self._energies = np.empty((len(templates), RADII))
        for energies, template in zip(self._energies, templates, strict=True):
            in_box(template.weights, template.offset, box, image[0])
            energies[:] = ring_energies(image, self._length)[0]

    def _rise(self, power: Array, step: int) -> tuple[float, float]:
        """How far a peak may rise above the coarse pixels around it: relative to its height, and beyond that.

        A maximum of height h in a random field has a curvature of h m2, give or take the field's deviation
        times sqrt(m4 - m2^2), with m2 and m4 the moments of its spectrum; a coarse pixel is at most half a
        step away along each axis.
        """
        square, spectrum = ring_frequencies() ** 2, self._energies * power
        variance = spectrum.sum(1)
        m2, m4 = spectrum @ square / variance, spectrum @ square**2 / variance
        spread = RISE_DEVIATIONS * np.sqrt(variance * np.maximum(m4 - m2**2, 0))
        return float(m2.max() * step**2 / 8), float(spread.max() * step**2 / 8)

    def _step(self, power: Array) -> int:
        """The widest step whose grid loses little of a micrograph of `power` by ring; 0 if none does."""
        for step in STEPS:
            beyond = ring_of(0.5 / step)
            error = float(np.sqrt((self._energies[:, beyond:] @ power[beyond:]).max()))
            if error <= BAND_ERROR and self._rise(power, step)[0] <= RISE:
                return step
        return 0

    def _prepare(self, step: int, frame: tuple[int, int]) -> Prepared:
        """The bank compressed for one step."""
        if step not in self._prepared:
            grid = CoarseGrid.over(frame, step)
            length = -(-self._length // (2 * step)) * 2 * step
            self._prepared[step] = Prepared(grid, [
                CompressedGroup(self._templates[k : k + GROUP], self._windows[k : k + GROUP], grid, length,
                                TOLERANCE, np.dtype(self.dtype))
                for k in range(0, len(self._templates), GROUP)
            ])
        return self._prepared[step]

    def _coarse(self, step: int, frame: Array, square: Array, powers: tuple[Array, Array]) -> Coarse:
        """All templates on the coarse grid."""
        prepared = self._prepare(step, (frame.shape[0], frame.shape[1]))
        grid, groups = prepared.grid, prepared.groups
        spectra = [grid.spectrum(self.library, image) for image in (frame, square)]
        score = np.full(grid.shape, NO_SCORE, frame.dtype)
        index = np.full(grid.shape, -1, np.int32)
        inverse, lowest = np.zeros_like(score), np.full_like(score, np.inf)
        all_maps = []
        for group in groups:
            maps = group.maps(self.library, spectra[0], spectra[1], self._each)
            self._each(
                lambda row, group=group, maps=maps: group.fold(  # type: ignore[misc]
                    maps, score, index, inverse, lowest, slice(row, min(row + BLOCK, grid.shape[0]))
                ), range(0, grid.shape[0], BLOCK),
            )
            all_maps.append(maps)
        blurred = self._energies @ (powers[0] * interpolation_loss(step))
        lost = np.concatenate([group.weights.errors(powers[0]) for group in groups])
        errors = np.sqrt(lost**2 + blurred).astype(frame.dtype)
        mask_errors = np.concatenate([group.masks.errors(powers[1])[group.mask_of] for group in groups])
        self.statistics = BandedStatistics(step=step, error=float(errors.max()))
        self.statistics.basis = sum(len(g.weights.spectra) + len(g.masks.spectra) for g in groups)
        self.statistics.counts.forward = 2
        self.statistics.counts.inverse = sum(group.transforms for group in groups)
        self.statistics.counts.templates = len(self.bank)
        return Coarse(grid, groups, all_maps, score, index, inverse, lowest, errors, mask_errors,
                      self._rise(powers[0], step))

    def _settled(self, coarse: Coarse, frame: Array, square: Array, exclude: Array | None) -> ScoreMap:
        """The score map, exact where the peak rules look."""
        assert self.plan is not None
        assert self._sums is not None
        allowed = self._allowed if exclude is None else self._allowed & ~exclude
        fine = FineMap(coarse, frame, variance_floor(square), self._sums, self.plan.margin, allowed)
        if self.peaks.rule == "nms":
            settle_maxima(fine, self.peaks)
        else:
            settle_walk(fine, self.peaks, self.bank.box, self._masks)
        self.statistics.seen = int((fine.state >= SEEN).sum())
        self.statistics.exact = int((fine.state == EXACT).sum())
        return fine.finished()

    def _each(self, do: Callable[[Any], None], items: Iterable[Any]) -> None:
        """Do something for every item, on all threads."""
        if self._pool is None:
            for item in items:
                do(item)
        else:
            list(self._pool.map(do, items))
