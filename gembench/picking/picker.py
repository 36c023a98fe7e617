"""Files in, picks out: what `gembench pick` and the KLH study do with one micrograph."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from math import inf, isfinite
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from gembench.engine.bank import Interpolation, TemplateBank, grid_angles
from gembench.engine.exact.plan import Edges
from gembench.engine.filters import Contrast, average, limit_outliers, lowpass, matched_contrast
from gembench.engine.gpu.device import parse_device
from gembench.engine.gpu.plan import Storage
from gembench.engine.mpi.reductions import DEFAULT_REDUCTION
from gembench.engine.mpi.search import SharedSearch
from gembench.engine.peaks import PeakSettings, find_picks
from gembench.engine.picks import Picks
from gembench.engine.score_map import ScoreMap
from gembench.engine.search import Method, Search, SearchStatistics, open_search, without
from gembench.errors import InputError
from gembench.io.checks import require_file
from gembench.io.images.micrographs import Micrograph
from gembench.io.images.mrc import read_stack

if TYPE_CHECKING:
    from mpi4py import MPI

Array = NDArray[Any]
Item = TypeVar("Item")
Result = TypeVar("Result")
COPIES = 6  # of a micrograph at the most, while it is filtered


@dataclass(frozen=True)
class PickSettings:
    """Everything that decides which particles are picked.

    pixel_size: A/px of micrographs and templates
    angle_step: degrees between the in-plane turns of a template
    contrast: how particles look in the micrograph; template_contrast: in the templates, None to see for
        oneself (`filters.template_contrast`)
    symmetry: of each view in the plane, see `engine.bank.TemplateBank`
    average: side of the averaging filter in pixels, 1 for none
    lowpass: resolution in A at which a Gaussian filter halves the micrographs' amplitudes, 0 for none
    clip: pixels further than so many robust standard deviations from the median are limited to that, 0 for
        none
    method, dtype, edges: of the search, see `engine.exact.search.CPUSearch`; spectra: what a GPU stores them
        in, see `engine.gpu.search.GPUSearch`
    """

    pixel_size: float
    angle_step: float = 4.0
    contrast: Contrast = "dark"
    template_contrast: Contrast | None = None
    interpolation: Interpolation = "bilinear"
    symmetry: tuple[int, ...] | None = None
    average: int = 4
    lowpass: float = 0.0
    clip: float = 10.0
    method: Method = "exact"
    dtype: str = "float32"
    edges: Edges = "mask"
    peaks: PeakSettings = field(default_factory=PeakSettings)
    spectra: Storage = "single"

    def __post_init__(self) -> None:
        if not (np.isfinite(self.pixel_size) and self.pixel_size > 0):
            raise InputError(f"pixel size {self.pixel_size} A/px: give the micrographs' own, such as 2.2")
        if self.average < 1:
            raise InputError(f"averaging filter of {self.average} px: give 1 for none, or a side such as 4")
        if not 0 <= self.lowpass < np.inf:
            raise InputError(f"low-pass filter at {self.lowpass} A: give a resolution, or 0 for none")
        if not self.clip >= 0:
            raise InputError(f"clip {self.clip}: give 0 for none, or standard deviations such as 10")

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON holds them."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A micrograph as it is searched.

    image: (H, W), outliers limited, filtered; shift: in pixels, that the filter gave it
    limited: number of outlier pixels; exclude: (H, W), true where no pick may be
    """

    micrograph: Micrograph
    image: Array
    shift: float
    limited: int
    exclude: Array | None = None


@dataclass(frozen=True)
class Picked:
    """What came out of one micrograph.

    picks: best first, in pixels of the micrograph as read
    maps: the score map, in pixels of the filtered micrograph (an even filter moves it by half a pixel)
    limited: number of outlier pixels; statistics: of the search
    """

    picks: Picks
    maps: ScoreMap
    limited: int
    statistics: SearchStatistics


def load_bank(
    templates: str | Path, masks: str | Path | None, settings: PickSettings
) -> tuple[TemplateBank, list[int]]:
    """The bank for these settings, and the templates whose contrast was inverted to match the micrographs.

    templates, masks: .mrcs stacks or folders of images. Raises InputError if they cannot be used together.
    """
    views, _ = read_stack(templates, pixel_size=settings.pixel_size)
    shapes = read_stack(masks, pixel_size=settings.pixel_size)[0] if masks is not None else None
    try:
        bank = TemplateBank(views, shapes)
    except InputError as error:
        raise InputError(f"{templates}{f' with {masks}' if masks else ''}: {error}") from None
    assert bank.masks is not None
    try:
        matched, inverted = matched_contrast(
            bank.templates, bank.masks, settings.contrast, settings.template_contrast
        )
    except InputError as error:
        raise InputError(f"{templates}: {error}") from None
    angles = grid_angles(settings.angle_step)
    return TemplateBank(
        matched, bank.masks, angles, settings.interpolation, settings.pixel_size, settings.symmetry
    ), inverted


