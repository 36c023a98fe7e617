"""Files of others: only regular files are opened, and only what fits into memory is read.

A name says little of a file: it may be a pipe that never ends, and its header may claim any size.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gembench.errors import InputError
from gembench.text import printable

MARGIN = 64 * 2**20  # bytes that are left for all else when the sizes in a file are believed


def require_file(path: Path) -> None:
    """Raise InputError unless `path` is a readable regular file that is not empty."""
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; check the path") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    except ValueError as error:  # a NUL in the name
        raise InputError(f"{printable(str(path))}: is no file name; check the path") from error
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"{path}: is a folder where a file is needed; name a file in it")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path}: is a {_kind(status.st_mode)} where a file is needed; name a file")
    try:
        with path.open("rb") as handle:
            if not handle.read(1):
                raise InputError(f"{path}: the file is empty; write or copy it again")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error


def is_file(path: Path) -> bool:
    """Whether a name from a file of others is that of a file; it may be one that no file can have."""
    return os.path.isfile(path)  # noqa: PTH113 - Path's raises OSError for a name that is too long


def _kind(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "pipe"
    return "device" if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else "special file"


def require_memory(path: Path, size: int, what: str) -> None:
    """Raise InputError if `size` bytes, for `what` a file claims to hold, are more than are free."""
    free = free_memory()
    if size > free:
        raise InputError(f"{path}: {what} need {size / 2**30:.3g} GiB and {max(free, 0) / 2**30:.3g} GiB are"
                         " free; check the file, or use a computer with more memory")


def free_memory() -> int:
    """Bytes that this process can still take, by what the machine has and by what it is allowed."""
    try:
        import psutil
    except ModuleNotFoundError:  # as on a bare machine; POSIX tells what is free, not what this process has
        free, taken = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), 0
    else:
        free, taken = int(psutil.virtual_memory().available), int(psutil.Process().memory_info().vms)
    try:
        import resource
    except ImportError:  # not on this system
        return free - MARGIN
    allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    if allowed != resource.RLIM_INFINITY:
        free = min(free, allowed - taken)
    return free - MARGIN


@contextmanager
def parsing(path: Path, what: str) -> Iterator[None]:
    """Whatever the library that parses a file in this block raises is an InputError that names the file.

    what: the file should be, such as 'a readable image'. Libraries meet damaged files with any type of error.
    """
    try:
        yield
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(f"{path}: out of memory while it was read{_reason(error)}: use fewer threads, or end"
                         " other programs") from error
    except Exception as error:
        raise InputError(f"{path}: is not {what}{_reason(error) or f' ({type(error).__name__})'};"
                         " write or copy it again") from error


def _reason(error: Exception) -> str:
    """The first line of what an error says, in brackets."""
    lines = str(error).strip().splitlines()
    return f" ({printable(lines[0], 200)})" if lines else ""
