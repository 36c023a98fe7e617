"""What a peer is: another program that looks for templates in micrographs, behind one small interface.

A new peer is one subclass of `Peer` with a `name`; it registers itself. All peers get the same micrographs,
templates, masks and angles. Those that take images get templates turned by gembench; those that turn
templates themselves are told the angles.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gembench.data.workload import MaskKind, Pace
from gembench.engine.bank import TemplateBank
from gembench.engine.peaks import PeakSettings
from gembench.engine.picks import Picks
from gembench.engine.score_map import ScoreMap
from gembench.errors import InputError

Array = NDArray[Any]
PEERS: dict[str, type[Peer]] = {}


@dataclass(frozen=True, eq=False)
class Matched:
    """What a peer made of one micrograph.

    maps: its best score at every pixel and the template that gave it, None if it tells neither
    picks: its own picks, None if it makes none
    templates: how many it correlated
    seconds: of the whole micrograph; pace: of one template, what is done once a micrograph left out.
        Processor time on one thread, else wall time
    memory: bytes that programs it started held at their most, 0 for a library inside this process
    """

    maps: ScoreMap | None
    picks: Picks | None
    templates: int
    seconds: float
    pace: float
    memory: int = 0


class Peer(ABC):
    """One program or library, ready for micrographs.

    bank: what to look for; threads: it may use; pixel_size: A/px of micrographs and templates
    lowpass: resolution in A to which it may reduce micrographs and templates by its own means, 0 for none
    peaks: the rules by which picks will be taken from its map, for a peer that can spare itself the rest
    """

    name: ClassVar[str]
    label: ClassVar[str]
    masks: ClassVar[tuple[MaskKind, ...]] = ("own", "disc")
    parallel: ClassVar[bool] = True
    turns: ClassVar[str] = "gembench"  # who turns the templates
    tolerance: ClassVar[float | None] = None  # of scores against the direct sum; None if it scores otherwise
    least_score: ClassVar[float] = 0.2  # below which no peak of its map is a particle
    finds: ClassVar[bool] = True  # maps or picks; else it is timed only
    prepares: ClassVar[bool] = False  # at the first micrograph, what all others share
    install: ClassVar[str] = ""

    def __init__(
        self, bank: TemplateBank, *, threads: int = 1, pixel_size: float = 1.0, lowpass: float = 0.0,
        peaks: PeakSettings | None = None,
    ) -> None:
        self.bank, self.threads, self.peaks = bank, threads, peaks
        self.pixel_size, self.lowpass = pixel_size, lowpass

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" in cls.__dict__:
            PEERS[cls.name] = cls

    @classmethod
    @abstractmethod
    def unavailable(cls) -> str | None:
        """Why this peer cannot be used here, or None if it can."""

    @classmethod
    @abstractmethod
    def version(cls) -> str:
        """The version of the program or package."""

    @abstractmethod
    def match(self, micrograph: Array) -> Matched:
        """Look for the bank's templates in one micrograph, (H, W) float; particles look as in the templates.

        Raises InputError if the program fails.
        """

    @property
    def clock(self) -> Callable[[], float]:
        """Seconds: of the processor on one thread, else by the wall."""
        return processor_seconds if self.threads == 1 else time.perf_counter


class SteadyPace(Pace):
    """Seconds a template at the steady pace, by any clock."""

    def __init__(self, threads: int, clock: Callable[[], float]) -> None:
        super().__init__(threads)
        self.clock = clock

    def __call__(self, templates: int = 1) -> None:
        """Take note that so many more templates are done."""
        self.done.append((self.clock(), templates))

    def steady(self, seconds: float, templates: int) -> float:
        """The steady pace; the mean of all, done in `seconds`, where they are too few to tell it."""
        return self.seconds_per_template if len(self.done) > self.threads else seconds / templates


def processor_seconds() -> float:
    """User and system time of this process and of the children that have ended."""
    import resource

    times = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in times)


def peer(name: str) -> type[Peer]:
    """The peer called `name`.

    Raises InputError for an unknown name.
    """
    if name not in PEERS:
        raise InputError(f"peer '{name}' is unknown: choose from {', '.join(sorted(PEERS))}")
    return PEERS[name]


def index_of(bank: TemplateBank, view: int, psi: Array) -> Array:
    """The bank index of a view that comes closest to each angle, int32; psi (...) in degrees as in the bank.

    A view with symmetry n is alike at angles 360 / n apart; where it is alike at all, every angle is near.
    """
    symmetry = 1 if bank.symmetry is None else bank.symmetry[view]
    indices = np.flatnonzero(bank.view(np.arange(len(bank))) == view)
    if symmetry == 0:
        return np.full(np.shape(psi), indices[0], np.int32)
    period = 360 / symmetry
    angles, place = np.unique(psi, return_inverse=True)
    apart = np.abs((angles[:, None] - bank.psi(indices) + period / 2) % period - period / 2)
    return np.asarray(indices[apart.argmin(axis=1)][place], np.int32).reshape(np.shape(psi))


def even_step(bank: TemplateBank) -> float:
    """Degrees between a bank's angles, which are to go around once from 0 in even steps.

    Raises InputError if they do not.
    """
    step = 360 / len(bank.angles)
    if not np.allclose(bank.angles, np.arange(len(bank.angles)) * step):
        raise InputError("this program turns templates in even steps from 0 to 360 degrees: give such angles")
    return step


def mask_diameter(bank: TemplateBank) -> int:
    """Pixels across the disc about the centre pixel that reaches as far as any mask does along an axis."""
    assert bank.masks is not None
    rows, columns = np.nonzero(bank.masks.any(0))
    return 2 * int(max(np.abs(rows - bank.box[0] // 2).max(), np.abs(columns - bank.box[1] // 2).max()))
