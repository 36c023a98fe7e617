"""JSON and TOML of others: parsed within bounds, and its fields of the types that their readers rely on."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gembench.errors import InputError
from gembench.io.source import require_file, require_memory

DIGITS = 19  # of a whole number: those of 64 bits
GROWTH = 12  # bytes of Python objects a byte of JSON becomes, at the most
LARGEST_TOML = 2**20  # bytes; the largest we write by hand has a tenth
REQUIRED = object()


def parse_json(text: str, *, nan: bool = False) -> Any:
    """The value of a JSON text; with `nan`, NaN is a number in it.

    Raises ValueError for anything else, numbers beyond 64 bits and nesting that no record has.
    """
    try:
        return json.loads(text, parse_int=_integer, parse_float=_number,
                          parse_constant=None if nan else _constant)
    except RecursionError:
        raise ValueError("brackets are nested too deep") from None
    except json.JSONDecodeError as error:
        raise ValueError(error.msg) from None


def _integer(text: str) -> int:
    if len(text) > DIGITS + 1:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _number(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text[:DIGITS]} is beyond the numbers of 64 bits")
    return value


def _constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def read_json(path: Path, what: str, *, nan: bool = False) -> dict[str, Any]:
    """The JSON object in a file; raises InputError, naming file and reason, if it holds none."""
    require_file(path)
    require_memory(path, GROWTH * path.stat().st_size, "its values")
    try:
        content = parse_json(path.read_bytes().decode("utf-8"), nan=nan)
        if not isinstance(content, dict):
            raise ValueError("not a JSON object")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not {what} ({error}); restore the file or remove it") from error
    return content


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """The tables of a TOML file of at most a megabyte; raises InputError, naming file and reason."""
    require_file(path)
    if path.stat().st_size > LARGEST_TOML:
        raise InputError(f"{path}: not a file of at most {LARGEST_TOML >> 20} MiB; give {what}")
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; check its permissions") from error
    except RecursionError as error:
        raise InputError(f"{path}: nested too deep; mend the file") from error
    except ValueError as error:  # not UTF-8, not TOML, a number of thousands of digits
        raise InputError(f"{path}: not TOML: {error}; mend the file") from error


def read_tables(path: Path, name: str) -> list[Any]:
    """What stands under [[name]] in a TOML file; raises InputError for a file with anything else in it."""
    content = read_toml(path, f"a file of {name}s")
    entries = content.pop(name, [])
    if content or not isinstance(entries, list):
        raise InputError(f"{path}: holds something other than [[{name}]] tables; mend the file")
    return entries


def read_records(path: Path, name: str, fields: Mapping[str, tuple[Kind, Any]]) -> list[dict[str, Any]]:
    """The [[name]] tables of a TOML file in its order, none if there is no such file.

    Raises InputError for a broken file, and for a table that has not just these fields, see `checked`.
    """
    entries = read_tables(path, name) if path.exists() else []
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict) or set(entry) != set(fields):
            raise InputError(f"{path}: {name} {number}: its keys must be {', '.join(sorted(fields))}")
        try:
            checked(entry, fields, f"a {name}")
        except ValueError as error:
            raise InputError(f"{path}: {name} {number}: {error}; mend the file") from error
    return entries


@dataclass(frozen=True)
class Kind:
    """What a value may be: its name in messages, and the test."""

    name: str
    fits: Callable[[Any], bool]

    def __or__(self, other: Kind) -> Kind:
        return Kind(f"{self.name} or {other.name}", lambda value: self.fits(value) or other.fits(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


TEXT = Kind("text", lambda value: isinstance(value, str) and _is_unicode(value))
NUMBER = Kind("a number", _is_number)
COUNT = Kind("a whole number", lambda value: type(value) is int and value >= 0)
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
NULL = Kind("null", lambda value: value is None)
TABLE = Kind("an object", lambda value: isinstance(value, dict))
LIST = Kind("a list", lambda value: isinstance(value, list))


def _is_unicode(text: str) -> bool:
    """Whether the text has no halves of characters, which no file and no page can hold."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def list_of(kind: Kind) -> Kind:
    """A list, each of whose items is of a kind."""
    return Kind(f"a list, each {kind.name}",
                lambda items: isinstance(items, list) and all(map(kind.fits, items)))


def checked(content: Mapping[str, Any], fields: Mapping[str, tuple[Kind, Any]], what: str) -> dict[str, Any]:
    """The content with every field of its kind, those that are missing as their default.

    fields: name -> kind and default, REQUIRED if there is none. Fields that are not listed are kept as they
    are. Raises ValueError, naming the field.
    """
    complete = dict(content)
    for name, (kind, default) in fields.items():
        if name not in complete:
            if default is REQUIRED:
                raise ValueError(f"{what} without {name}")
            complete[name] = default
        elif not kind.fits(complete[name]):
            raise ValueError(f"{what} whose {name} is not {kind.name}")
    return complete
