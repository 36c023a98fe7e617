"""Good transform sizes."""

from __future__ import annotations

from functools import lru_cache


@lru_cache
def smooth_sizes(limit: int) -> tuple[int, ...]:
    """All even sizes up to `limit` with no prime factor above 7, ascending."""
    sizes = {1}
    for prime in (2, 3, 5, 7):
        grown = set(sizes)
        for size in sizes:
            while (size := size * prime) <= limit:
                grown.add(size)
        sizes = grown
    return tuple(sorted(size for size in sizes if size % 2 == 0))


@lru_cache
def fast_size(n: int) -> int:
    """The smallest good transform size >= n."""
    return next(size for size in smooth_sizes(4 * max(n, 2)) if size >= n)
