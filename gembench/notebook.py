"""Picking in a notebook: arrays in, picks out, as a table, judged and drawn.

These names, and those that read and write, are attributes of `gembench` itself, see its `__all__`.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gembench.engine.bank import TemplateBank, grid_angles
from gembench.engine.filters import matched_contrast
from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.evaluate import Evaluation, evaluate
from gembench.io.checks import as_float32
from gembench.io.images.micrographs import Micrograph
from gembench.picking.picker import Picker
from gembench.picking.prepare import load_bank, with_distance
from gembench.picking.settings import PickSettings

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = ("x", "y", "score", "psi", "view", "template", "label")
CIRCLE = 60.0  # pixels across, of picks whose size nobody says


def pick(
    micrograph: Micrograph | ArrayLike, templates: str | Path | ArrayLike, settings: PickSettings, *,
    masks: str | Path | ArrayLike | None = None, threads: int | None = None,
) -> Picks:
    """The particles of one micrograph, best first, as `gembench pick` finds them.

    micrograph: what `read_micrograph` returns, or an array (H, W) of real pixels, row 0 at the top
    templates: a file or folder, or an array (views, h, w) or (h, w); masks: the same, true inside, one a view
        or one for all, None for the largest disc
    settings: pixel size, angle step, filters, threshold; for a contrast of templates that cannot be seen, say
        `template_contrast`
    threads: of the CPU, None for all cores

    Positions are centres in pixels of the micrograph, x right, y down, from 0. Raises InputError for input
    that cannot be used.
    """
    from gembench.machine import cores

    if isinstance(templates, str | os.PathLike):
        if masks is not None and not isinstance(masks, str | os.PathLike):
            raise InputError("masks are an array and templates a file: give both as files or both as arrays")
        bank, _ = load_bank(templates, masks, settings)
    elif isinstance(masks, str | os.PathLike):
        raise InputError(f"{masks}: masks are a file and templates an array: give both as files or as arrays")
    else:
        bank = _bank(np.asarray(templates), None if masks is None else np.asarray(masks), settings)
    if not isinstance(micrograph, Micrograph):
        pixels = as_float32(Path("the array"), np.asarray(micrograph))
        if pixels.ndim != 2:
            raise InputError(f"the array has shape {pixels.shape}: give one micrograph, (height, width)")
        micrograph = Micrograph("array", pixels, settings.pixel_size, Path("the array"))
    with Picker(bank, with_distance(settings, bank), threads=threads or cores()) as picker:
        return picker.pick(picker.prepare(micrograph)).picks


def _bank(templates: NDArray[Any], masks: NDArray[Any] | None, settings: PickSettings) -> TemplateBank:
    """The bank of templates (views, h, w) with the contrast of the micrographs, at every angle."""
    upright = TemplateBank(templates, masks)
    assert upright.masks is not None
    matched, _ = matched_contrast(upright.templates, upright.masks, settings.contrast,
                                  settings.template_contrast)
    return TemplateBank(matched, upright.masks, grid_angles(settings.angle_step), settings.interpolation,
                        settings.pixel_size, settings.symmetry)


def table(picks: Picks | Sequence[Picks]) -> NDArray[Any]:
    """Picks as one table, a numpy array with named columns and a row for each pick.

    The columns are micrograph, x, y, score, psi, view, template and label, see `Picks`; `table["x"]` is one
    of them, `table[table["score"] > 0.5]` are rows, and pandas.DataFrame takes the table as it is.
    """
    lists = [picks] if isinstance(picks, Picks) else list(picks)
    names = np.concatenate([np.full(len(part), part.micrograph) for part in lists] or [np.empty(0, "U1")])
    columns = {"micrograph": names} | {
        name: np.concatenate([getattr(part, name) for part in [*lists, Picks("", [], [])]])  # type: ignore[arg-type]
        for name in COLUMNS}
    rows = np.empty(len(names), [(name, values.dtype) for name, values in columns.items()])
    for name, values in columns.items():
        rows[name] = values
    return rows


def score(
    picks: Picks | Sequence[Picks], truth: Picks | Sequence[Picks], radius: float, *,
    labels: Collection[str] | None = None, views: Collection[int] | None = None,
    threshold: float | None = None,
) -> Evaluation:
    """Picks judged against annotations, as `gembench score` does: `.precision`, `.recall`, `.f1`, curves.

    picks, truth: of one micrograph or of several, which are paired by their names
    radius: largest distance between a pick and its particle, pixels
    labels, views, threshold: see `gembench.evaluate.evaluate`, which has more options

    Raises InputError as it does.
    """
    picked, marks = ([side] if isinstance(side, Picks) else list(side) for side in (picks, truth))
    return evaluate(picked, marks, radius, labels=labels, views=views, threshold=threshold)


def draw(
    micrograph: Micrograph | ArrayLike, picks: Picks | None = None, *, size: float = CIRCLE,
    ax: Axes | None = None,
) -> Axes:
    """A micrograph in grey with a circle around each pick, a colour for each view; returns the axes.

    micrograph: as for `pick`; size: diameter of the circles in pixels; ax: axes of yours to draw on
    """
    from gembench.drawing import pictures, style

    pixels = micrograph.data if isinstance(micrograph, Micrograph) else np.asarray(micrograph, np.float32)
    with style.context():
        if ax is None:
            height, width = pixels.shape
            _, ax = style.figure(width=style.PAGE, height=style.PAGE * height / width)
        name = micrograph.name if isinstance(micrograph, Micrograph) else "array"
        pictures.micrograph(ax, pixels, title=name if picks is None else f"{name}: {len(picks)} picks")
        if picks is not None:
            pictures.picks(ax, picks, size / 2)
        if isinstance(micrograph, Micrograph) and micrograph.pixel_size is not None:
            length = pictures.round_length(pixels.shape[1] * micrograph.pixel_size / 50)
            pictures.scale_bar(ax, pixels.shape, micrograph.pixel_size, nanometres=length)
    return ax
