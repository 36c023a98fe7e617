"""All compiled loops of the search on CPUs: products, transposition, 1 / sigma, the running maximum.

Every kernel releases the GIL. The inner loops have no branches, so that LLVM vectorises them; equal scores
keep the lowest template index, whatever the order of arrival.

`transform_rows`, `correlate` and `fold_all` do all blocks of the correlations at hand in one call, for a
library that compiled code can call. Between two calls a thread has to get the interpreter's lock back, and
many threads queue for it: with a call for every block of every transform, 16 threads are no faster than one.

`transpose` goes from cache to memory, in registers and past the caches. Between the two halves of an inverse
transform every value is written once and read much later. A plain store first reads the line that it
overwrites: 17 MB of complex64 (2048^2 points) take 4 to 10 ms to write here, and 3 more to be turned when
they are read. Whole lines, turned in registers and stored with a non-temporal hint, take 1.5 ms for both.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from gembench.engine import ncc
from gembench.engine.fft.native import NativeTuple, execute
from gembench.engine.kernel import kernel

Array = NDArray[Any]
BLOCK = 16  # rows a block: 256 KiB of complex64 at n = 2048, so that four blocks fit a 2 MiB cache
TILE = 16  # columns a transposition turns at a time: two 64-byte lines of complex64
LINE = 64  # bytes of a cache line, and of one AVX-512 register
LANES = LINE // 8  # a register seen as 64-bit lanes
sigma_squared = kernel(ncc.sigma_squared)

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


@kernel
def inverse_sigma(
    mean: Array, square: Array, y: int, x: int, local_floor: Any, global_floor: Any,
    out: Array, v: int, height: int, width: int,
) -> None:
    """Put 1 / sigma_MT into out[v:, 0:], and 0 where sigma_MT^2 is not above `normalise.variance_floor`.

    mean, square: (1/P) sum M T and (1/P) sum M (T^2 - 1), read from [y:, x:]; sigma_MT^2 is
        square + 1 - mean^2 (Roseman 2003)
    local_floor, global_floor: scalars of the arrays' type, so that nothing is widened
    """
    zero, one = type(local_floor)(0), type(local_floor)(1)
    for j in range(height):
        means, squares = mean[y + j, x : x + width], square[y + j, x : x + width]
        row = out[v + j, 0:width]
        for i in range(width):
            moment = squares[i] + one
            variance = sigma_squared(means[i], moment)
            floor = local_floor * moment + global_floor
            inverse = one / np.sqrt(max(variance, floor))
            row[i] = inverse if variance > floor else zero


@kernel
def fold(
    numerator: Array, y: int, x: int, inverse: Array, v: int, u: int, k: Any, score: Array, index: Array,
    t: int, s: int, height: int, width: int,
) -> None:
    """NCC_k = numerator * inverse into the running maximum and its index (gEMpicker 2013, eq. 1 and 2).

    numerator is read from [y:, x:], inverse from [v:, u:], and score and index change in [t:, s:]
    k: np.int32, the template's index
    """
    for j in range(height):
        numerators, inverses = numerator[y + j, x : x + width], inverse[v + j, u : u + width]
        scores, indices = score[t + j, s : s + width], index[t + j, s : s + width]
        for i in range(width):
            ncc = numerators[i] * inverses[i]
            better = (ncc > scores[i]) | ((ncc == scores[i]) & (k < indices[i]))
            scores[i] = ncc if better else scores[i]
            indices[i] = k if better else indices[i]


@kernel
def load_columns(rows: Array, x: int, full: Array) -> None:
    """Put rows[y, x + i] into full[i, y], and zero beyond the last row; full: (n, ny)."""
    height = rows.shape[0]
    for y0 in range(0, height, TILE):
        for i in range(full.shape[0]):
            column = full[i]
            for y in range(y0, min(y0 + TILE, height)):
                column[y] = rows[y, x + i]
    full[:, height:] = 0


@intrinsic
def turn_tile(typing: Any, source: Any, i: Any, y: Any, target: Any, v: Any, x: Any) -> Any:
    """target[v + b, x + a] = source[i + a, y + b] for a square tile whose side fills one line.

    source, target: C-contiguous arrays of complex64 (tile 8 x 8) or complex128 (4 x 4); every row of the
    target's tile starts on a line
    """
    item = source.dtype.bitwidth // 8
    register = ir.VectorType(ir.IntType(64), LANES)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def row_addresses(array: int, row: int, column: int) -> list[Any]:
            values = context.make_array(signature.args[array])(context, builder, arguments[array])
            stride = builder.extract_value(values.strides, 0)
            data = builder.bitcast(values.data, ir.IntType(8).as_pointer())
            first = builder.mul(arguments[column], ir.Constant(stride.type, item))
            rows = (builder.add(arguments[row], ir.Constant(stride.type, r)) for r in range(LINE // item))
            places = (builder.add(first, builder.mul(r, stride)) for r in rows)
            return [builder.bitcast(builder.gep(data, [at]), register.as_pointer()) for at in places]

        rows = [builder.load(address) for address in row_addresses(0, 1, 2)]
        for row in rows:
            row.align = item
        hint = builder.module.add_metadata([ir.IntType(32)(1)])
        for row, address in zip(_transposed(builder, rows, item // 8), row_addresses(3, 4, 5), strict=True):
            store = builder.store(row, address)
            store.align = LINE
            store.set_metadata("nontemporal", hint)
        return context.get_dummy_value()

    return types.void(source, types.intp, types.intp, target, types.intp, types.intp), generate


def _transposed(builder: Any, rows: list[Any], lanes: int) -> list[Any]:
    """The square tile `rows` turned, by swapping ever smaller blocks across the diagonal.

    lanes: 64-bit lanes of one value
    """
    side = len(rows)
    indices = ir.VectorType(ir.IntType(32), LANES)

    def chosen(a: Any, b: Any, columns: list[int]) -> Any:
        mask = [column * lanes + lane for column in columns for lane in range(lanes)]
        return builder.shuffle_vector(a, b, ir.Constant(indices, mask))

    step = side // 2
    while step:
        for r in (r for r in range(side) if not r & step):
            a, b = rows[r], rows[r + step]
            rows[r] = chosen(a, b, [side + (j ^ step) if j & step else j for j in range(side)])
            rows[r + step] = chosen(a, b, [side + j if j & step else j ^ step for j in range(side)])
        step //= 2
    return rows


@kernel
def transpose(source: Array, y: int, target: Array, x: int) -> None:
    """target[v, x + i] = source[i, y + v] for all rows v of the target and all rows i of the source.

    source: (n, w) with n a multiple of a tile's side; target: (h, m) starting on a cache line, with x and m
    multiples of it: 8 for complex64, 4 for complex128
    """
    side = LINE // source.itemsize
    height = target.shape[0] // side * side
    for v in range(0, height, side):
        for i in range(0, source.shape[0], side):
            turn_tile(source, i, y + v, target, v, x + i)  # type: ignore[call-arg]
    for v in range(height, target.shape[0]):
        for i in range(source.shape[0]):
            target[v, x + i] = source[i, y + v]


@kernel
def transform_rows(
    native: NativeTuple, image: Array, scale: Any, turned: bool, conjugate: bool, real: Array, half: Array,
    out: Array,
) -> int:
    """See `blocks.BlockedTransform.rows`; returns the transforms' status.

    real: (BLOCK, nx), 0 from the image's width on; half: (BLOCK, nx // 2 + 1): buffers
    """
    status, (height, width) = 0, image.shape
    kind = type(scale)
    for y in range(0, height, BLOCK):
        n = min(BLOCK, height - y)
        for j in range(n):
            line = real[j]
            if turned:
                source = image[height - 1 - y - j]
                for i in range(width):
                    line[i] = kind(source[width - 1 - i]) * scale
            else:
                source = image[y + j]
                for i in range(width):
                    line[i] = kind(source[i]) * scale
        status |= execute(native, real, half)
        for j in range(n):
            values, to = half[j], out[y + j]
            if conjugate:
                for i in range(values.size):
                    to[i] = values[i].conjugate()
            else:
                for i in range(values.size):
                    to[i] = values[i]
    return status


@kernel
def transform_columns(
    native: NativeTuple, rows: Array, full: Array, spectrum: Array, first: int, last: int
) -> int:
    """See `blocks.BlockedTransform.columns`; returns the transforms' status. full: (BLOCK, ny), a buffer."""
    status = 0
    for x in range(first, last, BLOCK):
        load_columns(rows, x, full)
        status |= execute(native, full, full)
        spectrum[x : x + BLOCK] = full
    return status


