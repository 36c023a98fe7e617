"""One device's part of a search: its buffers, its running maximum, and the launches of one batch.

Everything is allocated before the first micrograph. The launches of a full batch are recorded once as a graph
and replayed; what changes between batches is in the device's memory. Only pixels go up and maps come down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.correlate import GLOBAL_FLOOR, LOCAL_FLOOR
from gembench.engine.fold import NO_SCORE
from gembench.engine.gpu.kernels import SURVEY_THREADS, Kernels, search_source
from gembench.engine.gpu.plan import GEOMETRY, GROUP, LANES, PARTIALS, GPUPlan
from gembench.engine.gpu.turned_bank import TurnedBank
from gembench.engine.gpu.turns import NONE, Batch
from gembench.engine.methods import Counts
from gembench.errors import InputError

Array = NDArray[Any]
EVERYTHING = 1 << 28  # pairs of a batch that no launch exceeds
IN_FLIGHT = 2  # batches given to the device ahead of the one it works on


class DeviceCorrelator:
    """Tiles, spectra and maps of one micrograph size on one device.

    Raises CuPy's OutOfMemoryError if the plan's arrays do not fit after all.
    graph: replay recorded launches; without, every kernel is launched by itself
    """

    def __init__(
        self, cupy: Any, index: int, turned: TurnedBank, plan: GPUPlan, spline: tuple[int, int], *,
        graph: bool = True,
    ) -> None:
        self._cupy, self.device, self.plan, self._turned = cupy, cupy.cuda.Device(index), plan, turned
        shape, dtype = plan.shape, plan.base.dtype
        with self.device:
            self._arrays = {name: cupy.empty(*told) for name, told in plan.arrays.items()}
            roots = np.exp(2j * np.pi * np.arange(shape.size) / shape.size)
            self._geometry = cupy.asarray(plan.geometry.view(np.uint8))
            self._roots = cupy.asarray(roots.astype(plan.arrays["rows"][1]))
            self._batch = cupy.empty(2, np.int32)
            self._floors = cupy.empty(3, dtype)
            self._pixels = self._pinned((plan.y.frame, plan.x.frame), np.dtype(np.float64))
            self.score = self._pinned(plan.micrograph, dtype)
            self.index = self._pinned(plan.micrograph, np.dtype(np.int32))
            self._kernels = Kernels(cupy, search_source(
                shape, GEOMETRY, dtype.name, half=plan.spectra == "half", gain=plan.gain, order=spline[0],
                pad=spline[1],
            ), shape.shared(max(shape.rows, shape.columns)))
            self._main, *self._lanes = (cupy.cuda.Stream(non_blocking=True) for _ in range(LANES + 1))
            self.device.synchronize()  # the streams do not wait for what was copied here
        self._graph = graph
        self._graphs: dict[bool, Any] = {}
        self._disc = NONE
        self._running: list[tuple[Any, int]] = []
        self.counts = Counts()
        self.clock: Callable[[str], AbstractContextManager[None]] | None = None

    def _pinned(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """An array of the host from which the device copies without detour."""
        size = int(np.prod(shape))
        memory = self._cupy.cuda.alloc_pinned_memory(size * dtype.itemsize)
        return np.frombuffer(memory, dtype, size).reshape(shape)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        """The clock, if there is one, sees what is launched inside as one stage."""
        if self.clock is None:
            yield
        else:
            with self.clock(stage):
                yield

    def frame(self, image: Array) -> None:
        """Take a micrograph with its margins (h, w), forget all scores, and transform its tiles.

        Raises InputError for a constant micrograph.
        """
        narrow = np.can_cast(image.dtype, np.float32)
        pixels = self._pixels.ravel().view(np.float32 if narrow else np.float64)[: image.size]
        np.copyto(pixels.reshape(image.shape), image)
        with self.device, self._main:
            with self._timed("copies"):
                self._arrays["pixels"].view(pixels.dtype)[: image.size].set(pixels)
            self._arrays["score"].fill(NO_SCORE)
            self._arrays["index"].fill(-1)
            self._disc, self._running, self.counts = NONE, [], Counts(forward=2)
            with self._timed("frame"):
                self._transform_frame(np.int32(not narrow), *self._moments(np.int32(not narrow)))

    def _moments(self, wide: np.int32) -> tuple[float, float, float]:
        """Mean and sigma of the micrograph, and the rms of T^2 - 1 of the standardised one, T."""
        size = self.plan.y.frame * self.plan.x.frame
        mean, sigma = 0.0, 1.0

        def moment(power: int) -> float:
            partial = self._arrays["partial"]
            args = (self._arrays["pixels"], wide, np.int64(size), np.float64(mean), np.float64(sigma),
                    np.int32(power), partial)
            self._turned.kernels.launch("moment", (PARTIALS,), (SURVEY_THREADS,), args,
                                        shared=8 * SURVEY_THREADS)
            return float(partial.get().sum()) / size

        mean = moment(1)
        sigma = float(np.sqrt(moment(2)))
        if not sigma > 1e-12 * abs(mean):
            raise InputError("the micrograph is constant: there is nothing to correlate")
        return mean, sigma, float(np.sqrt(moment(4)))

    def _transform_frame(self, wide: np.int32, mean: float, sigma: float, rms: float) -> None:
        """Spectra of all tiles, of T and of T + i s (T^2 - 1); s makes both parts alike, and is exact."""
        plan, size, dtype = self.plan, self.plan.shape.size, self.plan.base.dtype
        s = 2.0 ** min(-np.ceil(np.log2(rms)), 0.0) if rms > 0 else 1.0
        epsilon = np.finfo(dtype).eps
        self._floors.set(np.array([LOCAL_FLOOR * epsilon, GLOBAL_FLOOR * epsilon * rms, 1 / (size * s)], dtype))
        self._set_batch(0, EVERYTHING)
        at_once = len(self._arrays["rows"]) // size
        for first in range(0, plan.tiles, at_once):
            tiles = min(at_once, plan.tiles - first)
            for name, part in (("image", 0.0), ("squares", s)):
                self._rows("frame_rows", size, tiles, self._geometry, self._roots, self._arrays["pixels"], wide,
                           np.float64(mean), np.float64(sigma), np.float64(part), np.int32(first),
                           self._arrays["rows"])
                self._forward_columns(name, tiles, 1, size, first, 1 / size)

    def process(self, batch: Batch) -> None:
        """Correlate and fold a batch; returns while the device still works on it."""
        own = batch.disc == NONE
        with self.device, self._main:
            if not own and batch.disc != self._disc:
                self._share_sigma(batch)
            self._set_batch(batch.first, batch.pairs)
            self._start(own)
            self._running.append((self._main.record(), batch.templates))
        self._count(batch)

    def completed(self, running: int) -> Iterator[int]:
        """Wait until at most `running` batches are in work; yields the templates of each that is done."""
        while len(self._running) > running:
            event, templates = self._running.pop(0)
            event.synchronize()
            yield templates

    def _count(self, batch: Batch) -> None:
        """The transforms of a batch, as the method counts them: real and two-dimensional, of the whole frame."""
        mine = np.s_[2 * batch.first : 2 * (batch.first + batch.pairs)]
        known = self._turned.told["view"][mine] != NONE
        templates = int(known.sum())
        masks = int((known & (self._turned.surveyed["same"][mine] == 0)).sum()) if batch.disc == NONE else 0
        self.counts.add(Counts(templates + masks, templates + 2 * masks, batch.templates))

    def finish(self) -> None:
        """Bring the maps to `score` and `index`."""
        with self.device, self._main, self._timed("copies"):
            self._arrays["score"].get(out=self.score)
            self._arrays["index"].get(out=self.index)
            self._main.synchronize()

    def _start(self, own: bool) -> None:
        """Launch a batch: the first by itself, which loads the kernels; then record, and from then on replay."""
        if own not in self._graphs or not self._graph or self.clock is not None:
            self._launch_batch(own)
            self._graphs.setdefault(own, None)
            return
        if self._graphs[own] is None:
            self._main.begin_capture()
            self._launch_batch(own)
            self._graphs[own] = self._main.end_capture()
        self._graphs[own].launch(self._main)

    def _launch_batch(self, own: bool) -> None:
        """Spectra of the batch's templates, then every group of pairs against every few tiles."""
        self._transform_templates(own)
        plan, group = self.plan, min(GROUP, self.plan.pairs)
        lanes = [self._main] if self.clock is not None else self._lanes
        ready = self._main.record()
        for number, first_tile in enumerate(range(0, plan.tiles, plan.tiles_at_once)):
            lane = number % len(lanes)
            with lanes[lane]:
                if number < len(lanes):
                    lanes[lane].wait_event(ready)
                tiles = min(plan.tiles_at_once, plan.tiles - first_tile)
                for first_pair in range(0, plan.pairs, group):
                    self._correlate(own, lane, first_tile, tiles, first_pair, group)
        for stream in lanes[: -(-plan.tiles // plan.tiles_at_once)]:
            self._main.wait_event(stream.record())

    def _transform_templates(self, own: bool) -> None:
        """Turn the batch's templates, and their masks if these are their own, and transform both."""
        pairs, extent = self.plan.pairs, self.plan.y.extent
        bank = (self._geometry, self._roots, *self._turned.pointers, self._batch, self._arrays["rows"])
        with self._timed("turn templates"):
            self._rows("template_rows", extent, pairs, *bank)
        with self._timed("template spectra"):
            self._forward_columns("templates", pairs, 1, extent)
        if own:
            with self._timed("turn masks"):
                self._rows("mask_rows", extent, 2 * pairs, *bank)
            with self._timed("mask spectra"):
                self._forward_columns("masks", 2 * pairs, 2, extent)

    def _correlate(
        self, own: bool, lane: int, first_tile: int, tiles: int, first_pair: int, pairs: int
    ) -> None:
        """Products of some pairs with some tiles, and their scores into the maps."""
        first, pair = np.int32(first_tile), np.int32(first_pair)
        products, masks = (self._arrays[f"{name} products {lane}"] for name in ("template", "mask"))
        given = (self._geometry, self._roots, self._batch)
        with self._timed("template products"):
            self._columns("template_products", (tiles, pairs), *given, self._arrays["image"], first,
                          self._arrays["templates"], pair, products)
        if own:
            with self._timed("mask products"):
                self._columns("mask_products", (tiles, 2 * pairs), *given, self._turned.records,
                              self._arrays["squares"], first, self._arrays["masks"], pair, masks)
        sigma = (masks, self._floors) if own else (self._arrays["sigma"],)
        with self._timed("rows and fold"):
            self._rows("fold_own" if own else "fold_shared", self.plan.step[0], tiles, *given,
                       self._turned.turns, self._turned.records, first, pair, np.int32(pairs), products, *sigma,
                       self._arrays["score"], self._arrays["index"])

    def _share_sigma(self, batch: Batch) -> None:
        """The sigma map of the disc that the batch's templates share."""
        plan, products, extent = self.plan, self._arrays["mask products 0"], self.plan.y.extent
        self._set_batch(batch.first, 1)
        with self._timed("shared sigma"):
            self._rows("mask_rows", extent, 1, self._geometry, self._roots, *self._turned.pointers, self._batch,
                       self._arrays["rows"])
            self._forward_columns("masks", 1, 2, extent)
            for first in range(0, plan.tiles, plan.tiles_at_once):
                tiles = min(plan.tiles_at_once, plan.tiles - first)
                self._columns("mask_products", (tiles, 1), self._geometry, self._roots, self._batch,
                              self._turned.records, self._arrays["squares"], np.int32(first),
                              self._arrays["masks"], np.int32(0), products)
                self._rows("sigma_rows", plan.step[0], tiles, self._geometry, self._roots, np.int32(first),
                           products, self._floors, self._arrays["sigma"])
        self._disc = batch.disc
        self.counts.add(Counts(forward=1, inverse=2))

    def _set_batch(self, first: int, pairs: int) -> None:
        self._kernels.launch("set_batch", (1,), (1,), (self._batch, np.int32(first), np.int32(pairs)))

    def _rows(self, name: str, rows: int, units: int, *args: Any) -> None:
        """Launch a kernel that transforms `rows` rows of each unit."""
        shape = self.plan.shape
        self._kernels.launch(name, (-(-rows // shape.rows), units), shape.row_block, args,
                             shape.shared(shape.rows))

    def _columns(self, name: str, units: tuple[int, ...], *args: Any) -> None:
        """Launch a kernel that transforms all columns of each unit."""
        shape = self.plan.shape
        self._kernels.launch(name, (shape.size // shape.columns, *units), shape.column_block, args,
                             shape.shared(shape.columns))

    def _forward_columns(
        self, name: str, units: int, per_pair: int, height: int, first: int = 0, scale: float = 1.0
    ) -> None:
        """Transform the columns of what lies in `rows`, `height` rows a unit, into spectra from `first` on."""
        kernel = "columns_stored" if name in ("image", "templates") else "columns"
        self._columns(kernel, (units,), self._roots, self._batch, np.int32(per_pair), self._arrays["rows"],
                      np.int32(height), self.plan.base.dtype.type(scale), self._arrays[name][first:])
