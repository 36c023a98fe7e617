"""A folder that several processes write: what one of them reads and writes back is not changed meanwhile."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gembench.errors import InputError
from gembench.io.atomic import cannot_write
from gembench.io.checks import log
from gembench.io.processes import describe, this_process

NAME = ".lock"
PATIENCE = 60.0  # seconds; the longest that is done under a lock takes some 10 ms a micrograph
PAUSE = 0.02  # seconds between two tries
_WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)


@contextmanager
def locked(folder: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Keep others out of the same block for the same folder, on this host and others, while it runs.

    The lock ends with its process, however that ends. Where the file system has none, a warning says so and
    the block runs without.

    Raises InputError if the folder is missing or not writable, or if another process, which is named, holds
    the lock for longer than `patience` seconds.
    """
    path = folder / NAME
    handle = _acquired(path, patience)
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()  # while it is ours: who waits for it sees that it has gone, and makes another
        os.close(handle)


def _acquired(path: Path, patience: float) -> int:
    """The open lock file, locked."""
    end = time.monotonic() + patience
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise cannot_write(path.parent, error) from error
        try:
            if _try_lock(path, handle) and _is_at(path, handle):
                _sign(path, handle)
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
        if time.monotonic() > end:
            raise InputError(f"{path.parent}: {_holder(path)} keeps the folder locked: end it, or choose"
                             " another folder")
        time.sleep(PAUSE)


def _sign(path: Path, handle: int) -> None:
    """Write who holds the lock; raises InputError, and takes the file away, if the disk is full."""
    try:
        os.truncate(handle, 0)
        os.write(handle, json.dumps(this_process()).encode())
    except OSError as error:
        with suppress(OSError):
            path.unlink()
        raise cannot_write(path.parent, error) from error


def _try_lock(path: Path, handle: int) -> bool:
    """Whether the file is locked now, or cannot be on this file system."""
    try:
        import fcntl
    except ImportError:  # not on this system
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise
        log.warning("%s: this file system has no locks: let no two runs write here at once", path.parent)
    return True


def _is_at(path: Path, handle: int) -> bool:
    """Whether the open file is still the one of that name."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(handle), path.stat())
    return False


def _holder(path: Path) -> str:
    """Who holds the lock, in words."""
    with suppress(OSError, ValueError):
        return describe(dict(json.loads(path.read_text(encoding="utf-8"))))
    return "another process"
