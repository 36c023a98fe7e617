"""Where a run's numbers come from: sources, machine, libraries, threads and load, collected once a run."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gembench import machine, plugins
from gembench.machine import output_of
from gembench.study.measure.sources import source_hash

THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "DUCC0_NUM_THREADS",
)


def commit(folder: Path) -> tuple[str | None, bool | None]:
    """The checkout's commit and whether tracked files differ from it; None, None outside a checkout.

    A copy that left its checkout says where it came from in GEMBENCH_COMMIT, with -dirty after it if so.
    """
    revision = os.environ.get("GEMBENCH_COMMIT")
    if revision:
        return revision.removesuffix("-dirty"), revision.endswith("-dirty")
    head = output_of("git", "rev-parse", "HEAD", folder=folder)
    if head is None:
        return None, None
    return head, bool(output_of("git", "status", "--porcelain", "--untracked-files=no", folder=folder))


def fingerprint(experiment_file: Path) -> dict[str, Any]:
    """What must be equal for a stored case to stand for a new measurement: sources, libraries, GPUs."""
    return {
        "source_hash": source_hash(experiment_file), "libraries": machine.libraries(), "gpus": machine.gpus(),
    }


def collect(experiment_file: Path, argv: Sequence[str] | None = None) -> dict[str, Any]:
    """The provenance of a run that starts now, as JSON values."""
    head, dirty = commit(experiment_file.parent)
    return {
        "started": datetime.now(UTC).isoformat(timespec="microseconds"),
        "argv": list(sys.argv[1:] if argv is None else argv),
        "commit": head, "dirty": dirty, "source_hash": source_hash(experiment_file),
        "plugins": plugins.hashes(), "machine": machine.describe(), "libraries": machine.libraries(),
        "thread_environment": {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ},
        "load": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
    }
