"""Calls of a library's C functions from compiled code, without the interpreter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from gembench.engine.kernel import kernel

Array = NDArray[Any]
NativeTuple = tuple[int, int, bool]  # what a `rows.Native` holds


@intrinsic
def call_for_status(typing: Any, function: Any, plan: Any, source: Any, target: Any) -> Any:
    """The status, 0 for success, of `long function(void *plan, void *source, ...)`; all are addresses."""
    return types.int64(types.int64, types.int64, types.int64, types.int64), _generated(status=True)


@intrinsic
def call(typing: Any, function: Any, plan: Any, source: Any, target: Any) -> Any:
    """Call `void function(void *plan, void *source, void *target)`; all are addresses."""
    return types.void(types.int64, types.int64, types.int64, types.int64), _generated(status=False)


def _generated(*, status: bool) -> Callable[..., Any]:
    pointer = ir.IntType(8).as_pointer()
    kind = (ir.FunctionType(ir.IntType(64), [pointer, pointer], var_arg=True) if status
            else ir.FunctionType(ir.VoidType(), [pointer] * 3))

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        called, *passed = (builder.inttoptr(address, pointer) for address in arguments)
        result = builder.call(builder.bitcast(called, kind.as_pointer()), passed)
        return result if status else context.get_dummy_value()

    return generate


@kernel
def execute(native: NativeTuple, source: Array, target: Array) -> int:
    """Transform rows of `source` into `target`, in the layout of the plan; the status, 0 for success."""
    function, plan, has_status = native
    if has_status:
        return call_for_status(function, plan, source.ctypes.data, target.ctypes.data)  # type: ignore[call-arg]
    call(function, plan, source.ctypes.data, target.ctypes.data)  # type: ignore[call-arg]
    return 0
