"""STAR files of particle positions: the writers, for RELION 3.0 and 3.1, crYOLO (.cbox) and Xmipp (.pos)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gembench.engine.picks import Picks, full_turn
from gembench.errors import InputError
from gembench.io.atomic import atomic_text
from gembench.io.coordinates.star.optics import (
    DETECTOR,
    GROUP,
    GROUP_NAME,
    MAGNIFICATION,
    MICROGRAPH,
    ORIGINAL_PIXEL,
    PIXEL,
    UNIT_MAGNIFICATION,
    Optics,
)
from gembench.io.coordinates.star.read import (
    BESIDE,
    CLASS,
    LABEL,
    PSI,
    SCORE,
    TEMPLATE,
    TOP_Y,
    X,
    Y,
)
from gembench.io.names import extension

STYLES = ("3.1", "3.0")
Shape = tuple[int, int] | Callable[[str], tuple[int, int]]
_HEAD = "# written by gembench\n"


def write_star(
    path: Path, picks: Sequence[Picks], *, style: str = "3.1", optics: Optics | None = None,
    shape: Shape | None = None,
) -> None:
    """Write picks with every value they have; `style` is '3.1' (optics groups) or '3.0' (one block).

    Numbers have six decimals; psi is written modulo 360. The pixel size goes into the optics groups, or as
    detector pixel and magnification into each row; it must be known for all micrographs or for none. A
    micrograph without picks leaves no trace. shape: rows and columns; where given, the rows of TIFF
    micrographs are written as RELION counts them, from the bottom.

    Raises InputError for an unknown style, a name that STAR cannot hold, pixel sizes known in part, or if
    the file cannot be written.
    """
    if style not in STYLES:
        raise InputError(f"{path}: STAR style '{style}' is unknown; choose one of {', '.join(STYLES)}")
    for part in picks:
        for text in {part.micrograph, *part.label.tolist()}:
            check_name(text, path)
    picks = [part for part in picks if len(part)]
    sizes = _pixel_sizes(path, picks)
    optics = optics or Optics()
    if style == "3.1":
        names = [optics.group(part.micrograph) for part in picks]
        values: Sequence[float | None] = sizes or [None] * len(picks)
        groups = list(zip(names, values, strict=True))
        distinct = sorted(set(groups))
        numbers = [str(distinct.index(group) + 1) for group in groups]
        text = _particles(picks, shape, {GROUP: numbers}, "particles")
        # In this order, and without optics if there are no particles: relion_preprocess takes the first
        # block for the positions, whatever its name, and fails if another follows an empty one.
        text += _optics_table(distinct, optics) if picks else ""
    else:
        extra = {}
        if sizes:
            extra = {MAGNIFICATION: [_number(UNIT_MAGNIFICATION)] * len(picks),
                     DETECTOR: [_number(size) for size in sizes]}
        extra |= {name: [_number(value)] * len(picks) for name, value in optics.columns().items()}
        text = _particles(picks, shape, extra, "")
    atomic_text(path, _HEAD + text)


def check_name(text: str, path: str | Path = "") -> None:
    """Raise InputError for a name or label that would not be read back as it is."""
    if any(not c.isprintable() and not c.isspace() for c in text) or any(c in text for c in "\n\r\t\v\f"):
        cause = "a control character"
    elif '" ' in text and "' " in text:
        cause = "both kinds of quotes before a blank"
    else:
        return
    raise InputError(f"{path or text!r}: the name {text!r} has {cause}, which STAR files cannot hold;"
                     " rename it")


def write_cbox(path: Path, picks: Picks, box_size: int) -> None:
    """Write positions, and scores as confidences, as crYOLO does: boxes of `box_size` px by their corners."""
    columns = ("CoordinateX", "CoordinateY", "CoordinateZ", "Width", "Height", "Depth", "EstWidth",
               "EstHeight", "Confidence", "NumBoxes", "Angle")
    rows = [f"{_number(x)} {_number(y)} <NA> {box_size} {box_size} 1 {box_size} {box_size}"
            f" {_number(score)} <NA> <NA>"
            for x, y, score in zip(picks.x - box_size / 2, picks.y - box_size / 2, picks.score, strict=True)]
    text = f"\ndata_global\n\n_cbox_format_version 1.0\n\n\ndata_cryolo\n\n{_loop(columns, rows)}"
    atomic_text(path, _HEAD + text + "\ndata_cryolo_include\n\nloop_\n_slice_index #1\n\n")


def write_xmipp(path: Path, picks: Picks) -> None:
    """Write positions as whole pixels, and scores as costs, as Xmipp and Scipion do."""
    rows = [f" {int(np.floor(x + 0.5))} {int(np.floor(y + 0.5))}"
            f" {'0' if np.isnan(score) else _number(score)} 1"
            for x, y, score in zip(picks.x, picks.y, picks.score, strict=True)]
    header = "data_header\nloop_\n _pickingMicrographState\n _pickingAutopickPercent\n _cost\n _threshold\n"
    body = "data_particles\nloop_\n _xcoor\n _ycoor\n _cost\n _enabled\n"
    atomic_text(path, "# XMIPP_STAR_1 * \n# \n" + header + " Manual 50 0.0 0.0\n" + body
                + "".join(row + "\n" for row in rows))


def write_list(path: Path, files: Iterable[tuple[str, str]]) -> None:
    """Write RELION's list of coordinate files: (micrograph, coordinate file), both as RELION finds them."""
    rows = [f"{quoted(micrograph)} {quoted(file)}" for micrograph, file in files]
    columns = (MICROGRAPH, "rlnMicrographCoordinates")
    atomic_text(path, f"{_HEAD}\ndata_coordinate_files\n\n{_loop(columns, rows)}")


