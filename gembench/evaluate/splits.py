"""Micrographs in two halves: choose a threshold on one, report on the other."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable

from gembench.io.names import micrograph_key

# session.square.hole.exposure[.preset], numbers of three digits, as the KLH images are named
_LEGINON = re.compile(r"(.+?\.\d{3}\.\d{3})(?:\.\d{3}){1,2}")


def field_of(name: str) -> str:
    """The field of view a micrograph shows, from its name: exposures of one field share it.

    Names in the style of the KLH set ('01nov26b.006.005.001.002.jpg') lose exposure and preset
    ('01nov26b.006.005'); any other name is its own field.
    """
    key = micrograph_key(name)
    found = _LEGINON.fullmatch(key)
    return found[1] if found else key


def split_halves(
    names: Iterable[str], group: Callable[[str], str] = field_of
) -> tuple[list[str], list[str]]:
    """Two halves of the micrographs, those of one group together, the same whatever the given order.

    Groups are dealt in the order of their names, each to the half with fewer micrographs (the first at a
    tie), so that both halves span the whole session. Each half is sorted.
    """
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[group(name)].append(name)
    halves: tuple[list[str], list[str]] = ([], [])
    for field in sorted(groups):
        min(halves, key=len).extend(groups[field])
    return sorted(halves[0]), sorted(halves[1])
