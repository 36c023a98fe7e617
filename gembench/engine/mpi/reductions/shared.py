"""`shared`: the ranks of a node fold in memory that they share, then one rank a node goes on as `chain`.

All ranks of a node see the maps that `empty_maps` gave them: each folds a slice of everybody's into the first
rank's. Where a rank comes with maps of its own, or ranks cannot see each other's memory, `chain` does it all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import DTypeLike

from gembench.engine.mpi.reductions import chain
from gembench.engine.mpi.reductions.messages import Array, spans, wait
from gembench.engine.mpi.reductions.node_maps import NodeMaps, node_maps
from gembench.engine.score_map import merge

if TYPE_CHECKING:
    from mpi4py import MPI

CHUNK = 1 << 20  # bytes of maps that stay in cache while others are folded into them


def reduce(communicator: MPI.Intracomm, score: Array, index: Array, *, root: int = 0) -> None:
    """Fold all ranks' maps, (n,), into the root's: in memory on a node, by a pipeline between nodes."""
    nodes = _nodes(communicator, root)
    alone = nodes.node.size == 1
    if not _all_agree(communicator, alone or (nodes.maps is not None and nodes.maps.are(score, index))):
        chain.reduce(communicator, score, index, root=root)
        return
    if not alone:
        assert nodes.maps is not None
        _fold_slice(nodes.node, nodes.maps)
        wait(nodes.node.Ibarrier())  # all slices are done
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


def _all_agree(communicator: MPI.Intracomm, agrees: bool) -> bool:
    """Wait, leaving the core to others, until all ranks ask this; whether all of them agree."""
    from mpi4py import MPI

    answer = np.array([agrees], np.int32)
    wait(communicator.Iallreduce(MPI.IN_PLACE, answer, MPI.MIN))
    return bool(answer[0])


def _fold_slice(node: MPI.Intracomm, maps: NodeMaps) -> None:
    """Fold this rank's slice of all maps into the first rank's."""
    size = maps.score.size
    start, stop = (size * place // node.size for place in (node.rank, node.rank + 1))
    first, *others = zip(maps.scores, maps.indices, strict=True)
    for part in spans(stop - start, CHUNK // (maps.dtype.itemsize + 4)):
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
    asked: tuple[tuple[int, int], np.dtype[Any]] | None = None
    maps: NodeMaps | None = None

    def free(self) -> None:
        """Free what was made for the communicator; every rank must."""
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
    return _Nodes(node, None if heads == MPI.COMM_NULL else heads)


_KEYVALS: list[int] = []  # the one under which communicators keep their nodes


def _keyval() -> int:
    from mpi4py import MPI

    if not _KEYVALS:
        _KEYVALS.append(MPI.Comm.Create_keyval(delete_fn=_forget))
    return _KEYVALS[0]


def _forget(communicator: MPI.Comm, keyval: int, by_root: dict[int, _Nodes]) -> None:
    for nodes in by_root.values():
        nodes.free()
