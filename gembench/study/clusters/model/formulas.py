"""How long reductions and searches take by closed forms, and the shapes of measured curves.

p ranks hold maps of m bytes; a link carries B bytes a second; a message costs a, folding one map into another
g seconds. The steps are those of the algorithms' textbooks (Thakur, Rabenseifner and Gropp, IJHPCA 2005); a
reduction to one root takes at least m / B, since every byte but the root's own must arrive there once.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gembench.study.clusters.model.machines import BANK, PIXEL_BYTES, Cluster, Storage

Curve = Mapping[int, float]  # number of ranks -> seconds
MOST_SEGMENTS = 128  # of a modelled chain: more save less than 1 % at 64 nodes of InfiniBand


@dataclass(frozen=True)
class Costs:
    """What one step costs, in seconds.

    message: a, latency and whatever else a message costs; transfer: m / B; fold: g
    """

    message: float
    transfer: float
    fold: float

    @property
    def step(self) -> float:
        """Receive a rank's maps, then fold them."""
        return self.message + self.transfer + self.fold


def direct(p: int, costs: Costs) -> float:
    """The root receives and folds p - 1 maps one after another: (p - 1) (a + m/B + g)."""
    return (p - 1) * costs.step


def tree(p: int, costs: Costs) -> float:
    """Pairs fold at once, half as many in every round: ceil(log2 p) (a + m/B + g)."""
    return math.ceil(math.log2(p)) * costs.step


def scatter(p: int, costs: Costs) -> float:
    """Everybody folds a p-th of the maps, then they are gathered: 2 ceil(log2 p) a + (2 m/B + g) (p-1)/p."""
    share = (p - 1) / p
    return 2 * math.ceil(math.log2(p)) * costs.message + (2 * costs.transfer + costs.fold) * share


def segments(p: int, costs: Costs) -> int:
    """How many segments make a chain fastest: sqrt(((p-1) (m/B + g) - max(m/B, g)) / a)."""
    work = (p - 1) * (costs.transfer + costs.fold) - max(costs.transfer, costs.fold)
    return min(max(1, round(math.sqrt(work / max(costs.message, 1e-9)))), MOST_SEGMENTS)


def chain(p: int, costs: Costs) -> float:
    """Segments, s of them, travel from rank to rank, all at once.

    (p-1) (a + (m/B + g)/s) until the first segment is with the root, then (s-1) (a + max(m/B, g)/s).
    """
    s = segments(p, costs)
    first = (p - 1) * (costs.message + (costs.transfer + costs.fold) / s)
    return first + (s - 1) * (costs.message + max(costs.transfer, costs.fold) / s)


STRATEGIES: dict[str, Callable[[int, Costs], float]] = {
    "direct": direct, "tree": tree, "scatter": scatter, "chain": chain,
}


def costs_of(cluster: Cluster, n: int, threads: int = 1) -> Costs:
    """What a step costs on a cluster for maps of n^2 pixels, folded on so many threads of a node."""
    return Costs(cluster.latency, n**2 * PIXEL_BYTES / cluster.bandwidth, cluster.fold_seconds(n**2, threads))


def search_seconds(
    cluster: Cluster, nodes: int, storage: Storage, *, templates: int = BANK, pace: float | None = None
) -> float:
    """Seconds to correlate a bank, divided over nodes, with one micrograph; the reduction is left out.

    What takes longest: a worker's templates one after another, or reading, by a node alone or by everybody.
    """
    most = math.ceil(templates / nodes)
    computing = math.ceil(most / cluster.workers) / (pace or cluster.pace)
    return max(computing, storage.seconds(most if storage.own else templates))


def reduction_seconds(cluster: Cluster, n: int, nodes: int) -> float:
    """Seconds of the default reduction, which is a chain between nodes, folded on all cores of a node."""
    return chain(nodes, costs_of(cluster, n, cluster.cores)) if nodes > 1 else 0.0


@dataclass(frozen=True)
class Shapes:
    """R^2 of straight lines over the number of ranks and over its logarithm, and the lines: (slope, at 0)."""

    linear: float
    logarithmic: float
    line: tuple[float, float]
    logarithm: tuple[float, float]

    @property
    def best(self) -> str:
        """The shape that fits better."""
        return "linear" if self.linear >= self.logarithmic else "logarithmic"

    def at(self, p: float) -> float:
        """Seconds by the better shape."""
        slope, start = self.line if self.best == "linear" else self.logarithm
        return slope * (p if self.best == "linear" else math.log2(p)) + start


def shapes(curve: Curve) -> Shapes | None:
    """Both shapes fitted by least squares; None for fewer than three numbers of ranks or a flat curve."""
    p, seconds = list(curve), list(curve.values())
    if len(p) < 3 or len(set(seconds)) < 2:
        return None
    fits = []
    for x in (p, [math.log2(nodes) for nodes in p]):
        line = statistics.linear_regression(x, seconds)
        fits.append((statistics.correlation(x, seconds) ** 2, (line.slope, line.intercept)))
    return Shapes(fits[0][0], fits[1][0], fits[0][1], fits[1][1])
