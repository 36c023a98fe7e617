"""Search: a template bank against micrographs, by one producer, a bounded queue and consumer threads.

The producer turns templates and puts them into the queue; it sleeps while the queue is full, so that memory
stays bounded, and the consumers sleep while it is empty. Every consumer folds into maps of its own, which
are merged at the end; the result does not depend on the number of consumers or the order of arrival.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import chain, repeat
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.bank import RotatedTemplate, TemplateBank
from gembench.engine.exact.correlator import Correlator, Frame
from gembench.engine.exact.exact import ExactCorrelator
from gembench.engine.exact.paper import PaperCorrelator
from gembench.engine.exact.plan import BATCH, Edges, Plan, make_plan, require_known
from gembench.engine.fft import FFTLibrary, fft_library
from gembench.engine.score_map import ScoreMap
from gembench.engine.search import Method, SearchStatistics, ShareSearch, checked
from gembench.errors import InputError

Array = NDArray[Any]
CORRELATORS: dict[str, Callable[[Plan, FFTLibrary, tuple[Array, Array] | None], Correlator]] = {
    "exact": ExactCorrelator,
    "paper": PaperCorrelator,
}


@dataclass(frozen=True)
class Work:
    """What travels through the queue: groups of templates of one mask, and whether more pieces share it."""

    groups: list[list[RotatedTemplate]]
    shared_mask: bool

    def __len__(self) -> int:
        return sum(map(len, self.groups))

    @property
    def bytes(self) -> int:
        """Size of the turned templates and masks."""
        return sum(one.weights.nbytes + one.mask.nbytes for group in self.groups for one in group)


class CPUSearch(ShareSearch):
    """The search of a bank, or of a share of it, on CPU threads.

    bank: the templates; method: 'exact' or 'paper'; library: an FFT library's name or 'auto'
    dtype: 'float32' or 'float64'; edges: see `plan.make_plan`; threads: consumer threads
    queue_depth: pieces of work that may wait; default two for every consumer
    keep_bytes: turned templates are kept between micrographs up to this size
    share: (part, parts): only this part of the bank is searched, counted from 0
    batch: most templates that a consumer of the exact method takes at once, at least 1
    memory: bytes that the search's arrays and the kept templates must not exceed
    """

    def __init__(
        self, bank: TemplateBank, *, method: Method = "exact", library: str = "auto", dtype: str = "float32",
        edges: Edges = "mask", threads: int = 1, queue_depth: int | None = None, keep_bytes: int = 2 << 30,
        share: tuple[int, int] = (0, 1), batch: int = BATCH, memory: float = inf,
    ) -> None:
        if queue_depth is not None and queue_depth < 1:
            raise InputError(f"queue depth {queue_depth}: give at least 1")
        require_known(method, dtype, edges, threads)
        self.indices = bank.share(*share)
        self.library: FFTLibrary = fft_library(library)
        super().__init__(bank, method=method, library=self.library, dtype=dtype, threads=threads,
                         memory=memory)
        self.edges, self.keep_bytes, self.batch = edges, keep_bytes, batch
        self.queue_depth = queue_depth or 2 * threads
        self.plan: Plan | None = None
        self._correlators: list[Correlator] = []
        self._kept: list[Work] = []
        self._kept_halves = 0
        self._pool: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """End the consumer threads and free their buffers."""
        if self._pool is not None:
            self._pool.shutdown()
        self._pool, self._correlators, self.plan = None, [], None

    def partial(
        self, micrograph: Array, *, exclude: Array | None = None,
        on_template: Callable[[int], None] | None = None,
    ) -> ScoreMap:
        """See `ShareSearch.partial`."""
        image = checked(micrograph, exclude)
        self._prepare((image.shape[0], image.shape[1]))
        assert self.plan is not None
        start = time.perf_counter()
        self.statistics = SearchStatistics()
        for correlator in self._correlators:
            correlator.reset()
        if self.plan.margin:
            image = np.pad(image, self.plan.margin, mode="reflect")
        frame = self._correlators[0].frame(image)
        self._produce_and_consume(frame, on_template)
        result = self.merged(self._correlators)
        self.statistics.seconds = time.perf_counter() - start
        return result

    def _prepare(self, shape: tuple[int, int]) -> None:
        """Plan and allocate for micrographs of `shape`, unless that is done."""
        maps = self.maps if self.maps is not None and self.maps[0].shape == shape else None
        if self.plan is not None and self.plan.micrograph == shape and (
            maps is None or self._correlators[0].score is maps[0]
        ):
            return
        self.close()
        self.plan = make_plan(
            shape, self.bank, self.library, method=self.method, dtype=self.dtype, edges=self.edges,
            threads=self.threads, templates=len(self.indices), batch=self.batch,
            memory=self.memory,
        )
        if self._kept and self.plan.halves < self._kept_halves:
            self._kept = []
        self._kept_halves = self.plan.halves
        correlator = CORRELATORS[self.method]
        self._correlators = [correlator(self.plan, self.library, maps)]
        self._correlators += [correlator(self.plan, self.library, None) for _ in range(1, self.threads)]
        self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="consumer")

    def _produce_and_consume(self, frame: Frame, on_template: Callable[[int], None] | None) -> None:
        assert self._pool is not None
        work: queue.Queue[Work | None] = queue.Queue(self.queue_depth)
        stop = threading.Event()
        consumers = [
            self._pool.submit(self._consume, correlator, frame, work, stop, on_template)
            for correlator in self._correlators
        ]
        try:
            self._produce(work, stop)
            wait(consumers, return_when=FIRST_EXCEPTION)
        finally:
            stop.set()
            wait(consumers)
        for consumer in consumers:
            self.statistics.consumer_wait += consumer.result()

    def _produce(self, work: queue.Queue[Work | None], stop: threading.Event) -> None:
        """Put every piece of work, then one end mark for every consumer; gives up when `stop` is set."""
        for piece in chain(self._pieces(), repeat(None, self.threads)):
            start = time.perf_counter()
            while not stop.is_set() and not _put(work, piece):
                pass
            if stop.is_set():
                return
            self.statistics.producer_wait += time.perf_counter() - start
            self.statistics.deepest_queue = max(self.statistics.deepest_queue, work.qsize())

    def _pieces(self) -> Iterator[Work]:
        """The bank in pieces of work; those that fit into `keep_bytes` are turned only once."""
        assert self.plan is not None
        yield from self._kept
        done = sum(map(len, self._kept))
        kept = sum(piece.bytes for piece in self._kept)
        for piece in grouped(self.bank, self.indices[done:], np.dtype(self.dtype), self.plan.halves):
            kept += piece.bytes
            if kept <= min(self.keep_bytes, self.memory - self.plan.bytes):
                self._kept.append(piece)
            yield piece

    def _consume(
        self, correlator: Correlator, frame: Frame, work: queue.Queue[Work | None], stop: threading.Event,
        on_template: Callable[[int], None] | None,
    ) -> float:
        """Process pieces until the end mark; returns the seconds spent waiting for work."""
        waited = 0.0
        try:
            while not stop.is_set():
                start = time.perf_counter()
                try:
                    piece = work.get(timeout=0.1)
                except queue.Empty:
                    continue
                finally:
                    waited += time.perf_counter() - start
                if piece is None:
                    break
                correlator.process(frame, piece.groups, shared_mask=piece.shared_mask)
                if on_template is not None:
                    on_template(len(piece))
        except BaseException:
            stop.set()
            raise
        return waited


def search(micrograph: Array, bank: TemplateBank, **options: Any) -> ScoreMap:
    """Correlate one micrograph (H, W) with a bank; `options` are those of `CPUSearch`."""
    with CPUSearch(bank, **options) as engine:
        return engine.run(micrograph)


def _put(work: queue.Queue[Work | None], piece: Work | None) -> bool:
    try:
        work.put(piece, timeout=0.1)
    except queue.Full:
        return False
    return True


def grouped(
    bank: TemplateBank, indices: Iterable[int], dtype: np.dtype[Any], transforms: int
) -> Iterator[Work]:
    """Turned templates in pieces of neighbours, those with the same mask in one group.

    A piece needs at most `transforms` inverse transforms, 2 for each mask and 1 for each template; with a
    mask that other pieces share it holds that mask only, and its transforms are not counted.
    """
    groups: list[list[RotatedTemplate]] = []
    free = transforms
    for index in indices:
        template = bank.rotated(index, dtype)
        shared = bank.disc_views[template.view]
        known = bool(groups) and template.mask_key == groups[-1][0].mask_key
        cost = 1 if known or shared else 3
        if groups and (cost > free or (not known and (shared or bank.disc_views[groups[0][0].view]))):
            yield Work(groups, bank.disc_views[groups[0][0].view])
            groups, free, known, cost = [], transforms, False, 1 if shared else 3
        if known:
            groups[-1].append(template)
        else:
            groups.append([template])
        free -= cost
        if shared and len(groups[-1]) == BATCH:
            free = 0
    if groups:
        yield Work(groups, bank.disc_views[groups[0][0].view])
