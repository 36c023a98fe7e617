"""The one loop of picking: every micrograph searched, its peaks taken, while the next is read and filtered.

The command line, the KLH study and the peers go through here; nothing here knows of folders or ranks' files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from math import ceil, inf, isfinite
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from gembench.engine.bank import TemplateBank
from gembench.engine.gpu.device import parse_device, uses_cpu
from gembench.engine.gpu.watch import STALL_LIMIT
from gembench.engine.mpi.distribution import SharedSearch
from gembench.engine.mpi.reductions import DEFAULT_REDUCTION
from gembench.engine.peaks import PeakSettings, picks_and_decoys
from gembench.engine.picks import Picks
from gembench.engine.score_map import ScoreMap
from gembench.engine.search import Search, SearchStatistics, open_search
from gembench.errors import InputError, StalledError
from gembench.io.images.micrographs import Micrograph, read_micrograph, read_shape
from gembench.picking.beside import beside_scores
from gembench.picking.pipeline import made_ahead, made_behind
from gembench.picking.prepare import Array, Prepared, prepare
from gembench.picking.settings import PickSettings

if TYPE_CHECKING:
    from mpi4py import MPI

Item = TypeVar("Item")
Ready = TypeVar("Ready")
Found = TypeVar("Found")
Result = TypeVar("Result")
FLOAT32_BYTES = 4
COPIES = 6  # of a micrograph at the most, while it is filtered
AHEAD = 4  # micrographs that are read and filtered while a GPU searches one: filtering takes a core longer
BEHIND = 2  # whose peaks are taken meanwhile
RESERVE = 160 * 2**20  # bytes: compiled loops, FFT library and buffers that appear while the search runs
PLOTTING = 400 * 2**20  # bytes: a picture of the picks, whatever the size of the micrograph


@dataclass(frozen=True)
class Picked:
    """What came out of one micrograph.

    picks: best first, in pixels of the micrograph as read
    maps: the score map, in pixels of the filtered micrograph (an even filter moves it by half a pixel)
    limited: number of outlier pixels; statistics: of the search
    decoys: places where a decoy won, None without decoys
    beside: picks that were dropped for what surrounds them, None if that is not looked at
    lower: all picks down to the floor, None without one
    """

    picks: Picks
    maps: ScoreMap
    limited: int
    statistics: SearchStatistics
    decoys: int | None = None
    beside: int | None = None
    lower: Picks | None = None


@dataclass(frozen=True)
class Searched:
    """A micrograph that has been searched: its maps, and the statistics of its search."""

    ready: Prepared
    maps: ScoreMap
    statistics: SearchStatistics


class Picker:
    """Picks micrographs one after another with one bank; use as a context manager.

    device: see `engine.search.open_search`; threads and library are those of the CPU
    ranks: if given, a share of the bank is searched on each: the root picks, the others only
        `serve`; reduction: of their maps, see `engine.mpi.reductions`
    memory: bytes that the search on the CPU may take, with what is made of a micrograph before
    stall_limit: see `engine.gpu.search.GPUSearch`
    filters: what filters micrographs, 'GPU', or 'CPU' with the reason; of a search on GPUs
    Raises InputError for fewer than one thread, for an FFT library or a device that cannot be used, and for
        what only the CPU or only a GPU does.
    """

    def __init__(
        self, bank: TemplateBank, settings: PickSettings, *, threads: int = 1, library: str = "auto",
        ranks: MPI.Intracomm | None = None, reduction: str = DEFAULT_REDUCTION, device: str = "cpu",
        memory: float = inf, stall_limit: float = STALL_LIMIT,
    ) -> None:
        if threads < 1:
            raise InputError(f"{threads} threads: give at least 1")
        self.bank, self.settings, self.threads = bank, settings, threads
        self.peaks = settings.peaks  # that are taken before what surrounds them is looked at
        self.looks_beside = settings.looks_beside
        if self.looks_beside and not settings.peaks.distance:
            raise InputError("what is beside picks needs a distance between picks above 0, by which it is"
                             " looked for: give one")
        if settings.floor is not None:
            self.peaks = replace(self.peaks, threshold=settings.floor, max_picks=None)
        if settings.beside is not None:
            self.peaks = replace(self.peaks, max_picks=None)
        options: dict[str, Any] = {
            "method": settings.method, "dtype": settings.dtype, "edges": settings.edges,
        }
        self.on_gpu = on_gpu = parse_device(device) is not None
        if on_gpu:
            options |= {"spectra": settings.spectra, "stall_limit": stall_limit}
        elif settings.spectra != "single":
            raise InputError(f"spectra in '{settings.spectra}' precision are for GPUs: use --device gpu")
        on_cpu = {"library": library, "memory": memory} if not on_gpu or uses_cpu(device) else {}
        if settings.method == "banded":
            if ranks is not None:
                raise InputError("method 'banded' cannot share a bank with other ranks: use --distribute"
                                 " micrographs")
            options |= {"peaks": self.peaks}
        self.memory, self._largest = memory, 0
        options |= on_cpu
        self.search: Search
        if ranks is not None:
            self.search = SharedSearch(ranks, bank, reduction=reduction, device=device, threads=threads,
                                       **options)
        else:
            options |= {"threads": threads} if on_cpu else {}
            self.search = open_search(bank, device=device, **options)
        self.filters = self._who_filters(device) if on_gpu else "CPU"

    def _who_filters(self, device: str) -> str:
        """See `filters`."""
        if uses_cpu(device):
            return "CPU: CPU threads search every micrograph too"
        if self.looks_beside:
            return "CPU: what surrounds picks is looked at in the filtered micrograph"
        return "GPU"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.search.close()

    def serve(self) -> None:
        """Take part in the searches of the root's picker until it ends."""
        assert isinstance(self.search, SharedSearch)
        self.search.serve()

    def pick_all(self, paths: Iterable[Path]) -> Iterator[Picked]:
        """What comes out of each micrograph, in their order.

        Raises InputError, naming the micrograph, for the first that cannot be read or searched.
        """
        def ready(path: Path) -> Prepared:
            return self.prepare(self.read(path))

        yield from self.in_turn(paths, ready, self.search_one, self.take_peaks)

    def read(self, path: Path, *, to_search: bool = True) -> Micrograph:
        """Read one micrograph, which is to be searched or only looked at.

        Raises InputError as `read_micrograph` does, and for a micrograph that is too large for the memory.
        """
        if isfinite(self.memory):
            rows, columns = read_shape(path)
            if to_search:
                self._require_room(path, rows, columns)
            self._make_room(rows * columns)
        return read_micrograph(path, pixel_size=self.settings.pixel_size)

    def _require_room(self, path: Path, rows: int, columns: int) -> None:
        """Raise InputError if it is known before that a micrograph cannot be filtered and searched."""
        try:
            needed = FLOAT32_BYTES * rows * columns * COPIES + self.search.least_bytes((rows, columns))
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        if needed > self.memory:
            raise InputError(f"{path}: {columns} x {rows} px need {needed / 2**20:.0f} MiB,"
                             f" {ceil((needed - self.memory) / 2**20)} MiB more than are left for it: allow"
                             " more memory, or take fewer threads")

    def _make_room(self, pixels: int) -> None:
        """Free the search's arrays, which are as large as smaller micrographs have left room for."""
        if isfinite(self.memory) and FLOAT32_BYTES * pixels > self._largest:
            self.search.release()

    def prepare(self, micrograph: Micrograph, exclude: Array | None = None) -> Prepared:
        """What is done to a micrograph before it is searched, which may be while another is.

        exclude: (H, W), true where no pick may be. Raises InputError, naming the micrograph, if it cannot
        be prepared.
        """
        self._make_room(micrograph.data.size)
        return prepare(micrograph, self.settings, exclude, self.threads, leave_filter=self.filters == "GPU")

    def pick(self, ready: Prepared) -> Picked:
        """The picks of one micrograph; raises what `search_one` does."""
        return self.take_peaks(self.search_one(ready))

    def search_one(self, ready: Prepared) -> Searched:
        """The maps of one micrograph.

        Raises InputError, naming the micrograph, if it cannot be searched, and StalledError if a device does
        not advance.
        """
        self._largest = max(self._largest, ready.image.nbytes)
        if isfinite(self.memory):
            self.search.memory = self.memory - COPIES * ready.image.nbytes
        if self.filters == "GPU":
            self.search.line_filter = ready.line_filter
        try:
            maps = self.search.run(ready.image, exclude=ready.exclude)
        except (InputError, StalledError) as error:
            raise type(error)(f"{ready.micrograph.path}: {error}") from None
        return Searched(ready, maps, self.search.statistics)

    def take_peaks(self, searched: Searched) -> Picked:
        """The picks in the maps of one micrograph, which may be taken while another is searched."""
        ready, maps = searched.ready, searched.maps
        picks, decoys = picks_as_read(maps, self.bank, self.peaks, ready)
        dropped = None
        if self.looks_beside:
            in_maps = picks.shifted(ready.shift, ready.shift)
            beside = beside_scores(ready.image, self.bank, in_maps, self.peaks.distance)
            picks = replace(picks, beside=beside)
        if self.settings.beside is not None:
            alone = picks.alone(self.settings.beside)
            dropped = int((~alone & self._chosen(picks, maps)).sum())
            picks = picks[alone]
        best = picks[self._chosen(picks, maps)][: self.settings.peaks.max_picks]
        return Picked(best, maps, ready.limited, searched.statistics, decoys if self.bank.decoys else None,
                      dropped, None if self.settings.floor is None else picks)

    def _chosen(self, picks: Picks, maps: ScoreMap) -> Array:
        """Which picks reach the threshold, (n,) bool; others reach the floor."""
        chosen: Array = picks.score.astype(maps.score.dtype) >= self.settings.peaks.threshold
        return chosen

    def in_turn(
        self, items: Iterable[Item], ready: Callable[[Item], Ready], search: Callable[[Ready], Found],
        finish: Callable[[Found], Result],
    ) -> Iterator[Result]:
        """What `finish` makes of what `search` makes of what `ready` makes of every item.

        `search` is called here, one item after the other. The next item is made ready while the last is
        worked on, unless memory is bounded: there are two then. While GPUs search, several are, and others
        are finished.
        """
        if self.memory < inf:
            yield from map(finish, map(search, map(ready, items)))
        elif self.on_gpu:
            ahead = made_ahead(ready, items, min(AHEAD, self.threads))
            yield from made_behind(finish, map(search, ahead), min(BEHIND, self.threads))
        else:
            yield from map(finish, map(search, made_ahead(ready, items)))


def picks_as_read(
    maps: ScoreMap, bank: TemplateBank, peaks: PeakSettings, ready: Prepared
) -> tuple[Picks, int]:
    """The peaks in the maps of a micrograph as picks, best first, in pixels of the micrograph as read.

    Also the number of places where a decoy won.
    """
    picks, decoys = picks_and_decoys(maps, bank, peaks, ready.micrograph.name)
    return picks.shifted(-ready.shift, -ready.shift), decoys


def left_for_search(limit: int | None, plots: bool = False) -> float:
    """Bytes of `limit` that this process does not hold yet, and needs for nothing else; infinite without one.

    plots: whether pictures of the picks are made. Raises InputError if there are none.
    """
    if limit is None:
        return inf
    import psutil

    held = int(psutil.Process().memory_info().rss) + RESERVE + PLOTTING * plots
    if held >= limit:
        raise InputError(f"--memory {limit / 2**20:.0f}M: a process holds {held / 2**20:.0f} MiB before it"
                         f" searches{', pictures included' * plots}: allow more")
    return limit - held
