"""How an MPI launcher started this process, seen from its environment; loads no library."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

LAUNCHERS = (  # the variables that tell a process: ranks, its own rank, its rank on the node
    ("PMI_SIZE", "PMI_RANK", "MPI_LOCALRANKID"),  # MPICH, Intel MPI
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK"),
    ("MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_LOCAL_RANK"),
    ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_LOCALID"),
)


class Launch(NamedTuple):
    """How many ranks a launcher started, and which of them, counted over all and on its node, this one is."""

    ranks: int = 1
    rank: int = 0
    rank_on_node: int = 0


def launched(environment: Mapping[str, str] = os.environ) -> Launch:
    """What mpiexec or srun told this process, without loading MPI; one rank if it was started by neither."""
    for names in LAUNCHERS:
        if environment.get(names[0], "").isdigit():
            return Launch(*(int(environment.get(name, "0")) for name in names))
    return Launch()
