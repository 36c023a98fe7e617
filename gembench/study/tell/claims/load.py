"""claims.toml, read strictly: fields have their types, bands a reason, claims a counter-example."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from gembench.errors import InputError
from gembench.io.typed import read_tables
from gembench.study.declare.experiment import EVIDENCE
from gembench.study.tell.claims.claim import Claim
from gembench.study.tell.claims.language import parse
from gembench.study.tell.claims.plants import check_plants

_ID = re.compile(r"[a-z0-9][a-z0-9.-]{0,79}")
_TEXTS = ("id", "where", "statement", "paper", "why", "experiment", "expression", "unit", "untestable",
          "evidence", "note")
_NEEDED = ("id", "where", "statement", "paper", "why")
_KEYS = tuple(field.name for field in fields(Claim))


def load_claims(path: Path) -> list[Claim]:
    """The claims of a TOML file of [[claim]] tables, in its order; none if there is no such file.

    Raises InputError for a broken file, a field of another type, a bad expression or band, an id used twice,
    or a claim whose planted rows do not judge as they should.
    """
    if not path.exists():
        return []
    claims: dict[str, Claim] = {}
    for number, entry in enumerate(read_tables(path, "claim"), 1):
        name = entry.get("id") if isinstance(entry, dict) else None
        shown = name if isinstance(name, str) and _ID.fullmatch(name) else f"number {number}"
        try:
            claim = claim_of(entry)
            check_plants(claim)
        except InputError as error:
            raise InputError(f"{path}: claim {shown}: {error}") from error
        if claim.id in claims:
            raise InputError(f"{path}: claim {claim.id} stands there twice; rename one of them")
        claims[claim.id] = claim
    return list(claims.values())


def claim_of(entry: Any) -> Claim:
    """The claim of one table.

    Raises InputError if a field is missing, unknown, of another type or out of its bounds.
    """
    if not isinstance(entry, dict):
        raise InputError("not a table; write [[claim]] above its fields")
    for key in entry:
        if key not in _KEYS:
            raise InputError(f"unknown key {key!r}; the keys are {', '.join(_KEYS)}")
    for key in _TEXTS:
        if key in entry and not (isinstance(entry[key], str) and entry[key].strip()):
            raise InputError(f"{key} is not a text; write it in quotes")
    for key in _NEEDED if "untestable" not in entry else _NEEDED[:-1]:
        if key not in entry:
            raise InputError(f"no {key}; add it")
    if not _ID.fullmatch(entry["id"]):
        raise InputError(f"id {entry['id'][:20]!r} is not a name; use small letters, digits, - and .")
    if not isinstance(entry.get("any_pixels", False), bool):
        raise InputError("any_pixels is neither true nor false; write true or leave it out")
    if entry.get("evidence", EVIDENCE[0]) not in EVIDENCE:
        raise InputError(f"evidence {entry['evidence']!r} is not known; choose from {', '.join(EVIDENCE)}")
    bands = _bands(entry)
    claim = Claim(**{**entry, **bands, "select": _where(entry.get("select", {}), "select"),
                     **{key: tuple(_where(where, key) for where in _list(entry.get(key, []), key))
                        for key in ("stand_in", "holds", "fails")}})
    _check_question(claim)
    return claim


def _check_question(claim: Claim) -> None:
    """Raises InputError unless the claim asks stored rows something, or says why nothing can."""
    asks = bool(claim.experiment), bool(claim.expression)
    if claim.untestable:
        if any(asks) or claim.judged:
            raise InputError("untestable, and yet it has an experiment, an expression or bands; choose")
        return
    if not all(asks):
        raise InputError("no experiment and expression; add both, or say why it is untestable")
    parse(claim.expression)


def _list(value: Any, key: str) -> list[Any]:
    if not isinstance(value, list):
        raise InputError(f"{key} is not a list of tables; write [{{...}}, {{...}}]")
    return value


def _where(value: Any, key: str) -> Mapping[str, Any]:
    """A table of plain values, or of lists of them."""
    if not isinstance(value, dict):
        raise InputError(f"{key} is not a table; write {{ axis = value }}")
    for axis, choice in value.items():
        for item in choice if isinstance(choice, list) else [choice]:
            if axis in ("time", "memory"):
                _number(item, f"{key}: {axis}")
            if not isinstance(item, str | int | float) or item in (math.inf, -math.inf) or item != item:
                raise InputError(f"{key}: {axis} is neither a text, a finite number, true nor false; mend it")
        if choice == []:
            raise InputError(f"{key}: {axis} has no values; write at least one value")
    return value


def _number(value: Any, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise InputError(f"{key} is not a number; write a number")
    if isinstance(value, int) and abs(value) > 1e15:
        raise InputError(f"{key} is above 1e15; write a smaller number or inf")
    return float(value)


def _bands(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Both bands as pairs of numbers, `about` and `order`."""
    bands: dict[str, Any] = {key: _number(entry[key], key) for key in ("about", "order") if key in entry}
    for key in ("reproduced", "partly"):
        if key not in entry:
            continue
        if not isinstance(entry[key], list) or len(entry[key]) != 2:
            raise InputError(f"{key} is not a pair of numbers; write [lowest, highest]")
        bands[key] = tuple(_number(end, key) for end in entry[key])
    if not bands:
        return {}
    if not {"reproduced", "partly"} <= set(bands):
        raise InputError("only one of reproduced and partly; write both bands, or none")
    (low, high), (lower, higher) = bands["reproduced"], bands["partly"]
    if not lower <= low <= high <= higher:
        raise InputError("partly must enclose reproduced, each from low to high; mend the bands")
    _check_kind(bands.get("about"), bands.get("order"), (low, high), (lower, higher))
    return bands


def _check_kind(
    about: float | None, order: float | None, reproduced: tuple[float, float], partly: tuple[float, float]
) -> None:
    """Raises InputError for an 'about N' with an open band, or an ordering partly on the wrong side."""
    if about is not None and not (reproduced[0] <= about <= reproduced[1] and math.isfinite(sum(partly))):
        raise InputError(f"about {about:g}: the bands must enclose it and end on both sides; mend them")
    if order is not None and not (partly[0] >= order or partly[1] <= order):
        raise InputError(f"order {order:g}: partly reaches beyond it, where the order is the other way round;"
                         " mend the band")
