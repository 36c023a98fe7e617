"""How far the paper's statements of its clusters follow from constants that it does not give.

Each function computes a statement's value by the closed forms with one assumed constant changed.
"""

from __future__ import annotations

from dataclasses import replace

from gembench.study.clusters.model import formulas
from gembench.study.clusters.model.machines import ADONIS, GRIFFON, MICROGRAPH, STORAGE, Cluster, Storage

ALMOST_LINEAR = 0.6  # of the ideal speed-up, at the least
HELD_BACK = 0.95  # of the speed-up with a disk in every node, at the most
ACCESSES = (1e-3, 20e-3)  # seconds: from a fast array of disks to a busy one


def with_access(access: float) -> Storage:
    """The shared disk with another access time in seconds."""
    return replace(STORAGE["shared"], access=access)


def of_ideal(cluster: Cluster, storage: Storage) -> float:
    """The speed-up of all nodes of a cluster over one, as a share of their number."""
    single, everybody = (_seconds(cluster, nodes, storage) for nodes in (1, cluster.nodes))
    return single / everybody / cluster.nodes


def of_own_disks(cluster: Cluster, storage: Storage) -> float:
    """The speed-up of all nodes as a share of what they reach with a disk in every node."""
    return of_ideal(cluster, storage) / of_ideal(cluster, STORAGE["local"])


def _seconds(cluster: Cluster, nodes: int, storage: Storage) -> float:
    """The paper's bank on one micrograph, its reduction included."""
    return (formulas.search_seconds(cluster, nodes, storage)
            + formulas.reduction_seconds(cluster, MICROGRAPH, nodes))


def griffon_interval() -> tuple[float, float]:
    """The access times in seconds between which Griffon is almost linear and yet held back by its disk."""
    from scipy.optimize import brentq

    shortest = brentq(lambda access: of_own_disks(GRIFFON, with_access(access)) - HELD_BACK, *ACCESSES)
    longest = brentq(lambda access: of_ideal(GRIFFON, with_access(access)) - ALMOST_LINEAR, *ACCESSES)
    return float(shortest), float(longest)


def with_memory_gain(cluster: Cluster, gain: float) -> Cluster:
    """The cluster with all cores of a node moving `gain` times the bytes that a core moves."""
    return replace(cluster, memory={1: cluster.memory[1], cluster.cores: gain * cluster.memory[1]})


def memory_gain(cluster: Cluster) -> float:
    """How many times the bytes of a core all cores of a node move."""
    return cluster.memory[cluster.cores] / cluster.memory[1]


def threads_gain(cluster: Cluster, nodes: int = 8) -> float:
    """How many times faster the tree is with the fold on all cores of a node."""
    alone, together = (formulas.tree(nodes, formulas.costs_of(cluster, MICROGRAPH, threads))
                       for threads in (1, cluster.cores))
    return alone / together


def more_on_adonis(gain: float) -> float:
    """The gain of threads on Adonis over that on Griffon, with another gain of Adonis' memory."""
    return threads_gain(with_memory_gain(ADONIS, gain)) / threads_gain(GRIFFON)
