"""What the GPU study draws: rates by size, by number of GPUs and by option, and the read-bound KLH."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gembench.study.gpu.looks import LOOKS, MASKS, Rows, chosen, horizontal
from gembench.study.gpu.profile_figure import profile
from gembench.study.tell import style
from gembench.study.tell.bands import Spread
from gembench.study.tell.tables import speed_up

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS = {"float32": "a  Single precision", "float64": "b  Double precision"}


def draw(rows: Rows) -> dict[str, Any]:
    """Every figure that the rows of one machine suffice for, by name; the bare one is the paper's Fig. 3b."""
    drawn = {"": devices(rows), "sizes": sizes(rows), "profile": profile(rows), "options": options(rows),
             "reading": reading(rows)}
    return {name: figure for name, figure in drawn.items() if figure is not None}


def per_second(row: Any) -> Spread:
    """Templates a second: at the median time, and at the longest and shortest."""
    short, long = row.band
    return 1 / row.median, 1 / long, 1 / short


def line(ax: Axes, x: Sequence[float], spreads: Sequence[Spread], look: style.Series, label: str) -> None:
    """The medians over `x` and their band behind them."""
    middle, low, high = zip(*spreads, strict=True)
    ax.fill_between(x, low, high, color=look.color, alpha=0.13, linewidth=0)
    ax.plot(x, middle, label=label, **look.line)


def devices(rows: Rows) -> Any:
    """Fig. 3b: speed-up by the number of GPUs beside the ideal, and what one GPU does in a second."""
    found = chosen(rows, device="gpu", precision="float32")
    several = {row["n"] for row in found if row["devices"] > 1}
    base = {row["n"]: row for row in found if row["devices"] == 1 and row["n"] in several}
    mine = sorted((row for row in found if row["n"] in base), key=lambda row: row["devices"])
    if not mine:
        return None
    counts = sorted({row["devices"] for row in mine})
    figure, (left, right) = style.figure(1, 2, width=style.PAGE, height=2.6)
    left.plot([1, counts[-1]], [1, counts[-1]], color=style.GREY, linestyle=(0, (1, 2)), label="ideal")
    for n, look in zip(sorted(base, reverse=True), LOOKS.values(), strict=False):
        group = [row for row in mine if row["n"] == n]
        x = [row["devices"] for row in group]
        line(left, x, [speed_up(base[n], row) for row in group], look, f"{n} × {n}")
        line(right, x, [_each(row) for row in group], look, f"{n} × {n}")
    for ax in (left, right):
        ax.set(xlabel="GPUs", xticks=counts)
        ax.set_ylim(0, 1.2 * ax.get_ylim()[1])
    left.set(title="a  Speed-up", ylabel="Speed-up over one GPU")
    right.set(title="b  Pace of a GPU", ylabel="Templates / GPU / s")
    left.legend(loc="upper left")
    return figure


def _each(row: Any) -> Spread:
    """Templates a second of each device."""
    middle, low, high = per_second(row)
    return middle / row["devices"], low / row["devices"], high / row["devices"]


def arms(rows: Rows) -> dict[str, dict[int, Any]]:
    """Rows of one core, of as many cores as were measured, and of one GPU, each by size."""
    found: dict[str, dict[int, Any]] = {name: {} for name in LOOKS}
    for row in sorted(rows, key=lambda row: (row["n"], row["devices"])):
        if row["devices"] == 1:
            found["one core" if row["device"] == "cpu" else "one GPU"][row["n"]] = row
        elif row["device"] == "cpu":
            found["all cores"][row["n"]] = row
    return {name: by_size for name, by_size in found.items() if by_size}


def sizes(rows: Rows) -> Any:
    """Templates a second over the micrograph's size, a panel a precision, the GPU's lead over a core told."""
    panels = {precision: arms(chosen(rows, precision=precision)) for precision in PANELS}
    panels = {precision: found for precision, found in panels.items() if found}
    if not panels:
        return None
    width = style.PAGE if len(panels) > 1 else style.COLUMN
    figure, axes = style.figure(1, len(panels), width=width, height=2.8, sharey=True, squeeze=False)
    handles: dict[str, Any] = {}
    for ax, (precision, found) in zip(axes[0], panels.items(), strict=True):
        for name, by_size in found.items():
            cores = max(row["devices"] for row in by_size.values())
            label = f"{cores} cores" if name == "all cores" else name
            line(ax, list(by_size), [per_second(row) for row in by_size.values()], LOOKS[name], label)
        for n, row in found.get("one GPU", {}).items():
            _lead(ax, n, row, found.get("one core", {}).get(n))
        ax.set(title=PANELS[precision], yscale="log")
        _size_axis(ax, {n for by_size in found.values() for n in by_size})
        handles |= {label: handle for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    axes[0][0].set_ylabel("Templates / s")
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=len(handles))
    return figure


