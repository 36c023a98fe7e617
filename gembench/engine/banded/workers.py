"""The threads of a banded search."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Each(Protocol):
    """Does something for every item, in any order; gives the results in that of the items."""

    def __call__(self, do: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]: ...


class Workers:
    """So many threads that work on several items at once; what is done for an item must not wait for others.

    What each item is must not depend on the number of threads, so that results do not.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="banded") if threads > 1 else None

    def each(self, do: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """See `Each`; an error is raised here."""
        items = list(items)
        if self._pool is None or len(items) < 2:
            return [do(item) for item in items]
        return list(self._pool.map(do, items))

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
