"""Outputs that appear whole or not at all: write beside the target, then rename."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gembench.errors import InputError
from gembench.io.processes import is_alive

_REMEDIES = {
    errno.ENOSPC: "no space left on the device; free some or write elsewhere",
    errno.EDQUOT: "the disk quota is used up; free some space or write elsewhere",
    errno.EFBIG: "the file would be larger than the file system or its limit allows; write elsewhere",
    errno.ENOENT: "its folder does not exist; create it first",
    errno.ENOTDIR: "part of its path is a file, not a folder; choose another path",
    errno.EEXIST: "a file of that name is in the way; choose another path",
    errno.EISDIR: "it is a folder; give a file name",
    errno.EACCES: "its folder is not writable; choose another or change its permissions",
    errno.EPERM: "its folder is not writable; choose another or change its permissions",
    errno.EROFS: "the file system is read-only; write elsewhere",
    errno.EIO: "the device reports an input/output error; write elsewhere",
    errno.ENAMETOOLONG: "the name is too long; shorten it",
}


_PART = ".part-"  # how the names of unfinished files begin


def _host() -> str:
    """Eight letters that stand for this host."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def cannot_write(path: Path, error: OSError) -> InputError:
    """`error` as the one line a user reads, or `error` itself raised again when it is not about writing."""
    remedy = _REMEDIES.get(error.errno or 0)
    if remedy is None:
        raise error
    return InputError(f"{path}: cannot be written: {remedy}")


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path in the folder of `path`, renamed to `path` when the block ends without error.

    The temporary file exists, is empty and keeps the suffix of `path`, so that libraries which choose a
    format by suffix behave. If the block raises, the temporary file is removed and an older `path` stays
    as it was.

    Raises InputError if the file cannot be written (missing or unwritable folder, no space left). An
    OSError of the block about another file is passed on unchanged.
    """
    path = Path(path)
    temporary = _begun(path)
    try:
        yield temporary
        _to_disk(temporary)  # a power cut else leaves an empty file of the right name
        os.replace(temporary, path)  # noqa: PTH105 - overwrites on every platform, and says so
        with suppress(OSError):
            _to_disk(path.parent)
    except OSError as error:
        if error.filename not in (None, str(temporary), temporary):
            raise
        raise cannot_write(path, error) from error
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def _begun(path: Path) -> Path:
    """A new, empty file beside `path`; raises InputError if there can be none, or `path` is a folder."""
    if path.is_dir():
        raise InputError(f"{path}: cannot be written: {_REMEDIES[errno.EISDIR]}")
    temporary = part_of(path.parent, path.suffix)
    try:
        temporary.touch(exist_ok=False)  # mode follows the umask, which tempfile's would not
    except OSError as error:
        raise cannot_write(path, error) from error
    return temporary


def require_writable(*paths: Path | None) -> None:
    """Raise InputError unless files of these names, which differ, can be written; None is no name.

    To be asked before long work, and before the first of several files is written.
    """
    asked = [path for path in paths if path is not None]
    for number, path in enumerate(asked):
        if path in asked[:number]:
            raise InputError(f"{path}: two different files cannot have one name; choose another for one")
        _begun(path).unlink(missing_ok=True)


def require_folder(path: Path | None) -> None:
    """Raise InputError unless there is a folder of this name, or can be; makes none. None is no name."""
    if path is None:
        return
    there = next(part for part in (path, *path.absolute().parents) if os.path.lexists(part))
    if not there.is_dir():
        reason = _REMEDIES[errno.EEXIST if there == path else errno.ENOTDIR]
        raise InputError(f"{path}: the folder cannot be created: {reason}")
    if not os.access(there, os.W_OK):
        raise InputError(f"{path}: the folder cannot be written: {_REMEDIES[errno.EACCES]}")


def part_of(folder: Path, suffix: str = "") -> Path:
    """A new name for what is unfinished in a folder; `remove_parts` removes it once this process is gone."""
    return folder / f"{_PART}{_host()}-{os.getpid()}-{secrets.token_hex(4)}{suffix}"


def _to_disk(path: Path) -> None:
    """Wait until what was written of a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):  # the file system does not do it
            raise
    finally:
        os.close(handle)


def remove_parts(folder: Path) -> None:
    """Remove what processes of this host that no longer run have left half-written in a folder."""
    for path in folder.glob(f"{_PART}{_host()}-*"):
        pid = path.name.removeprefix(f"{_PART}{_host()}-").partition("-")[0]
        if not pid.isdecimal() or is_alive(int(pid)):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def atomic_text(path: str | Path, text: str) -> None:
    """Write `text` to `path` as UTF-8 with Unix line ends, whole or not at all.

    Raises InputError if the file cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(text.encode())


def make_folder(path: str | Path) -> Path:
    """Create the folder `path` with its parents if it is not there yet; returns it.

    Raises InputError if it cannot be created or a file is in the way.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = _REMEDIES.get(error.errno or 0, error.strerror)
        raise InputError(f"{path}: the folder cannot be created: {reason}") from error
    return path
