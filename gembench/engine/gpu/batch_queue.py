"""The batches of one micrograph: devices take them from the front, CPU threads from the back."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator

from gembench.engine.gpu.turns import Batch


class BatchQueue:
    """Batches in order, given out until none is left or somebody stops it; safe for threads.

    count: how many batches there were
    """

    def __init__(self, batches: Iterable[Batch]) -> None:
        self._batches, self._lock, self._taken = deque(batches), threading.Lock(), 0
        self.count = len(self._batches)

    def __iter__(self) -> Iterator[tuple[int, Batch]]:
        """Batches from the front, numbered from 1."""
        while True:
            with self._lock:
                if not self._batches:
                    return
                self._taken += 1
                numbered = self._taken, self._batches.popleft()
            yield numbered

    def take_last(self) -> Batch | None:
        """The last pair of the last batch."""
        with self._lock:
            if not self._batches:
                return None
            last = self._batches.pop()
            if last.pairs > 1:
                self._batches.append(last._replace(pairs=last.pairs - 1, templates=last.templates - 2))
            place = last.first + last.pairs - 1
            return Batch(place, 1, last.disc, min(last.templates, 2))

    @property
    def left(self) -> int:
        """Templates that nobody has taken."""
        with self._lock:
            return sum(batch.templates for batch in self._batches)

    def stop(self) -> None:
        """Nothing is given out any more."""
        with self._lock:
            self._batches.clear()
