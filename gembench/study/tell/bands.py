"""Lines with bands over sizes: the medians of stored rows and how far their samples spread."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from gembench.study.tell import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Spread = tuple[float, float, float]  # median, lowest, highest


def look(name: str) -> style.Series:
    """The fixed look of a name, and the background's for one that has none yet."""
    return style.SERIES.get(name, style.Series(style.GREY, ":", ".", ""))


def line(
    ax: Axes, x: Sequence[float], spreads: Sequence[Spread], name: str, label: str | None = None
) -> None:
    """The medians over `x` in the look of `name`, and their band from lowest to highest behind them."""
    middle, low, high = zip(*spreads, strict=True)
    ax.fill_between(x, low, high, color=look(name).color, alpha=0.13, linewidth=0)
    ax.plot(x, middle, label=label or name, **look(name).line)


def octaves(ax: Axes, sizes: Iterable[int], ratios: Sequence[float]) -> None:
    """Logarithmic axes, a tick at every size and at every doubling of the ratio."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    ticks = sorted(set(sizes))
    ax.set_xscale("log", base=2)
    ax.set_xticks(ticks, [f"{size}" for size in ticks])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_yscale("log", base=2)
    ax.set_ylim(0.9 * min(ratios), 1.1 * max(ratios))
    ax.yaxis.set_major_locator(LogLocator(base=2, numticks=12))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:g}"))
    ax.yaxis.set_minor_locator(NullLocator())


def bars(ax: Axes, spreads: Mapping[float, Spread], name: str, width: float) -> None:
    """A bar of ratios at each place, from 1 to its median, in the look of `name`, with its band."""
    places = list(spreads)
    middle, low, high = (list(values) for values in zip(*spreads.values(), strict=True))
    ax.bar(places, [value - 1 for value in middle], 0.88 * width, bottom=1, label=name, **look(name).bar)
    reach = [[m - x for m, x in zip(middle, low, strict=True)],
             [x - m for m, x in zip(middle, high, strict=True)]]
    ax.errorbar(places, middle, reach, fmt="none", ecolor=style.GREY, elinewidth=0.7, capsize=1.5)
