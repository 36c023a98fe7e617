"""What a search will do and hold, worked out before anything is allocated."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any, Literal

import numpy as np

from gembench.engine.bank import RotatedTemplate, TemplateBank
from gembench.engine.exact.kernels import BLOCK
from gembench.engine.fft import complex_dtype
from gembench.engine.search import Method, Transforms
from gembench.errors import InputError

Edges = Literal["mask", "box", "reflect"]
METHODS: tuple[Method, ...] = ("exact", "paper")  # that are planned here
EDGES: tuple[Edges, ...] = ("mask", "box", "reflect")
BATCH = 4  # templates that share the reading of a frame's spectra: 1 costs a tenth more, 8 gain nothing
# Rows that a library gets at once which is called from Python, so that its consumers seldom wait for the
# interpreter's lock; with one consumer BLOCK, which stay in its cache.
PYTHON_BLOCK = 256
SHARED_MAPS = 4  # of 1 / sigma that are kept: templates arrive with equal masks next to each other


@dataclass(frozen=True)
class Window:
    """Where one template is scored.

    rows, columns: of the correlation, counted by the first pixel of the template's cut
    map_rows, map_columns: the same places in the score map, counted by the particle's centre
    """

    rows: slice
    columns: slice
    map_rows: slice
    map_columns: slice


@dataclass(frozen=True)
class Plan:
    """Sizes of one search.

    micrograph: (H, W) in pixels; margin: pixels added by reflection on every side
    transform: (ny, nx) of the Fourier transforms; the frame is padded with zeros to it. Only positions
    inside the frame are used, so it need not be larger than the frame for the correlation not to wrap.
    halves: inverse transforms that a consumer of the exact method has under way at once
    shared_maps: maps of 1 / sigma that the consumers share
    block: rows that a library gets at once which is called from Python, see `blocks`
    """

    method: Method
    dtype: np.dtype[Any]
    micrograph: tuple[int, int]
    box: tuple[int, int]
    edges: Edges
    margin: int
    transform: tuple[int, int]
    threads: int
    halves: int = 3
    shared_maps: int = 0
    block: int = BLOCK

    @property
    def frame(self) -> tuple[int, int]:
        """(h, w) of the micrograph with its margins."""
        return self.micrograph[0] + 2 * self.margin, self.micrograph[1] + 2 * self.margin

    def window(self, template: RotatedTemplate) -> Window:
        """Where `template` is scored under the plan's rule for edges."""
        rows, map_rows = self._span(0, template.mask.shape[0], template.offset[0])
        columns, map_columns = self._span(1, template.mask.shape[1], template.offset[1])
        return Window(rows, columns, map_rows, map_columns)

    def _span(self, axis: int, cut: int, offset: int) -> tuple[slice, slice]:
        """Correlation and map positions along one axis for a cut of `cut` pixels."""
        size, box = self.micrograph[axis], self.box[axis]
        first, last = (box // 2, size - box + box // 2) if self.edges == "box" else (0, size - 1)
        shift = offset + self.margin  # of the cut's first pixel in the frame against the centre in the map
        start = max(first + shift, 0)
        stop = max(min(last + shift, self.frame[axis] - cut) + 1, start)
        return slice(start, stop), slice(start - shift, stop - shift)

    @property
    def bytes(self) -> int:
        """Predicted bytes of the search's arrays at their most, without micrograph and template bank.

        What an FFT library holds for itself (numpy's and FFTW's `rfft2` do) comes on top.
        """
        ny, nx = self.transform
        real, wide = self.dtype.itemsize, complex_dtype(self.dtype).itemsize
        image = self.frame[0] * self.frame[1] * real
        maps = self.micrograph[0] * self.micrograph[1] * (real + 4)
        if self.method == "paper":
            spectrum, padded = ny * (nx // 2 + 1) * wide, ny * nx * real
            preparing = 2 * image + padded + 2 * spectrum
            searching = 2 * spectrum + self.threads * (2 * spectrum + 3 * padded + image)
            return self.threads * maps + max(preparing, searching)
        spectrum = _blocks(nx // 2 + 1) * _blocks(ny) * wide
        buffers = 2 * self.block * (nx * real + ny * wide) + self.block * nx * (real + wide)
        templates = self.halves * self.box[0] * _blocks(nx // 2 + 1) * wide
        preparing = 2 * image + 3 * spectrum
        shared = 2 * spectrum + self.shared_maps * image
        searching = shared + self.threads * (self.halves * spectrum + templates)
        return self.threads * (buffers + maps) + max(preparing, searching + maps)


def _blocks(n: int) -> int:
    """`n` rounded up to whole blocks."""
    return -(-n // BLOCK) * BLOCK


def require_known(method: str, dtype: str, edges: str, threads: int) -> None:
    """Raises InputError for a method, precision or edge rule that there is not, and for no threads."""
    for value, choices, what in ((method, METHODS, "method"), (edges, EDGES, "edge rule"),
                                 (dtype, ("float32", "float64"), "precision")):
        if value not in choices:
            raise InputError(f"{what} '{value}' is unknown: choose from {', '.join(choices)}")
    if threads < 1:
        raise InputError(f"{threads} threads: give at least 1")


def make_plan(
    shape: tuple[int, int], bank: TemplateBank, library: Transforms, *, method: Method = "exact",
    dtype: str = "float32", edges: Edges = "mask", threads: int = 1, templates: int | None = None,
    batch: int = BATCH, memory: float = inf,
    block: int = BLOCK,
) -> Plan:
    """The plan for micrographs of `shape` (H, W).

    edges: 'mask' scores wherever the turned mask lies inside the micrograph, 'box' wherever the template's
    box does, 'reflect' everywhere, with the micrograph mirrored beyond its edges.
    templates: number of them that are searched, the whole bank if not given; every thread gets a piece or two
    batch: most templates that the exact method takes at once
    memory: bytes that `Plan.bytes` must not exceed; fewer templates are taken at once to keep within it
    Raises InputError for unknown choices, for templates larger than the micrograph, and for a search that
    needs more than `memory`.
    """
    require_known(method, dtype, edges, threads)
    if bank.box[0] > shape[0] or bank.box[1] > shape[1]:
        raise InputError(
            f"the template box of {bank.box[1]} x {bank.box[0]} px is larger than the micrograph of"
            f" {shape[1]} x {shape[0]} px: crop the templates or check the pixel sizes"
        )
    margin = min(bank.reach, min(shape) - 1) if edges == "reflect" else 0
    transform = (library.fast_size(shape[0] + 2 * margin), library.fast_size(shape[1] + 2 * margin))
    assert bank.masks is not None
    discs = {m.tobytes() for m, disc in zip(bank.masks, bank.disc_views, strict=True) if disc}
    own = not all(bank.disc_views)
    pieces = -(-(len(bank) if templates is None else templates) // (2 * threads))
    for taken in range(max(1, min(batch, pieces)), 0, -1):
        halves = 3 * taken if own else max(2, taken)
        plan = Plan(method, np.dtype(dtype), shape, bank.box, edges, margin, transform, threads, halves,
                    min(len(discs), SHARED_MAPS), block)
        if plan.bytes <= memory:
            return plan
    raise InputError(
        f"a search of {shape[1]} x {shape[0]} px in {dtype} on {threads} threads needs"
        f" {plan.bytes / 2**30:.2f} GiB, {(plan.bytes - memory) / 2**30:.2f} more than are left for it: allow"
        " more memory, or take fewer threads"
    )
