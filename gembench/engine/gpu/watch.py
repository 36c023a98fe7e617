"""Threads that work on devices, and a watch over each: a device that does not advance ends the search.

A kernel that never ends keeps its thread in the driver, where nothing reaches it. So the threads are daemons,
and who waits for them looks at what each did last.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence

from gembench.errors import StalledError

STALL_LIMIT = 60.0  # seconds; the slowest batch measured, 8192^2 in double precision, takes a third of one
TICK = 0.25  # seconds between looks, at the most


class Progress:
    """What one device works on, and since when.

    device: as errors name it; watched: whether it may be given up
    """

    def __init__(self, device: str, *, watched: bool = True) -> None:
        self.device, self.watched = device, watched
        self.doing, self.since = "nothing", time.monotonic()

    def __call__(self, doing: str) -> None:
        """The device works on this; what it already worked on does not begin anew."""
        if doing != self.doing:
            self.doing, self.since = doing, time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has."""
        return time.monotonic() - self.since


Job = tuple[Progress, Callable[[], None]]


def work_together(jobs: Sequence[Job], stop: Callable[[], None], limit: float = STALL_LIMIT) -> None:
    """Run every job on a thread of its own, and wait for all of them.

    If one fails, `stop` is called, which is to let the others end; its error is raised when all have ended.
    Raises StalledError, naming the device, if one works on the same for more than `limit` seconds; its thread
    is then left alone.
    """
    ended: queue.SimpleQueue[tuple[int, BaseException | None]] = queue.SimpleQueue()
    errors: list[BaseException] = []
    running = set(range(len(jobs)))
    for number, (progress, job) in enumerate(jobs):
        threading.Thread(target=_run, args=(number, job, ended), daemon=True, name=progress.device).start()
    while running:
        try:
            number, error = ended.get(timeout=min(TICK, limit))
        except queue.Empty:
            for number in running:
                _require_advancing(jobs[number][0], stop, limit)
            continue
        except KeyboardInterrupt as interrupt:  # once; a second one is not waited for
            if errors:
                raise
            number, error = -1, interrupt
        running.discard(number)
        if error is not None:
            errors.append(error)
            stop()
    if errors:
        raise errors[0]


def _run(
    number: int, job: Callable[[], None], ended: queue.SimpleQueue[tuple[int, BaseException | None]]
) -> None:
    try:
        job()
    except BaseException as error:
        ended.put((number, error))
    else:
        ended.put((number, None))


def _require_advancing(progress: Progress, stop: Callable[[], None], limit: float) -> None:
    if progress.watched and progress.seconds > limit:
        stop()
        raise StalledError(f"{progress.device}: {progress.doing} not done after {limit:g} s; is the device"
                           " well (nvidia-smi)? A slower one needs a larger --stall-limit")
