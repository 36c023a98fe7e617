"""Work on other threads around the search: what is made ahead of it, and what behind it of its results."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def made_ahead(make: Callable[[Item], Result], items: Iterable[Item], ahead: int = 1) -> Iterator[Result]:
    """`make` of every item, the next `ahead` of them made by other threads while the last is worked on.

    An error is raised in its item's turn.
    """
    with ThreadPoolExecutor(ahead, thread_name_prefix="ahead") as pool:
        coming: deque[Future[Result]] = deque()
        for item in items:
            coming.append(pool.submit(make, item))
            if len(coming) > ahead:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()


def made_behind(make: Callable[[Item], Result], items: Iterator[Item], behind: int) -> Iterator[Result]:
    """`make` of every item by so many other threads, while this one goes on to the next item.

    In the items' order; an error is raised in its item's turn, and one of the items when all before are made.
    """
    with ThreadPoolExecutor(behind, thread_name_prefix="behind") as pool:
        going: deque[Future[Result]] = deque()
        error: Exception | None = None
        while error is None:
            try:
                going.append(pool.submit(make, next(items)))
            except StopIteration:
                break
            except Exception as raised:
                error = raised
            if len(going) > behind:
                yield going.popleft().result()
        while going:
            yield going.popleft().result()
        if error is not None:
            raise error
