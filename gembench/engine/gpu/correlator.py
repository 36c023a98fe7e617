"""One device's part of a search: its running maximum, and the launches of one batch.

Everything is allocated before the first micrograph. The launches of a full batch are recorded once as a graph
and replayed; what changes between batches is in the device's memory. Only pixels go up and maps come down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.filters import LineFilter
from gembench.engine.gpu.buffers import Buffers
from gembench.engine.gpu.kernels import SURVEY_THREADS
from gembench.engine.gpu.plan import GPUPlan
from gembench.engine.gpu.turned_bank import TurnedBank
from gembench.engine.gpu.turns import NONE, Batch
from gembench.engine.normalise import GLOBAL_FLOOR, LOCAL_FLOOR
from gembench.engine.score_map import NO_SCORE
from gembench.engine.search import Counts
from gembench.errors import InputError

Array = NDArray[Any]
Clock = Callable[[str], AbstractContextManager[None]]
EVERYTHING = 1 << 28  # pairs of a batch that no launch exceeds
IN_FLIGHT = 2  # batches given to the device ahead of the one that is told of


class DeviceCorrelator:
    """Spectra and maps of one micrograph size on one device.

    busy: seconds that the device worked on the micrograph and its batches
    clock: if set, it times every stage, and launches are made one by one and in one stream
    graph: replay recorded launches; without, every kernel is launched by itself
    Raises CuPy's OutOfMemoryError if the plan's arrays do not fit after all.
    """

    def __init__(
        self, cupy: Any, index: int, turned: TurnedBank, plan: GPUPlan, pad: int, *, graph: bool = True,
    ) -> None:
        self._cupy = cupy
        self.device, self.plan, self._turned = cupy.cuda.Device(index), plan, turned
        with self.device:
            self._buffers = Buffers(cupy, plan, pad)
            self._pixels = self._buffers.pinned((plan.y.frame, plan.x.frame), np.dtype(np.float64))
            self.score = self._buffers.pinned(plan.micrograph, plan.base.dtype)
            self.index = self._buffers.pinned(plan.micrograph, np.dtype(np.int32))
            self._main, *self._lanes = (cupy.cuda.Stream(non_blocking=True)
                                        for _ in range(plan.layout.lanes + 1))
            self.device.synchronize()  # such streams do not wait for what was copied up to here
        self.counts = Counts()
        self.clock: Clock | None = None
        self._graph = graph
        self._weights: Any = None
        self._graphs: dict[bool, Any] = {}
        self._disc = NONE
        self._running: list[tuple[Any, Any, int]] = []
        self.busy = 0.0

    def _timed(self, stage: str) -> AbstractContextManager[None]:
        """What is launched inside counts as one stage, if there is a clock."""
        return self.clock(stage) if self.clock is not None else nullcontext()

    def frame(self, image: Array, line_filter: LineFilter | None = None) -> None:
        """Take a micrograph, forget all scores, and transform its tiles.

        image: (h, w) with its margins; (H, W) without them if it is to be filtered
        Raises InputError for a constant micrograph.
        """
        narrow = np.can_cast(image.dtype, np.float32)
        pixels = self._pixels.ravel().view(np.float32 if narrow else np.float64)[: image.size]
        np.copyto(pixels.reshape(image.shape), image)
        with self.device, self._main:
            with self._timed("copies"):
                self._buffers["pixels"].view(pixels.dtype)[: image.size].set(pixels)
            self._buffers["score"].fill(NO_SCORE)
            self._buffers["index"].fill(-1)
            self._disc, self._running, self.counts, self.busy = NONE, [], Counts(forward=2), 0.0
            wide = np.int32(not narrow)
            if line_filter is not None:
                wide = self._filter(line_filter, wide)
            moments = self._moments(wide)
            start = self._main.record()
            with self._timed("frame"):
                self._transform_frame(wide, *moments)
            self._running.append((start, self._main.record(), 0))

    def _filter(self, line_filter: LineFilter, wide: np.int32) -> np.int32:
        """Filter the pixels and fill their margins; returns that they are doubles now.

        It takes no memory of its own: rows are filtered to where the squares' spectra will be.
        """
        y, x, buffers = self.plan.y.frame, self.plan.x.frame, self._buffers
        height, width = self.plan.micrograph
        shape = np.int32(height), np.int32(width)
        self._weights = self._cupy.asarray(line_filter.weights)  # kept until the device has read them
        weights = self._weights, np.int32(line_filter.first), np.int32(len(line_filter.weights))
        mean = np.float64(self._moment(height * width, wide, 1, 0.0, 1.0))
        start = self._main.record()
        margin = np.int32(self.plan.base.margin)
        for name, (rows, columns), args in (
            ("filter_rows", (height, width),
             (buffers["pixels"], wide, mean, *shape, *weights, buffers["squares"])),
            ("filter_columns", (y, x), (buffers["squares"], *shape, margin, *weights, buffers["pixels"])),
        ):
            with self._timed("frame"):
                self._turned.kernels.launch(name, (-(-columns // SURVEY_THREADS), rows),
                                            (SURVEY_THREADS,), args)
        self._running.append((start, self._main.record(), 0))
        return np.int32(1)

    def _moment(self, size: int, wide: np.int32, power: int, mean: float, sigma: float) -> float:
        """One moment of so many pixels, see the kernel."""
        sums = self._buffers["partial"]
        args = (self._buffers["pixels"], wide, np.int64(size), np.float64(mean), np.float64(sigma),
                np.int32(power), sums)
        self._turned.kernels.launch("moment", sums.shape, (SURVEY_THREADS,), args, 8 * SURVEY_THREADS)
        return float(sums.get().sum()) / size

    def _moments(self, wide: np.int32) -> tuple[float, float, float]:
        """Mean and sigma of the micrograph, and the rms of T^2 - 1 of the standardised one, T."""
        moment = partial(self._moment, self.plan.y.frame * self.plan.x.frame, wide)
        mean = moment(1, 0.0, 1.0)
        sigma = float(np.sqrt(moment(2, mean, 1.0)))
        if not sigma > 1e-12 * abs(mean):
            raise InputError("the micrograph is constant: there is nothing to correlate")
        return mean, sigma, float(np.sqrt(moment(4, mean, sigma)))

    def _transform_frame(self, wide: np.int32, mean: float, sigma: float, rms: float) -> None:
        """Spectra of all tiles, of T and of T + i s (T^2 - 1); s makes both parts alike, and is exact."""
        plan, size, dtype = self.plan, self.plan.shape.size, self.plan.base.dtype
        s = 2.0 ** min(-np.ceil(np.log2(rms)), 0.0) if rms > 0 else 1.0
        epsilon = np.finfo(dtype).eps
        floors = LOCAL_FLOOR * epsilon, GLOBAL_FLOOR * epsilon * rms
        self._buffers.floors.set(np.array([*floors, 1 / (size * s)], dtype))
        self._buffers.set_batch(0, EVERYTHING)
        at_once = len(self._buffers["rows"]) // size
        for first in range(0, plan.tiles, at_once):
            tiles = min(at_once, plan.tiles - first)
            for name, part in (("image", 0.0), ("squares", s)):
                self._buffers.rows(
                    "frame_rows", size, tiles, self._buffers["pixels"], wide, np.float64(mean),
                    np.float64(sigma), np.float64(part), np.int32(first), self._buffers["rows"],
                )
                self._buffers.forward_columns(name, tiles, 1, size, first=first, scale=1 / size)

    def process(self, batch: Batch) -> None:
        """Correlate and fold a batch; returns while the device still works on it."""
        own = batch.disc == NONE
        with self.device, self._main:
            start = self._main.record()
            if not own and batch.disc != self._disc:
                self._share_sigma(batch)
            self._buffers.set_batch(batch.first, batch.pairs)
            self._start(own)
            self._running.append((start, self._main.record(), batch.templates))
        self._count(batch)

    def completed(self, running: int) -> Iterator[int]:
        """Wait until at most `running` launches are in work; yields the templates of each that is done.

        The first launch is the micrograph's own, of no template.
        """
        while len(self._running) > running:
            start, stop, templates = self._running.pop(0)
            with self.device:
                stop.synchronize()
                self.busy += self._cupy.cuda.get_elapsed_time(start, stop) / 1e3
            yield templates

    def finish(self) -> None:
        """Bring the maps to `score` and `index`."""
        with self.device, self._main, self._timed("copies"):
            self._buffers["score"].get(out=self.score)
            self._buffers["index"].get(out=self.index)

    def _count(self, batch: Batch) -> None:
        """A batch's transforms as the method counts them: real, two-dimensional, of the whole frame."""
        slots = np.s_[2 * batch.first : 2 * (batch.first + batch.pairs)]
        filled = self._turned.slots["view"][slots] != NONE
        templates = int(filled.sum())
        masks = int((filled & (self._turned.surveyed["same"][slots] == 0)).sum()) if batch.disc == NONE else 0
        self.counts.add(Counts(templates + masks, templates + 2 * masks, batch.templates))

    def _start(self, own: bool) -> None:
        """Launch a batch: the first as it is, which loads the kernels; record the second, then replay it."""
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
        plan = self.plan
        lanes = [self._main] if self.clock is not None else self._lanes
        ready = self._main.record()
        for number, first_tile in enumerate(range(0, plan.tiles, plan.tiles_at_once)):
            lane = number % len(lanes)
            with lanes[lane]:
                if number < len(lanes):
                    lanes[lane].wait_event(ready)
                tiles = min(plan.tiles_at_once, plan.tiles - first_tile)
                for first_pair in range(0, plan.pairs, plan.shape.group):
                    self._correlate(own, lane, first_tile, tiles, first_pair)
        for stream in lanes[: -(-plan.tiles // plan.tiles_at_once)]:
            self._main.wait_event(stream.record())

    def _transform_templates(self, own: bool) -> None:
        """Turn the batch's templates, and their masks if these are their own, and transform both."""
        buffers, pairs, extent = self._buffers, self.plan.pairs, self.plan.y.extent
        bank = (*self._turned.pointers, buffers.batch, buffers["rows"])
        with self._timed("turn templates"):
            buffers.rows("template_rows", extent, pairs, *bank, np.float64(self.plan.gain))
        with self._timed("template spectra"):
            buffers.forward_columns("templates", pairs, 1, extent)
        if own:
            with self._timed("turn masks"):
                buffers.rows("mask_rows", extent, 2 * pairs, *bank)
            with self._timed("mask spectra"):
                buffers.forward_columns("masks", 2 * pairs, 2, extent)

    def _correlate(self, own: bool, lane: int, first_tile: int, tiles: int, first_pair: int) -> None:
        """Products of a group of pairs with some tiles, and their scores into the maps."""
        buffers, first, pair = self._buffers, np.int32(first_tile), np.int32(first_pair)
        products, mask_products = (buffers[f"{name} products {lane}"] for name in ("template", "mask"))
        common = (buffers["image"], first, buffers["templates"], pair, products)
        with self._timed("products"):
            masks = (self._turned.records, buffers["squares"], buffers["masks"], mask_products)
            buffers.products(own, tiles, *common, *(masks if own else ()))
        with self._timed("rows and fold"):
            sigma = (mask_products, buffers.floors) if own else (buffers["sigma"],)
            buffers.fold(own, tiles, self._turned.turns, self._turned.records, first, pair, products,
                         self.plan.base.dtype.type(self.plan.unscale), buffers["score"], buffers["index"],
                         *sigma)

    def _share_sigma(self, batch: Batch) -> None:
        """The sigma map of the disc that the batch's templates share."""
        buffers, plan, products = self._buffers, self.plan, self._buffers["mask products 0"]
        buffers.set_batch(batch.first, 1)
        with self._timed("shared sigma"):
            buffers.rows("mask_rows", plan.y.extent, 1, *self._turned.pointers, buffers.batch,
                         buffers["rows"])
            buffers.forward_columns("masks", 1, 2, plan.y.extent)
            for start in range(0, plan.tiles, plan.tiles_at_once):
                first, tiles = np.int32(start), min(plan.tiles_at_once, plan.tiles - start)
                buffers.columns("products_sigma", (tiles,), buffers["squares"], first, buffers["masks"],
                                products)
                buffers.rows("sigma_rows", plan.step[0], tiles, first, products, buffers.floors,
                             buffers["sigma"])
        self._disc = batch.disc
        self.counts.add(Counts(forward=1, inverse=2))
