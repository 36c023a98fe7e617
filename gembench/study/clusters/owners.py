"""Who owns what is left outside a process: namespaces and files whose names tell when nobody needs them."""

from __future__ import annotations

import re
import sys
from contextlib import suppress

import psutil

_NAME = re.compile(r"gembench-(\d+)-(\d+)(?:-.+)?")


def owner(pid: int | None = None) -> str:
    """`gembench-<process id>-<start time>`, unique to a process: an id alone may be used again after it.

    Raises psutil.NoSuchProcess if there is no such process.
    """
    process = psutil.Process(pid)
    return f"gembench-{process.pid}-{round(process.create_time() * 100)}"


def runner() -> str:
    """The owner of what the workers of one run share: the runner, or this process if it is no worker."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    worker = spec is not None and spec.name == "gembench.study.measure.worker"
    return owner(psutil.Process().parents()[1].pid if worker else None)  # the fork of a nursery


def orphaned(name: str) -> bool:
    """Whether a name is one of ours and its owner is no more."""
    parts = _NAME.fullmatch(name)
    if not parts:
        return False
    with suppress(psutil.NoSuchProcess):
        return owner(int(parts[1])) != f"gembench-{parts[1]}-{parts[2]}"
    return True
