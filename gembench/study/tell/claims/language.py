"""The grammar of a claim's expression: what it may say, how large it may be, and its value."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from gembench.errors import InputError

LONGEST, DEEPEST, MOST_ITEMS = 2000, 40, 64  # characters, levels of nesting, items of a list
LARGEST = 1e15  # of a number: what float64 still counts in ones
ARGUMENTS = {  # how many each function takes before its keywords
    "values": (1, 1), "median": (1, 1), "mean": (1, 1), "min": (1, 1), "max": (1, 1), "sum": (1, 1),
    "count": (0, 0), "ratio": (4, 4), "share": (2, 2), "first": (2, 2), "last": (2, 2), "exponent": (2, 2),
    "linear": (2, 2), "logarithmic": (2, 2),
}
_ARITHMETIC: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
}
_ALLOWED = (ast.BinOp, ast.UnaryOp, ast.Compare, ast.BoolOp, ast.Call, ast.Name, ast.Constant, ast.List,
            ast.keyword, ast.Load, ast.USub, ast.And, ast.Or, *_ARITHMETIC)
Call = Callable[[str, list[Any], Mapping[str, Any]], Any]


@lru_cache(maxsize=512)
def parse(text: str) -> ast.expr:
    """The syntax tree of an expression.

    Raises InputError if `text` says anything this language does not know, or is too large for it.
    """
    shown = repr(text if len(text) <= 80 else f"{text[:77]}...")
    if len(text) > LONGEST:
        raise InputError(f"{shown}: {len(text)} characters; write at most {LONGEST}")
    try:
        tree = ast.parse(text.replace("\n", " ").strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error) or "too deep"
        raise InputError(f"{shown}: not an expression: {reason}; write arithmetic and calls") from error
    _check(tree, shown, 0)
    return tree


def _check(node: ast.AST, shown: str, depth: int) -> None:
    if depth > DEEPEST:
        raise InputError(f"{shown}: nested more than {DEEPEST} deep; write it flatter")
    if not isinstance(node, _ALLOWED):
        unknown = type(node).__name__
        raise InputError(f"{shown}: {unknown} is not part of the language; write arithmetic and calls")
    match node:
        case ast.Compare() if len(node.ops) > 1:
            raise InputError(f"{shown}: a chained comparison; write `a < b and b < c`")
        case ast.keyword(arg=None):
            raise InputError(f"{shown}: ** is not part of the language; write axis=value")
        case ast.Constant():
            _check_constant(node.value, shown)
        case ast.List() if len(node.elts) > MOST_ITEMS or \
                not all(isinstance(item, ast.Constant) for item in node.elts):
            raise InputError(f"{shown}: a list holds at most {MOST_ITEMS} plain values; write them out")
        case ast.Call():
            _check_call(node, shown)
        case ast.BinOp() | ast.Compare() | ast.UnaryOp() | ast.BoolOp():
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.List) or (isinstance(child, ast.Constant)
                                                   and type(child.value) not in (int, float)):
                    raise InputError(f"{shown}: arithmetic on something other than numbers; write numbers")
    for child in ast.iter_child_nodes(node):
        _check(child, shown, depth + 1)


def _check_constant(value: object, shown: str) -> None:
    if isinstance(value, int | float) and not abs(value) <= LARGEST:
        raise InputError(f"{shown}: a number above {LARGEST:g}; write a smaller one")
    if value is not None and not isinstance(value, int | float | str):
        raise InputError(f"{shown}: {type(value).__name__} is no value of an axis; write a number or text")


def _check_call(node: ast.Call, shown: str) -> None:
    if not isinstance(node.func, ast.Name) or node.func.id not in ARGUMENTS:
        raise InputError(f"{shown}: an unknown function; choose from {', '.join(sorted(ARGUMENTS))}")
    least, most = ARGUMENTS[node.func.id]
    if not least <= len(node.args) <= most:
        raise InputError(f"{shown}: {node.func.id} takes {least} arguments before its keywords; write them")


def metrics_of(text: str) -> set[str]:
    """The columns of an expression that are not also axes of it."""
    calls = [node for node in ast.walk(parse(text)) if isinstance(node, ast.Call)]
    axes = {str(word.arg) for node in calls for word in node.keywords}
    axes |= {str(item.value) for node in calls for item in node.args[1:2] if isinstance(item, ast.Constant)}
    return {item.id for node in calls for item in node.args if isinstance(item, ast.Name)} - axes


def compute(node: ast.expr, call: Call) -> Any:
    """The value of a parsed expression.

    call: `call(function, arguments, keywords)`, what the functions of the language do
    """
    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            return node.id
        case ast.List():
            return [compute(item, call) for item in node.elts]
        case ast.UnaryOp():
            return -float(compute(node.operand, call))
        case ast.BinOp():
            left, right = compute(node.left, call), compute(node.right, call)
            return _ARITHMETIC[type(node.op)](float(left), float(right))
        case ast.Compare():
            left, right = compute(node.left, call), compute(node.comparators[0], call)
            return _ARITHMETIC[type(node.ops[0])](float(left), float(right))
        case ast.BoolOp():
            both = [compute(value, call) for value in node.values]
            return all(both) if isinstance(node.op, ast.And) else any(both)
        case ast.Call(func=ast.Name(id=name)):
            return call(name, [compute(argument, call) for argument in node.args],
                        {str(word.arg): compute(word.value, call) for word in node.keywords})
    raise TypeError(f"{type(node).__name__} has no value")
