"""`gembench pick` under mpiexec: whole micrographs for each rank, or a share of the templates."""

from __future__ import annotations

import argparse
import dataclasses
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gembench.commands.memory import left_for_search
from gembench.engine.mpi.launch import launched
from gembench.engine.mpi.ranks import Distribution, all_ranks, cores_of_rank, ending_together, from_root
from gembench.engine.mpi.reductions import DEFAULT_REDUCTION, check_reduction
from gembench.engine.mpi.reductions.messages import wait
from gembench.engine.mpi.search import choose, hand_out, take
from gembench.errors import InputError
from gembench.picking.one import Outcome
from gembench.picking.picker import Picker
from gembench.picking.task import Task, collect, describe, prepare, run_record

if TYPE_CHECKING:
    from mpi4py import MPI

log = logging.getLogger("gembench")


def joined(args: argparse.Namespace) -> MPI.Intracomm | None:
    """The ranks to pick with; None if this process is alone and no distribution is asked for.

    Raises InputError if there is nothing to reduce, or MPI cannot be used.
    """
    if launched().ranks > 1 or args.distribute is not None:
        return all_ranks()
    if args.reduce is not None:
        raise InputError(f"--reduce {args.reduce}: one rank has nothing to reduce: start it as mpiexec -n N"
                         " gembench pick ...")
    return None


@dataclass(frozen=True)
class _Shared:
    """What all ranks work on, and how."""

    task: Task
    distribution: Distribution
    reduction: str

    def picker(self, threads: int, communicator: MPI.Intracomm) -> Picker:
        """The picker of one rank."""
        return Picker(
            self.task.bank, self.task.settings, threads=threads, library=self.task.args.fft,
            memory=left_for_search(self.task.args.memory),
            ranks=communicator if self.distribution == "templates" else None, reduction=self.reduction,
        )


def pick(args: argparse.Namespace, communicator: MPI.Intracomm) -> int:
    """Pick with all ranks; the exit code, on all of them, is that of one process."""
    with ending_together(communicator):
        threads = args.threads if args.threads is not None else cores_of_rank(communicator)
        cores = communicator.allreduce(threads)
    shared = from_root(communicator, lambda: _planned(args, threads, cores))
    if shared is None:
        return 2
    with ending_together(communicator):
        picker = shared.picker(threads, communicator)
        failed = 0
        if communicator.rank == 0:
            failed = _lead(shared, picker, communicator)
        else:
            _follow(shared, picker, communicator)
        picker.search.close()  # of the root, it lets the others go
        wait(communicator.Ibarrier())
        failed = communicator.bcast(failed)
    return 2 if failed else 0


def _planned(args: argparse.Namespace, threads: int, cores: int) -> _Shared:
    """On the root: read the input, and choose what is not given."""
    reduction = args.reduce or DEFAULT_REDUCTION
    check_reduction(reduction)
    task, _ = prepare(
        args, lambda bank, settings: Picker(bank, settings, threads=threads, library=args.fft)
    )
    automatic = choose(len(task.todo), cores) if args.method != "banded" else "micrographs"
    return _Shared(task, args.distribute or automatic, reduction)


def _lead(shared: _Shared, picker: Picker, communicator: MPI.Intracomm) -> int:
    """The root's part; returns how many micrographs could not be picked."""
    task, ranks = shared.task, communicator.size
    by_templates = shared.distribution == "templates"
    given = f"a share of the templates, reduction {shared.reduction}" if by_templates else "whole micrographs"
    describe(task, picker, f" on each of {ranks} ranks, which get {given}")

    def one(path: Path) -> Outcome:
        return task.pick(picker, path)

    outcomes = task.pick_all(picker) if by_templates else hand_out(communicator, task.todo, one)
    return collect(task, outcomes, lambda: run_record(task, picker) | {
        "ranks": ranks, "distribution": shared.distribution,
        "reduction": shared.reduction if by_templates else None,
    })


def _follow(shared: _Shared, picker: Picker, communicator: MPI.Intracomm) -> None:
    """The part of the other ranks; what they warn of goes to the root, which says it once."""
    task = shared.task

    def one(path: Path) -> Outcome:
        warnings.clear()
        outcome = task.pick(picker, path)
        return dataclasses.replace(outcome, warnings=tuple(warnings))

    with _warnings_kept() as warnings:
        if shared.distribution == "templates":
            picker.serve()
        elif task.todo:
            take(communicator, task.todo, one)


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
