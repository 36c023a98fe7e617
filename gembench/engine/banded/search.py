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
from math import inf, isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from gembench.engine.banded.basis import CompressedGroup, common_box, in_box, ring_energies
from gembench.engine.banded.grid import (
    RADII,
    CoarseGrid,
    ring_frequencies,
    ring_of,
    ring_power,
    ring_sizes,
)
from gembench.engine.banded.interpolation import of_least_error, polynomial
from gembench.engine.banded.map import EXACT, SEEN, Coarse, FineMap
from gembench.engine.banded.memory import (
    prepared_bytes,
    preparing_bytes,
    require_memory,
    searching_bytes,
    turned,
    turned_bytes,
)
from gembench.engine.banded.peaks import settle_maxima, settle_walk
from gembench.engine.banded.sums import DirectSums
from gembench.engine.bank import TemplateBank
from gembench.engine.exact.kernels import BLOCK
from gembench.engine.exact.plan import Edges, Plan, make_plan
from gembench.engine.exact.search import CPUSearch
from gembench.engine.fft import FFTLibrary, fft_library
from gembench.engine.normalise import standardised, variance_floor
from gembench.engine.peaks import PeakSettings
from gembench.engine.score_map import NO_SCORE, ScoreMap
from gembench.engine.search import Search, SearchStatistics, checked

Array = NDArray[Any]
log = logging.getLogger("gembench")

STEPS = (8, 6, 5, 4, 3, 2)
BAND_ERROR = 1e-3  # rms of a numerator beyond the coarse band that is accepted, of the micrograph's sigma
RISE = 0.09  # of a peak's height that may hide between coarse pixels
RISE_DEVIATIONS = 4.0  # of a peak's curvature that are reckoned with
TOLERANCE = 1e-3  # of the compression
DOUBTFUL = 5e-4  # part of the micrograph in which every template may have to be summed directly
LEAST_STRENGTH = 0.5  # of errors around a pixel, beside those of the whole micrograph
GROUPS = (360, 180, 90, 45)  # templates compressed together: the products cost as the square of their number


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


def _doubtful(coarse: Coarse) -> float:
    """The part of the micrograph where some sigma is too small for its error."""
    return float(coarse.doubtful(coarse.lowest, coarse.strength)[coarse.index >= 0].mean())


def _inside(step: int, lost: Array) -> Array:
    """The mean over templates of what is lost of them, (K, RADII), inside the coarse band: (RADII,)."""
    mean = lost.mean(0)
    mean[ring_of(0.5 / step) :] = 0
    return np.asarray(mean)


