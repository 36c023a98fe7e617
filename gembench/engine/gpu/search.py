"""GPUSearch: a template bank against micrographs on CUDA devices, one consumer thread a device.

The consumers take batches from one iterator and fold into maps of their own, which are merged at the end. A
score does not depend on the number of devices, the size of the batches or the order of arrival.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.bank import TemplateBank
from gembench.engine.exact.plan import Edges, make_plan
from gembench.engine.filters import LineFilter
from gembench.engine.gpu import contest
from gembench.engine.gpu import device as gpu
from gembench.engine.gpu.batch_queue import BatchQueue
from gembench.engine.gpu.clock import StageClock
from gembench.engine.gpu.correlator import IN_FLIGHT, DeviceCorrelator
from gembench.engine.gpu.layouts import Layout
from gembench.engine.gpu.plan import GPUPlan, Storage, plan_search
from gembench.engine.gpu.turned_bank import TurnedBank, spline_pad
from gembench.engine.gpu.turns import NONE, Batch, batches, turns
from gembench.engine.gpu.watch import STALL_LIMIT, Job, Progress, work_together
from gembench.engine.score_map import ScoreMap
from gembench.engine.search import Method, SearchStatistics, ShareSearch, checked
from gembench.errors import InputError, StalledError

Array = NDArray[Any]


class CudaTransforms:
    """The engine's own transforms on a GPU, as a search names its FFT library."""

    name = "cuda"

    def fast_size(self, n: int) -> int:
        """Tiles are sized by the plan; nothing is padded."""
        return n

    def version(self) -> str:
        """The version of CuPy, which compiles and launches the kernels."""
        return f"CuPy {gpu.load_cupy().__version__}"


