"""Progress: remaining time by a planted clock, the display at any width, what it says of a run."""

from __future__ import annotations

import io
import random
import re

import pytest
from rich.console import Console

from gembench.progress import Display, Pace, Status, track


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def ends(count: int, workers: int, first: float, seed: int) -> list[float]:
    """When `count` items end that take 10 s each, a fifth more or less, and the first of a worker longer."""
    rng, free, times = random.Random(seed), [0.0] * workers, []
    for number in range(count):
        worker = free.index(min(free))
        free[worker] += first if number < workers else rng.uniform(8, 12)
        times.append(free[worker])
    return sorted(times)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("first", [10, 60], ids=["even", "slow first"])
@pytest.mark.parametrize(("count", "workers"), [(40, 1), (200, 4)])
def test_the_remaining_time_is_right_within_a_fifth_after_a_tenth(count, workers, first, seed):
    clock, times = Clock(), ends(count, workers, first, seed)
    start, seen = clock.now, 0
    pace = Pace(count, workers, clock)
    assert pace.left is None
    for number, end in enumerate(times[:-1], 1):
        clock.now = start + end
        pace.advance()
        remains = times[-1] - end
        if number >= count / 10 and remains > 30:  # the last items of several workers end in any order
            assert pace.left == pytest.approx(remains, rel=0.2)
            seen += 1
            clock.now += 3  # and while the next is worked on
            assert pace.left == pytest.approx(remains - 3, rel=0.2)
    assert seen > count / 2


def test_an_item_that_takes_long_leaves_the_time_of_those_behind_it():
    clock = Clock()
    pace = Pace(10, 1, clock)
    for _ in range(4):
        clock.now += 10
        pace.advance()
    clock.now += 1000
    assert pace.left == pytest.approx(50)
    assert pace.text == "6.0/min"


@pytest.mark.parametrize(("seconds", "text"), [(0.25, "4.0/s"), (2, "30.0/min"), (90, "40.0/h")])
def test_a_rate_has_a_unit_in_which_it_is_above_one(seconds, text):
    clock = Clock()
    pace = Pace(None, 1, clock)
    assert pace.text == ""
    clock.now += seconds
    pace.advance()
    assert pace.text == text
    assert pace.left is None


def shown(width: int, **options: str) -> list[str]:
    """The lines of a display half way."""
    clock = Clock()
    pace = Pace(40, 1, clock)
    for _ in range(20):
        clock.now += 10
        pace.advance()
    status = Status(**{"item": "FoilHole_9876_Data_1234.mrc", "count": "1,204 picks so far",
                       "by": "2 threads, fftw"} | options)
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(Display("Picking", "micrographs", pace, lambda: status))
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [12, 25, 40, 63, 64, 80, 200])
def test_the_display_fits_any_width(width):
    lines = shown(width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    if width >= 25:
        for part in ("Picking", "20 of 40", "6.0/min", "3 min 20 s left", "FoilHole", "1,204 picks", "2 thr"):
            assert part in text, part
    assert len(lines) == (2 if width >= 64 else 5)


def test_names_are_neither_markup_nor_control_characters():
    text = "\n".join(shown(100, item="[bold]a[/bold]\x1b[31m\n.mrc"))
    assert "[bold]a[/bold]?[31m?.mrc" in text


def test_the_display_says_what_the_loop_is_at_and_goes_away(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream, at = Terminal(), []
    at.extend(track("abc", description="Picking", stream=stream, status=lambda: Status("a.mrc", "7 picks")))
    assert at == ["a", "b", "c"]
    text = stream.getvalue()
    assert "3 of 3" in text
    assert re.search(r"7 picks +a\.mrc", text)
    assert text.endswith("\x1b[2K")  # the display's lines are erased


def test_a_terminal_without_a_cursor_gets_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    list(track("ab", description="Picking", stream=stream, status=lambda: Status("a", "7 picks")))
    assert [line.split(",")[:2] for line in stream.getvalue().splitlines()] == [
        ["Picking: 1 of 2 micrographs", " 7 picks"], ["Picking: 2 of 2 micrographs", " 7 picks"]]
