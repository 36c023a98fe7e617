"""The house style of figures: page sizes, one fixed look per name, and saving.

>>> with style.context():
...     figure, ax = style.figure()
...     ax.plot(sizes, ratios, **style.series("mkl").line)
...     style.save(figure, folder / "fft_libraries")
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from gembench.io.atomic import atomic_path
from gembench.text import for_figure, printable

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLE = Path(__file__).with_name("style.mplstyle")
COLUMN, PAGE = 3.46, 7.09  # widths in inches: 88 mm and 180 mm

BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SKY, ORANGE, BLACK = "#56B4E9", "#E69F00", "#000000"
INK, GREY = "#222222", "#8c8c8c"  # text, and whatever should stay in the background
GOLD = "#FFD400"  # the paper's own values and nothing else
PAPER: dict[str, Any] = {"marker": "*", "markersize": 8.5, "markerfacecolor": GOLD, "markeredgecolor": INK,
         "markeredgewidth": 0.7, "linestyle": "none"}
PAPER_NAME = "the paper, 2013"
PICTURE_DPI = 200  # of figures that hold pictures: at 300 those are twice as large and show no more
FOOT = 0.09  # inches of a line below the figure that says whose numbers it shows

Dash = str | tuple[float, tuple[float, ...]]


@dataclass(frozen=True)
class Series:
    """How one name looks, told apart by colour and, in grey, by dash, marker or hatch."""

    color: str
    dash: Dash
    marker: str
    hatch: str

    @property
    def line(self) -> dict[str, Any]:
        """Arguments of Axes.plot and Axes.errorbar."""
        return {"color": self.color, "linestyle": self.dash, "marker": self.marker}

    @property
    def bar(self) -> dict[str, Any]:
        """Arguments of Axes.bar and Axes.fill_between."""
        return {"facecolor": self.color, "hatch": self.hatch, "edgecolor": "white"}


_LOOKS = (
    Series(BLACK, "-", "o", ""),
    Series(BLUE, (0, (6, 1.5)), "s", "////"),
    Series(VERMILION, (0, (4, 1.2, 1, 1.2)), "^", "\\\\\\\\"),
    Series(GREEN, (0, (2.5, 1.2)), "D", "xxxx"),
    Series(PURPLE, (0, (1, 1)), "v", "...."),
    Series(SKY, (0, (6, 1, 1, 1, 1, 1)), "P", "----"),
    Series(ORANGE, (0, (9, 2)), "X", "||||"),
    Series(GREY, (0, (3, 2, 1, 2)), "h", "++++"),
)
LIBRARIES = ("fftw", "mkl", "ducc0", "cufft", "scipy", "numpy", "fftw-estimate", "mkl-fft")
METHODS = ("paper", "exact", "banded")
PICKERS = ("findem", "gembench", "gempicker", "relion", "pytme", "opencv", "scikit-image")
REDUCTIONS = ("direct", "tree", "shared", "chain", "scatter", "key", "maxloc")
SERIES = {
    name: look for family in (LIBRARIES, METHODS, PICKERS, REDUCTIONS)
    for name, look in zip(family, _LOOKS, strict=False)
}


def series(name: str) -> Series:
    """The fixed look of an FFT library, method, picker or reduction, the same in every figure.

    Raises KeyError for a name that has none: add it to its family here, at the end.
    """
    return SERIES[name.lower()]


LABELS = {
    "fftw": "FFTW", "mkl": "MKL", "cufft": "cuFFT", "scipy": "SciPy", "numpy": "NumPy",
    "mkl-fft": "MKL by mkl_fft", "fftw-estimate": "FFTW, plans estimated", "paper": "2013 method",
    "klh": "KLH",
}


def label(name: str) -> str:
    """A name as figures spell it; the method called `paper` is our run of the method of 2013."""
    return LABELS.get(name, for_figure(name))


def paper_value(
    ax: Axes, x: float, y: float, text: str, *, offset: tuple[float, float] = (6, 0), **words: Any
) -> None:
    """A value that the paper prints, among ours: a gold star, what it is beside it in italics.

    x, y: where it stands, in the units of the axes; offset: of the text from the star, in points
    words: further arguments of Axes.annotate
    """
    ax.plot([x], [y], zorder=5, clip_on=False, **PAPER)
    side = "right" if offset[0] < 0 else "left" if offset[0] > 0 else "center"
    level = "top" if offset[1] < 0 else "bottom" if offset[1] > 0 else "center"
    how: dict[str, Any] = {
        "xytext": offset, "textcoords": "offset points", "ha": side, "va": level, "fontsize": 6.5,
        "fontstyle": "italic", "annotation_clip": False, "zorder": 5, **words}
    ax.annotate(text, (x, y), **how)


def paper_beyond(ax: Axes, x: float, text: str) -> None:
    """A value of the paper that lies above the axes: the star on their upper edge, an arrow beside it.

    x: in the units of the axes
    """
    ax.plot([x], [1], transform=ax.get_xaxis_transform(), zorder=5, clip_on=False, **PAPER)
    ax.annotate(f"{text} \N{UPWARDS ARROW}", (x, 1), xycoords=ax.get_xaxis_transform(), xytext=(-7, -1),
                textcoords="offset points", ha="right", va="top", fontsize=6.5, fontstyle="italic", zorder=5)


def paper_words(ax: Axes, x: float, y: float, text: str) -> None:
    """What the paper says of a panel without a number: a small gold star and its words in italics.

    x, y: of the star and of the words' first line, in shares of the axes
    """
    ax.plot([x], [y], transform=ax.transAxes, zorder=5, **{**PAPER, "markersize": 6})
    ax.annotate(text, (x, y), xycoords="axes fraction", xytext=(6, 3.2), textcoords="offset points", va="top",
                fontsize=6, fontstyle="italic", zorder=5)


def paper_key() -> Artist:
    """The star as an entry of a legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], label=PAPER_NAME, **PAPER)