class GPUSearch(ShareSearch):
    """The search of a bank, or of a share of it, on CUDA devices.

    devices: by number, None for all; batch: templates a device works on at once, None for as many as pay
    spectra: 'half' stores spectra and products of templates in half precision; sigma keeps the full one
    dtype, edges, share: as of `engine.exact.producer.CPUSearch`; method: 'exact' only
    graph: replay recorded launches; without, every kernel is launched by itself, which is slower
    layout: of the kernels, None for the fastest, see `contest.fastest`
    stall_limit: seconds after which a device that works on the same batch is given up

    Raises InputError for devices that are not there and for unknown choices; StalledError from `run`, after
    which the search must not be used.
    """

    def __init__(
        self, bank: TemplateBank, *, devices: Sequence[int] | None = None, method: Method = "exact",
        dtype: str = "float32", edges: Edges = "mask", share: tuple[int, int] = (0, 1),
        batch: int | None = None, spectra: Storage = "single", graph: bool = True,
        layout: Layout | None = None, stall_limit: float = STALL_LIMIT,
    ) -> None:
        if method != "exact":
            raise InputError(f"method '{method}' is not made for GPUs: choose exact, or --device cpu")
        if spectra not in ("single", "half"):
            raise InputError(f"spectra '{spectra}' are unknown: choose single or half")
        if spectra == "half" and dtype != "float32":
            raise InputError(f"spectra in half precision go with float32, not {dtype}: choose one of the two")
        if batch is not None and batch < 1:
            raise InputError(f"batch of {batch} templates: give at least 1")
        if not stall_limit > 0:
            raise InputError(f"stall limit of {stall_limit:g} s: give more than 0, such as {STALL_LIMIT:g}")
        self._cupy = gpu.load_cupy()
        self.devices = gpu.checked(tuple(range(gpu.count()) if devices is None else devices))
        self.indices = bank.share(*share)
        super().__init__(bank, method=method, library=CudaTransforms(), dtype=dtype,
                         threads=len(self.devices))
        self.edges, self.spectra, self.batch = edges, spectra, batch
        self.plan: GPUPlan | None = None
        self.stall_limit, self._graph, self._layout = stall_limit, graph, layout
        self._slots, self._stalled = turns(bank, share), False
        self._infos: list[gpu.DeviceInfo] = []
        self._turned: list[TurnedBank] = []
        self._correlators: list[DeviceCorrelator] = []

    def close(self) -> None:
        """Free the devices' memory."""
        if self._stalled:
            return
        self._correlators, self._turned, self.plan = [], [], None
        self._free()

    def partial(
        self, micrograph: Array, *, exclude: Array | None = None,
        on_template: Callable[[int], None] | None = None,
    ) -> ScoreMap:
        """See `ShareSearch.partial`."""
        image = checked(micrograph, exclude)
        self.prepare((image.shape[0], image.shape[1]))
        start, work = time.perf_counter(), self.batches()
        self.work_together(self.jobs(image, work, on_template), work)
        return self.collected(start)

    def batches(self) -> BatchQueue:
        """The work of one micrograph."""
        assert self.plan is not None
        return BatchQueue(batches(self.bank, self._slots, self.plan.pairs))

    def indices_of(self, batch: Batch) -> list[int]:
        """The templates of this share in a batch."""
        indices = self._slots["index"][2 * batch.first : 2 * (batch.first + batch.pairs)]
        return [int(index) for index in indices if index != NONE]

    def jobs(
        self, image: Array, work: BatchQueue, on_template: Callable[[int], None] | None = None
    ) -> list[Job]:
        """What every device's thread is to do with a micrograph (H, W) that is `checked` and prepared for."""
        assert self.plan is not None
        if (margin := self.plan.base.margin) and self.line_filter is None:
            image = np.pad(image, margin, mode="reflect")
        jobs: list[Job] = []
        for info, correlator in zip(self._infos, self._correlators, strict=True):
            progress = Progress(f"GPU {info.index} ({info.name})")
            jobs.append((progress, partial(self._consume, progress, correlator, image, work, on_template,
                                           line_filter=self.line_filter)))
        return jobs

    def work_together(self, jobs: list[Job], work: BatchQueue) -> None:
        """Do the jobs; a search whose device stalls touches no device any more."""
        try:
            work_together(jobs, work.stop, self.stall_limit)
        except StalledError:
            self._stalled = True
            raise

    def collected(self, start: float) -> ScoreMap:
        """The devices' maps as one, and the statistics of a search that began at `start`."""
        self.statistics = SearchStatistics()
        whole = self.merged(self._correlators)
        if self.maps is not None and self.maps[0].shape == whole.score.shape:
            for target, source in zip(self.maps, (whole.score, whole.index), strict=True):
                np.copyto(target, source)
            whole = ScoreMap(*self.maps)
        self.statistics.device_seconds = sum(correlator.busy for correlator in self._correlators)
        self.statistics.seconds = time.perf_counter() - start
        return whole

    def stage_seconds(self, micrograph: Array) -> dict[str, float]:
        """Seconds of device time that each stage of a search takes, measured by events around every launch.

        Launches are made one by one and one after another, so that the sum exceeds the time of `run`.
        """
        self.prepare((micrograph.shape[0], micrograph.shape[1]))
        clocks = [StageClock(self._cupy) for _ in self._correlators]
        for correlator, clock in zip(self._correlators, clocks, strict=True):
            correlator.clock = clock
        try:
            self.partial(micrograph)
        finally:
            for correlator in self._correlators:
                correlator.clock = None
        timings = [clock.seconds() for clock in clocks]
        return {stage: sum(timing.get(stage, 0.0) for timing in timings) for stage in timings[0]}

    def prepare(self, shape: tuple[int, int]) -> None:
        """Survey the bank, plan and allocate for micrographs of `shape`, unless that is done."""
        if self.plan is not None and self.plan.micrograph == shape:
            return
        base = make_plan(shape, self.bank, self.library, dtype=self.dtype, edges=self.edges)
        self._correlators, self.plan = [], None
        if not self._turned:
            self._turned = [self._on(index, TurnedBank, self._cupy, self.bank, self._slots)
                            for index in self.devices]
        kinds = [batch.disc == NONE for batch in batches(self.bank, self._slots, len(self._slots))]
        self._infos = [gpu.info(index) for index in self.devices]
        shared_limit = min(info.shared for info in self._infos)
        plan = plan_search(base, self._turned[0].surveyed, self._slots, shared_limit,
                           spectra=self.spectra, discs=not all(kinds), owns=any(kinds))
        layout = self._layout or contest.fastest(
            plan, self._infos[0], shared_limit, gpu.versions(),
            lambda layout: self._trial(plan.laid_out(layout)))
        plan = plan.laid_out(layout)
        self._correlators = [self._correlator(info, turned, plan)
                             for info, turned in zip(self._infos, self._turned, strict=True)]
        self.plan = min((correlator.plan for correlator in self._correlators), key=lambda plan: plan.pairs)

    def _trial(self, plan: GPUPlan) -> tuple[float, Array]:
        """Seconds that the first device takes for a few templates as planned, and their scores."""
        correlator = self._correlator(self._infos[0], self._turned[0], plan)
        first = self._slots[: contest.TEMPLATES]
        noise = np.random.default_rng(0).normal(size=(plan.y.frame, plan.x.frame)).astype(np.float32)
        progress = Progress(f"GPU {self._infos[0].index} ({self._infos[0].name})")
        seconds: list[float] = []

        def measure() -> None:
            for turn in range(3):  # the first loads the kernels and records them
                work = BatchQueue(batches(self.bank, first, correlator.plan.pairs))
                start = time.perf_counter()
                self._consume(progress, correlator, noise, work, None, f"layout of {plan.layout}: ")
                seconds.append(time.perf_counter() - start if turn else np.inf)

        self.work_together([(progress, measure)], BatchQueue([]))
        return min(seconds), np.array(correlator.score)

    def _correlator(self, info: gpu.DeviceInfo, turned: TurnedBank, plan: GPUPlan) -> DeviceCorrelator:
        """The buffers on one device, with half the batch as often as the memory does not suffice."""
        self._free()
        free = int(self._on(info.index, self._cupy.cuda.runtime.memGetInfo)[0])
        fitting = plan.on(info, free, self.batch)
        while True:
            try:
                return DeviceCorrelator(self._cupy, info.index, turned, fitting, spline_pad(self.bank),
                                        graph=self._graph)
            except self._cupy.cuda.memory.OutOfMemoryError:
                self._free()
                if fitting.pairs == 1:
                    raise InputError(fitting.too_large(info, free)) from None
                fitting = fitting.halved()

    def _on(self, index: int, function: Callable[..., Any], *args: Any) -> Any:
        """What `function` returns when called with device `index` current."""
        with self._cupy.cuda.Device(index):
            return function(*args)

    def _free(self) -> None:
        """Give memory that is no longer used back to the devices."""
        for index in self.devices:
            self._on(index, self._cupy.get_default_memory_pool().free_all_blocks)

    def _consume(
        self, progress: Progress, correlator: DeviceCorrelator, image: Array, work: BatchQueue,
        on_template: Callable[[int], None] | None, what: str = "", line_filter: LineFilter | None = None,
    ) -> None:
        """One device's thread: the micrograph, then batches until none is left, then the maps."""
        numbers: list[int] = []

        def wait_for(running: int) -> None:
            for templates in correlator.completed(running):
                if templates:
                    numbers.pop(0)
                    if on_template is not None:
                        on_template(templates)
                progress(f"{what}batch {numbers[0]} of {work.count}" if numbers else f"{what}the maps")

        progress(f"{what}the micrograph's spectra")
        correlator.frame(image, line_filter)
        for number, batch in work:
            correlator.process(batch)
            numbers.append(number)
            wait_for(IN_FLIGHT)
        wait_for(0)
        correlator.finish()
