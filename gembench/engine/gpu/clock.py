"""Where a search's time goes: device events around every launch, summed by stage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class StageClock:
    """Called with a stage's name, a context in which the current stream's work counts for it."""

    def __init__(self, cupy: Any) -> None:
        self._cupy = cupy
        self._events: list[tuple[str, Any, Any]] = []

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Count what is launched inside."""
        start, stop = self._cupy.cuda.Event(), self._cupy.cuda.Event()
        start.record()
        yield
        stop.record()
        self._events.append((stage, start, stop))

    def seconds(self) -> dict[str, float]:
        """Seconds of each stage, in the order of their first launch; waits for the last."""
        total: dict[str, float] = defaultdict(float)
        for stage, start, stop in self._events:
            stop.synchronize()
            total[stage] += self._cupy.cuda.get_elapsed_time(start, stop) / 1e3
        return dict(total)
