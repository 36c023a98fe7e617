"""The search on GPUs and CPU threads together: devices take from the front of a queue, the CPU from its back.

A template takes a CPU a hundred times as long as a device. So the CPU takes one only while the devices, at
the pace that they show, will still be busy when it is done: it shortens a search or leaves it as it is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.bank import TemplateBank
from gembench.engine.exact.correlator import slices
from gembench.engine.exact.producer import CPUSearch
from gembench.engine.gpu.batch_queue import BatchQueue
from gembench.engine.gpu.plan import GPUPlan
from gembench.engine.gpu.search import GPUSearch
from gembench.engine.gpu.watch import Progress
from gembench.engine.score_map import ScoreMap, merge
from gembench.engine.search import Method, ShareSearch, Transforms, checked

Array = NDArray[Any]
CAUTION = 1.5  # times what the CPU is expected to take that the devices must still have to do
LOOK = 2e-3  # seconds between looks at the devices' pace, before it is known


class Pace:
    """The devices' pace in one micrograph, by what they have done so far."""

    def __init__(self) -> None:
        self._start, self._done, self._last = time.perf_counter(), 0, 0.0
        self._lock = threading.Lock()

    def __call__(self, templates: int) -> None:
        """So many more are done."""
        with self._lock:
            self._done += templates
            self._last = time.perf_counter()

    def seconds(self, templates: int) -> float | None:
        """What the devices will take for so many; None while none is done."""
        with self._lock:
            return (self._last - self._start) / self._done * templates if self._done else None


class MixedSearch(ShareSearch):
    """The search of a bank, or of a share of it, on CUDA devices and CPU threads.

    threads: of the CPU, of which each device's own takes one; library, memory: as of `CPUSearch`
    devices and all other options: as of `GPUSearch`

    expected: seconds that the CPU takes for its least part of a micrograph of that shape
    helped: templates of the latest micrograph that the CPU took
    Raises what either of them raises.
    """

    def __init__(
        self, bank: TemplateBank, *, devices: Sequence[int] | None = None, method: Method = "exact",
        threads: int = 1, library: str = "auto", dtype: str = "float32", memory: float = inf,
        edges: Any = "mask", share: tuple[int, int] = (0, 1), **options: Any,
    ) -> None:
        self._gpu = GPUSearch(bank, devices=devices, method=method, dtype=dtype, edges=edges, share=share,
                              **options)
        helpers = max(threads - len(self._gpu.devices), 1)
        self._cpu = _Helper(bank, library=library, dtype=dtype, edges=edges, threads=helpers, queue_depth=1,
                            keep_bytes=0, memory=memory)
        super().__init__(bank, method=method, library=_Both(self._gpu.library, self._cpu.library),
                         dtype=dtype, threads=len(self._gpu.devices) + helpers, memory=memory)
        self.expected: dict[tuple[int, int], float] = {}
        self.helped = 0

    @property
    def devices(self) -> tuple[int, ...]:
        """The GPUs, by number."""
        return self._gpu.devices

    @property
    def plan(self) -> GPUPlan | None:
        """The devices'."""
        return self._gpu.plan

    def least_bytes(self, shape: tuple[int, int]) -> int:
        """What the processor's part takes: see `Search.least_bytes`."""
        return self._cpu.least_bytes(shape)

    def close(self) -> None:
        """End the threads, and free what was allocated on both."""
        self._gpu.close()
        self._cpu.close()

    def partial(
        self, micrograph: Array, *, exclude: Array | None = None,
        on_template: Callable[[int], None] | None = None,
    ) -> ScoreMap:
        """See `ShareSearch.partial`."""
        image = checked(micrograph, exclude)
        shape = image.shape[0], image.shape[1]
        self._gpu.prepare(shape)
        self._cpu.memory, self._gpu.maps = self.memory, self.maps
        if shape not in self.expected:
            self.expected[shape] = self._cpu_seconds(shape)
        start, work, pace, self.helped = time.perf_counter(), self._gpu.batches(), Pace(), 0

        def on_device(templates: int) -> None:
            pace(templates)
            if on_template is not None:
                on_template(templates)

        def help_out() -> None:
            while pace.seconds(1) is None and work.left:
                time.sleep(LOOK)
            if self._pays(work, pace, shape):
                self._cpu.source = self._taken(work, pace, shape)
                self._cpu.partial(image, on_template=on_template)

        jobs = [*self._gpu.jobs(image, work, on_device), (Progress("CPU", watched=False), help_out)]
        self._gpu.work_together(jobs, work)
        whole = self._gpu.collected(start)
        self.statistics = self._gpu.statistics
        if self.helped:
            own = self._cpu.maps_of_all()
            merge(whole.score, whole.index, own.score, own.index)
            self.statistics.counts.add(self._cpu.statistics.counts)
            self.statistics.seconds = time.perf_counter() - start
        return whole

    def _pays(self, work: BatchQueue, pace: Pace, shape: tuple[int, int]) -> bool:
        """Whether the devices will be busy for longer than the CPU takes for one more template a thread."""
        left = pace.seconds(work.left)
        return left is not None and left > CAUTION * self.expected[shape]

    def _taken(self, work: BatchQueue, pace: Pace, shape: tuple[int, int]) -> Iterator[int]:
        """Indices of templates from the back of the queue, for as long as it pays."""
        while self._pays(work, pace, shape) and (last := work.take_last()) is not None:
            for index in self._gpu.indices_of(last):
                self.helped += 1
                yield index

    def _cpu_seconds(self, shape: tuple[int, int]) -> float:
        """Seconds that the CPU takes for a micrograph and one group of templates a thread; planned before."""
        noise = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        some = self._gpu.indices[: 4 * self._cpu.threads]
        for _ in range(2):
            self._cpu.source = some
            self._cpu.partial(noise)
        return self._cpu.statistics.seconds


class _Helper(CPUSearch):
    """A search of whatever templates `source` names, drawn when a thread is free."""

    source: Iterable[int] = ()

    def _slices_in_turn(self) -> Iterable[list[int]]:
        assert self.plan is not None
        return slices(self.bank, self.source, self.plan.halves)

    def maps_of_all(self) -> ScoreMap:
        """The maps of the latest micrograph."""
        return ScoreMap(self._correlators[0].score, self._correlators[0].index)


class _Both:
    """The transforms of a search on both, as it names its library."""

    def __init__(self, gpu: Transforms, cpu: Transforms) -> None:
        self._parts = gpu, cpu
        self.name = f"{gpu.name}+{cpu.name}"

    def fast_size(self, n: int) -> int:
        """The CPU's: a device's tiles are sized by its plan."""
        return self._parts[1].fast_size(n)

    def version(self) -> str:
        """Of both."""
        return ", ".join(part.version() for part in self._parts)
