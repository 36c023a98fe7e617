"""Maps in memory that all ranks of a node see, so that each can fold a slice of everybody's.

The memory has no name and no file: Linux lets a process open what another one of the same user has made
(`memfd_create`, /proc/PID/fd), and frees it with the last of them, however they end. It does not count
against the size of /dev/shm, which is small in many containers.
"""

from __future__ import annotations

import mmap
import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

from gembench.engine.mpi.reductions.messages import Array

if TYPE_CHECKING:
    from mpi4py import MPI

HEAD = 4096  # bytes before the maps: a page, which begins with the token
TOKEN = 16  # random bytes that tell the memory from any other


class NodeMaps:
    """The maps of every rank of a node, of one shape and type.

    node: the ranks; shape: (H, W); memory: of each rank, `size` bytes
    scores, indices: of each rank, (1, H W); score, index: this rank's, (H, W)
    """

    def __init__(
        self, node: MPI.Intracomm, shape: tuple[int, int], dtype: DTypeLike, memory: list[mmap.mmap]
    ) -> None:
        self.dtype = np.dtype(dtype)
        pixels = shape[0] * shape[1]
        indices_at = HEAD + _pages(pixels * self.dtype.itemsize)
        self.scores = [np.frombuffer(block, self.dtype, pixels, HEAD)[None] for block in memory]
        self.indices = [np.frombuffer(block, np.int32, pixels, indices_at)[None] for block in memory]
        self.score = self.scores[node.rank].reshape(shape)
        self.index = self.indices[node.rank].reshape(shape)

    def are(self, score: Array, index: Array) -> bool:
        """Whether these maps are this rank's."""
        return all(
            maps.ctypes.data == own.ctypes.data and maps.nbytes == own.nbytes
            for maps, own in ((score, self.score), (index, self.index))
        )


def node_maps(node: MPI.Intracomm, shape: tuple[int, int], dtype: DTypeLike) -> NodeMaps | None:
    """Maps (H, W) for all ranks of a node, which must call together; None where ranks cannot see them."""
    pixels = shape[0] * shape[1]
    size = HEAD + _pages(pixels * np.dtype(dtype).itemsize) + _pages(4 * pixels)
    file, token = _anonymous_file(size), secrets.token_bytes(TOKEN)
    memory = []
    try:
        if file is not None:
            with mmap.mmap(file, size) as own:
                own[:TOKEN] = token
        files = node.allgather((os.getpid(), file, token))
        with suppress(OSError):
            memory = [_opened(process, other, secret, size) for process, other, secret in files]
        seen = node.allgather(len(memory) == node.size)
    finally:
        if file is not None:
            os.close(file)
    return NodeMaps(node, shape, dtype, memory) if all(seen) else None


def _pages(size: int) -> int:
    """A number of bytes rounded up to whole pages."""
    return -(-size // HEAD) * HEAD


def _anonymous_file(size: int) -> int | None:
    """A file descriptor of so many bytes of memory; None if there is no such thing here."""
    if not hasattr(os, "memfd_create"):
        return None
    try:
        file = os.memfd_create("gembench")
    except OSError:
        return None
    os.ftruncate(file, size)
    return file


def _opened(process: int, file: int | None, token: bytes, size: int) -> mmap.mmap:
    """Another process's memory.

    Raises OSError if it cannot be opened, or is something else, as where processes are counted anew.
    """
    if file is None:
        raise FileNotFoundError("a rank has no memory to share")
    opened = os.open(f"/proc/{process}/fd/{file}", os.O_RDWR)
    try:
        if os.fstat(opened).st_size != size:
            raise FileNotFoundError(f"/proc/{process}/fd/{file} is something else")
        memory = mmap.mmap(opened, size)
    finally:
        os.close(opened)
    if memory[:TOKEN] != token:
        raise FileNotFoundError(f"/proc/{process}/fd/{file} is something else")
    with suppress(OSError, AttributeError):  # fewer, larger pages where the system gives them
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memory
