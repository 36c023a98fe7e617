"""`shared`: the ranks of a node fold in memory that they share, then one rank a node goes on as `chain`.

All ranks of a node see maps from `empty_maps`: each folds a slice of everybody's into the first rank's.

Other maps pass in chunks through a window of a few buffers: the last rank puts a chunk of its maps into a
buffer, every rank before it folds its own in, and the first folds the buffer into its maps; all at once, on
different chunks. A rank waits for its neighbour only, the last one for a free buffer. No map is written but
the first rank's, and the buffers stay in the cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gembench.engine.mpi.reductions import chain
from gembench.engine.mpi.reductions.messages import Array, halves, pieces, wait_until
from gembench.engine.mpi.reductions.node_maps import NodeMaps, node_maps
from gembench.engine.score_map import merge

if TYPE_CHECKING:
    from mpi4py import MPI

CHUNK = 1 << 20  # bytes of a buffer, or of maps that stay in cache while others are folded into them
BUFFERS = 16
LINE = 64  # bytes of a cache line, which no two ranks write to


def reduce(communicator: MPI.Intracomm, score: Array, index: Array, *, root: int = 0) -> None:
    """Fold all ranks' maps, (n,), into the root's: in memory on a node, by a pipeline between nodes."""
    nodes = _nodes(communicator, root)
    if nodes.window is not None:
        seen = nodes.maps is not None and nodes.maps.are(score, index)
        if nodes.window.all_agree(nodes.node.rank, seen):
            assert nodes.maps is not None
            _fold_slice(nodes.node, nodes.maps)
            nodes.window.all_agree(nodes.node.rank, True)  # all are done
        else:
            _fold_on_node(nodes.node, nodes.window, score, index)
    if nodes.heads is not None:
        chain.reduce(nodes.heads, score, index)


def empty_maps(
    communicator: MPI.Intracomm, shape: tuple[int, int], dtype: DTypeLike, *, root: int = 0
) -> tuple[Array, Array] | None:
    """Maps (H, W) of scores and indices that `reduce` folds where they are; every rank must call.

    The same ones for the same shape and type. None on a node with one rank, and where ranks cannot see each
    other's memory.
    """
    nodes = _nodes(communicator, root)
    if nodes.asked != (shape, np.dtype(dtype)):
        nodes.asked = shape, np.dtype(dtype)
        nodes.maps = node_maps(nodes.node, shape, dtype) if nodes.node.size > 1 else None
    return None if nodes.maps is None else (nodes.maps.score, nodes.maps.index)


class _Window:
    """Memory that the ranks of a node share: buffers, how many chunks each rank is done with, what it says.

    The counts go on from one reduction to the next, so that none has to start at the same time on all ranks.
    """

    def __init__(self, node: MPI.Intracomm) -> None:
        from mpi4py import MPI

        counts = node.size * LINE
        size = counts + BUFFERS * CHUNK
        self._window = MPI.Win.Allocate_shared(0 if node.rank else size, 1, comm=node)
        self._window.Lock_all(MPI.MODE_NOCHECK)
        memory = np.asarray(self._window.Shared_query(0)[0])
        lines: NDArray[np.int64] = memory[:counts].view(np.int64).reshape(node.size, LINE // 8)
        self._done, self._said = lines[:, 0], lines[:, 1:3]
        self._buffers = memory[counts:size].reshape(BUFFERS, CHUNK)
        self.chunk = 0  # the next one, counted over all reductions
        self._meetings = 0
        lines[node.rank] = 0
        self._window.Sync()
        node.Barrier()

    def buffer(self, pixels: int, dtype: np.dtype[Any]) -> tuple[Array, Array]:
        """The buffer of the next chunk, as scores and indices, (1, pixels)."""
        score, index = halves(self._buffers[self.chunk % BUFFERS], pixels, dtype)
        return score[None], index[None]

    def wait_for(self, rank: int, chunk: int) -> None:
        """Wait until a rank of the node is done with a chunk."""
        def done() -> bool:
            self._window.Sync()
            return bool(self._done[rank] > chunk)

        wait_until(done)

    def advance(self, rank: int) -> None:
        """Tell that this rank is done with the next chunk."""
        self._window.Sync()
        self.chunk += 1
        self._done[rank] = self.chunk
        self._window.Sync()

    def all_agree(self, rank: int, agrees: bool) -> bool:
        """Wait until all ranks of the node ask this; whether all of them agree."""
        self._meetings += 1
        said = self._said[:, self._meetings % 2]  # a rank may be one meeting ahead of another
        self._window.Sync()
        said[rank] = 2 * self._meetings + agrees

        def here() -> bool:
            self._window.Sync()
            return bool((said >= 2 * self._meetings).all())

        wait_until(here)
        return bool((said % 2).all())

    def free(self) -> None:
        """Free the memory; every rank of the node must."""
        self._window.Unlock_all()
        self._window.Free()


def _fold_on_node(node: MPI.Intracomm, window: _Window, score: Array, index: Array) -> None:
    last = node.rank == node.size - 1
    scores, indices = score[None], index[None]  # as `merge` wants them; a chunk takes only some 0.2 ms
    for part in pieces(score.size, CHUNK // (score.itemsize + index.itemsize)):
        if last:
            window.wait_for(0, window.chunk - BUFFERS)
        else:
            window.wait_for(node.rank + 1, window.chunk)
        own = scores[:, part], indices[:, part]
        passing = window.buffer(part.stop - part.start, score.dtype)
        if last:
            passing[0][:], passing[1][:] = own
        elif node.rank:
            merge(*passing, *own)
        else:
            merge(*own, *passing)
        window.advance(node.rank)


def _fold_slice(node: MPI.Intracomm, maps: NodeMaps) -> None:
    """Fold this rank's slice of all maps into the first rank's."""
    size = maps.score.size
    start, stop = (size * place // node.size for place in (node.rank, node.rank + 1))
    first, *others = zip(maps.scores, maps.indices, strict=True)
    for part in pieces(stop - start, CHUNK // (maps.dtype.itemsize + 4)):
        where = np.s_[:, start + part.start : start + part.stop]
        better = first[0][where], first[1][where]
        for score, index in others:
            merge(*better, score[where], index[where])


@dataclass
class _Nodes:
    """The ranks of this node, the root or the lowest first; the first ranks of all nodes, on these.

    asked: shape and type of the latest maps that were asked for; maps: those, if the ranks can see them
    """

    node: MPI.Intracomm
    heads: MPI.Intracomm | None
    window: _Window | None
    asked: tuple[tuple[int, int], np.dtype[Any]] | None = None
    maps: NodeMaps | None = None

    def free(self) -> None:
        """Free what was made for the communicator; every rank must."""
        if self.window is not None:
            self.window.free()
        if self.heads is not None:
            self.heads.Free()
        self.node.Free()


def _nodes(communicator: MPI.Intracomm, root: int) -> _Nodes:
    """The nodes of a communicator, found at the first reduction and kept with it."""
    by_root = cast("dict[int, _Nodes] | None", communicator.Get_attr(_keyval()))
    if by_root is None:
        communicator.Set_attr(_keyval(), by_root := {})
    if root not in by_root:
        by_root[root] = _find_nodes(communicator, root)
    return by_root[root]


def _find_nodes(communicator: MPI.Intracomm, root: int) -> _Nodes:
    from mpi4py import MPI

    order = (communicator.rank - root) % communicator.size
    node = cast("MPI.Intracomm", communicator.Split_type(MPI.COMM_TYPE_SHARED, order))
    heads = cast("MPI.Intracomm", communicator.Split(MPI.UNDEFINED if node.rank else 0, order))
    window = _Window(node) if node.size > 1 else None
    return _Nodes(node, None if heads == MPI.COMM_NULL else heads, window)


_KEYVALS: list[int] = []  # the one under which communicators keep their nodes


def _keyval() -> int:
    from mpi4py import MPI

    if not _KEYVALS:
        _KEYVALS.append(MPI.Comm.Create_keyval(delete_fn=_forget))
    return _KEYVALS[0]


def _forget(communicator: MPI.Comm, keyval: int, by_root: dict[int, _Nodes]) -> None:
    for nodes in by_root.values():
        nodes.free()
