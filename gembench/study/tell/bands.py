"""Lines and dots with ranges: the medians of stored rows and how far their samples spread."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gembench.data import klh
from gembench.data.annotated import SIMULATED
from gembench.drawing import style
from gembench.study.tell.text import seconds_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAPER_SETS = (klh.NAME, SIMULATED)  # micrographs of the paper's particle: KLH's, and those made like them
Spread = tuple[float, float, float]  # median, lowest, highest


def look(name: str) -> style.Series:
    """The fixed look of a name, and the background's for one that has none yet."""
    return style.SERIES.get(name, style.Series(style.GREY, ":", ".", ""))


def micrographs_of(data: str) -> str:
    """`KLH micrographs`, `simulated micrographs`, or `micrographs of mine`."""
    return f"{style.label(data)} micrographs" if data in PAPER_SETS else f"micrographs of {style.label(data)}"


def line(
    ax: Axes, x: Sequence[float], spreads: Sequence[Spread], name: str, label: str | None = None
) -> None:
    """The medians over `x` in the look of `name`, and their band from lowest to highest behind them."""
    middle, low, high = zip(*spreads, strict=True)
    ax.fill_between(x, low, high, color=look(name).color, alpha=0.13, linewidth=0)
    ax.plot(x, middle, label=style.label(name) if label is None else label, **look(name).line)


def octaves(ax: Axes, sizes: Iterable[int], ratios: Sequence[float]) -> None:
    """Logarithmic axes, a tick at every size and at every doubling of the ratio."""
    from matplotlib.ticker import NullLocator

    ticks = sorted(set(sizes))
    ax.set_xscale("log", base=2)
    ax.set_xticks(ticks, [f"{size}" for size in ticks])
    ax.xaxis.set_minor_locator(NullLocator())
    factors(ax)
    ax.set_ylim(0.9 * min(ratios), 1.1 * max(ratios))


def dots(ax: Axes, spreads: Mapping[float, Spread], look: style.Series, label: str | None = None, *,
         across: bool = False, **more: Any) -> None:
    """A dot at each median and a bar from its lowest to its highest sample.

    spreads: place along the other axis -> median, lowest, highest
    across: values run along x, as where each line of a figure is a case
    more: further arguments of Axes.errorbar
    """
    places = list(spreads)
    middle, low, high = (list(values) for values in zip(*spreads.values(), strict=True))
    reach = [[max(m - x, 0) for m, x in zip(middle, low, strict=True)],
             [max(x - m, 0) for m, x in zip(middle, high, strict=True)]]
    x, y, side = (middle, places, "xerr") if across else (places, middle, "yerr")
    how: dict[str, Any] = {
        side: reach, "color": look.color, "marker": look.marker, "linestyle": "none", "label": label,
        "elinewidth": 1.0, "capsize": 2, "markersize": 4.5, **more}
    ax.errorbar(x, y, **how)


def lines_of_cases(ax: Axes, names: Sequence[str]) -> None:
    """One line of the figure for each name, from the top down; a faint rule leads from name to dot."""
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", visible=True)


def factors(ax: Axes, axis: str = "y") -> None:
    """A logarithmic axis of ratios, a tick at every doubling, written as 0.5, 1, 2 and not as powers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    side = getattr(ax, f"{axis}axis")
    getattr(ax, f"set_{axis}scale")("log", base=2)
    side.set_major_locator(LogLocator(base=2, numticks=14))
    side.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:g}"))
    side.set_minor_locator(NullLocator())


def times(ax: Axes, axis: str = "x") -> None:
    """A logarithmic axis of seconds, each decade in the unit that a person would say."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    side = getattr(ax, f"{axis}axis")
    getattr(ax, f"set_{axis}scale")("log")
    side.set_major_locator(LogLocator(base=10, numticks=12))
    side.set_major_formatter(FuncFormatter(lambda seconds, _: decade_text(seconds)))
    side.set_minor_formatter(NullFormatter())


def decade_text(seconds: float) -> str:
    """`100 ms`: a power of ten of seconds."""
    number, unit = seconds_text(seconds).split()
    return f"{float(number):g} {unit}"
