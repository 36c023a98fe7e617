"""GPUSearch: a template bank against micrographs on CUDA devices, one consumer thread a device.

The consumers take batches from one iterator and fold into maps of their own, which are merged at the end. A
score does not depend on the number of devices, the size of the batches or the order of arrival.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.bank import TemplateBank
from gembench.engine.exact.plan import Edges, make_plan
from gembench.engine.gpu import device as gpu
from gembench.engine.gpu.clock import StageClock
from gembench.engine.gpu.correlator import IN_FLIGHT, DeviceCorrelator
from gembench.engine.gpu.layouts import Layout
from gembench.engine.gpu.plan import GPUPlan, Storage, plan_search
from gembench.engine.gpu.turned_bank import TurnedBank, spline_pad
from gembench.engine.gpu.turns import NONE, Batch, batches, turns
from gembench.engine.score_map import ScoreMap
from gembench.engine.search import Method, SearchStatistics, ShareSearch, checked
from gembench.errors import InputError

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
    dtype, edges, share: as of `engine.exact.search.CPUSearch`; method: 'exact' only
    graph: replay recorded launches; without, every kernel is launched by itself, which is slower
    layout: of the kernels, None for the plain one

    Raises InputError for devices that are not there and for unknown choices.
    """

    def __init__(
        self, bank: TemplateBank, *, devices: Sequence[int] | None = None, method: Method = "exact",
        dtype: str = "float32", edges: Edges = "mask", share: tuple[int, int] = (0, 1),
        batch: int | None = None, spectra: Storage = "single", graph: bool = True,
        layout: Layout | None = None,
    ) -> None:
        if method != "exact":
            raise InputError(f"method '{method}' is not made for GPUs: choose exact, or --device cpu")
        if spectra not in ("single", "half"):
            raise InputError(f"spectra '{spectra}' are unknown: choose single or half")
        if spectra == "half" and dtype != "float32":
            raise InputError(f"spectra in half precision go with float32, not {dtype}: choose one of the two")
        if batch is not None and batch < 1:
            raise InputError(f"batch of {batch} templates: give at least 1")
        self._cupy = gpu.load_cupy()
        self.devices = gpu.checked(tuple(range(gpu.count()) if devices is None else devices))
        self.indices = bank.share(*share)
        super().__init__(bank, method=method, library=CudaTransforms(), dtype=dtype,
                         threads=len(self.devices))
        self.edges, self.spectra, self.batch = edges, spectra, batch
        self.plan: GPUPlan | None = None
        self._graph, self._layout = graph, layout
        self._told = turns(bank, share)
        self._turned: list[TurnedBank] = []
        self._correlators: list[DeviceCorrelator] = []
        self._pool: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """End the consumer threads and free the devices' memory."""
        if self._pool is not None:
            self._pool.shutdown()
        self._pool, self._correlators, self._turned, self.plan = None, [], [], None
        self._free()

    def partial(
        self, micrograph: Array, *, exclude: Array | None = None,
        on_template: Callable[[int], None] | None = None,
    ) -> ScoreMap:
        """See `ShareSearch.partial`."""
        image = checked(micrograph, exclude)
        self._prepare((image.shape[0], image.shape[1]))
        assert self.plan is not None
        assert self._pool is not None
        start = time.perf_counter()
        self.statistics = SearchStatistics()
        if margin := self.plan.base.margin:
            image = np.pad(image, margin, mode="reflect")
        work = _Batches(batches(self.bank, self._told, self.plan.pairs))
        consumers = [self._pool.submit(self._consume, correlator, image, work, on_template)
                     for correlator in self._correlators]
        try:
            for consumer in consumers:
                consumer.result()
        finally:
            work.stop()
        result = self.merged(self._correlators)
        self.statistics.seconds = time.perf_counter() - start
        return result

    def stage_seconds(self, micrograph: Array) -> dict[str, float]:
        """Seconds of device time that each stage of a search takes, measured by events around every launch.

        Launches are made one by one and one after another, so that the sum exceeds the time of `run`.
        """
        self._prepare((micrograph.shape[0], micrograph.shape[1]))
        clocks = [StageClock(self._cupy) for _ in self._correlators]
        for correlator, clock in zip(self._correlators, clocks, strict=True):
            correlator.clock = clock
        try:
            self.partial(micrograph)
        finally:
            for correlator in self._correlators:
                correlator.clock = None
        told = [clock.seconds() for clock in clocks]
        return {stage: sum(one.get(stage, 0.0) for one in told) for stage in told[0]}

    def _prepare(self, shape: tuple[int, int]) -> None:
        """Survey the bank, plan and allocate for micrographs of `shape`, unless that is done."""
        if self.plan is not None and self.plan.micrograph == shape:
            return
        base = make_plan(shape, self.bank, self.library, dtype=self.dtype, edges=self.edges)
        self._correlators, self.plan = [], None
        if not self._turned:
            self._turned = [self._on(index, TurnedBank, self._cupy, self.bank, self._told)
                            for index in self.devices]
        kinds = [batch.disc == NONE for batch in batches(self.bank, self._told, len(self._told))]
        infos = [gpu.info(index) for index in self.devices]
        plan = plan_search(base, self._turned[0].surveyed, self._told, min(info.shared for info in infos),
                           spectra=self.spectra, discs=not all(kinds), owns=any(kinds))
        if self._layout is not None:
            plan = plan.laid_out(self._layout)
        self._correlators = [self._correlator(info, turned, plan)
                             for info, turned in zip(infos, self._turned, strict=True)]
        self.plan = min((correlator.plan for correlator in self._correlators), key=lambda plan: plan.pairs)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(len(self.devices), thread_name_prefix="gpu")

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
        self, correlator: DeviceCorrelator, image: Array, work: _Batches,
        on_template: Callable[[int], None] | None,
    ) -> None:
        """One device's thread: the micrograph, then batches until none is left, then the maps."""
        try:
            correlator.frame(image)
            for batch in work:
                correlator.process(batch)
                _tell(on_template, correlator.completed(IN_FLIGHT))
            _tell(on_template, correlator.completed(0))
            correlator.finish()
        except BaseException:
            work.stop()
            raise


class _Batches:
    """Batches that several threads take from one iterator, until it ends or one of them stops it."""

    def __init__(self, source: Iterator[Batch]) -> None:
        self._source, self._lock, self._stopped = source, threading.Lock(), False

    def __iter__(self) -> Iterator[Batch]:
        while not self._stopped:
            with self._lock:
                batch = next(self._source, None)
            if batch is None:
                return
            yield batch

    def stop(self) -> None:
        """Nothing is given out any more."""
        self._stopped = True


def _tell(on_template: Callable[[int], None] | None, done: Iterator[int]) -> None:
    """Tell the caller of every batch that is done, as it is done."""
    for templates in done:
        if on_template is not None:
            on_template(templates)
