"""`gembench` commands one after another on all ranks; the first rank prints their exit codes in JSON last.

Arguments: the commands, each a list of words in JSON.
"""

from __future__ import annotations

import json
import sys

from mpi4py import MPI

from gembench.cli import main
from gembench.engine.mpi import supervised as _supervised

_supervised.supervised = lambda run: run()  # a process that MPI runs in already must not be forked
codes = [MPI.COMM_WORLD.gather(main(json.loads(words))) for words in sys.argv[1:]]
if MPI.COMM_WORLD.rank == 0:
    print(json.dumps(codes))