class BandedSearch(Search):
    """The search of a bank in filtered micrographs, on CPU threads.

    bank, library, dtype, edges, threads: as for `CPUSearch`
    peaks: the rules that picks will be taken by. What they look at is exact: positions, scores and templates
        of `find_picks(maps, bank, peaks)` are those of the method exact. Other scores are approximate: the
        more so below the threshold, and where a better pick rules others out.
    memory: bytes that the search's arrays and what is kept of the templates must not exceed: fewer templates
        are compressed at once to keep within it, and less is kept for later micrographs
    A micrograph whose band allows no coarse grid is searched by the method exact, which is logged.
    """

    def __init__(
        self, bank: TemplateBank, *, peaks: PeakSettings | None = None, library: str = "auto",
        dtype: str = "float32", edges: Edges = "mask", threads: int = 1, memory: float = inf,
    ) -> None:
        self.library: FFTLibrary = fft_library(library)
        super().__init__(bank, method="banded", library=self.library, dtype=dtype, threads=threads,
                         memory=memory)
        self.statistics: BandedStatistics = BandedStatistics()
        self.peaks, self.edges = peaks or PeakSettings(threshold=0.25), edges
        self._one_thread = ThreadpoolController()
        self._exact = CPUSearch(bank, library=library, dtype=dtype, edges=edges, threads=threads)
        self.plan: Plan | None = None
        self._prepared: dict[int, Prepared] = {}
        self._bytes = 0
        self._sums: DirectSums | None = None
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def close(self) -> None:
        """End the threads and free what was kept."""
        self._exact.close()
        if self._pool is not None:
            self._pool.shutdown()
        self._pool, self.plan, self._sums = None, None, None
        self._prepared.clear()

    @property
    def bytes(self) -> int:
        """Predicted bytes of the latest search's arrays at their most, without micrograph and template bank.

        The basis has to be made before its size is known: 0 before the first micrograph.
        """
        return self._bytes if self.plan is not None else 0

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
        image = checked(micrograph, exclude)
        self._plan_for((image.shape[0], image.shape[1]))
        assert self.plan is not None
        self._bytes = 0
        frame, square = standardised(self._framed(image), self.plan.dtype)
        del image
        powers = ring_power(frame, self._length), ring_power(square, self._length)
        floor = variance_floor(square)
        step = self._step(powers[0])
        coarse = None
        if step:
            prepared = self._prepare(step)
            spectra = [prepared.grid.spectrum(self.library, one) for one in (frame, square)]
            del square
            coarse = self._coarse(prepared, spectra, powers)
        if coarse is None or _doubtful(coarse) > DOUBTFUL:
            why = "is not low-pass filtered" if coarse is None else "is almost constant in places"
            log.warning("the micrograph %s: it is searched by the method exact", why)
            del frame, coarse
            return self._by_exact(micrograph, exclude, on_template)
        if on_template is not None:
            on_template(len(self.bank))
        maps = self._settled(coarse, frame, floor, exclude)
        self.statistics.seconds = time.perf_counter() - start
        return maps

    def _by_exact(
        self, micrograph: Array, exclude: Array | None, on_template: Callable[[int], None] | None
    ) -> ScoreMap:
        """The map by the method exact, within the memory that is left for it."""
        bounded = isfinite(self.memory)
        if bounded:
            self._exact.keep_bytes, self._exact.memory = 0, self.memory - self._kept()
        maps = self._exact.run(micrograph, exclude=exclude, on_template=on_template)
        self.statistics = BandedStatistics(**vars(self._exact.statistics))
        assert self._exact.plan is not None
        self._bytes = max(self._bytes, self._kept() + self._exact.plan.bytes)
        if bounded:
            self._exact.close()
        return maps

    def _framed(self, image: Array) -> Array:
        """A micrograph with the margins that the plan wants."""
        assert self.plan is not None
        return np.pad(image, self.plan.margin, mode="reflect") if self.plan.margin else image

    def _kept(self) -> int:
        """Bytes that are kept between micrographs."""
        groups = [group for prepared in self._prepared.values() for group in prepared.groups]
        return turned_bytes(self._templates) + prepared_bytes(groups)

    def _plan_for(self, shape: tuple[int, int]) -> None:
        """Turn the templates, and note where each is scored in micrographs of `shape`."""
        if self.plan is not None and self.plan.micrograph == shape:
            return
        self._prepared.clear()
        self.plan, self._sums = None, None
        plan = make_plan(shape, self.bank, self.library, dtype=self.dtype, edges=self.edges,
                         threads=self.threads)
        templates = turned(self.bank, plan, self.memory)
        self.plan, self._templates, self._sums = plan, templates, DirectSums(templates)
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
        self._box = [part.stop - part.start for part in box]
        self._length = max(64, *self._box)
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

    def _prepare(self, step: int) -> Prepared:
        """The bank compressed for one step.

        Raises InputError if a micrograph cannot be searched with it within the memory allowed.
        """
        assert self.plan is not None
        plan, templates = self.plan, self._templates
        grid = CoarseGrid.over(plan.frame, step)
        if step not in self._prepared:
            length = -(-self._length // (2 * step)) * 2 * step
            if isfinite(self.memory):
                self._prepared.clear()
            for group in GROUPS:
                self._bytes = self._kept() + preparing_bytes(plan, templates, step, group, length)
                if self._bytes <= self.memory:
                    break
            require_memory(self._bytes, self.memory, plan)
            self._prepared[step] = Prepared(grid, [
                CompressedGroup(templates[k : k + group], self._windows[k : k + group], grid, length,
                                TOLERANCE, plan.dtype)
                for k in range(0, len(templates), group)
            ])
        prepared = self._prepared[step]
        searching = searching_bytes(plan, grid, prepared.groups, len(templates))
        self._bytes = max(self._bytes, self._kept() + searching)
        require_memory(self._bytes, self.memory, plan)
        return prepared

    def _coarse(self, prepared: Prepared, spectra: list[Array], powers: tuple[Array, Array]) -> Coarse:
        """All templates on the coarse grid, of the spectra there of T and of T^2 - 1."""
        grid, groups, step = prepared.grid, prepared.groups, prepared.grid.step
        score = np.full(grid.shape, NO_SCORE, spectra[0].real.dtype)
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
        between = of_least_error(step, self._energies.mean(0) * np.sqrt(powers[0])), polynomial(step)
        lost = np.concatenate([group.weights.errors(powers[0]) for group in groups])
        errors = np.hypot(lost, between[0].errors(self._energies, powers[0])).astype(score.dtype)
        lost = np.concatenate([group.masks.errors(powers[1])[group.mask_of] for group in groups])
        energies = np.concatenate([group.masks.energies[group.mask_of] for group in groups])
        mask_errors = np.hypot(lost, between[1].errors(energies, powers[1])).astype(score.dtype)
        missing = between[0].missing_peak(self._energies, powers[0]).astype(score.dtype)
        self.statistics = BandedStatistics(step=step, error=float(errors.max()))
        self.statistics.basis = sum(len(g.weights.spectra) + len(g.masks.spectra) for g in groups)
        self.statistics.counts.forward = 2
        self.statistics.counts.inverse = sum(group.transforms for group in groups)
        self.statistics.counts.templates = len(self.bank)
        of_weights = _inside(step, np.concatenate([group.weights.lost for group in groups]))
        of_masks = _inside(step, np.concatenate([group.masks.lost for group in groups]))
        of_weights += self._energies.mean(0) * between[0].blur
        of_masks += np.concatenate([group.masks.energies for group in groups]).mean(0) * between[1].blur
        strength = np.stack([self._strength(grid, spectrum, energies, power) for spectrum, energies, power
                             in zip(spectra, (of_weights, of_masks), powers, strict=True)])
        return Coarse(grid, groups, all_maps, score, index, inverse, lowest, errors, mask_errors, missing,
                      strength, between, self._rise(powers[0], step))

    def _strength(self, grid: CoarseGrid, spectrum: Array, energies: Array, power: Array) -> Array:
        """How much larger than `power` tells an error is around each coarse pixel: (ny, nx).

        The error is the correlation with something of the size of the templates that has `energies` (RADII,)
        in each ring: noise of that spectrum stands for it.
        """
        from scipy.ndimage import uniform_filter

        gain = np.sqrt(energies * self._length**2 / np.maximum(ring_sizes(self._length), 1))
        gain = gain.astype(spectrum.real.dtype)
        error = self.library.irfft2(spectrum * gain[grid.rings()], grid.shape)
        error *= error
        square = uniform_filter(error, [max(1, n // grid.step) for n in self._box], mode="wrap")
        square *= error.dtype.type(1 / (energies @ power))
        return np.asarray(np.sqrt(np.maximum(square, LEAST_STRENGTH**2, out=square), out=square))

    def _settled(
        self, coarse: Coarse, frame: Array, floor: tuple[Any, Any], exclude: Array | None
    ) -> ScoreMap:
        """The score map, exact where the peak rules look."""
        assert self.plan is not None
        assert self._sums is not None
        allowed = self._allowed if exclude is None else self._allowed & ~exclude
        fine = FineMap(coarse, frame, floor, self._sums, self.plan.margin, allowed)
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
