"""What `gembench templates` prints and draws."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gembench.drawing import style
from gembench.drawing.pictures import round_length
from gembench.io.atomic import make_folder
from gembench.templates.views import Views

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DRAWN = 48  # views, at most: more are too small to see
_ACROSS = 4  # views in a row
_PANEL = 0.86  # inches


def print_table(views: Views, contrast: str, output: Path, masks: Path | None) -> None:
    """Print what every view is made of, and what was written.

    contrast: of the particles; output, masks: the stacks that were written
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("View")
    for heading in views.facts[0]:
        table.add_column(heading, justify="right")
    if views.mask_shapes:
        table.add_column("Mask")
    for number, (name, facts) in enumerate(zip(views.names, views.facts, strict=True)):
        mask = [_extent(views, number)] if views.mask_shapes else []
        table.add_row(Text(name), *facts.values(), *mask)
    side = views.templates.shape[1]
    console = Console(highlight=False)
    console.print(table)
    if any(int(facts.get("Left out", "0")) for facts in views.facts):
        console.print(Text(f"  Left out: particles whose box of {side} px leaves the micrograph"),
                      soft_wrap=True)
    console.print(Text(f"  {output}: {len(views.names)} templates of {side} x {side} px,"
                       f" {views.pixel_size:g} A/px, particles {contrast}"), soft_wrap=True)
    if masks is not None:
        console.print(Text(f"  {masks}: their masks"), soft_wrap=True)


def plot(views: Views, folder: Path) -> list[Path]:
    """Draw every template with the outline of its mask, and the mask beside; returns the files.

    Of more views than fit the first are drawn. Raises InputError if a file cannot be written.
    """
    count = min(len(views.names), _DRAWN)
    across = min(count, _ACROSS)
    rows = -(-count // across)
    with style.context():
        figure, axes = style.figure(rows, 2 * across, width=2 * across * _PANEL, height=rows * (_PANEL + 0.2),
                                    squeeze=False)
        pairs = axes.reshape(-1, 2)
        for ax in pairs[count:].flat:
            ax.set_axis_off()
        for number, pair in enumerate(pairs[:count]):
            _draw(pair, views, number)
        return style.save(figure, make_folder(folder) / "templates")


def _draw(pair: Any, views: Views, number: int) -> None:
    """A template and its mask."""
    template, mask = views.templates[number], views.masks[number]
    low, high = np.percentile(template, [0.5, 99.5])
    pair[0].imshow(template, cmap="gray", vmin=low, vmax=high)
    pair[0].contour(mask, [0.5], colors=style.ORANGE, linewidths=0.8)
    pair[0].set_title(views.names[number])
    pair[1].imshow(mask, cmap="gray", vmin=0, vmax=1)
    pair[1].set_title(views.mask_shapes[number], weight="normal")
    for ax in pair:
        ax.set(xticks=[], yticks=[])
        ax.grid(visible=False)
        ax.spines[:].set(visible=True, color=style.GREY)
    if number == 0:
        _scale_bar(pair[0], template.shape[0], views.pixel_size)


def _scale_bar(ax: Axes, side: int, pixel_size: float) -> None:
    """A bar of a round length, at most a third of the box, below it."""
    length = round_length(side * pixel_size / 3)
    end, y = length / pixel_size, 1.07 * side
    ax.autoscale(False)
    ax.plot([0, end], [y, y], color=style.INK, linewidth=1.6, linestyle="-", clip_on=False,
            solid_capstyle="butt")
    ax.text(end + 0.04 * side, y, f"{length / 10:g} nm", size=6, va="center")


def _extent(views: Views, number: int) -> str:
    """'rectangle 160 x 190': the shape of a mask and its extent across and down in pixels."""
    mask = views.masks[number] > 0
    return f"{views.mask_shapes[number]} {np.ptp(np.nonzero(mask.any(0))) + 1} x" \
           f" {np.ptp(np.nonzero(mask.any(1))) + 1}"
