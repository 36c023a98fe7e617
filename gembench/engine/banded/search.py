"""BandedSearch: the search on the band that a filter has left, and the exact formula where picks are.

1. The spectra of micrograph and templates decide a coarse grid; what lies beyond its band is measured.
2. The scores of all templates on the coarse grid come from a compressed bank (`basis`).
3. Cells of the coarse grid that may hold a score of interest are looked at pixel by pixel (`fine`).
4. Where the peak rules look (`peaks`), the best templates are summed directly at full resolution (`sums`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from gembench.engine.banded.basis import common_box, in_box, ring_energies
from gembench.engine.banded.coarse import Coarse, StepBank, search_coarse
from gembench.engine.banded.errors import BankRings
from gembench.engine.banded.grid import RADII, CoarseGrid, ring_power
from gembench.engine.banded.group import CompressedGroup
from gembench.engine.banded.map import EXACT, SEEN, FineMap
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
from gembench.engine.banded.workers import Workers
from gembench.engine.bank import TemplateBank
from gembench.engine.exact.plan import Edges, Plan, make_plan
from gembench.engine.exact.producer import CPUSearch
from gembench.engine.fft import FFTLibrary, fft_library
from gembench.engine.normalise import standardised, variance_floor
from gembench.engine.peaks import PeakSettings
from gembench.engine.score_map import ScoreMap
from gembench.engine.search import Search, SearchStatistics, checked

Array = NDArray[Any]
log = logging.getLogger("gembench")

STEPS = (8, 6, 5, 4, 3, 2)
BAND_ERROR = 1e-3  # rms of a numerator beyond the coarse band that is accepted, of the micrograph's sigma
RISE = 0.09  # of a peak's height that may hide between coarse pixels
TOLERANCE = 1e-3  # of the compression
DOUBTFUL = 5e-4  # part of the micrograph in which every template may have to be summed directly
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


class BandedSearch(Search):
    """The search of a bank in filtered micrographs, on CPU threads.

    bank, library, dtype, edges, threads: as for `CPUSearch`
    peaks: the rules that picks will be taken by. What they look at is exact: positions, scores and templates
        of `find_picks(maps, bank, peaks)` are those of the method exact while coarse scores are within 6
        standard errors, see the package's page. Other scores are approximate: the
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
        self._prepared: dict[int, StepBank] = {}
        self._bytes = 0
        self._sums: DirectSums | None = None
        self._workers = Workers(threads)

    def close(self) -> None:
        """End the threads and free what was kept."""
        self._exact.close()
        self._workers.close()
        self.plan, self._sums = None, None
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
        powers = self._ring_powers(frame, square)
        floor = variance_floor(square)
        step = self._step(powers[0])
        coarse = None
        if step:
            bank = self._prepare(step)
            spectra = [bank.grid.spectrum(self.library, image, self._workers.each)
                       for image in (frame, square)]
            del square
            coarse = search_coarse(bank, self._rings, self.library, spectra, powers,
                                   self._workers.each)
            self._note(coarse)
        if coarse is None or coarse.doubtful > DOUBTFUL:
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
        height, width = (part.stop - part.start for part in box)
        self._rings = BankRings(np.empty((len(templates), RADII)), max(64, height, width), (height, width))
        image = np.empty((1, height, width), plan.dtype)
        for energies, template in zip(self._rings.energies, templates, strict=True):
            in_box(template.weights, template.offset, box, image[0])
            energies[:] = ring_energies(image, self._rings.length)[0]

    def _ring_powers(self, frame: Array, square: Array) -> tuple[Array, Array]:
        """The powers by ring of T and of T^2 - 1."""
        of_frame, of_square = self._workers.each(lambda image: ring_power(image, self._rings.length),
                                                 (frame, square))
        return of_frame, of_square

    def _step(self, power: Array) -> int:
        """The widest step whose grid loses little of a micrograph of `power` by ring; 0 if none does."""
        for step in STEPS:
            if self._rings.beyond(power, step) <= BAND_ERROR and self._rings.rise(power, step)[0] <= RISE:
                return step
        return 0

    def _prepare(self, step: int) -> StepBank:
        """The bank compressed for one step.

        Raises InputError if a micrograph cannot be searched with it within the memory allowed.
        """
        assert self.plan is not None
        plan, templates = self.plan, self._templates
        grid = CoarseGrid.over(plan.frame, step)
        if step not in self._prepared:
            length = -(-self._rings.length // (2 * step)) * 2 * step
            if isfinite(self.memory):
                self._prepared.clear()
            for group in GROUPS:
                self._bytes = self._kept() + preparing_bytes(plan, templates, step, group, length)
                if self._bytes <= self.memory:
                    break
            require_memory(self._bytes, self.memory, plan)
            self._prepared[step] = StepBank(grid, [
                CompressedGroup(templates[k : k + group], self._windows[k : k + group], grid, length,
                                TOLERANCE, plan.dtype)
                for k in range(0, len(templates), group)
            ])
        prepared = self._prepared[step]
        searching = searching_bytes(plan, grid, prepared.groups, templates)
        self._bytes = max(self._bytes, self._kept() + searching)
        require_memory(self._bytes, self.memory, plan)
        return prepared

    def _note(self, coarse: Coarse) -> None:
        """Begin the statistics of a micrograph."""
        groups = coarse.groups
        self.statistics = BandedStatistics(step=coarse.grid.step, error=float(coarse.errors.numerator.max()))
        self.statistics.basis = sum(len(g.weights.spectra) + len(g.masks.spectra) for g in groups)
        self.statistics.counts.forward = 2
        self.statistics.counts.inverse = sum(group.transforms for group in groups)
        self.statistics.counts.templates = len(self.bank)

    def _settled(
        self, coarse: Coarse, frame: Array, floor: tuple[Any, Any], exclude: Array | None
    ) -> ScoreMap:
        """The score map, exact where the peak rules look."""
        assert self.plan is not None
        assert self._sums is not None
        allowed = self._allowed if exclude is None else self._allowed & ~exclude
        fine = FineMap(coarse, frame, floor, self._sums, self.plan.margin, allowed, self._workers.each)
        if self.peaks.rule == "nms":
            settle_maxima(fine, self.peaks)
        else:
            settle_walk(fine, self.peaks, self.bank, self._masks)
        self.statistics.seen = int((fine.state >= SEEN).sum())
        self.statistics.exact = int((fine.state == EXACT).sum())
        return fine.finished()
