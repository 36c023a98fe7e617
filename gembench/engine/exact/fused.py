"""A block of all the correlations at hand in one call, for a library that compiled code can call.

Between two calls a thread has to get the interpreter's lock back. With a call for every transform, of 20 to
40 us, two threads on frames of 2048^2 pixels wait for each other so often that they are hardly faster than
one; with a call for every correlation they still lose a tenth.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from gembench.engine.exact.fold import BLOCK, fold, inverse_sigma, load_columns
from gembench.engine.exact.transpose import transpose
from gembench.engine.kernel import kernel

Array = NDArray[Any]

# One product of a template's, or mask's, transform with a spectrum of the frame.
# rows, height: which transformed rows, and how many; load: whether they are not the last step's;
# conjugate: whether to conjugate what is at hand; square: whether the spectrum is that of T^2 - 1;
# first: the row at which the correlation's first is found; half: where its first half goes
STEP = np.dtype([("rows", "i8"), ("height", "i8"), ("load", "?"), ("conjugate", "?"), ("square", "?"),
                 ("first", "i8"), ("half", "i8")])

# The 1 / sigma of one mask: the halves of its correlations with T and T^2 - 1, the column at which their
# first is found, and the places where the mask's cut lies inside the frame.
SIGMA = np.dtype([("mean", "i8"), ("square", "i8"), ("column", "i8"), ("height", "i8"), ("width", "i8")])

# One template's part of the running maximum: the number of its SIGMA, the half and first column of its
# correlation, the window of it that is scored (see `plan.Window`) and where that lies in the map.
SCORE = np.dtype([("sigma", "i8"), ("half", "i8"), ("column", "i8"), ("top", "i8"), ("bottom", "i8"),
                  ("left", "i8"), ("right", "i8"), ("map_top", "i8"), ("map_left", "i8"), ("index", "i4")])


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
    function: int, plan: int, steps: Array, rows: Array, x: int, template: Array, image: Array,
    square: Array, product: Array, halves: Array, height: int,
) -> int:
    """One block of `spectra.BlockedTransform.correlate`; returns the transforms' status.

    template, product: (BLOCK, ny) buffers
    """
    status = 0
    for n in range(steps.size):
        step = steps[n]
        if step.load:
            load_columns(rows[step.rows, : step.height], x, template)
            status |= execute(function, plan, template.ctypes.data, template.ctypes.data)  # type: ignore[call-arg]
        spectrum = square if step.square else image
        for i in range(template.shape[0]):
            line, factor, out = template[i], spectrum[x + i], product[i]
            if step.conjugate:
                for y in range(line.size):
                    line[y] = line[y].conjugate()
            for y in range(line.size):
                out[y] = line[y] * factor[y]
        status |= execute(function, plan, product.ctypes.data, product.ctypes.data)  # type: ignore[call-arg]
        transpose(product, step.first, halves[step.half, : min(height, line.size - step.first)], x)
    return status


@kernel
def fold_block(
    function: int, plan: int, halves: Array, y: int, sigmas: Array, scores: Array, real: Array,
    squares: Array, local_floor: Any, global_floor: Any, inverse: Array, whole: bool, score: Array,
    index: Array,
) -> int:
    """One block of `spectra.BlockedTransform.fold`; returns the transforms' status.

    real, squares: (BLOCK, nx) buffers
    """
    status, sigma = 0, -1
    for n in range(scores.size):
        one = scores[n]
        first, last = max(y, one.top), min(y + BLOCK, one.bottom)
        if last <= first:
            continue
        if not whole and one.sigma != sigma:
            sigma = one.sigma
            of = sigmas[sigma]
            status |= execute(function, plan, halves[of.mean, y:].ctypes.data, real.ctypes.data)  # type: ignore[call-arg]
            status |= execute(function, plan, halves[of.square, y:].ctypes.data, squares.ctypes.data)
            inverse_sigma(real, squares, 0, of.column, local_floor, global_floor, inverse, 0,
                          min(BLOCK, of.height - y), of.width)
        status |= execute(function, plan, halves[one.half, y:].ctypes.data, real.ctypes.data)  # type: ignore[call-arg]
        fold(real, first - y, one.column + one.left, inverse, first if whole else first - y, one.left,
             one.index, score, index, one.map_top + first - one.top, one.map_left, last - first,
             one.right - one.left)
    return status