def default_distance(bank: TemplateBank) -> float:
    """Three quarters of the smallest mask's width, were it square: what touching particles keep, pixels."""
    assert bank.masks is not None
    return float(np.round(0.75 * np.sqrt(bank.masks.sum(axis=(1, 2)).min())))


class Picker:
    """Picks micrographs one after another with one bank; use as a context manager.

    device: see `engine.search.open_search`; threads and library are those of the CPU
    ranks: if given, a share of the bank is searched on each: the root picks, the others only
        `serve`; reduction: of their maps, see `engine.mpi.reductions`
    memory: bytes that the search on the CPU may take, with what is made of a micrograph before
    Raises InputError for fewer than one thread, for an FFT library or a device that cannot be used, and for
        what only the CPU or only a GPU does.
    """

    def __init__(
        self, bank: TemplateBank, settings: PickSettings, *, threads: int = 1, library: str = "auto",
        ranks: MPI.Intracomm | None = None, reduction: str = DEFAULT_REDUCTION, device: str = "cpu",
        memory: float = inf,
    ) -> None:
        if threads < 1:
            raise InputError(f"{threads} threads: give at least 1")
        self.bank, self.settings, self.threads = bank, settings, threads
        options: dict[str, Any] = {
            "method": settings.method, "dtype": settings.dtype, "edges": settings.edges,
        }
        if parse_device(device) is not None:
            if ranks is not None:
                raise InputError(f"device '{device}' cannot share a bank with other ranks: use --device cpu")
            options |= {"spectra": settings.spectra}
        elif settings.spectra != "single":
            raise InputError(f"spectra in '{settings.spectra}' precision are for GPUs: use --device gpu")
        else:
            options |= {"library": library, "threads": threads, "memory": memory}
        if settings.method == "banded":
            if ranks is not None:
                raise InputError("method 'banded' cannot share a bank with other ranks: use --distribute"
                                 " micrographs")
            options |= {"peaks": settings.peaks}
        self.memory = memory
        self.search: Search = (open_search(bank, device=device, **options) if ranks is None
                       else SharedSearch(ranks, bank, reduction=reduction, **options))

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

    def prepare(self, micrograph: Micrograph, exclude: Array | None = None) -> Prepared:
        """What is done to a micrograph before it is searched, which may be while another is.

        exclude: (H, W), true where no pick may be. Raises InputError, naming the micrograph, if it cannot
        be prepared.
        """
        try:
            image = micrograph.data if exclude is None else without(micrograph.data, exclude)
            return Prepared(micrograph, *prepared(image, self.settings, self.threads), exclude)
        except InputError as error:
            raise InputError(f"{micrograph.path}: {error}") from None

    def pick(self, ready: Prepared) -> Picked:
        """The picks of one micrograph.

        Raises InputError, naming the micrograph, if it cannot be searched.
        """
        if isfinite(self.memory):
            self.search.memory = self.memory - COPIES * ready.image.nbytes
        try:
            maps = self.search.run(ready.image, exclude=ready.exclude)
        except InputError as error:
            raise InputError(f"{ready.micrograph.path}: {error}") from None
        picks = find_picks(maps, self.bank, self.settings.peaks, ready.micrograph.name)
        return Picked(picks.shifted(-ready.shift, -ready.shift), maps, ready.limited, self.search.statistics)

    def in_turn(self, items: Iterable[Item], ready: Callable[[Item], Result]) -> Iterator[Result]:
        """What `ready` makes of every item, such as `prepare` of a micrograph that it reads.

        The next one is made while the last is worked on, unless memory is bounded: there are two then.
        """
        return made_ahead(ready, items) if self.memory == inf else map(ready, items)


def made_ahead(make: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`make` of every item, the next one made by another thread while the last is worked on.

    An error is raised in its item's turn.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        coming: Future[Result] | None = None
        for item in items:
            last, coming = coming, pool.submit(make, item)
            if last is not None:
                yield last.result()
        if coming is not None:
            yield coming.result()


def prepared(micrograph: Array, settings: PickSettings, threads: int = 1) -> tuple[Array, float, int]:
    """A micrograph (H, W) as it is searched: outliers limited, filtered.

    Returns it with the shift in pixels that the filter gave it, and the number of outlier pixels.
    """
    image, limited = limit_outliers(micrograph, settings.clip) if settings.clip else (micrograph, 0)
    image = lowpass(image, settings.lowpass, settings.pixel_size, threads)
    image, shift = average(image, settings.average)
    return image, shift, limited


def content_hash(path: str | Path) -> str:
    """SHA-256 of a file, or of a folder's files with their names; hidden files do not count.

    Raises InputError for a missing path and files that cannot be read.
    """
    path = Path(path)
    if not path.is_dir():
        return _file_hash(path)
    digest = hashlib.sha256()
    for file in sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith(".")):
        digest.update(f"{file.name}\0{_file_hash(file)}".encode())
    return digest.hexdigest()


def _file_hash(path: Path) -> str:
    require_file(path)
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
