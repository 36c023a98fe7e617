"""What every search has in common, and the search on the device that a user names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.bank import TemplateBank
from gembench.engine.gpu.device import parse_device
from gembench.errors import InputError

if TYPE_CHECKING:
    from gembench.engine.banded.search import BandedSearch
    from gembench.engine.exact.search import CPUSearch
    from gembench.engine.gpu.search import GPUSearch
    from gembench.engine.peaks import PeakSettings

Array = NDArray[Any]


@dataclass
class Counts:
    """Two-dimensional transforms done, and templates correlated."""

    forward: int = 0
    inverse: int = 0
    templates: int = 0

    def add(self, other: Counts) -> None:
        """Add another consumer's counts to these."""
        self.forward += other.forward
        self.inverse += other.inverse
        self.templates += other.templates


@dataclass
class SearchStatistics:
    """What one search did. Waits are seconds summed over threads."""

    seconds: float = 0.0
    counts: Counts = field(default_factory=Counts)
    producer_wait: float = 0.0
    consumer_wait: float = 0.0
    deepest_queue: int = 0


def open_search(
    bank: TemplateBank, *, device: str = "cpu", method: str = "exact", peaks: PeakSettings | None = None,
    **options: Any,
) -> CPUSearch | BandedSearch | GPUSearch:
    """A search on 'cpu', 'gpu' (the first), 'gpu:0,1' or 'all' GPUs; `options` are those of its class.

    method: 'exact', 'paper' or 'banded', the last two on a CPU only
    peaks: the rules by which picks will be taken, which the method banded goes by
    Raises InputError for a device that is unknown or not there, with the reason, and never takes another.
    """
    choice = parse_device(device)
    if method == "banded":
        from gembench.engine.banded.search import BandedSearch

        if choice is not None:
            raise InputError(f"method 'banded' runs on CPUs: leave out device '{device}'")
        return BandedSearch(bank, peaks=peaks, **options)
    options |= {"method": method}
    if choice is None:
        from gembench.engine.exact.search import CPUSearch

        return CPUSearch(bank, **options)
    from gembench.engine.gpu.search import GPUSearch

    return GPUSearch(bank, devices=None if choice == "all" else choice, **options)


def without(micrograph: Array, exclude: Array) -> Array:
    """The micrograph (H, W) with its excluded pixels, (H, W) bool, set to the mean of the others.

    Raises InputError for another shape, and if no pixel is left.
    """
    if exclude.shape != micrograph.shape:
        raise InputError(f"the excluded area has shape {exclude.shape}, the micrograph {micrograph.shape}")
    used = micrograph[~exclude]
    if not used.size:
        raise InputError("the whole micrograph is excluded: nothing is left to search")
    return np.where(exclude, used.mean(dtype=np.float64), micrograph)


def checked(micrograph: Array, exclude: Array | None) -> Array:
    """A finite two-dimensional micrograph, with its excluded pixels set to the mean of the others."""
    image = np.asarray(micrograph)
    if image.ndim != 2:
        raise InputError(f"a micrograph has two dimensions, this array has shape {image.shape}")
    if exclude is not None:
        image = without(image, exclude)
    bad = image.size - int(np.isfinite(image).sum())
    if bad:
        raise InputError(f"the micrograph holds {bad} NaN or infinite pixels: repair or exclude them first")
    return image
