"""`CPUSearch`: a template bank against micrographs, by one producer, a bounded queue and consumer threads.

The producer puts into the queue which templates come next; it sleeps while the queue is full, so that memory
stays bounded, and the consumers sleep while it is empty. A consumer turns its templates and folds into maps
of its own; all consumers together prepare the micrograph and merge the maps at the end. The result does not
depend on the number of consumers or the order of arrival.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from itertools import chain, repeat
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.bank import TemplateBank
from gembench.engine.exact.blocks import BlockedTransform
from gembench.engine.exact.correlator import Correlator, Frame, Piece, grouped, slices
from gembench.engine.exact.exact import ExactCorrelator
from gembench.engine.exact.kernels import BLOCK
from gembench.engine.exact.paper import PaperCorrelator
from gembench.engine.exact.plan import BATCH, PYTHON_BLOCK, Edges, Plan, make_plan, require_known
from gembench.engine.fft import FFTLibrary, fft_library
from gembench.engine.score_map import ScoreMap, merge
from gembench.engine.search import Consumer, Method, SearchStatistics, ShareSearch, checked
from gembench.errors import InputError

Array = NDArray[Any]
CORRELATORS: dict[str, Callable[[Plan, FFTLibrary, tuple[Array, Array] | None], Correlator]] = {
    "exact": ExactCorrelator,
    "paper": PaperCorrelator,
}


class CPUSearch(ShareSearch):
    """The search of a bank, or of a share of it, on CPU threads.

    bank: the templates; method: 'exact' or 'paper'; library: an FFT library's name or 'auto'
    dtype: 'float32' or 'float64'; edges: see `plan.make_plan`; threads: consumer threads
    queue_depth: pieces of work that may wait; default two for every consumer
    keep_bytes: turned templates are kept between micrographs up to this size
    share: (part, parts): only this part of the bank is searched, counted from 0
    batch: most templates that a consumer of the exact method takes at once, at least 1
    memory: bytes that the search's arrays and the kept templates must not exceed

    kept_bytes: of the turned templates that are kept
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
        _ = bank.half_turn_views  # worked out now, not while the first micrograph waits
        self.library: FFTLibrary = fft_library(library)
        super().__init__(bank, method=method, library=self.library, dtype=dtype, threads=threads,
                         memory=memory)
        self.edges, self.keep_bytes, self.batch = edges, keep_bytes, batch
        self.queue_depth = queue_depth or 2 * threads
        self.plan: Plan | None = None
        self.kept_bytes = 0
        self._correlators: list[Correlator] = []
        self._slices: list[list[int]] = []
        self._slice_halves = 0
        self._kept: dict[int, list[Piece]] = {}
        self._keeping = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """End the consumer threads and free their buffers."""
        if self._pool is not None:
            self._pool.shutdown()
        self._pool, self._correlators, self.plan = None, [], None

    def release(self) -> None:
        """See `Search.release`."""
        self.close()

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
        self._share(lambda consumer, *_: consumer.reset())  # its memory is then its own core's
        if self.plan.margin:
            image = np.pad(image, self.plan.margin, mode="reflect")
        frame = self._correlators[0].frame(image, self._share)
        self._produce_and_consume(frame, on_template)
        result = self.merged(self._correlators)
        self.statistics.seconds = time.perf_counter() - start
        return result

    def knowledge(self, shape: tuple[int, int]) -> Any:
        """See `ShareSearch.knowledge`."""
        plan = self._planned(shape)
        if self.method == "paper":
            self.library.irfft2(self.library.rfft2(np.zeros(plan.transform, plan.dtype)), plan.transform)
        else:
            BlockedTransform(self.library, plan.transform, plan.dtype)
        return self.library.knowledge()

    def learn(self, knowledge: Any) -> None:
        """See `ShareSearch.learn`."""
        self.library.learn(knowledge)

    def least_bytes(self, shape: tuple[int, int]) -> int:
        """See `Search.least_bytes`."""
        return self._planned(shape, batch=1, memory=inf).bytes

    def _planned(self, shape: tuple[int, int], **others: Any) -> Plan:
        settings = {"batch": self.batch, "memory": self.memory} | others
        return make_plan(
            shape, self.bank, self.library, method=self.method, dtype=self.dtype, edges=self.edges,
            threads=self.threads, templates=len(self.indices), **settings,
            block=PYTHON_BLOCK if self.threads > 1 and not self.library.native else BLOCK,
        )

    def _prepare(self, shape: tuple[int, int]) -> None:
        """Plan and allocate for micrographs of `shape`, unless that is done."""
        maps = self.maps if self.maps is not None and self.maps[0].shape == shape else None
        if self.plan is not None and self.plan.micrograph == shape and (
            maps is None or self._correlators[0].score is maps[0]
        ):
            return
        self.close()
        self.plan = self._planned(shape)
        if not self._slices or self.plan.halves < self._slice_halves:
            self._slices = list(slices(self.bank, self.indices, self.plan.halves))
            self._slice_halves, self._kept, self.kept_bytes = self.plan.halves, {}, 0
        if self.kept_bytes > self.memory - self.plan.bytes:
            self._kept, self.kept_bytes = {}, 0
        correlator = CORRELATORS[self.method]
        self._correlators = [correlator(self.plan, self.library, maps)]
        self._correlators += [correlator(self.plan, self.library, None) for _ in range(1, self.threads)]
        self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="consumer")

    def _produce_and_consume(self, frame: Frame, on_template: Callable[[int], None] | None) -> None:
        assert self._pool is not None
        work: queue.Queue[list[int] | None] = queue.Queue(self.queue_depth)
        stop = threading.Event()
        consumers: list[Future[float]] = []
        try:  # from here on, since an interruption may come while they start
            for correlator in self._correlators:
                consumers.append(  # noqa: PERF401
                    self._pool.submit(self._consume, correlator, frame, work, stop, on_template)
                )
            self._produce(work, stop)
            wait(consumers, return_when=FIRST_EXCEPTION)
        finally:
            stop.set()
            wait(consumers)
        for consumer in consumers:
            self.statistics.consumer_wait += consumer.result()

    def _produce(self, work: queue.Queue[list[int] | None], stop: threading.Event) -> None:
        """Put every slice, then one end mark for each consumer; gives up when `stop` is set."""
        for indices in chain(self._slices_in_turn(), repeat(None, self.threads)):
            start = time.perf_counter()
            while not stop.is_set() and not _put(work, indices):
                pass
            if stop.is_set():
                return
            self.statistics.producer_wait += time.perf_counter() - start
            self.statistics.deepest_queue = max(self.statistics.deepest_queue, work.qsize())

    def _slices_in_turn(self) -> Iterable[list[int]]:
        """The indices of templates that a consumer takes at once; a search on GPUs too brings its own."""
        return self._slices

    def _pieces(self, indices: list[int]) -> Iterator[Piece]:
        """The templates of one slice, turned; those that fit into `keep_bytes` are turned only once."""
        assert self.plan is not None
        if indices[0] in self._kept:
            yield from self._kept[indices[0]]
            return
        pieces = []
        for piece in grouped(self.bank, indices, np.dtype(self.dtype), self.plan.halves):
            pieces.append(piece)
            yield piece
        size = sum(piece.bytes for piece in pieces)
        with self._keeping:
            if self.kept_bytes + size <= min(self.keep_bytes, self.memory - self.plan.bytes):
                self._kept[indices[0]] = pieces
                self.kept_bytes += size

    def _consume(
        self, correlator: Correlator, frame: Frame, work: queue.Queue[list[int] | None],
        stop: threading.Event, on_template: Callable[[int], None] | None,
    ) -> float:
        """Turn and process slices until the end mark; returns the seconds spent waiting for them."""
        waited = 0.0
        try:
            while not stop.is_set():
                start = time.perf_counter()
                try:
                    indices = work.get(timeout=0.1)
                except queue.Empty:
                    continue
                finally:
                    waited += time.perf_counter() - start
                if indices is None:
                    break
                for piece in self._pieces(indices):
                    correlator.process(frame, piece)
                    if on_template is not None:
                        on_template(len(piece))
        except BaseException:
            stop.set()
            raise
        return waited

    def _share(self, work: Callable[[Correlator, int, int], None]) -> None:
        """Have `work` done by all consumers: each gets its correlator, its number and how many there are."""
        assert self._pool is not None
        parts = len(self._correlators)
        for part in [self._pool.submit(work, correlator, number, parts)
                     for number, correlator in enumerate(self._correlators)]:
            part.result()

    def merged(self, consumers: Iterable[Consumer]) -> ScoreMap:
        """See `ShareSearch.merged`; each consumer folds some rows of all maps."""
        first, *others = consumers

        def merge_rows(_: Correlator, part: int, parts: int) -> None:
            height = len(first.score)
            rows = slice(part * height // parts, (part + 1) * height // parts)
            for other in others:
                merge(first.score[rows], first.index[rows], other.score[rows], other.index[rows])

        if others:
            self._share(merge_rows)
        for consumer in (first, *others):
            self.statistics.counts.add(consumer.counts)
        return ScoreMap(first.score, first.index)


def search(micrograph: Array, bank: TemplateBank, **options: Any) -> ScoreMap:
    """Correlate one micrograph (H, W) with a bank; `options` are those of `CPUSearch`."""
    with CPUSearch(bank, **options) as engine:
        return engine.run(micrograph)


def _put(work: queue.Queue[list[int] | None], indices: list[int] | None) -> bool:
    try:
        work.put(indices, timeout=0.1)
    except queue.Full:
        return False
    return True
