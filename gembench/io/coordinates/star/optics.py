"""Optics of RELION's STAR files: the pixel size of each row, and what they say of the microscope."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gembench.engine.picks import FloatArray
from gembench.errors import InputError
from gembench.io.coordinates.star.scan import Loop, scan_loops
from gembench.io.names import path_key

GROUP, GROUP_NAME = "rlnOpticsGroup", "rlnOpticsGroupName"
MICROGRAPH = "rlnMicrographName"
PIXEL, IMAGE_PIXEL, ORIGINAL_PIXEL = ("rlnMicrographPixelSize", "rlnImagePixelSize",
                                      "rlnMicrographOriginalPixelSize")
DETECTOR, MAGNIFICATION = "rlnDetectorPixelSize", "rlnMagnification"
VOLTAGE, CS, AMPLITUDE_CONTRAST = "rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast"
UNIT_MAGNIFICATION = 10000.0  # at which the detector's pixel in um is the image's pixel in A


@dataclass(frozen=True)
class Optics:
    """The microscope: kV, spherical aberration in mm, amplitude contrast in 0..1; None if unknown.

    groups: what RELION calls the optics group of each micrograph, by `path_key`; it finds groups by name
    """

    voltage: float | None = None
    cs: float | None = None
    amplitude_contrast: float | None = None
    groups: Mapping[str, str] = field(default_factory=dict)

    def columns(self) -> dict[str, float]:
        """What is known, by RELION's names."""
        values = {VOLTAGE: self.voltage, CS: self.cs, AMPLITUDE_CONTRAST: self.amplitude_contrast}
        return {name: value for name, value in values.items() if value is not None}

    def completed(self, other: Optics) -> Optics:
        """The same, with what is unknown taken from another."""
        def first(a: float | None, b: float | None) -> float | None:
            return b if a is None else a

        return Optics(first(self.voltage, other.voltage), first(self.cs, other.cs),
                      first(self.amplitude_contrast, other.amplitude_contrast),
                      {**other.groups, **self.groups})

    def group(self, micrograph: str) -> str:
        """What the micrograph's optics group is called; '' if nobody said."""
        return self.groups.get(path_key(micrograph), "")


def read_optics(loops: Sequence[Loop]) -> Optics:
    """What all rows of the file's optics tables, or of its other loops, agree on."""
    values: list[float | None] = []
    for column in (VOLTAGE, CS, AMPLITUDE_CONTRAST):
        seen = {float(value) for loop in loops if column in loop.columns
                for value in loop.numbers([column])[column] if np.isfinite(value)}
        values.append(seen.pop() if len(seen) == 1 else None)
    return Optics(values[0], values[1], values[2], _groups(loops))


def _groups(loops: Sequence[Loop]) -> dict[str, str]:
    """The name of each micrograph's optics group, if one table names groups and one micrographs."""
    tables = [loop for loop in loops if {GROUP, GROUP_NAME} <= set(loop.columns)]
    names = [loop for loop in loops if {GROUP, MICROGRAPH} <= set(loop.columns)]
    if len(tables) != 1 or len(names) != 1:
        return {}
    groups = dict(_pairs(tables[0], GROUP, GROUP_NAME))
    return {path_key(micrograph): groups[group] for micrograph, group in _pairs(names[0], MICROGRAPH, GROUP)
            if group in groups}


def _pairs(loop: Loop, first: str, second: str) -> list[tuple[str, str]]:
    """The values of two columns that stand together in a row, each pair once, in the order of the rows."""
    columns = loop.read([], [first, second])[1]
    left, right = columns[first], columns[second]
    places = dict.fromkeys(zip(left.index.tolist(), right.index.tolist(), strict=True))
    return [(left.distinct[a], right.distinct[b]) for a, b in places]


def optics_of(paths: Iterable[str | Path]) -> Optics:
    """What those of the paths that are STAR files say of the microscope."""
    optics = Optics()
    for path in map(Path, paths):
        if path.suffix.lower() == ".star" and path.is_file():
            optics = optics.completed(read_optics(scan_loops(path)))
    return optics


def pixel_sizes(
    path: Path, loop: Loop, loops: Sequence[Loop], place: tuple[int, int], *, extracted: bool
) -> FloatArray:
    """A/px of the micrograph of each row of `loop` (n,), NaN where the file does not say.

    place: which of how many blocks of positions it is; extracted: the rows are of extracted images, whose
        pixels may be larger than the micrograph's, so rlnImagePixelSize, or detector pixel and magnification,
        say nothing

    Raises InputError if the optics table does not say which row is whose.
    """
    columns = [PIXEL] if extracted else [PIXEL, IMAGE_PIXEL]
    optics = _optics_of(loop, loops, place)
    for column in columns:
        if column in loop.columns:
            return loop.numbers([column])[column]
        if optics is not None and column in optics.columns:
            return _by_group(path, loop, optics, column)
    if not extracted and DETECTOR in loop.columns and MAGNIFICATION in loop.columns:
        values = loop.numbers([DETECTOR, MAGNIFICATION])
        with np.errstate(all="ignore"):  # what comes out beyond numbers is no size
            sizes: FloatArray = values[DETECTOR] * (UNIT_MAGNIFICATION / values[MAGNIFICATION])
        return np.where(np.isfinite(sizes), sizes, np.nan)
    return np.full(len(loop), np.nan)


def _optics_of(loop: Loop, loops: Sequence[Loop], place: tuple[int, int]) -> Loop | None:
    """The optics table of a block of positions; of several, in files put together, the one in turn."""
    tables = [table for table in loops if table.name == "optics" and table is not loop]
    if len(tables) == place[1]:
        return tables[place[0]]
    before = [table for table in tables if table.block < loop.block]
    return before[-1] if before else (tables[0] if tables else None)


def _by_group(path: Path, loop: Loop, optics: Loop, column: str) -> FloatArray:
    """The value of each row's optics group, NaN for a group that the table does not have."""
    sizes = optics.numbers([column])[column]
    if not np.isfinite(sizes).any():
        return np.full(len(loop), np.nan)
    if np.all(sizes == sizes[0]):
        return np.full(len(loop), sizes[0])
    if GROUP not in optics.columns or GROUP not in loop.columns:
        lacking = "optics" if GROUP not in optics.columns else loop.name
        raise InputError(f"{path}: the optics table has pixel sizes of {np.nanmin(sizes):g} to"
                         f" {np.nanmax(sizes):g} A/px, and block data_{lacking} has no _{GROUP}, so it does"
                         " not say which is whose; add the column")
    of_group: dict[float, float] = {}
    for group, size in zip(optics.numbers([GROUP])[GROUP].tolist(), sizes.tolist(), strict=True):
        if of_group.setdefault(group, size) != size:
            raise InputError(f"{path}: optics group {group:g} is there twice, with {of_group[group]:g} and"
                             f" {size:g} A/px; keep one of them")
    groups = loop.numbers([GROUP])[GROUP]
    distinct, index = np.unique(groups, return_inverse=True)
    return np.array([of_group.get(float(group), np.nan) for group in distinct])[index]
