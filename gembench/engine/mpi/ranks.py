"""The ranks of an MPI run: the cores of each, and that an error on one ends them all."""

from __future__ import annotations

import os
import re
import socket
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TypeVar

from gembench.engine.mpi.launch import launched
from gembench.engine.mpi.reductions.messages import wait
from gembench.errors import InputError
from gembench.machine import cores

if TYPE_CHECKING:
    from mpi4py import MPI

T = TypeVar("T")
Distribution = Literal["micrographs", "templates"]
DISTRIBUTIONS: tuple[Distribution, ...] = ("micrographs", "templates")


def all_ranks() -> MPI.Intracomm:
    """A communicator of our own for all ranks that were started.

    Raises InputError if mpi4py or its MPI is missing, and if mpiexec is of another MPI.
    """
    started = launched().ranks
    try:
        with warnings.catch_warnings():  # of a launcher that does not fit, which is an error below
            warnings.simplefilter("ignore", RuntimeWarning)
            from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise InputError(f"MPI: mpi4py cannot be used ({' '.join(str(error).split())}): pip install"
                         " 'gembench[mpi]', or build it with the MPI of this cluster") from None
    if started > 1 and MPI.COMM_WORLD.size == 1:
        library = re.split("[\n,]", MPI.Get_library_version())[0].strip()
        raise InputError(f"MPI: {started} ranks were started but each sees itself alone: mpiexec is not of"
                         f" the MPI that mpi4py uses, {library}: take that one's mpiexec")
    return MPI.COMM_WORLD.Dup()


def cores_of_rank(communicator: MPI.Intracomm) -> int:
    """The part of the node's cores for this rank, at least 1: a core that several may use is divided."""
    from mpi4py import MPI

    node = communicator.Split_type(MPI.COMM_TYPE_SHARED)
    if not hasattr(os, "sched_getaffinity"):
        share = cores() / node.size
    else:
        own = os.sched_getaffinity(0)
        everyone = node.allgather(own)
        share = sum(1 / sum(core in affinity for affinity in everyone) for core in own)
    node.Free()
    return max(1, int(share + 1e-9))


def rank_on_node(communicator: MPI.Intracomm) -> int:
    """The number of this rank among those of its node."""
    from mpi4py import MPI

    node = communicator.Split_type(MPI.COMM_TYPE_SHARED)
    number = node.rank
    node.Free()
    return number


def from_root(communicator: MPI.Intracomm, make: Callable[[], T]) -> T | None:
    """What the root makes, on all ranks; None on the others if it fails there, where the error is raised."""
    made: T | None = None
    try:
        if communicator.rank == 0:
            made = make()
    finally:
        wait(communicator.Ibarrier())
        made = communicator.bcast(made)
    return made


@contextmanager
def ending_together(communicator: MPI.Intracomm) -> Iterator[None]:
    """End all ranks if an error leaves the block on this one, with a line that names rank and error."""
    try:
        yield
    except BaseException as error:
        interrupted, refused = isinstance(error, KeyboardInterrupt), isinstance(error, InputError)
        said = str(error) if refused else f"{type(error).__name__}: {' '.join(str(error).split())}"
        if not interrupted:
            print(f"gembench: error: rank {communicator.rank} on {socket.gethostname()}: {said}",
                  file=sys.stderr, flush=True)
        elif communicator.rank == 0:  # Ctrl-C comes to all
            print("gembench: interrupted", file=sys.stderr, flush=True)
        communicator.Abort(130 if interrupted else 2 if refused else 1)
