"""The CUDA sources put together for one size and precision, compiled when first used, and launched."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gembench.engine.gpu.turns import RECORD, TURN, struct

SOURCES = Path(__file__).with_name("source")
OPTIONS = ("-std=c++17",)
HELD = 8  # points of a transform that a thread holds, as in fft.cu
SURVEY_THREADS = 256


class Shape(NamedTuple):
    """How the kernels of one transform size are laid out.

    size: points of a transform; rows, columns: transforms of a block; shared: its bytes of shared memory
    """

    size: int
    rows: int
    columns: int
    complex_bytes: int

    @classmethod
    def of(cls, size: int, dtype: str) -> Shape:
        """Blocks of about 256 threads along rows; up to 512, and 64 bytes of columns, along columns."""
        complex_bytes = 2 * np.dtype(dtype).itemsize
        threads = size // HELD
        return cls(size, min(max(256 // threads, 1), 8), min(max(512 // threads, 1), 64 // complex_bytes),
                   complex_bytes)

    @property
    def row_block(self) -> tuple[int, int]:
        """Threads of a block of rows: (of a transform, transforms)."""
        return self.size // HELD, self.rows

    @property
    def column_block(self) -> tuple[int, int]:
        """Threads of a block of columns: (transforms, of a transform)."""
        return self.columns, self.size // HELD

    def product(self, half: bool) -> float:
        """What products are multiplied by so that a half, up to 65504, can hold them: a power of two."""
        return 2.0 ** -(self.size.bit_length() // 2) if half else 1.0

    def shared(self, transforms: int) -> int:
        """Bytes of shared memory through which so many transforms exchange points, two buffers each."""
        return 2 * transforms * self.size * self.complex_bytes


def survey_source(pad: int) -> str:
    """The kernels that look at a bank and a micrograph; pad: of the templates' spline, 0 for none."""
    return _joined(["common", "turn", "survey"], struct("Turn", TURN), struct("Record", RECORD),
                   PAD=pad)


def search_source(
    shape: Shape, geometry: np.dtype[Any], dtype: str, *, half: bool, pad: int
) -> str:
    """The kernels of a search; pad: of the templates' spline, 0 for none."""
    return _joined(
        ["common", "fft", "turn", "spectra", "scores"], struct("Turn", TURN), struct("Record", RECORD),
        struct("Geometry", geometry), PAD=pad, N=shape.size, ROWS=shape.rows,
        COLUMNS=shape.columns, Real={"float32": "float", "float64": "double"}[dtype],
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
        self._known = {name: module.get_function(name) for name in names(source)}
        if shared > 48 << 10:  # more than a kernel gets unasked
            for kernel in self._known.values():
                kernel.max_dynamic_shared_size_bytes = shared

    def launch(
        self, name: str, grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...],
        shared: int = 0,
    ) -> None:
        """Start kernel `name` on the current stream; shared: bytes of shared memory a block."""
        self._known[name](grid, block, args, shared_mem=shared)
