"""`shared`: the ranks of a node fold in memory that they share, then one rank a node goes on as `chain`.

On a node the maps pass in chunks through a window with three buffers a rank. At every step all ranks but the
first put a chunk of theirs into the window and fold a slice each of the chunk before it, while the first
rank folds into its own maps what the step before that gave; one barrier a step. Chunk and folds
stay in the cache, and the window small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from gembench.engine.reductions import chain
from gembench.engine.reductions.messages import Array, fold, halves, pieces, wait

if TYPE_CHECKING:
    from mpi4py import MPI

CHUNK = 1 << 20  # bytes of a buffer
BUFFERS = 3


def reduce(communicator: MPI.Intracomm, score: Array, index: Array, *, root: int = 0) -> None:
    """Fold all ranks' maps, (n,), into the root's: in memory on a node, by a pipeline between nodes."""
    nodes = _nodes(communicator, root)
    if nodes.window is not None:
        _fold_on_node(nodes, nodes.window, score, index)
    if nodes.heads is not None:
        chain.reduce(nodes.heads, score, index)


@dataclass(frozen=True)
class _Nodes:
    """The ranks of this node, the root or the lowest first; the first ranks of all nodes, on these."""

    node: MPI.Intracomm
    heads: MPI.Intracomm | None
    window: MPI.Win | None

    def buffer(self, rank: int, step: int) -> Array:
        """The memory of a rank of the node, for one step."""
        assert self.window is not None
        memory, _ = self.window.Shared_query(rank)
        return np.asarray(memory)[step % BUFFERS * CHUNK :][:CHUNK]

    def free(self) -> None:
        """Free what was made for the communicator; every rank must."""
        if self.window is not None:
            self.window.Unlock_all()
            self.window.Free()
        if self.heads is not None:
            self.heads.Free()
        self.node.Free()


def _nodes(communicator: MPI.Intracomm, root: int) -> _Nodes:
    """The nodes of a communicator, found at the first reduction and kept with it."""
    known = cast("dict[int, _Nodes] | None", communicator.Get_attr(_keyval()))
    if known is None:
        communicator.Set_attr(_keyval(), known := {})
    if root not in known:
        known[root] = _find_nodes(communicator, root)
    return known[root]


def _find_nodes(communicator: MPI.Intracomm, root: int) -> _Nodes:
    from mpi4py import MPI

    order = (communicator.rank - root) % communicator.size
    node = cast("MPI.Intracomm", communicator.Split_type(MPI.COMM_TYPE_SHARED, order))
    heads = cast("MPI.Intracomm", communicator.Split(MPI.UNDEFINED if node.rank else 0, order))
    window = None
    if node.size > 1:
        window = MPI.Win.Allocate_shared(BUFFERS * CHUNK if node.rank else 0, 1, comm=node)
        window.Lock_all(MPI.MODE_NOCHECK)
    return _Nodes(node, None if heads == MPI.COMM_NULL else heads, window)


_KEYVALS: list[int] = []  # the one under which communicators keep their nodes


def _keyval() -> int:
    from mpi4py import MPI

    if not _KEYVALS:
        _KEYVALS.append(MPI.Comm.Create_keyval(delete_fn=_forget))
    return _KEYVALS[0]


def _forget(communicator: MPI.Comm, keyval: int, known: dict[int, _Nodes]) -> None:
    for nodes in known.values():
        nodes.free()


def _fold_on_node(nodes: _Nodes, window: MPI.Win, score: Array, index: Array) -> None:
    node, others = nodes.node, nodes.node.size - 1
    parts = list(pieces(score.size, CHUNK // (score.itemsize + index.itemsize)))
    sizes = [part.stop - part.start for part in parts]
    buffers = [[nodes.buffer(rank, step) for step in range(BUFFERS)] for rank in range(1, node.size)]

    def chunk(other: int, step: int) -> tuple[Array, Array]:
        return halves(buffers[other][step % BUFFERS], sizes[step], score.dtype)

    for step in range(len(parts) + 2):
        if node.rank == 0 and step >= 2:
            fold(score[parts[step - 2]], index[parts[step - 2]], *chunk(0, step - 2))
        if node.rank > 0 and step < len(parts):
            mine = chunk(node.rank - 1, step)
            mine[0][:], mine[1][:] = score[parts[step]], index[parts[step]]
        if node.rank > 0 and 1 <= step <= len(parts):
            ends = [other * sizes[step - 1] // others for other in (node.rank - 1, node.rank)]
            slices = [[half[slice(*ends)] for half in chunk(other, step - 1)] for other in range(others)]
            for score_slice, index_slice in slices[1:]:
                fold(slices[0][0], slices[0][1], score_slice, index_slice)
        window.Sync()
        wait(node.Ibarrier())
        window.Sync()
