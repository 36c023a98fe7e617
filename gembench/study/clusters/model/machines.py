"""The paper's two clusters, and the networks that are emulated here: link rates, pace and storage as stated.

The paper gives nodes, processors, GPUs and link rates (table 1; both clusters belonged to Grid'5000, on two
sites) and the pace of other machines. What it does not give, the rates of memory and of storage, is ASSUMED
here, with what speaks for it beside it. No measurement stands behind these numbers, and statements whose sign
hangs on them are not judged: `sensitivity.py` computes how it does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PIXEL_BYTES = 8  # of a pixel of the maps: a float32 score and an int32 index
FOLD_BYTES = 24  # that folding a pixel moves through memory: two pairs read, one written
BANK = 14_630  # templates of the paper's measurements on clusters
MICROGRAPH, TEMPLATE = 4096, 160  # pixels a side


@dataclass(frozen=True)
class Cluster:
    """A cluster of equal nodes around one switch.

    workers: consumers of a node, cores or GPUs; pace: templates a second that each of them correlates with
        a 4096^2 micrograph while the others work too
    bandwidth: bytes a second that a link carries each way; latency: seconds of a message
    memory: bytes a second that a node's memory moves by the number of threads
    """

    name: str
    nodes: int
    cores: int
    workers: int
    kind: str
    pace: float
    bandwidth: float
    latency: float
    memory: Mapping[int, float]

    def fold_seconds(self, pixels: int, threads: int) -> float:
        """Seconds to fold maps of so many pixels into others: memory is what limits it."""
        return pixels * FOLD_BYTES / self.memory[threads]


@dataclass(frozen=True)
class Storage:
    """One device that templates are read from, by whoever reads; each has a file, and its mask another.

    access: seconds until a file begins to arrive; bandwidth: bytes a second afterwards
    own: whether every node has such a device for itself
    """

    access: float
    bandwidth: float
    own: bool = False

    def seconds(self, templates: float) -> float:
        """Seconds to read so many templates with their masks."""
        return templates * 2 * (self.access + TEMPLATE**2 * 4 / self.bandwidth)


# A link of DDR InfiniBand, 20 Gb/s, carries 16 Gb/s of data, and QDR 32 of 40: eight bits are sent as ten.
# A core of Dirac (3.2 GHz) did 0.25 templates a second with all eight at work, a core of Griffon has 2.5 GHz.
# A C2075 did 22.9; the C1060 of Adonis has 102 of its 144 GB/s of memory bandwidth.
# ASSUMED: the rates of memory. Two Xeon L5420 share one chip set's front-side buses, an E5520 has three
# channels of its own; the rates are rounded from what STREAM reaches on such nodes, by its published tables.
# They alone make threads help the fold, and help Adonis more: with Griffon's gain it would be helped less.
GRIFFON = Cluster(
    name="Griffon", nodes=64, cores=8, workers=8, kind="CPU cores", pace=0.25 * 2.5 / 3.2,
    bandwidth=2e9, latency=2e-6, memory={1: 3.5e9, 8: 6.5e9},
)
ADONIS = Cluster(
    name="Adonis", nodes=8, cores=8, workers=2, kind="GPUs", pace=22.9 * 102 / 144,
    bandwidth=4e9, latency=2e-6, memory={1: 9e9, 8: 30e9},
)
CLUSTERS = {"griffon": GRIFFON, "adonis": ADONIS}

# ASSUMED: all of it. That Griffon is almost linear and yet held back by its storage needs an access of 4.3 to
# 7.3 ms; the same disk would hold Adonis at 0.32 of its ideal, which the paper saw scale linearly.
# `shared`: files lie cold on a disk of the file server, 5 ms away: half a turn at 7200 rpm and a short seek.
# `cached`: they lie in its memory, and Gigabit Ethernet is what limits it.
# `local`: every node has a disk like that of `shared` for itself.
STORAGE = {
    "shared": Storage(5e-3, 100e6), "cached": Storage(0.3e-3, 110e6), "local": Storage(5e-3, 100e6, own=True),
}


@dataclass(frozen=True)
class Network:
    """A network of emulated nodes; a link carries so many bytes a second each way."""

    bandwidth: float


NETWORKS = {"100Mb/s": Network(12.5e6), "1Gb/s": Network(125e6)}