def quoted(text: str) -> str:
    """The text as one value of a STAR file."""
    if text and not any(c.isspace() for c in text) and text[0] not in "'\"#;_":
        return text
    return f'"{text}"' if '" ' not in text else f"'{text}'"


def _number(value: float) -> str:
    return "nan" if np.isnan(value) else f"{value:.6f}"


def _loop(columns: Sequence[str], rows: Sequence[str]) -> str:
    heading = "".join(f"_{name} #{n}\n" for n, name in enumerate(columns, 1))
    return f"loop_\n{heading}" + "".join(row + "\n" for row in rows) + "\n"


def _optics_table(groups: Sequence[tuple[str, float | None]], optics: Optics) -> str:
    """An optics group for each name, '' for none, and pixel size; equal names are told apart by a number."""
    names: list[str] = []
    for n, (name, _) in enumerate(groups):
        before = sum(other == name for other, _ in groups[:n])
        names.append(f"opticsGroup{n + 1}" if not name else f"{name}_{before + 1}" if before else name)
    columns = {GROUP_NAME: [quoted(name) for name in names],
               GROUP: [str(n) for n in range(1, len(names) + 1)]}
    columns |= {name: [_number(value)] * len(names) for name, value in optics.columns().items()}
    if any(size is not None for _, size in groups):
        columns |= {name: [_number(size) for _, size in groups if size is not None]
                    for name in (PIXEL, ORIGINAL_PIXEL)}
    rows = [" ".join(values) for values in zip(*columns.values(), strict=True)]
    return f"\ndata_optics\n\n{_loop(list(columns), rows)}"


def _pixel_sizes(path: Path, picks: Sequence[Picks]) -> list[float]:
    """The pixel size of each micrograph, an empty list if none is known."""
    sizes = [part.pixel_size for part in picks if part.pixel_size is not None]
    if sizes and len(sizes) != len(picks):
        without = next(part.micrograph for part in picks if part.pixel_size is None)
        raise InputError(f"{path}: the pixel size of {without} is unknown but that of others is not; give it")
    return sizes


def _particles(picks: Sequence[Picks], shape: Shape | None, extra: dict[str, list[str]], name: str) -> str:
    """The rows of all micrographs; columns without a known value are left out."""
    def any_known(column: str, is_known: Callable[[Any], Any]) -> bool:
        return any(is_known(getattr(part, column)).any() for part in picks)

    heights = [_tiff_height(part, shape) for part in picks]
    has = {
        SCORE: any_known("score", lambda values: ~np.isnan(values)),
        CLASS: any_known("view", lambda values: values >= 0),
        PSI: any_known("psi", lambda values: ~np.isnan(values)),
        TEMPLATE: any_known("template", lambda values: values >= 0),
        LABEL: any_known("label", lambda values: values != ""),
        BESIDE: any_known("beside", lambda values: ~np.isnan(values)),
        TOP_Y: any(height is not None for height in heights),
    }
    columns = [X, Y, *(column for column, present in has.items() if present), MICROGRAPH, *extra]
    rows: list[str] = []
    for n, (part, height) in enumerate(zip(picks, heights, strict=True)):
        y, psi = part.y, full_turn(part.psi)
        if height is not None:
            y, psi = height - 1 - y, full_turn(-psi)
        values = {
            SCORE: map(_number, part.score), CLASS: map(str, part.view + 1), PSI: map(_angle, psi),
            TEMPLATE: map(str, part.template), LABEL: map(quoted, part.label.tolist()),
            BESIDE: map(_number, part.beside),
            TOP_Y: map(_number, part.y if height is not None else np.full(len(part), np.nan)),
        }
        kept = [map(_number, part.x), map(_number, y), *(values[c] for c, present in has.items() if present)]
        # The name is not first: a row that begins with 'data_' would read as the next block.
        tail = "\t".join([quoted(part.micrograph), *(value[n] for value in extra.values())])
        rows.extend("\t".join([*row, tail]) for row in zip(*kept, strict=True))
    return f"\ndata_{name}\n\n{_loop(columns, rows)}"


def _angle(psi: float) -> str:
    """An angle in [0, 360) with six decimals, which do not round it to 360."""
    return "0.000000" if psi > 359.9999995 else _number(psi)


def _tiff_height(picks: Picks, shape: Shape | None) -> int | None:
    """The rows of a TIFF micrograph, which RELION counts from the bottom; None for any other."""
    if shape is None or extension(picks.micrograph) not in (".tif", ".tiff"):
        return None
    return (shape(picks.micrograph) if callable(shape) else shape)[0]