@kernel
def correlate(
    native: NativeTuple, steps: Array, rows: Array, template: Array, image: Array, square: Array,
    product: Array, halves: Array, height: int,
) -> int:
    """See `blocks.BlockedTransform.correlate`; returns the transforms' status.

    template, product: (BLOCK, ny) buffers
    """
    status = 0
    for x in range(0, image.shape[0], BLOCK):
        for n in range(steps.size):
            step = steps[n]
            if step.load:
                load_columns(rows[step.rows, : step.height], x, template)
                status |= execute(native, template, template)
            multiply(template, step.conjugate, square if step.square else image, x, product)
            status |= execute(native, product, product)
            transpose(product, step.first, halves[step.half, : min(height, product.shape[1] - step.first)], x)
    return status


@kernel
def multiply(template: Array, conjugate: bool, spectrum: Array, x: int, product: Array) -> None:
    """Put template[i] * spectrum[x + i] into product[i]; before, the template is conjugated if so."""
    for i in range(template.shape[0]):
        line, factor, out = template[i], spectrum[x + i], product[i]
        if conjugate:
            for y in range(line.size):
                line[y] = line[y].conjugate()
        for y in range(line.size):
            out[y] = line[y] * factor[y]


@kernel
def fold_all(
    native: NativeTuple, halves: Array, height: int, sigmas: Array, scores: Array, real: Array,
    squares: Array, local_floor: Any, global_floor: Any, inverse: Array, whole: bool, score: Array,
    index: Array,
) -> int:
    """See `blocks.BlockedTransform.fold`; returns the transforms' status.

    real, squares: (BLOCK, nx) buffers
    """
    status = 0
    for y in range(0, height, BLOCK):
        sigma = -1
        for n in range(scores.size):
            entry = scores[n]
            first, last = max(y, entry.top), min(y + BLOCK, entry.bottom)
            if last <= first:
                continue
            if not whole and entry.sigma != sigma:
                sigma = entry.sigma
                mask = sigmas[sigma]
                status |= execute(native, halves[mask.mean, y:], real)
                status |= execute(native, halves[mask.square, y:], squares)
                inverse_sigma(real, squares, 0, mask.column, local_floor, global_floor, inverse, 0,
                              min(BLOCK, mask.height - y), mask.width)
            status |= execute(native, halves[entry.half, y:], real)
            fold(real, first - y, entry.column + entry.left, inverse, first if whole else first - y,
                 entry.left, entry.index, score, index, entry.map_top + first - entry.top, entry.map_left,
                 last - first, entry.right - entry.left)
    return status
