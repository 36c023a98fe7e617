"""Pictures of micrographs, score maps and templates, onto given axes. Nothing here reads a file.

Call inside `gembench.drawing.style.context()`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gembench.drawing import style
from gembench.engine.picks import Picks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

Array = NDArray[Any]
VIEW_COLOURS = (style.ORANGE, style.SKY, style.GREEN, style.PURPLE, style.VERMILION, style.BLUE)
LONGEST_SIDE = 1024  # pixels of a picture; finer detail is averaged away


def micrograph(ax: Axes, image: Array, *, title: str = "") -> None:
    """A micrograph (H, W) in grey, its darkest and brightest half percent clipped, y down."""
    small = binned(image, _factor(image))
    low, high = np.percentile(small, (0.5, 99.5))
    _show(ax, small, image.shape, cmap="gray", vmin=low, vmax=high)
    ax.set_title(title)


def score_map(ax: Axes, score: Array, *, title: str = "", limit: float | None = None) -> AxesImage:
    """A score map (H, W); returns the image, for a colour bar."""
    top = limit if limit is not None else float(score.max())
    shown = _show(ax, binned(score, _factor(score), np.max), score.shape, cmap="magma", vmin=0, vmax=top)
    ax.set_title(title)
    return shown


def picks(ax: Axes, shown: Picks, radius: float, *, names: tuple[str, ...] = ()) -> None:
    """Circles of `radius` pixels around picks, a colour for each view, with a legend of the views' names."""
    from matplotlib.patches import Circle

    for view in sorted(set(shown.view.tolist())):
        colour = VIEW_COLOURS[view % len(VIEW_COLOURS)]
        name = names[view] if 0 <= view < len(names) else f"view {view}"
        for number, (x, y) in enumerate(shown[shown.view == view].xy):
            ax.add_patch(Circle((x, y), radius, fill=False, color=colour, linewidth=1.1,
                                label=name if number == 0 else None))
    if len(shown):
        ax.legend(loc="upper right", framealpha=0.85, frameon=True, handlelength=1)


def scale_bar(ax: Axes, shape: tuple[int, ...], pixel_size: float, *, nanometres: float = 50) -> None:
    """A bar of so many nanometres in the lower left corner."""
    length = nanometres * 10 / pixel_size
    x, y = 0.05 * shape[1], 0.95 * shape[0]
    ax.plot([x, x + length], [y, y], color="white", linewidth=3, marker="", linestyle="-",
            solid_capstyle="butt")
    ax.text(x + length / 2, y - 0.015 * shape[0], f"{nanometres:g} nm", color="white", ha="center",
            va="bottom")


def round_length(longest: float) -> float:
    """The greatest of 1, 2, 5, 10, 20, ... and their tenths that is not above `longest`, for a scale bar."""
    decade = 10.0 ** np.floor(np.log10(longest))
    return float(max(step * decade for step in (1, 2, 5) if step * decade <= longest))


def _show(ax: Axes, small: Array, shape: tuple[int, ...], **how: Any) -> AxesImage:
    corners = (-0.5, shape[1] - 0.5, shape[0] - 0.5, -0.5)
    shown = ax.imshow(small, extent=corners, interpolation="antialiased", **how)
    ax.set(xticks=[], yticks=[], xlim=(-0.5, shape[1] - 0.5), ylim=(shape[0] - 0.5, -0.5))
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    return shown


def plain(ax: Axes, image: Array, *, title: str = "") -> None:
    """An image (h, w) in grey from its least to its greatest value, y down."""
    _show(ax, image, image.shape, cmap="gray")
    ax.set_title(title)


def binned(image: Array, factor: int, reduce: Any = np.mean) -> Array:
    """The image (H, W) with blocks of factor x factor pixels reduced to one; the rest is left out."""
    h, w = (side // factor * factor for side in image.shape)
    blocks = image[:h, :w].reshape(h // factor, factor, w // factor, factor)
    return np.asarray(reduce(blocks, axis=(1, 3)))


def _factor(image: Array) -> int:
    """The whole factor that brings the longest side down to LONGEST_SIDE."""
    return int(-(-max(image.shape) // LONGEST_SIDE))