def _lead(ax: Axes, n: int, row: Any, core: Any) -> None:
    """How many times as fast as one core the GPU is at one size, above its point."""
    if core is not None:
        ax.annotate(f"{speed_up(core, row)[0]:.0f}×", (n, 1 / row.median), xytext=(0, 5),
                    textcoords="offset points", ha="center", fontsize="small", color=LOOKS["one GPU"].color)


def _size_axis(ax: Axes, found: set[int]) -> None:
    from matplotlib.ticker import NullLocator

    ax.set_xscale("log", base=2)
    ax.set_xticks(sorted(found), [str(n) for n in sorted(found)])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("Micrograph size N (pixels)")
    ax.margins(0.08, 0.15)


def options(rows: Rows) -> Any:
    """Rate by the number of templates in a batch, and by what the spectra are stored in."""
    one = chosen(rows, device="gpu", devices=1, precision="float32", mask=..., spectra=..., batch=...)
    batches = sorted((row for row in chosen(one, n=4096, batch=...) if row["batch"] != "auto"),
                     key=lambda row: row["batch"])
    storage = [row for row in chosen(one, mask=..., spectra=...) if row["n"] in (2048, 4096)]
    panels: list[tuple[str, Callable[[Axes, Rows], None], Rows]] = []
    if len(batches) > 1:
        panels.append(("Templates in a batch", _batches, batches))
    if any(row["spectra"] == "half" for row in storage):
        panels.append(("Storage of the spectra", _storage, storage))
    if not panels:
        return None
    width = style.PAGE if len(panels) > 1 else style.COLUMN
    figure, axes = style.figure(1, len(panels), width=width, height=2.5, squeeze=False)
    for ax, (title, panel, group), letter in zip(axes[0], panels, "ab", strict=False):
        panel(ax, group)
        ax.set_title(f"{letter}  {title}" if len(panels) > 1 else title)
    return figure


def _batches(ax: Axes, rows: Rows) -> None:
    counts = [row["batch"] for row in rows]
    line(ax, counts, [per_second(row) for row in rows], LOOKS["one GPU"], "one GPU")
    ax.set_xscale("log", base=2)
    ax.set_xticks(counts, [str(count) for count in counts])
    ax.minorticks_off()
    ax.set(xlabel="Templates in a batch, 4096 × 4096", ylabel="Templates / s")
    ax.set_ylim(0, 1.1 * ax.get_ylim()[1])


def _storage(ax: Axes, rows: Rows) -> None:
    """Pairs of bars, single and half, a pair for each size and mask, with the scores' error beside."""
    groups = sorted({(row["n"], row["mask"]) for row in rows}, key=lambda one: (one[0], one[1] != "own"))
    for row in rows:
        half = row["spectra"] == "half"
        place = groups.index((row["n"], row["mask"])) + (0.2 if half else -0.2)
        rate, low, high = per_second(row)
        ax.barh(place, rate, 0.36, **LOOKS["all cores" if half else "one GPU"].bar)
        ax.errorbar(rate, place, xerr=[[rate - low], [high - rate]], fmt="none", ecolor=style.GREY,
                    elinewidth=0.7, capsize=1.5)
        ax.annotate(f"{'half' if half else 'single'}, error {row['error_at_places']:.0e}", (high, place),
                    xytext=(4, 0), textcoords="offset points", va="center", fontsize="small")
    horizontal(ax, [f"{n}, {MASKS[mask]}" for n, mask in groups])
    ax.set(xlabel="Templates / s", xlim=(0, 1.5 * max(per_second(row)[2] for row in rows)))


def reading(rows: Rows) -> Any:
    """KLH by the number of GPUs: what the arithmetic takes, and what it takes when templates are read."""
    row = next((row for row in chosen(rows, device="gpu", devices=1, precision="float32")
                if "timeline_seconds" in row.metrics), None)
    if row is None:
        return None
    figure, ax = style.figure(width=style.COLUMN, height=2.4)
    counts = range(1, len(row["timeline_seconds"]) + 1)
    for name, look, label in (("timeline_seconds", "all cores", "templates read from files"),
                              ("arithmetic_seconds", "one GPU", "arithmetic alone")):
        ax.plot(counts, row[name], label=label, **LOOKS[look].line)
    ax.set(xlabel="GPUs", ylabel="82 micrographs, 180 templates (s)", xticks=list(counts))
    ax.set_ylim(0, 1.25 * ax.get_ylim()[1])
    ax.legend(loc="upper right")
    return figure
