"""Progress on stderr: a display with rate and remaining time on a terminal, a few plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO, TypeVar

from gembench.text import printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

T = TypeVar("T")
LINES = 10  # plain lines per loop, at most
NARROW = 64  # columns below which the display's parts stand under each other
LONGEST_BAR = 40  # columns


@dataclass(frozen=True)
class Status:
    """What a loop is at.

    item: what is worked on now, such as the name of a micrograph
    count: what has come out so far, such as '1,204 picks'
    by: what works on it, such as '2 threads, fftw'
    """

    item: str = ""
    count: str = ""
    by: str = ""


class Pace:
    """How fast a loop advances and when it will end.

    total: number of items, None if it is not known
    workers: how many work at the same time, each on an item of its own; items then end in groups of so many,
        of which only whole ones are counted
    The first group is left out as soon as there is a second: it also compiles, plans transforms and fills
    the disk's cache.
    """

    def __init__(self, total: int | None, workers: int = 1,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self.total, self.workers, self.clock = total, max(1, workers), clock
        self.ends = [clock()]  # the start, then the end of every item

    @property
    def done(self) -> int:
        """Items that have ended."""
        return len(self.ends) - 1

    def advance(self) -> None:
        """One more item has ended."""
        self.ends.append(self.clock())

    @property
    def seconds_each(self) -> float | None:
        """Seconds from one end to the next; None before the first."""
        whole = self.done - self.done % self.workers
        if whole >= 2 * self.workers:
            return (self.ends[whole] - self.ends[self.workers]) / (whole - self.workers)
        return (self.ends[-1] - self.ends[0]) / self.done if self.done else None

    @property
    def left(self) -> float | None:
        """Seconds until the last item ends; None where nothing is known of it."""
        each = self.seconds_each
        if each is None or self.total is None:
            return None
        whole = (self.done - self.done % self.workers) or self.done
        planned = self.ends[whole] + (self.total - whole) * each - self.clock()
        not_begun = self.total - self.done - self.workers  # however late the others are
        return max(planned, not_begun * each, 0.0)

    @property
    def text(self) -> str:
        """The rate in the largest unit of time in which it is at least one: '3.1/s', '25/min', '2.4/h'."""
        each = self.seconds_each
        if not each:
            return ""
        unit, seconds = ("s", 1) if each <= 1 else ("min", 60) if each <= 60 else ("h", 3600)
        return f"{rate(seconds / each)}/{unit}"


def track(items: Iterable[T], total: int | None = None, description: str = "", quiet: bool = False,
          unit: str = "micrographs", stream: TextIO | None = None,
          status: Callable[[], Status] | None = None, workers: int = 1) -> Iterator[T]:
    """Yield the items and show how far the loop around them is.

    total: number of items; by len() if it is not given and there is one
    description: what is being done; unit: what the items are
    quiet: show nothing
    stream: where to, stderr if not given; a terminal gets a display that goes away at the end
    status: what the loop is at, asked whenever it is shown; workers: see `Pace`
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    stream, status = stream or sys.stderr, status or Status
    if quiet:
        yield from items
        return
    pace = Pace(total, workers)
    if stream.isatty() and (console := _console(stream)) is not None:
        yield from _live(items, console, Display(description, unit, pace, status))
    else:
        yield from _lines(items, description, unit, pace, status, stream)


def _console(stream: TextIO) -> Console | None:
    """A console for a terminal; None for one that cannot move its cursor."""
    from rich.console import Console

    console = Console(file=stream)
    return None if console.is_dumb_terminal else console


def _live(items: Iterable[T], console: Console, display: Display) -> Iterator[T]:
    """The items under a live display."""
    from rich.live import Live

    with Live(display, console=console, transient=True, refresh_per_second=4):
        for item in items:
            yield item
            display.pace.advance()


class Display:
    """What is seen of a loop on a terminal: a bar with rate and remaining time, and its status below.

    On a narrow terminal the parts stand under each other, each cut to the width.
    """

    def __init__(self, description: str, unit: str, pace: Pace, status: Callable[[], Status]) -> None:
        self.description, self.unit, self.pace, self.status = description, unit, pace, status

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lines for the width at hand."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        pace, status, width = self.pace, self.status(), options.max_width
        number = f"{pace.done:,} of {pace.total:,}" if pace.total else f"{pace.done:,}"
        left = f"{duration(pace.left)} left" if pace.left else ""  # nothing where an item is overdue
        narrow = width < NARROW
        parts = [part for part in (pace.text, left) if part]
        head = [Text(text, style, no_wrap=True, overflow="ellipsis") for text, style in (
            (self.description, "bold"), *((text, "") for text in [number, *([] if narrow else parts)]))]
        taken = sum(len(text) + 2 for text in head)
        bar = ProgressBar(pace.total, pace.done, width=max(4, min(LONGEST_BAR, width - taken)))
        row = Table.grid(padding=(0, 2, 0, 0))
        row.add_row(head[0], bar, *head[1:])
        yield row
        facts = [printable(text) for text in (status.count, status.by, status.item) if text]
        below = [", ".join(parts), *facts] if narrow else ["  ".join(facts)]
        for line in below:
            if line:
                text = Text(line, "dim", no_wrap=True, overflow="ellipsis")
                text.truncate(width, overflow="ellipsis")
                yield text


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


def _lines(items: Iterable[T], description: str, unit: str, pace: Pace, status: Callable[[], Status],
           stream: TextIO) -> Iterator[T]:
    """The items, with a line now and then."""
    total = pace.total
    step = max(1, -(-(total or 100) // LINES))
    for item in items:
        yield item
        pace.advance()
        if pace.done % step and pace.done != total:
            continue
        left = pace.left
        parts = [f"{description}: {pace.done} of {total} {unit}" if total else
                 f"{description}: {pace.done} {unit}", status().count, pace.text,
                 f"{duration(left)} left" if left is not None and total and pace.done < total else ""]
        print(", ".join(part for part in parts if part), file=stream, flush=True)


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
