"""One rank fails while the others wait for it in a barrier. Argument: how."""

from __future__ import annotations

import os
import signal
import sys

from gembench.engine.mpi.ranks import all_ranks, ending_together
from gembench.engine.mpi.supervised import supervised
from gembench.errors import InputError


def run():
    ranks = all_ranks()
    with ending_together(ranks):
        if ranks.rank == 1 and sys.argv[1] == "raise":
            raise RuntimeError("planted")
        if ranks.rank == 1 and sys.argv[1] == "refuse":
            raise InputError("a.mrc: planted")
        if ranks.rank == 1:
            os.kill(os.getpid(), signal.Signals[sys.argv[1]])
        ranks.Barrier()
    return 0


sys.exit(supervised(run))
