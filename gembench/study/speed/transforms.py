"""What of a search's time its FFT library takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any


class ClockedLibrary:
    """An FFT library that adds up the seconds of its whole transforms."""

    def __init__(self, library: Any) -> None:
        self.library, self.seconds = library, 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.library, name)

    def rfft2(self, *arguments: Any) -> Any:
        """A forward transform, timed."""
        return self._timed(self.library.rfft2, arguments)

    def irfft2(self, *arguments: Any) -> Any:
        """An inverse transform, timed."""
        return self._timed(self.library.irfft2, arguments)

    def _timed(self, transform: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        start = time.perf_counter()
        try:
            return transform(*arguments)
        finally:
            self.seconds += time.perf_counter() - start


def share_of_transforms(search: Any, micrograph: Any, rounds: int = 3) -> dict[str, Any]:
    """The median share of whole transforms in the time of a search on one thread, and its range, as metrics.

    search: a CPUSearch, whose library is clocked from now on
    """
    library = search.library = ClockedLibrary(search.library)
    search.run(micrograph)  # plans are made, pages touched
    shares = []
    for _ in range(rounds):
        library.seconds = 0.0
        search.run(micrograph)
        shares.append(library.seconds / search.statistics.seconds)
    return {"share_of_transforms": float(median(shares)),
            "share_of_transforms_interval": [min(shares), max(shares)]}
