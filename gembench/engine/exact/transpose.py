"""Transposition from cache to memory, in registers and past the caches.

Between the two halves of an inverse transform every value is written once and read much later. A plain
store first reads the line that it overwrites: 17 MB of complex64 (2048^2 points) take 4 to 10 ms to write
here, and 3 more to be turned when they are read. Whole lines, turned in registers and stored with a
non-temporal hint, take 1.5 ms for both.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from gembench.engine.kernel import kernel

Array = NDArray[Any]
LINE = 64  # bytes of a cache line, and of one AVX-512 register
LANES = LINE // 8  # a register seen as 64-bit lanes


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