def sign(figure: Figure, text: str) -> None:
    """Add a foot to the figure: small lines that say whose numbers it shows and of what kind they are.

    The layout is fixed first, so that the page grows and everything on it keeps its size.
    """
    for _ in range(2 if any(ax.images for ax in figure.axes) else 1):  # titles over pictures need a second
        figure.draw_without_rendering()
    figure.set_layout_engine("none")
    width, height = figure.get_size_inches()
    lines = wrap(printable(text, 400), int(24 * width))
    grown = height + FOOT * (len(lines) + 1)
    foot = 1 - height / grown
    placed = [(ax, ax.get_position()) for ax in figure.axes]
    figure.set_size_inches(width, grown)
    for ax, box in placed:
        ax.set_position((box.x0, foot + (1 - foot) * box.y0, box.width, (1 - foot) * box.height))
    for legend in figure.legends:
        legend.set_bbox_to_anchor((0, foot, 1, 1 - foot), transform=figure.transFigure)
    for label in figure.texts:
        label.set_y(foot + (1 - foot) * label.get_position()[1])
    figure.text(0.07 / width, 0.45 * foot, for_figure("\n".join(lines)), fontsize=5.5, color="#666666",
                ha="left", va="center")


def context() -> AbstractContextManager[None]:
    """The house style, and nothing of the user's own settings, while the context lasts."""
    from matplotlib.style import context as style_context

    style: AbstractContextManager[None] = style_context(STYLE, after_reset=True)
    return style


def figure(
    rows: int = 1, columns: int = 1, *, width: float = COLUMN, height: float | None = None, **subplots: Any
) -> tuple[Figure, Any]:
    """A new figure and its axes, as `Figure.subplots` returns them, without any window.

    width, height: inches; height defaults to three quarters of a panel's width per row
    """
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height or rows * 0.75 * width / columns))
    return made, made.subplots(rows, columns, **subplots)


def save(figure: Figure, stem: str | Path, formats: Sequence[str] = ("svg", "png")) -> list[Path]:
    """Write the figure to `stem` + '.svg' and '.png', each whole or not at all; returns the paths.

    The same figure gives the same bytes: no date, no program name, SVG ids from a fixed salt.

    Raises InputError if a file cannot be written.
    """
    paths = [Path(f"{stem}.{suffix}") for suffix in formats]
    unsigned = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}
    with context():
        pictures = any(ax.images for ax in figure.axes)
        dpi: dict[str, Any] = {"dpi": PICTURE_DPI} if pictures else {}
        for path, suffix in zip(paths, formats, strict=True):
            with atomic_path(path) as temporary:
                figure.savefig(temporary, format=suffix, metadata=unsigned.get(suffix), **dpi)
                if suffix == "png" and not pictures:
                    _to_palette(temporary)
    return paths


def _to_palette(path: Path) -> None:
    """Store the PNG `path` with 256 colours, a third of its bytes: lines and letters have fewer."""
    from PIL import Image

    with Image.open(path, formats=["PNG"]) as drawn:
        colours = drawn.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        dpi = drawn.info["dpi"]
    colours.save(path, "PNG", optimize=True, dpi=dpi)
