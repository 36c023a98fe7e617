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
from typing import TYPE_CHECKING, Any

from gembench.io.atomic import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = Path(__file__).with_name("style.mplstyle")
COLUMN, PAGE = 3.46, 7.09  # widths in inches: 88 mm and 180 mm

BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SKY, ORANGE, BLACK = "#56B4E9", "#E69F00", "#000000"
INK, GREY = "#222222", "#8c8c8c"  # text, and whatever should stay in the background

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
        for path, suffix in zip(paths, formats, strict=True):
            with atomic_path(path) as temporary:
                figure.savefig(temporary, format=suffix, metadata=unsigned.get(suffix))
    return paths
