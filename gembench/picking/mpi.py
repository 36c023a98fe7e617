"""Picking under mpiexec: whole micrographs for each rank, or a share of the templates."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gembench.engine.exact.producer import CPUSearch
from gembench.engine.fft import FFTLibrary, fft_library
from gembench.engine.gpu.device import device_of_rank
from gembench.engine.mpi.distribution import choose, hand_out, take
from gembench.engine.mpi.leftovers import clear_leftovers
from gembench.engine.mpi.ranks import (
    Distribution,
    cores_of_rank,
    ending_together,
    from_root,
    rank_on_node,
)
from gembench.engine.mpi.reductions import DEFAULT_REDUCTION, FOR_PICKING, check_reduction
from gembench.engine.mpi.reductions.messages import wait
from gembench.errors import InputError
from gembench.io.images.micrographs import read_micrograph
from gembench.picking.folder import PickFolder
from gembench.picking.picker import Picker
from gembench.picking.run import Outcome, PickRun, Task, open_folder, read_task, unfinished
from gembench.picking.settings import Outputs, PickSettings, Resources, Sources

if TYPE_CHECKING:
    from mpi4py import MPI

log = logging.getLogger("gembench")


@dataclass(frozen=True)
class Sharing:
    """How work is divided over ranks.

    distribution: whole micrographs or shares of the templates, None to choose by their number
    reduction: of maps, see `engine.mpi.reductions`, None for the default one
    """

    distribution: Distribution | None = None
    reduction: str | None = None


@dataclass(frozen=True)
class _Plan:
    """What the root has read and chosen, for all ranks.

    library: the name of the FFT library; knowledge: of that library, see `FFTLibrary.learn`
    """

    task: Task
    folder: PickFolder
    todo: list[Path]
    distribution: Distribution
    reduction: str
    library: str
    knowledge: Any


class RankRun(PickRun):
    """A run on all ranks: the root takes the `outcomes`, the others `follow`."""

    def __init__(
        self, communicator: MPI.Intracomm, plan: _Plan, picker: Picker, argv: Sequence[str]
    ) -> None:
        super().__init__(plan.task, picker, plan.folder, plan.todo, argv)
        self.communicator, self.distribution, self.reduction = communicator, plan.distribution, plan.reduction
        self.workers = 1 if plan.distribution == "templates" else communicator.size

    @property
    def leads(self) -> bool:
        """Whether this rank is the root."""
        return self.communicator.rank == 0

    @property
    def shares(self) -> str:
        """What each rank gets, in words."""
        if self.distribution == "templates":
            return f"a share of the templates, reduction {self.reduction}"
        return "whole micrographs"

    def record(self) -> dict[str, Any]:
        """See `PickRun.record`."""
        return super().record() | {
            "ranks": self.communicator.size, "distribution": self.distribution,
            "reduction": self.reduction if self.distribution == "templates" else None,
        }

    def _picked(self) -> Iterator[Outcome]:
        if self.distribution == "templates":
            return super()._picked()
        return hand_out(self.communicator, self.todo, self.pick)

    def follow(self) -> None:
        """The part of the other ranks; what they warn of goes to the root, which says it once."""
        def pick(path: Path) -> Outcome:
            warnings.clear()
            outcome = self.pick(path)
            return dataclasses.replace(outcome, warnings=tuple(warnings))

        with _warnings_kept() as warnings:
            if self.distribution == "templates":
                self.picker.serve()
            elif self.todo:
                take(self.communicator, self.todo, pick)

    def same_on_all(self, value: int) -> int:
        """The root's value, on all ranks, when all are done."""
        self.picker.search.close()  # of the root, it lets the others go
        wait(self.communicator.Ibarrier())
        return int(self.communicator.bcast(value))


@contextmanager
def open_rank_run(
    communicator: MPI.Intracomm, sources: Sources, outputs: Outputs, settings: PickSettings,
    resources: Resources, sharing: Sharing, argv: Sequence[str] = (),
) -> Iterator[RankRun | None]:
    """A run on all ranks, for the time of a block; an error that leaves it on one rank ends them all.

    None on the other ranks if the root cannot use the input, which raises InputError there.
    """
    with ending_together(communicator):
        threads = cores_of_rank(communicator) if resources.threads is None else resources.threads
        resources = dataclasses.replace(resources, threads=threads)
        cores = communicator.allreduce(threads)
    plan = from_root(communicator, lambda: _planned(sources, outputs, settings, resources, sharing, cores))
    if plan is None:
        yield None
        return
    with ending_together(communicator):
        device = device_of_rank(resources.device, rank_on_node(communicator))
        resources = dataclasses.replace(resources, device=device)
        by_templates = plan.distribution == "templates"
        if communicator.rank:
            resources = dataclasses.replace(resources, library=plan.library)
        picker = plan.task.picker(resources, ranks=communicator if by_templates else None,
                                  reduction=plan.reduction, plots=outputs.plots)
        if communicator.rank and plan.knowledge is not None:
            fft_library(plan.library).learn(plan.knowledge)
        yield RankRun(communicator, plan, picker, argv)


def _planned(
    sources: Sources, outputs: Outputs, settings: PickSettings, resources: Resources, sharing: Sharing,
    cores: int,
) -> _Plan:
    """On the root: read the input, and choose what is not given."""
    clear_leftovers()
    reduction = sharing.reduction or DEFAULT_REDUCTION
    check_reduction(reduction, FOR_PICKING)
    task = read_task(sources, settings)
    # For its errors, before the folder is touched, and for the library that it takes.
    search = task.picker(dataclasses.replace(resources, memory=None)).search
    folder = open_folder(sources, outputs, task.settings, task.paths)
    todo = unfinished(task, folder)
    automatic = choose(len(todo), cores) if settings.method != "banded" else "micrographs"
    distribution = sharing.distribution or automatic
    knowledge = None
    if distribution == "micrographs" and isinstance(search, CPUSearch) and todo:
        with suppress(InputError):  # which is said when its turn comes
            height, width = read_micrograph(todo[0], pixel_size=task.settings.pixel_size).shape
            knowledge = search.knowledge((height, width))
    library = search.library.name if isinstance(search.library, FFTLibrary) else resources.library
    return _Plan(task, folder, todo, distribution, reduction, library, knowledge)


@contextmanager
def _warnings_kept() -> Iterator[list[tuple[str, tuple[Any, ...]]]]:
    """The package's warnings go into this list, as message and arguments, and are not shown."""
    kept: list[tuple[str, tuple[Any, ...]]] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            kept.append((str(record.msg), record.args if isinstance(record.args, tuple) else ()))

    shown, log.handlers = log.handlers, [Keeper(logging.WARNING)]
    try:
        yield kept
    finally:
        log.handlers = shown
