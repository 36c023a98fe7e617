"""A rank of an MPI run as the child of a small process that says how it ended.

A rank that a signal ends, as where memory runs out, cannot say so itself, and what launchers say may leave
out which rank it was.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
from collections.abc import Callable

from gembench.engine.mpi.launch import launched

DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


def die_with(parent: int) -> None:
    """Ask Linux to kill this process when its parent dies; elsewhere it has to see that itself."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked
            sys.exit(1)


def supervised(run: Callable[[], int]) -> int:
    """The exit code of `run`, called in a child process; 128 + its number, and a line, if a signal ends it.

    The launcher ends all ranks when one ends with a code that is not 0. To be called before any library
    starts threads.
    """
    if not hasattr(os, "fork"):
        return run()
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        die_with(parent)
        return run()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the child has it from the terminal too
    signal.signal(signal.SIGTERM, lambda number, _: os.kill(child, number))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code >= 0:
        return code
    name = signal.Signals(-code).name
    hint = " (out of memory?)" if -code == signal.SIGKILL else ""
    print(f"gembench: error: rank {launched().rank} on {socket.gethostname()}: ended by {name}{hint}",
          file=sys.stderr, flush=True)
    return 128 - code
