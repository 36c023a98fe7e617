"""What the methods of a search share: how a bank is taken in pieces, the spectra of a frame, running maxima.

A correlator belongs to one consumer thread: it owns its buffers and its running maximum. The spectra of
the frame are shared and only read.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.bank import RotatedTemplate, TemplateBank
from gembench.engine.exact.plan import BATCH, SHARED_MAPS, Plan
from gembench.engine.fft import FFTLibrary
from gembench.engine.score_map import NO_SCORE
from gembench.engine.search import Counts

Array = NDArray[Any]
MaskKey = tuple[tuple[int, ...], bytes]


@dataclass
class Frame:
    """The spectra of one standardised micrograph, of T and of T^2 - 1, and the sigma maps that are shared.

    floor: of sigma^2, see `normalise.variance_floor`
    """

    image: Array
    square: Array
    floor: tuple[Any, Any]
    shared: SigmaMaps = field(default_factory=lambda: SigmaMaps())


class SigmaMaps:
    """1 / sigma maps that several consumers share: the first that needs one makes it, the others wait.

    The latest few are kept.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._maps: dict[MaskKey, Array] = {}

    def get(self, key: MaskKey, make: Callable[[], Array]) -> Array:
        """The map for `key`, made by `make` if it is not at hand."""
        with self._lock:
            if key not in self._maps:
                if len(self._maps) == SHARED_MAPS:
                    del self._maps[next(iter(self._maps))]
                self._maps[key] = make()
            return self._maps[key]


@dataclass(eq=False)
class Piece:
    """Turned templates that a consumer takes at once.

    groups: of one mask each; shared_mask: whether other pieces have that mask too; there is one group then
    layout: what a method has worked out of them for its plan, to be taken again for the next micrograph
    """

    groups: list[list[RotatedTemplate]]
    shared_mask: bool
    layout: Any = None

    def __len__(self) -> int:
        return sum(map(len, self.groups))

    @property
    def bytes(self) -> int:
        """Size of the turned templates and masks."""
        templates = (template for group in self.groups for template in group)
        return sum(template.weights.nbytes + template.mask.nbytes for template in templates)


# Does something with each correlator, on its own thread, and with which of how many slices is its part.
Share = Callable[[Callable[["Correlator", int, int], None]], None]


class Correlator(ABC):
    """A method's way to correlate a few templates with a frame, and its running maximum and index map.

    maps: score and index to use, (H, W) of the plan's type and int32; by default of its own
    """

    def __init__(self, plan: Plan, library: FFTLibrary, maps: tuple[Array, Array] | None = None) -> None:
        self.plan, self.library = plan, library
        self.points = plan.transform[0] * plan.transform[1]
        self.score, self.index = maps or (
            np.empty(plan.micrograph, plan.dtype), np.empty(plan.micrograph, np.int32)
        )
        self.counts = Counts()

    @abstractmethod
    def frame(self, micrograph: Array, share: Share) -> Frame:
        """The spectra of a micrograph with its margins, (h, w), made by all consumers if the method can."""

    @abstractmethod
    def process(self, frame: Frame, piece: Piece) -> None:
        """Correlate a piece's templates with the frame and fold them into `score` and `index`."""

    def reset(self) -> None:
        """Forget the running maximum and the counts."""
        self.score.fill(NO_SCORE)
        self.index.fill(-1)
        self.counts = Counts()


def slices(bank: TemplateBank, indices: Iterable[int], transforms: int) -> Iterator[list[int]]:
    """The indices, in search order, in slices that need about as many inverse transforms when turned.

    Each is 2 for a mask and 1 for a template; a mask that other slices share is not counted, and comes alone.
    """
    some: list[int] = []
    free = transforms
    for index in indices:
        view = int(bank.view(index))
        last = int(bank.view(some[-1])) if some else -1
        shared = bank.disc_views[view]
        half_turn = bool(some) and abs(float(bank.psi(index)) - float(bank.psi(some[-1]))) == 180
        same = view == last and (shared or (bank.half_turn_views[view] and half_turn))
        cost = 1 if same or shared else 3
        if some and (cost > free or (not same and (shared or bank.disc_views[last]))):
            yield some
            some, free, cost = [], transforms, 1 if shared else 3
        some.append(index)
        free -= cost
        if shared and len(some) == BATCH:
            free = 0
    if some:
        yield some


def grouped(
    bank: TemplateBank, indices: Iterable[int], dtype: np.dtype[Any], transforms: int
) -> Iterator[Piece]:
    """Turned templates in pieces of neighbours, those with the same mask in one group.

    A piece needs at most `transforms` inverse transforms, 2 for each mask and 1 for each template; with a
    mask that other pieces share it holds that mask only, and its transforms are not counted.
    """
    groups: list[list[RotatedTemplate]] = []
    free = transforms
    for index in indices:
        template = bank.rotated(index, dtype)
        shared = bank.disc_views[template.view]
        same = bool(groups) and template.mask_key == groups[-1][0].mask_key
        cost = 1 if same or shared else 3
        if groups and (cost > free or (not same and (shared or bank.disc_views[groups[0][0].view]))):
            yield Piece(groups, bank.disc_views[groups[0][0].view])
            groups, free, same, cost = [], transforms, False, 1 if shared else 3
        if same:
            groups[-1].append(template)
        else:
            groups.append([template])
        free -= cost
        if shared and len(groups[-1]) == BATCH:
            free = 0
    if groups:
        yield Piece(groups, bank.disc_views[groups[0][0].view])
