"""Tiles, transforms and memory of a GPU search, worked out before anything is allocated.

The micrograph is cut into overlapping tiles of N^2 points, N a power of two, and every transform is one of N
points in a block's shared memory, so that a two-dimensional one passes the GPU's memory once between its
halves. Two templates ride in one complex transform, and a mask's two sums in another. At 4096^2 with 160^2
templates that makes 0.55 GB of products written and read, 0.76 of spectra read and 0.07 of maps for each
template with its own mask (N = 512, 121 tiles), and 0.18, 0.21 and 0.08 with a disc that all share (N = 1024,
25 tiles). So few tiles are in work at a time that products and templates' spectra stay in L2; by this count
0.2 GB come from memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gembench.engine.exact.plan import Plan
from gembench.engine.gpu import layouts
from gembench.engine.gpu.device import DeviceInfo
from gembench.engine.gpu.kernels import Shape
from gembench.engine.gpu.layouts import PAIRS, SIZES, Layout
from gembench.engine.gpu.turns import NONE
from gembench.errors import InputError

Array = NDArray[Any]
Storage = Literal["single", "half"]
CACHE_SHARE = 0.5  # of the L2 cache that products in work may take; spectra and maps pass through the rest
RESERVE = 256 << 20  # bytes left to the driver, for kernels and graphs
FILTERED_BYTES = 8  # of a pixel while a micrograph is filtered
SUMMED = 1 << 15  # pixels at least that one block sums up
GEOMETRY = np.dtype([(name, "i4") for name in (
    "height", "width", "map_width", "margin", "box_height", "box_width", "top", "left", "extent_y",
    "extent_x", "step_y", "step_x", "tiles_x", "origin_y", "origin_x", "start_y", "start_x", "stop_y",
    "stop_x", "first_y", "last_y", "first_x", "last_x",
)], align=True)


@dataclass(frozen=True)
class Axis:
    """Tiles along one axis, pixels; top and extent: of what the turned masks cover in the template's box.

    frame: of the micrograph with its margins; first, last: places that the rule for edges allows
    start, stop: those that any template can have
    """

    frame: int
    box: int
    top: int
    extent: int
    first: int
    last: int
    start: int
    stop: int

    def step(self, size: int) -> int:
        """Places that one tile of `size` points serves: the others wrap around."""
        return size - self.extent + 1

    def tiles(self, size: int) -> int:
        """How many tiles there are."""
        return max(-(-(self.stop - self.start) // self.step(size)), 1)


@dataclass(frozen=True)
class GPUPlan:
    """Sizes of a search on one GPU.

    base: what holds for the CPU too, its transform being a tile's; y, x: the tiles' axes
    discs: whether any templates share a disc, owns: whether any have masks of their own
    layout: how it is laid out; pairs: of templates in a batch; tiles_at_once: in one launch
    """

    base: Plan
    spectra: Storage
    layout: Layout
    y: Axis
    x: Axis
    discs: bool
    owns: bool
    pairs: int = PAIRS
    tiles_at_once: int = 1

    @cached_property
    def shape(self) -> Shape:
        """The layout of the kernels."""
        return Shape.of(self.layout.size, self.base.dtype.name, self.layout.held)

    @property
    def tiles(self) -> int:
        """Tiles of a micrograph."""
        return self.y.tiles(self.shape.size) * self.x.tiles(self.shape.size)

    @property
    def transform(self) -> tuple[int, int]:
        """(ny, nx) of a tile's transforms."""
        return self.layout.size, self.layout.size

    @property
    def micrograph(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self.base.micrograph

    @property
    def step(self) -> tuple[int, int]:
        """Places of one tile along (y, x)."""
        return self.y.step(self.shape.size), self.x.step(self.shape.size)

    @property
    def gain(self) -> float:
        """What brings a template's spectrum, of rms 1 / sqrt(P), near one: a power of two."""
        return float(2.0 ** round(np.log2(self.base.box[0] * self.base.box[1]) / 2))

    @property
    def unscale(self) -> float:
        """What undoes the gain and the scale of the products, and normalises the inverse transforms."""
        size = self.shape.size
        return 1 / (size * self.gain * self.shape.product(self.spectra == "half"))

    @cached_property
    def geometry(self) -> Array:
        """The plan as the kernels are given it, one GEOMETRY."""
        half_y, half_x = self.y.box // 2, self.x.box // 2
        values = {
            "height": self.y.frame, "width": self.x.frame, "map_width": self.micrograph[1],
            "margin": self.base.margin, "box_height": self.y.box, "box_width": self.x.box, "top": self.y.top,
            "left": self.x.top, "extent_y": self.y.extent, "extent_x": self.x.extent, "step_y": self.step[0],
            "step_x": self.step[1], "tiles_x": self.x.tiles(self.shape.size),
            "origin_y": self.y.start + self.base.margin + self.y.top - half_y,
            "origin_x": self.x.start + self.base.margin + self.x.top - half_x,
            "start_y": self.y.start, "start_x": self.x.start, "stop_y": self.y.stop, "stop_x": self.x.stop,
            "first_y": self.y.first, "last_y": self.y.last, "first_x": self.x.first, "last_x": self.x.last,
        }
        return np.array([tuple(values[name] for name in GEOMETRY.names or ())], GEOMETRY)

    @property
    def arrays(self) -> Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]:
        """Name, shape and dtype of everything that is allocated for micrographs of this size."""
        size, (step, _), group = self.shape.size, self.step, self.shape.group
        wide = np.dtype(np.complex64 if self.base.dtype == np.float32 else np.complex128)
        stored = np.dtype(np.uint32) if self.spectra == "half" else wide
        masks = 2 * self.pairs if self.owns else 1
        mask_products = self.tiles_at_once * (2 * group if self.owns else 1)
        rows = max(self.pairs * self.y.extent * (2 if self.owns else 1), size)
        real, index = np.dtype(self.base.dtype), np.dtype(np.int32)
        pixels, tile = self.micrograph[0] * self.micrograph[1], size * size * wide.itemsize
        tiles = max(self.tiles, -(-pixels * FILTERED_BYTES // tile))  # in `squares` a micrograph is filtered
        needed: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {
            "pixels": ((self.y.frame * self.x.frame,), np.dtype(np.float64)),
            "partial": ((min(max(self.y.frame * self.x.frame // SUMMED, 1), 512),), np.dtype(np.float64)),
            "image": ((self.tiles, size, size), stored), "squares": ((tiles, size, size), wide),
            "rows": ((rows, size), wide),
            "templates": ((self.pairs, size, size), stored), "masks": ((masks, size, size), wide),
            "score": (self.micrograph, real), "index": (self.micrograph, index),
            "sigma": (self.micrograph if self.discs else (1,), real),
        }
        for lane in range(self.layout.lanes):
            needed[f"template products {lane}"] = (self.tiles_at_once * group, step, size), stored
            needed[f"mask products {lane}"] = (mask_products, step, size), wide
        return needed

    @property
    def bytes(self) -> int:
        """Bytes of device memory for these arrays."""
        return sum(int(np.prod(shape)) * dtype.itemsize for shape, dtype in self.arrays.values())

    @property
    def bytes_moved(self) -> dict[str, float]:
        """Bytes a template moves through L2 or memory, by what they are, averaged over a pair.

        products: written and read between the halves of the inverse transforms; spectra: the micrograph's,
        and the templates'; maps: score, index and a shared sigma map. What the cache keeps is counted too.
        """
        size, pair = self.shape.size, 2
        wide, real = self.shape.complex_bytes, self.base.dtype.itemsize
        stored = 4 if self.spectra == "half" else wide
        complexes = stored + (2 * wide if self.owns else 0)  # one for two templates, one for each mask
        frames = stored + wide * self.owns if self.layout.once else complexes * self.shape.group  # of a group
        points, kept = self.tiles * size * size, self.tiles * self.step[0] * size
        maps = self.micrograph[0] * self.micrograph[1] * (2 * (real + 4) + (0 if self.owns else real))
        spectra = points * (complexes + frames / self.shape.group)
        return {"products": 2 * kept * complexes / pair, "spectra": spectra / pair,
                "maps": maps / (pair * self.shape.group)}

    def on(self, device: DeviceInfo, free: int, batch: int | None) -> GPUPlan:
        """The plan with the batch that fits into `free` bytes of one device, and launches that fit its cache.

        batch: templates wanted, None for as many as pay. Raises InputError if not even two fit.
        """
        if batch is not None and batch < 1:
            raise InputError(f"batch of {batch} templates: give at least 1")
        pairs = min(self.layout.pairs if batch is None else -(-batch // 2), self.pairs)
        plan = replace(self, pairs=pairs)._filling(device.cache)
        while plan.bytes + RESERVE > free and plan.pairs > 1:
            plan = plan.halved()._filling(device.cache)
        if plan.bytes + RESERVE > free:
            plan = replace(plan, tiles_at_once=1)
        if plan.bytes + RESERVE > free:
            raise InputError(plan.too_large(device, free))
        return plan

    def halved(self) -> GPUPlan:
        """The plan with half the batch."""
        return replace(self, pairs=self.pairs // 2)

    def too_large(self, device: DeviceInfo, free: int) -> str:
        """The line that says so."""
        need = (self.bytes + RESERVE) / 2**30
        return (f"GPU {device.index} ({device.name}) has {free / 2**30:.2f} GiB free, a micrograph of"
                f" {self.micrograph[1]} x {self.micrograph[0]} px needs {need:.2f}: free some, bin it, or use"
                " --device cpu")

    def _filling(self, cache: int) -> GPUPlan:
        """The plan with the layout's tiles a launch, or as many as keep all lanes' products in the cache."""
        plan = replace(self, tiles_at_once=1)
        tile = sum(int(np.prod(shape)) * dtype.itemsize for name, (shape, dtype) in plan.arrays.items()
                   if "template products" in name or (self.owns and "mask products" in name))
        fitting = self.layout.tiles or int(CACHE_SHARE * cache // tile)
        return replace(self, tiles_at_once=min(max(fitting, 1), -(-self.tiles // self.layout.lanes)))

    def sizes(self, shared_limit: int) -> list[int]:
        """The transforms that can hold the masks, in `shared_limit` bytes of shared memory a block."""
        return [size for size in SIZES if size >= max(self.y.extent, self.x.extent)
                and Shape.of(size, self.base.dtype.name).most_shared <= shared_limit]

    def work(self, shape: Shape) -> float:
        """What the search costs with such transforms, see `layouts.work`."""
        tiles = self.y.tiles(shape.size) * self.x.tiles(shape.size)
        return layouts.work(shape, tiles, self.y.step(shape.size), self.owns)

    def competing(self, shared_limit: int) -> list[Layout]:
        """The layouts that are worth measuring."""
        return layouts.competing(self.sizes(shared_limit), self.work, self.base.dtype.name, shared_limit)

    def laid_out(self, layout: Layout) -> GPUPlan:
        """The plan with another layout."""
        return replace(self, layout=layout, base=replace(self.base, transform=(layout.size, layout.size)))


def plan_search(
    base: Plan, records: Array, slots: Array, shared_limit: int, *, spectra: Storage, discs: bool,
    owns: bool,
) -> GPUPlan:
    """The plan for a bank whose turned masks are known, laid out plainly; every device gets the same tiles.

    base: of the search, its transform not yet known; records, slots: (2 pairs,) of RECORD and TURN
    shared_limit: bytes of shared memory that a block may have
    Raises InputError for templates that no transform can hold.
    """
    filled = records[slots["view"] != NONE]
    y = _axis(base, 0, filled["top"], filled["bottom"])
    x = _axis(base, 1, filled["left"], filled["right"])
    plan = GPUPlan(base, spectra, Layout(SIZES[-1]), y, x, discs, owns, max(len(slots) // 2, 1))
    sizes = plan.sizes(shared_limit)
    if not sizes:
        raise InputError(f"masks of {x.extent} x {y.extent} px are too large for a GPU: bin micrographs and"
                         " templates, or use --device cpu")
    return plan.laid_out(layouts.plain(sizes, plan.work, base.dtype.name))


def _axis(base: Plan, axis: int, first: Array, last: Array) -> Axis:
    """One axis's tiles for masks that cover pixels first..last of the box, (n,) each."""
    size, box, frame = base.micrograph[axis], base.box[axis], base.frame[axis]
    low, high = (box // 2, size - box + box // 2) if base.edges == "box" else (0, size - 1)
    start = np.maximum(low, box // 2 - first - base.margin).min()
    stop = np.minimum(high, frame - 1 - base.margin - last + box // 2).max() + 1
    top = int(first.min())
    return Axis(frame, box, top, int(last.max()) - top + 1, low, high, int(start), int(stop))
