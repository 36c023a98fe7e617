"""Progress on stderr: a bar with rate and remaining time on a terminal, a few plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TYPE_CHECKING, TextIO, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress, Task
    from rich.text import Text

T = TypeVar("T")
LINES = 10  # plain lines per loop, at most


def track(items: Iterable[T], total: int | None = None, description: str = "", quiet: bool = False,
          unit: str = "micrographs", stream: TextIO | None = None) -> Iterator[T]:
    """Yield the items and show how far the loop around them is.

    total: number of items; by len() if not given and known
    description: what is being done; unit: what the items are
    quiet: show nothing
    stream: where to, stderr if not given; a terminal gets a bar that goes away at the end
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    stream = stream or sys.stderr
    if quiet:
        yield from items
    elif stream.isatty():
        yield from _bar(items, total, description, unit, stream)
    else:
        yield from _lines(items, total, description, unit, stream)


def _bar(items: Iterable[T], total: int | None, description: str, unit: str, stream: TextIO) -> Iterator[T]:
    """The items under a rich progress bar."""
    with progress_bar(unit, stream) as progress:
        task = progress.add_task(description, total=total)
        for item in items:
            yield item
            progress.advance(task)


def progress_bar(unit: str, stream: TextIO) -> Progress:
    """A rich progress bar with count, rate and remaining time on a terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{rate(speed)} {unit}/s" if speed else "")

    return Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(),
                    TimeRemainingColumn(), console=Console(file=stream), transient=True)


class DownloadBar:
    """A rich bar in bytes with the few methods that pooch's downloaders call."""

    def __init__(self, description: str, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.progress import TransferSpeedColumn as Speed

        self.bar = Progress(TextColumn("{task.description}"), BarColumn(), DownloadColumn(), Speed(),
                            TimeRemainingColumn(), console=Console(file=stream), transient=True)
        self.task = self.bar.add_task(description, total=None)
        self.bar.start()

    @property
    def total(self) -> float | None:
        """Bytes in all, None while unknown."""
        return self.bar.tasks[0].total

    @total.setter
    def total(self, size: float) -> None:
        self.bar.update(self.task, total=size)

    def update(self, size: int) -> None:
        """`size` more bytes have come."""
        self.bar.advance(self.task, size)

    def reset(self) -> None:
        """Back to no bytes."""
        self.bar.update(self.task, completed=0)

    def close(self) -> None:
        """Take the bar away."""
        self.bar.stop()


def _lines(items: Iterable[T], total: int | None, description: str, unit: str, stream: TextIO) -> Iterator[T]:
    """The items, with a line now and then."""
    start, step = time.monotonic(), max(1, -(-(total or 100) // LINES))
    for done, item in enumerate(items, start=1):
        yield item
        if done % step and done != total:
            continue
        seconds = time.monotonic() - start
        line = f"{description}: {done} of {total}" if total else f"{description}: {done}"
        line += f" {unit}, {rate(done / seconds)}/s" if seconds > 0 else f" {unit}"
        if total and done < total:
            line += f", {duration(seconds / done * (total - done))} left"
        print(line, file=stream, flush=True)


def rate(per_second: float) -> str:
    """A rate to two or three digits: '0.42', '3.1', '120'."""
    digits = 2 if per_second < 1 else 1 if per_second < 100 else 0
    return f"{per_second:.{digits}f}"


def duration(seconds: float) -> str:
    """A duration as a person says it: '8 s', '3 min 20 s', '2 h 5 min'."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
