"""A search distributed over MPI ranks: whole micrographs, or shares of the template bank.

Rank 0 is the root. By micrographs it hands out the next one to whoever is free, itself included; by
templates it sends every micrograph to all ranks, each searches its share of the bank, and the maps are
reduced to the root. The result is that of one process, byte by byte.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gembench.engine.bank import TemplateBank
from gembench.engine.gpu.device import parse_device, uses_cpu
from gembench.engine.mpi.ranks import Distribution
from gembench.engine.mpi.reductions import (
    DEFAULT_REDUCTION,
    check_reduction,
    empty_maps,
    reduce_maps,
)
from gembench.engine.mpi.reductions.messages import spans, wait, wait_until
from gembench.engine.score_map import ScoreMap, finished
from gembench.engine.search import Counts, Search, ShareSearch, open_search
from gembench.errors import InputError

if TYPE_CHECKING:
    from mpi4py import MPI

    from gembench.engine.filters import LineFilter

Array = NDArray[Any]
Item = TypeVar("Item")
Result = TypeVar("Result")
ASK, ANSWER = 1, 2  # tags
POLL = 1e-3  # seconds between the root's looks for ranks that are free
LONGEST_BROADCAST = 1 << 30  # bytes of one broadcast


def choose(micrographs: int, cores: int) -> Distribution:
    """By templates when there are more cores than micrographs (gEMpicker 2013), else by micrographs."""
    return "templates" if cores > micrographs else "micrographs"


def hand_out(
    communicator: MPI.Intracomm, items: Sequence[Item], work: Callable[[Item], Result]
) -> Iterator[Result]:
    """On the root: have every item worked on by the rank that is free first, and yield what comes back.

    The other ranks call `take` with the same items. The root works too, on a thread of its own that makes no
    MPI call, while this one answers the others, so that an answer never waits for work to end. An error in
    the root's work is raised here.
    """
    left = deque(range(len(items)))
    own: queue.Queue[Result | BaseException] = queue.Queue()
    threading.Thread(target=_work_alone, args=(left, items, work, own), daemon=True).start()
    working, missing = communicator.size - 1, len(items)
    while working or missing:
        if communicator.Iprobe(tag=ASK):
            results, number = _answer(communicator, left)
            working -= number is None
        elif not own.empty():
            results = [own.get()]
        else:
            time.sleep(POLL)
            continue
        for result in results:
            if isinstance(result, BaseException):
                raise result
            missing -= 1
            yield result
    wait(communicator.Ibarrier())  # no rank asks for the next list before this one is done


def take(communicator: MPI.Intracomm, items: Sequence[Item], work: Callable[[Item], Result]) -> None:
    """On the other ranks: work on what the root hands out, until nothing is left."""
    results: list[Result] = []
    while True:
        wait(communicator.isend(results, 0, ASK))
        wait_until(lambda: communicator.Iprobe(0, ANSWER))
        number = communicator.recv(source=0, tag=ANSWER)
        if number is None:
            break
        results = [work(items[number])]
    wait(communicator.Ibarrier())


def _answer(communicator: MPI.Intracomm, left: deque[int]) -> tuple[list[Any], int | None]:
    """Receive what a rank has done and tell it the number of its next item, None if nothing is left."""
    from mpi4py import MPI

    status = MPI.Status()
    results = communicator.recv(tag=ASK, status=status)
    number = _next(left)
    wait(communicator.isend(number, status.source, ANSWER))
    return results, number


def _next(left: deque[int]) -> int | None:
    try:
        return left.popleft()
    except IndexError:
        return None


def _work_alone(
    left: deque[int], items: Sequence[Item], work: Callable[[Item], Result],
    done: queue.Queue[Result | BaseException],
) -> None:
    """Work while anything is left; an error goes where results go."""
    try:
        while (number := _next(left)) is not None:
            done.put(work(items[number]))
    except BaseException as error:
        done.put(error)


class SharedSearch(Search):
    """A search whose bank is divided over the ranks of a communicator; the root runs it.

    reduction: how the ranks' maps come together, see `reductions`
    device: see `open_search`; threads: of the CPU, which fold maps too; options: of the search
    The others call `serve`, until the root calls `close`; an error of which the other ranks do not know has
    to end them too, see `ranks.ending_together`.
    Raises InputError for an unknown reduction, and what `open_search` raises.
    """

    def __init__(
        self, communicator: MPI.Intracomm, bank: TemplateBank, *, reduction: str = DEFAULT_REDUCTION,
        device: str = "cpu", threads: int = 1, **options: Any,
    ) -> None:
        check_reduction(reduction)
        self.communicator, self.reduction, self._fold_threads = communicator, reduction, threads
        options |= {"share": (communicator.rank, communicator.size)}
        if parse_device(device) is None or uses_cpu(device):
            options |= {"threads": threads}
        search = open_search(bank, device=device, **options)
        assert isinstance(search, ShareSearch)
        self._search = search
        super().__init__(bank, method=search.method, library=search.library, dtype=search.dtype,
                         threads=search.threads, memory=search.memory)

    @property
    def memory(self) -> float:
        """Bytes that this rank's arrays must not exceed."""
        return self._search.memory

    @memory.setter
    def memory(self, limit: float) -> None:
        self._search.memory = limit

    def least_bytes(self, shape: tuple[int, int]) -> int:
        """What this rank's search takes: see `Search.least_bytes`."""
        return self._search.least_bytes(shape)

    @property
    def line_filter(self) -> LineFilter | None:
        """That every rank's devices put on the next micrographs."""
        return self._search.line_filter

    @line_filter.setter
    def line_filter(self, line_filter: LineFilter | None) -> None:
        self._search.line_filter = line_filter

    def run(
        self, micrograph: Array, *, exclude: Array | None = None,
        on_template: Callable[[int], None] | None = None,
    ) -> ScoreMap:
        """As `Search.run`; the transforms counted are those of all ranks. On the root only.

        on_template: is called for the templates of the root's share
        """
        image = np.ascontiguousarray(micrograph)
        exclude = None if exclude is None else np.ascontiguousarray(exclude, bool)
        if image.ndim != 2 or (exclude is not None and exclude.shape != image.shape):
            return self._search.run(image, exclude=exclude)  # which says what is wrong
        start = time.perf_counter()
        knowledge = None
        with suppress(InputError):  # which the search says
            knowledge = self._search.knowledge((image.shape[0], image.shape[1]))
        self._announce((image.dtype.str, image.shape, exclude is not None, knowledge, self.line_filter))
        self._broadcast(image)
        if exclude is not None:
            self._broadcast(exclude)
        whole = self._together(image, exclude, on_template)
        assert whole is not None
        self.statistics.seconds = time.perf_counter() - start
        return finished(whole, exclude)

    def serve(self) -> None:
        """Take part in the root's searches until it closes its search. On the others only."""
        while (announced := self._announce(None)) is not None:
            dtype, shape, has_exclude, knowledge, self.line_filter = announced
            if knowledge is not None:
                self._search.learn(knowledge)
            image = self._broadcast(np.empty(shape, dtype))
            exclude = self._broadcast(np.empty(shape, bool)) if has_exclude else None
            with suppress(InputError):  # the root has it too
                self._together(image, exclude)
        self._search.close()

    def close(self) -> None:
        """End the consumer threads; on the root also the other ranks' `serve`."""
        self._search.close()
        if self.communicator.rank == 0:
            self._announce(None)

    def _together(
        self, image: Array, exclude: Array | None, on_template: Callable[[int], None] | None = None
    ) -> ScoreMap | None:
        """The fold of all ranks' searches on the root. Raises an InputError on all ranks if any has one."""
        partial, problem = None, ""
        shape = (image.shape[0], image.shape[1])
        self._search.maps = empty_maps(self.communicator, shape, self._search.dtype, name=self.reduction)
        try:
            partial = self._search.partial(image, exclude=exclude, on_template=on_template)
        except InputError as error:
            problem = str(error)
        wait(self.communicator.Ibarrier())  # blocking calls may keep a core busy until all are there
        reports = self.communicator.allgather((problem, self._search.statistics.counts))
        problems = [(rank, text) for rank, (text, _) in enumerate(reports) if text]
        if problems:
            rank, text = problems[0]
            raise InputError(text if len(problems) == len(reports) else f"{text} (on rank {rank})")
        assert partial is not None
        self.statistics = replace(self._search.statistics, counts=_sum(counts for _, counts in reports))
        return reduce_maps(self.communicator, partial, name=self.reduction, threads=self._fold_threads)

    def _announce(self, message: tuple[str, tuple[int, ...], bool, Any, LineFilter | None] | None) -> Any:
        """The root's message on all ranks; the others may wait for long."""
        wait(self.communicator.Ibarrier())
        return self.communicator.bcast(message)

    def _broadcast(self, array: Array) -> Array:
        """Fill an array on all ranks with the root's."""
        data = array.reshape(-1).view(np.uint8)
        for part in spans(data.size, LONGEST_BROADCAST):
            self.communicator.Bcast(data[part])
        return array


def _sum(parts: Iterable[Counts]) -> Counts:
    total = Counts()
    for part in parts:
        total.add(part)
    return total
