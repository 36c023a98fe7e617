"""Cases that are measured together, in one launch of ranks, though each has a worker of its own.

Starting ranks takes longer than most of what they measure. The first worker that asks for a sheet measures
all of its cases, in alternating rounds, and leaves it in a folder of the run; the others read it there.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gembench.io.atomic import atomic_path
from gembench.study.clusters.owners import orphaned, runner

Entry = dict[str, Any]


def folder() -> Path:
    """The folder of this run's sheets, private to the user; those of runs that have ended are removed."""
    everyone = Path(tempfile.gettempdir()) / f"gembench-sheets-{os.getuid()}"
    everyone.mkdir(mode=0o700, exist_ok=True)
    if everyone.stat().st_uid != os.getuid():
        raise PermissionError(f"{everyone}: belongs to somebody else; remove it or set TMPDIR")
    for old in everyone.iterdir():
        if orphaned(old.name):
            shutil.rmtree(old, ignore_errors=True)
    own = everyone / runner()
    own.mkdir(exist_ok=True)
    return own


def sheet(key: str, number: int, measure: Callable[[], list[Entry]]) -> list[Entry]:
    """The entries of the sheet `key`, for the `number`th time; `measure` makes them if nobody has yet.

    Workers that ask at the same time wait for the first of them.
    """
    path = folder() / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}-{number}.json"
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            entries = measure()
            with atomic_path(path) as temporary:
                temporary.write_text(json.dumps(entries), encoding="utf-8")
        stored: list[Entry] = json.loads(path.read_text(encoding="utf-8"))
    return stored
