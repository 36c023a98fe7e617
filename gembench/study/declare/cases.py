"""Cases and their names: `fft_libraries[library=fftw,n=2048,precision=float32]`, printed and parsed.

What is printed for a case selects that case on the command line, and with it only those that have its values
and further axes: with a case of `picking` its twin that has `device=gpu` besides. A string stands bare where
it cannot be taken for anything else and as a JSON string otherwise, so `["a,b"]`, `["1"]` and `[1]` never
collide.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from gembench.errors import InputError

Value = str | int | float | bool | None

_AXIS = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_WORDS: dict[str, Value] = {"true": True, "false": False, "none": None}
_INTEGER = re.compile(r"-?[0-9]+")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?")
_BARE = re.compile(r"[A-Za-z0-9_.+/:@-]+")
_ITEM = re.compile(r'([A-Za-z_]\w*)=("(?:[^"\\]|\\.)*"|[^,\[\]"=\s]+)(,(?=.)|$)', re.ASCII)
_SELECTOR = re.compile(r"([A-Za-z_]\w*)(?:\[(.*)\])?", re.ASCII | re.DOTALL)


class Case(dict[str, Value]):
    """One point of a grid: axis name -> value, read as `case["n"]` or `case.n`."""

    def __getattr__(self, axis: str) -> Any:
        try:
            return self[axis]
        except KeyError:
            raise AttributeError(f"the case has no axis {axis}; it has {', '.join(self)}") from None

    def without(self, *axes: str) -> Case:
        """The case less `axes`: what two compared arms have in common."""
        return Case({axis: value for axis, value in self.items() if axis not in axes})


def check_case(values: Mapping[str, Any]) -> Case:
    """`values` as a Case.

    Raises InputError if an axis name or a value cannot be printed and read back.
    """
    for axis, value in values.items():
        if not _AXIS.fullmatch(axis):
            raise InputError(f"axis {axis!r}: not a name; use letters, digits and _")
        finite = type(value) is float and math.isfinite(value)
        if not (finite or value is None or type(value) in (str, int, bool)):
            raise InputError(
                f"axis {axis}: {value!r} is a {type(value).__name__};"
                " a case holds strings, integers, finite floats, true/false and none"
            )
    return Case(values)


def format_value(value: Value) -> str:
    """`value` as it stands in a case's name."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "none"
    if not isinstance(value, str):
        return repr(value)
    bare = _BARE.fullmatch(value) and not _NUMBER.fullmatch(value) and value not in _WORDS
    return value if bare else json.dumps(value)


DIGITS = 4000  # of a number: Python converts few more, since the time grows as their square


def parse_value(text: str) -> Value:
    """The value that `format_value` printed as `text`."""
    if text.startswith('"'):
        return str(json.loads(text))
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text) and len(text) <= DIGITS:
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text


def case_name(experiment: str, case: Mapping[str, Value]) -> str:
    """`experiment[axis=value,...]`, axes in the order of the case."""
    items = ",".join(f"{axis}={format_value(value)}" for axis, value in case.items())
    return f"{experiment}[{items}]" if items else experiment


def case_key(case: Mapping[str, Value]) -> str:
    """A string equal for equal cases, whatever the order of their axes."""
    return case_name("", dict(sorted(case.items())))


def parse_selector(text: str) -> tuple[str, Case]:
    """Experiment name and axis values of `name[axis=value,...]` or of a bare `name`.

    Raises InputError if `text` is not such a selector.
    """
    match = _SELECTOR.fullmatch(text)
    if not match:
        raise InputError(f"{text!r}: not a selector; write name or name[axis=value,axis=value]")
    name, body = match[1], match[2] or ""
    chosen, position = Case(), 0
    while position < len(body):
        item = _ITEM.match(body, position)
        if not item:
            raise InputError(
                f"{text!r}: cannot read {body[position:]!r}; write axis=value, odd strings in double quotes"
            )
        if item[1] in chosen:
            raise InputError(f"{text!r}: axis {item[1]} is given twice; give it once")
        try:
            chosen[item[1]] = parse_value(item[2])
        except json.JSONDecodeError as error:
            raise InputError(f"{text!r}: {item[2]} is not a JSON string: {error.msg}") from error
        position = item.end()
    return name, chosen


def same_value(a: Value, b: Value) -> bool:
    """Whether two values are equal and of the same kind; 2 equals 2.0, and 1 is not true."""
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def matches(case: Mapping[str, Value], chosen: Mapping[str, Value]) -> bool:
    """Whether `case` has every axis value of `chosen`."""
    return all(axis in case and same_value(case[axis], value) for axis, value in chosen.items())


def select(experiment: str, cases: Iterable[Case], chosen: Mapping[str, Value]) -> list[Case]:
    """The cases that have every axis value of `chosen`.

    Raises InputError, naming the values there are, if none has.
    """
    cases = list(cases)
    selected = [case for case in cases if matches(case, chosen)]
    if selected or not chosen:
        return selected
    for axis, value in chosen.items():
        values = {format_value(case[axis]) for case in cases if axis in case}
        if not values:
            axes = ", ".join(dict.fromkeys(name for case in cases for name in case))
            raise InputError(f"{experiment}: no axis {axis}; the axes are {axes}")
        if not any(matches(case, {axis: value}) for case in cases):
            text = f"{axis}={format_value(value)}"
            raise InputError(f"{experiment}: no case has {text}; choose from {', '.join(sorted(values))}")
    raise InputError(f"{case_name(experiment, chosen)}: no case has all these values; see `gembench list`")
