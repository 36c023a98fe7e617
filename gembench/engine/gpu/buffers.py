"""What a search has allocated on one device, and its kernels launched on rows or columns of transforms."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.gpu.kernels import Kernels, search_source
from gembench.engine.gpu.plan import GEOMETRY, GPUPlan

Array = NDArray[Any]


class Buffers:
    """The arrays of a plan on the current device, all it will ever take, and the kernels for them.

    pad: of the templates' spline, see `turned_bank.spline_pad`
    Raises CuPy's OutOfMemoryError if the arrays do not fit.
    """

    def __init__(self, cupy: Any, plan: GPUPlan, pad: int) -> None:
        self._cupy, self.plan = cupy, plan
        shape, dtype = plan.shape, plan.base.dtype
        self._arrays = {name: cupy.empty(*shape_and_type) for name, shape_and_type in plan.arrays.items()}
        roots = np.exp(2j * np.pi * np.arange(shape.size) / shape.size)
        self.roots = cupy.asarray(roots.astype(plan.arrays["rows"][1]))
        self.geometry = cupy.asarray(plan.geometry.view(np.uint8))
        self.batch = cupy.empty(2, np.int32)
        self.floors = cupy.empty(3, dtype)
        self._kernels = Kernels(cupy, search_source(
            shape, GEOMETRY, dtype.name, half=plan.spectra == "half", pad=pad,
        ), max(shape.most_shared, shape.once_shared if plan.layout.once else 0))

    def __getitem__(self, name: str) -> Any:
        """The array of that name in the plan."""
        return self._arrays[name]

    def pinned(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """An array of the host that the device copies from and to without detour."""
        size = int(np.prod(shape))
        memory = self._cupy.cuda.alloc_pinned_memory(size * dtype.itemsize)
        return np.frombuffer(memory, dtype, size).reshape(shape)

    def set_batch(self, first: int, pairs: int) -> None:
        """Tell the kernels which pairs are in work."""
        self._kernels.launch("set_batch", (1,), (1,), (self.batch, np.int32(first), np.int32(pairs)))

    def rows(self, name: str, rows: int, units: int, *args: Any) -> None:
        """Launch a kernel that transforms `rows` rows of each unit."""
        shape = self.plan.shape
        self._kernels.launch(name, (-(-rows // shape.rows), units), (shape.threads, shape.rows),
                             (self.geometry, self.roots, *args), shape.shared(shape.rows))

    def columns(self, name: str, units: tuple[int, ...], *args: Any) -> None:
        """Launch a kernel that transforms all columns of each unit."""
        shape = self.plan.shape
        self._kernels.launch(name, (shape.size // shape.columns, *units),
                             (shape.columns, shape.threads), (self.geometry, self.roots, self.batch, *args),
                             shape.shared(shape.columns))

    def products(self, own: bool, tiles: int, *args: Any) -> None:
        """Launch the kernel that multiplies a group's spectra with those of some tiles, along columns."""
        shape, name = self.plan.shape, "products_own" if own else "products_shared"
        if not self.plan.layout.once:
            self.columns(name, (tiles, shape.units(own)), *args)
            return
        self._kernels.launch(f"{name}_once", (shape.size // shape.columns, tiles),
                             (shape.columns, shape.threads), (self.geometry, self.roots, self.batch, *args),
                             shape.once_shared)

    def fold(self, own: bool, tiles: int, *args: Any) -> None:
        """Launch the kernel that transforms the rows of a group's products and folds them into the maps."""
        shape = self.plan.shape
        units, rows = shape.units(own), shape.folded_rows(own)
        self._kernels.launch("fold_own" if own else "fold_shared", (-(-self.plan.step[0] // rows), tiles),
                             (shape.threads, units, rows), (self.geometry, self.roots, self.batch, *args),
                             shape.shared(units * rows))

    def forward_columns(
        self, name: str, units: int, per_pair: int, height: int, *, first: int = 0, scale: float = 1.0
    ) -> None:
        """Transform the columns of `height` rows a unit into the spectra called `name`, from `first` on."""
        kernel = "columns_stored" if name in ("image", "templates") else "columns"
        self.columns(kernel, (units,), np.int32(per_pair), self["rows"], np.int32(height),
                     self.plan.base.dtype.type(scale), self[name][first:])
