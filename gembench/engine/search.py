"""`Search`: what every search can do, whatever it runs on; `open_search` makes the one that is asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import inf
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from gembench.engine.bank import TemplateBank
from gembench.engine.gpu.device import parse_device, uses_cpu
from gembench.engine.score_map import ScoreMap, finished, merge
from gembench.errors import InputError

if TYPE_CHECKING:
    from gembench.engine.filters import LineFilter
    from gembench.engine.peaks import PeakSettings

Array = NDArray[Any]
Method = Literal["exact", "paper", "banded"]


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
    """What one search did. Waits are seconds summed over threads.

    device_seconds: that GPUs worked, summed over them
    """

    seconds: float = 0.0
    counts: Counts = field(default_factory=Counts)
    producer_wait: float = 0.0
    consumer_wait: float = 0.0
    deepest_queue: int = 0
    device_seconds: float = 0.0


class Transforms(Protocol):
    """What a search says of the library that transforms for it."""

    @property
    def name(self) -> str:
        """The name that it is chosen by, as `--fft` takes it."""

    def fast_size(self, n: int) -> int:
        """The transform size >= n that costs least."""

    def version(self) -> str:
        """The library's own version string."""


class Search(ABC):
    """A template bank ready to be run over micrographs; use as a context manager.

    bank: the templates; method: how they are correlated; library: what transforms
    dtype: of the scores, 'float32' or 'float64'
    threads: consumers, of which a search on GPUs has one a device
    memory: bytes that its arrays and what it keeps of the templates must not exceed in the computer's memory;
        it may change from one micrograph to the next
    statistics: of the latest micrograph
    line_filter: that is put on the next micrographs before they are searched, by devices; None for none
    """

    line_filter: LineFilter | None = None

    def __init__(
        self, bank: TemplateBank, *, method: Method, library: Transforms, dtype: str, threads: int,
        memory: float = inf,
    ) -> None:
        self.bank, self.method, self.library, self.dtype = bank, method, library, dtype
        self.threads, self.memory = threads, memory
        self.statistics = SearchStatistics()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def run(
        self, micrograph: Array, *, exclude: Array | None = None,
        on_template: Callable[[int], None] | None = None,
    ) -> ScoreMap:
        """Correlate one micrograph with every template of the bank.

        micrograph: (H, W) of any real type; particles look as in the templates
        exclude: (H, W) bool, true where no particle may be found: such pixels are set to the mean of the
            others before anything is computed, and no particle centred on one is scored
        on_template: called now and then with the number of templates done since the last call
        Raises InputError for unusable input; an error in any thread ends the search and is raised here.
        """

    def least_bytes(self, shape: tuple[int, int]) -> int:
        """What a search of micrographs of `shape` (H, W) takes at the least, as far as is known before."""
        return 0

    def release(self) -> None:
        """Free what can be allocated again, before a larger micrograph is read and filtered."""
        return

    @abstractmethod
    def close(self) -> None:
        """End the threads, and free what was allocated and kept."""


class ShareSearch(Search):
    """A search of a share of a bank, whose map can be merged with those of the other shares.

    maps: if set, score and index, (H, W) of `dtype` and int32, that `partial` is to fill and give for
        micrographs of that shape
    """

    maps: tuple[Array, Array] | None = None

    def run(
        self, micrograph: Array, *, exclude: Array | None = None,
        on_template: Callable[[int], None] | None = None,
    ) -> ScoreMap:
        """See `Search.run`."""
        exclude = None if exclude is None else np.asarray(exclude, bool)
        return finished(self.partial(micrograph, exclude=exclude, on_template=on_template), exclude)

    @abstractmethod
    def partial(
        self, micrograph: Array, *, exclude: Array | None = None,
        on_template: Callable[[int], None] | None = None,
    ) -> ScoreMap:
        """The map of this share of the bank, to be merged with the others' and then `finished`.

        The score is NO_SCORE and the index -1 where no template of the share was scored. The maps belong to
        the search and change with the next micrograph.
        """

    def knowledge(self, shape: tuple[int, int]) -> Any:
        """What fixes the rounding of scores of micrographs of `shape` here; other ranks `learn` it.

        None if nothing does. Raises InputError for micrographs that cannot be searched.
        """
        return None

    def learn(self, knowledge: Any) -> None:
        """Round from now on as the search that gave this `knowledge`."""
        return

    def merged(self, consumers: Iterable[Consumer]) -> ScoreMap:
        """The maps of all consumers folded into the first one's; their counts go into the statistics."""
        first, *others = consumers
        for other in others:
            merge(first.score, first.index, other.score, other.index)
        for consumer in (first, *others):
            self.statistics.counts.add(consumer.counts)
        return ScoreMap(first.score, first.index)


class Consumer(Protocol):
    """The running maximum, (H, W), its template indices and the counts of one consumer."""

    score: Array
    index: Array
    counts: Counts


def open_search(
    bank: TemplateBank, *, device: str = "cpu", method: str = "exact", peaks: PeakSettings | None = None,
    **options: Any,
) -> Search:
    """A search on 'cpu', 'gpu' (the first), 'gpu:0,1' or 'all' GPUs, or on both, as 'gpu+cpu' or 'all+cpu'.

    options: passed to the class of the search
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
        from gembench.engine.exact.producer import CPUSearch

        return CPUSearch(bank, **options)
    options |= {"devices": None if choice == "all" else choice}
    if uses_cpu(device):
        from gembench.engine.mixed import MixedSearch

        return MixedSearch(bank, **options)
    from gembench.engine.gpu.search import GPUSearch

    return GPUSearch(bank, **options)


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
