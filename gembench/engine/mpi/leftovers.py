"""What runs that were killed have left in shared memory: 3 MB each, which the next run takes away."""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from pathlib import Path

import psutil

SHARED = Path("/dev/shm")  # where Linux keeps shared memory
LEFT = re.compile(r"mpich_shm_\w+|__KMP_REGISTERED_LIB_(\d+)_\d+")  # MPICH; OpenMP, with a process id
_MAPPED = re.compile(r" (/.+)$", re.MULTILINE)  # the file of a line of /proc/PID/maps
BEGINNING = 60.0  # seconds in which a run that starts may not have opened its own yet


def clear_leftovers(folder: Path = SHARED) -> list[str]:
    """Remove what no process of this user holds any more; returns the names.

    A name that is removed while somebody still had it mapped would harm nothing: the memory stays his.
    """
    if not (folder.is_dir() and hasattr(os, "getuid")):
        return []
    old = {path: kind for path in folder.iterdir() if (kind := LEFT.fullmatch(path.name)) and _is_ours(path)}
    held = _mapped() if any(not kind[1] for kind in old.values()) else set()
    removed = []
    for path, kind in old.items():
        if psutil.pid_exists(int(kind[1])) if kind[1] else str(path) in held:
            continue
        with suppress(OSError):
            path.unlink()
            removed.append(path.name)
    return removed


def _is_ours(path: Path) -> bool:
    """Whether a file is this user's and no longer new."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return status.st_uid == os.getuid() and time.time() - status.st_mtime > BEGINNING


def _mapped() -> set[str]:
    """The files that this user's processes have mapped."""
    files: set[str] = set()
    for path in Path("/proc").glob("[0-9]*/maps"):
        with suppress(OSError):  # another user's, or of a process that has ended
            files.update(_MAPPED.findall(path.read_text(encoding="utf-8", errors="replace")))
    return files
