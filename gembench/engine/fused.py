"""Blocks of a correlation in one call each, for a library whose transforms can be called from compiled code.

Between two calls a thread has to get the interpreter's lock back. With a call for every step, of 20 to 40 us,
two threads on frames of 2048^2 pixels wait for each other so often that they are hardly faster than one.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from gembench.engine.fold import fold, inverse_sigma, load_columns
from gembench.engine.kernel import kernel
from gembench.engine.transpose import transpose

Array = NDArray[Any]


@intrinsic
def execute(typing: Any, function: Any, plan: Any, source: Any, target: Any) -> Any:
    """The status, 0 for success, of `long function(void *plan, void *source, ...)`; all are addresses."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.IntType(64), [pointer, pointer], var_arg=True)
        called, *given = (builder.inttoptr(one, pointer) for one in arguments)
        return builder.call(builder.bitcast(called, kind.as_pointer()), given)

    return types.int64(types.int64, types.int64, types.int64, types.int64), generate


@kernel
def correlate_block(
    function: int, plan: int, load: bool, conjugate: bool, rows: Array, x: int, template: Array,
    spectrum: Array, product: Array, first: int, half: Array,
) -> int:
    """One block of `spectra.BlockedTransform.correlate`, for one spectrum; returns the transforms' status.

    load: whether `template` is to be made from `rows`, and conjugate: whether it is to be conjugated
    """
    status = 0
    if load:
        load_columns(rows, x, template)
        status |= execute(function, plan, template.ctypes.data, template.ctypes.data)  # type: ignore[call-arg]
    for i in range(template.shape[0]):
        line, factor, out = template[i], spectrum[x + i], product[i]
        if conjugate:
            for y in range(line.size):
                line[y] = line[y].conjugate()
        for y in range(line.size):
            out[y] = line[y] * factor[y]
    status |= execute(function, plan, product.ctypes.data, product.ctypes.data)  # type: ignore[call-arg]
    transpose(product, first, half, x)
    return status


@kernel
def sigma_block(
    function: int, plan: int, means: Array, squares: Array, y: int, mean: Array, square: Array, x: int,
    local_floor: Any, global_floor: Any, out: Array, height: int, width: int,
) -> int:
    """Rows of both correlations of a mask, from row y on, and of 1 / sigma; see `fold.inverse_sigma`."""
    status: int = execute(function, plan, means[y:].ctypes.data, mean.ctypes.data)  # type: ignore[call-arg]
    status |= execute(function, plan, squares[y:].ctypes.data, square.ctypes.data)
    inverse_sigma(mean, square, 0, x, local_floor, global_floor, out, 0, height, width)
    return status


@kernel
def fold_block(
    function: int, plan: int, half: Array, from_row: int, numerator: Array, y: int, x: int, inverse: Array,
    v: int, u: int, k: Any, score: Array, index: Array, t: int, s: int, height: int, width: int,
) -> int:
    """Rows of one correlation, from `from_row` on, folded into the running maximum; see `fold.fold`."""
    status: int = execute(function, plan, half[from_row:].ctypes.data, numerator.ctypes.data)  # type: ignore[call-arg]
    fold(numerator, y, x, inverse, v, u, k, score, index, t, s, height, width)
    return status
