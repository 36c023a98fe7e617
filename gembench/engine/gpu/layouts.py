"""Layouts of a search on a device: all give the same scores within rounding.

A layout says how many points the transforms have and how many of them a thread holds, and how much is
launched at a time. More points a thread are fewer exchanges through shared memory, with their barriers, and
more work in flight for each thread; but more registers, so that fewer threads run at once. Two exchanges of
512 points by radices 8, 8, 8 become one by 32, 16; three of 1024 points become one by 32, 32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gembench.engine.gpu.kernels import Shape

SIZES = [64, 128, 256, 512, 1024, 2048]
LANES = 2  # streams that work on different tiles at the same time, one filling the other's gaps
PAIRS = 16  # of a batch, if memory allows; a graph of that many takes milliseconds, its launch nothing
# Lanes, tiles a launch, pairs a batch, and whether a tile is read once a group, that compete
LAUNCHES: list[tuple[int, int | None, int, bool]] = [
    (LANES, None, PAIRS, False),  # products stay in the cache
    (4, 8, PAIRS, False),  # every wave of blocks is full: 10 % faster on an H100 at 512 points
    (4, 8, 4, False),  # templates' spectra stay in the cache: 16 pairs of 1024^2 points are 128 MiB
    (4, 8, PAIRS, True),  # a third less of spectra is read, by a third of the blocks or fewer
]
CACHE = 40 << 20  # bytes of L2: 40 MB on an A100, 50 on an H100
NEAREST = 2  # sizes of transforms that compete


class Layout(NamedTuple):
    """How a search is laid out on a device.

    size: points of a tile's transforms along an axis; held: of them by a thread
    lanes: streams that work on different tiles; tiles: in one launch, None for as many as the cache holds
    pairs: of templates in a batch, unless the search says how many
    once: whether a block keeps its part of a tile for all products of a group, or reads it for each
    """

    size: int
    held: int = 8
    lanes: int = LANES
    tiles: int | None = None
    pairs: int = PAIRS
    once: bool = False

    def __str__(self) -> str:
        tiles = "cached" if self.tiles is None else self.tiles
        once = ", read once" * self.once
        return f"{self.size} points by {self.held}, {self.lanes} x {tiles} tiles, {self.pairs} pairs{once}"


def held_points(size: int, dtype: str) -> list[int]:
    """How many points a thread may hold: 8, and more where that saves an exchange and registers suffice."""
    held = [8]
    for more in (16, 32) if dtype == "float32" else (16,):
        if Shape.of(size, dtype, more).exchanges < Shape.of(size, dtype, held[-1]).exchanges:
            held.append(more)
    return held


def work(shape: Shape, tiles: int, step: int, owns: bool) -> float:
    """What a search with these tiles costs beside one with others, by the passes of its transforms' points.

    tiles: of a micrograph; step: places that one of them serves along an axis; owns: whether masks are
    templates' own
    """
    products = LANES * shape.units(owns) * step * shape.size * shape.complex_bytes
    passes = 4 if products < CACHE else 8  # each of L2, or of memory, which has half its bandwidth
    return float(tiles * shape.size**2 * (passes + 2 * shape.exchanges))


def plain(sizes: list[int], cost: Callable[[Shape], float], dtype: str) -> Layout:
    """The layout that is taken unmeasured: 8 points a thread, and the size of least cost."""
    return Layout(min(sizes, key=lambda size: cost(Shape.of(size, dtype))))


def competing(
    sizes: list[int], cost: Callable[[Shape], float], dtype: str, shared_limit: int
) -> list[Layout]:
    """The layouts that are worth measuring, the plain one first.

    sizes: possible ones; cost: of a search with such transforms; shared_limit: bytes that a block may have
    """
    first = plain(sizes, cost, dtype)
    shapes = {size: [shape for held in held_points(size, dtype)
                     if (shape := Shape.of(size, dtype, held)).most_shared <= shared_limit] for size in sizes}
    nearest = sorted(sizes, key=lambda size: min(map(cost, shapes[size])))[:NEAREST]
    layouts = {Layout(size, shape.held, *launch): shape for size in nearest for shape in shapes[size]
               for launch in LAUNCHES}
    return [first, *(layout for layout, shape in layouts.items() if layout != first
                     and (not layout.once or shape.once_shared <= shared_limit))]
