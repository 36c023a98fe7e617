"""The CUDA sources put together for one size and precision, compiled when first used, and launched."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gembench.engine.gpu.turns import RECORD, TURN, struct

SOURCES = Path(__file__).with_name("source")
OPTIONS = ("-std=c++17",)
SURVEY_THREADS = 256
MOST_SHARED = 200 << 10  # bytes a block: an H100 gives 227 KiB


class Shape(NamedTuple):
    """How the kernels of one transform size are laid out in blocks of threads.

    size: points of a transform, held: of them by a thread; complex_bytes: of a complex number
    group: pairs of templates of one launch, which share a pass over the maps
    The others: transforms of a block, along rows or columns.
    """

    size: int
    held: int
    complex_bytes: int
    group: int

    @classmethod
    def of(cls, size: int, dtype: str, held: int = 8) -> Shape:
        """The layout for transforms of `size` points."""
        pair = cls(size, held, 2 * np.dtype(dtype).itemsize, 2)
        units = pair.units(own=True)
        fits = units * pair.threads <= 1024 and pair.shared(units) <= MOST_SHARED
        return pair if fits else pair._replace(group=1)

    @property
    def threads(self) -> int:
        """Threads of one transform."""
        return self.size // self.held

    @property
    def exchanges(self) -> int:
        """How often the threads of a transform exchange their points."""
        return -(-(self.size.bit_length() - 1) // (self.held.bit_length() - 1)) - 1

    @property
    def rows(self) -> int:
        """Rows of a block of about 256 threads."""
        return self._at_least(1)

    @property
    def columns(self) -> int:
        """Columns of a block of up to 512 threads: 64 bytes side by side, if several blocks fit then."""
        most = min(max(512 // self.threads, 1), 64 // self.complex_bytes)
        while self.held > 8 and self.shared(most) > 64 << 10:
            most //= 2
        return most

    def units(self, own: bool) -> int:
        """Transforms of one row of a group's products: of pairs, and of masks if these are their own."""
        return 3 * self.group if own else self.group

    def folded_rows(self, own: bool) -> int:
        """Rows of a block that folds a group's products into the maps."""
        return self._at_least(self.units(own))

    def _at_least(self, units: int) -> int:
        """So many rows of `units` transforms that a block has about 256 threads."""
        return min(max(256 // (units * self.threads), 1), 8)

    def product(self, half: bool) -> float:
        """What products are multiplied by so that a half, up to 65504, can hold them: a power of two."""
        return 2.0 ** -(self.size.bit_length() // 2) if half else 1.0

    def shared(self, transforms: int) -> int:
        """Bytes of shared memory through which so many transforms exchange points, by one buffer or two."""
        return min(self.exchanges, 2) * transforms * self.size * self.complex_bytes

    @property
    def once_shared(self) -> int:
        """Bytes for a block that keeps its columns of a tile beside the points it exchanges."""
        return self.shared(self.columns) + self.columns * self.size * self.complex_bytes

    @property
    def most_shared(self) -> int:
        """The most that any block needs."""
        folded = (self.units(own) * self.folded_rows(own) for own in (False, True))
        return self.shared(max(self.rows, self.columns, *folded))


def survey_source(pad: int) -> str:
    """The kernels that look at a bank, and at a micrograph and filter it.

    pad: of the templates' spline, 0 for none
    """
    return _joined(["common", "turn", "survey", "filter"], struct("Turn", TURN), struct("Record", RECORD),
                   PAD=pad)


def search_source(
    shape: Shape, geometry: np.dtype[Any], dtype: str, *, half: bool, pad: int
) -> str:
    """The kernels of a search; pad: of the templates' spline, 0 for none."""
    return _joined(
        ["common", "fft", "turn", "spectra", "products", "scores"], struct("Turn", TURN),
        struct("Record", RECORD), struct("Geometry", geometry), PAD=pad, N=shape.size, HELD=shape.held,
        ROWS=shape.rows,
        COLUMNS=shape.columns, GROUP=shape.group, OWN_ROWS=shape.folded_rows(True),
        SHARED_ROWS=shape.folded_rows(False), Real={"float32": "float", "float64": "double"}[dtype],
        Stored="Halves" if half else "Full", PRODUCT=shape.product(half),
    )


def _joined(names: list[str], *structs: str, **defines: Any) -> str:
    lines = [f"#define {name} {value}\n" for name, value in defines.items()]
    sources = [(SOURCES / f"{name}.cu").read_text() for name in names]
    return "".join([*lines, *structs, *sources])


def names(source: str) -> list[str]:
    """The kernels of a source."""
    return re.findall(r'extern "C" __global__ void(?: __launch_bounds__\([^)]*\))? (\w+)\(', source)


class Kernels:
    """The kernels of a module on the current device; shared: bytes of shared memory a block may take."""

    def __init__(self, cupy: Any, source: str, shared: int = 0) -> None:
        module = cupy.RawModule(code=source, options=OPTIONS)
        self._functions = {name: module.get_function(name) for name in names(source)}
        if shared > 48 << 10:  # more than a kernel gets unasked
            for kernel in self._functions.values():
                kernel.max_dynamic_shared_size_bytes = shared

    def launch(
        self, name: str, grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...],
        shared: int = 0,
    ) -> None:
        """Start kernel `name` on the current stream; shared: bytes of shared memory a block."""
        self._functions[name](grid, block, args, shared_mem=shared)
