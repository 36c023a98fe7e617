"""What is worked out once for a machine and kept in the user's cache: FFTW's plans, the fastest library."""

from __future__ import annotations

import hashlib
import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO


def machine_folder() -> Path:
    """The folder of this kind of machine in GEMBENCH_CACHE, or in `gembench` of the user's cache."""
    own, home = os.environ.get("GEMBENCH_CACHE"), os.environ.get("XDG_CACHE_HOME")
    folder = Path(own) if own else (Path(home) if home else Path.home() / ".cache") / "gembench"
    return folder / machine_key()


@cache
def machine_key() -> str:
    """The CPU's name and a hash of what it can do, such as `amd-epyc-3f9a01c2`.

    Homes are often shared by nodes of several kinds, whose plans and times are not each other's.
    """
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    facts = {name: re.search(rf"^{name}\s*:\s*(.+)$", text, re.MULTILINE)
             for name in ("model name", "cpu family", "model", "flags", "Features", "CPU part")}
    values = [match[1].strip() for match in facts.values() if match]
    values = values or [platform.processor(), platform.machine()]
    model = facts["model name"]
    name = model[1] if model else platform.machine() or "cpu"
    slug = re.sub(r"[^a-z0-9]+", "-", re.sub(r"\((r|tm)\)|@.*", " ", name.lower())).strip("-")
    return f"{slug}-{hashlib.sha256(' '.join(values).encode()).hexdigest()[:8]}"


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Keep other processes of this user out of the block; yields False where that cannot be done.

    path: of the lock file, which stays; its folder is made. The lock ends with the process at the latest.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("a+b")
    except OSError:  # a cache that cannot be written
        yield False
        return
    with handle:
        try:
            _lock(handle)
        except OSError:  # a file system without locks
            yield False
            return
        yield True  # closing the file ends the lock


def _lock(handle: IO[bytes]) -> None:
    """Wait until no other process has locked the file."""
    try:
        import fcntl
    except ModuleNotFoundError:
        _lock_windows(handle)
    else:
        fcntl.flock(handle, fcntl.LOCK_EX)


def _lock_windows(handle: IO[bytes]) -> None:
    import msvcrt

    while True:
        handle.seek(0)
        try:
            msvcrt.locking(handle.fileno(), msvcrt.LK_LOCK, 1)  # type: ignore[attr-defined]
        except OSError:  # after ten seconds of waiting
            continue
        return


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all. Raises OSError."""
    temporary = path.with_suffix(f".{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
