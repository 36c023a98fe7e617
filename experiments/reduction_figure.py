"""Figure 5 drawn: time by the number of nodes on linear axes, and times over what is possible."""

from __future__ import annotations

import math

from gembench.drawing import style
from gembench.study.clusters.model import formulas
from gembench.study.clusters.model.machines import CLUSTERS
from gembench.study.tell import bands
from gembench.study.tell.text import seconds_text

DEFAULT = "shared"  # gembench.engine.mpi.reductions.DEFAULT_REDUCTION, named here since it needs no import
SHAPES = {"direct": "linear", "tree": "logarithmic"}  # as the paper has them
PANELS = {
    "here": "Real ranks in one memory", "100Mb/s": "Emulated nodes, 100 Mb/s",
    "griffon": "Griffon, model: closed form\n    with assumed constants",
    "adonis": "Adonis, model: closed form\n    with assumed constants",
}
OVER_BOUND = {  # machine, ranks -> title of a panel
    ("here", 4): "Real ranks here, 4 of them", ("1Gb/s", 8): "Emulated nodes, 8 on 1 Gb/s",
    ("100Mb/s", 64): "Emulated nodes, 64 on 100 Mb/s",
}


def figure(rows):
    """A panel for each machine with the largest maps it has; and how many times the bound each takes."""
    largest = {}
    for row in rows:
        largest[row["machine"]] = max(largest.get(row["machine"], 0), row["n"])
    rows = [row for row in rows if row["n"] == largest[row["machine"]]]
    panels = [(machine, measured if machine not in CLUSTERS else modelled) for machine in PANELS
              if machine in largest]
    if ("100Mb/s", measured) in panels:
        panels.insert(panels.index(("100Mb/s", measured)) + 1, ("100Mb/s", over_logarithm))
    figures = {}
    if panels:
        columns = min(3, len(panels))
        lines = -(-len(panels) // columns)
        drawn, axes = style.figure(lines, columns, width=max(0.36 * columns, 0.6) * style.PAGE,
                                   height=0.5 + 2.5 * lines, squeeze=False)
        for letter, ax, (machine, draw) in zip("abcdef", axes.flat, panels, strict=False):
            of_machine = [row for row in rows if row["machine"] == machine]
            draw(ax, of_machine)
            ax.set_title(f"{letter}  {ax.get_title(loc='left')}, {largest[machine]}²")
        for ax in axes.flat[len(panels) :]:
            ax.set_axis_off()
        legend(drawn, rows, axes.flat[-1] if len(panels) < axes.size else None)
        figures[""] = drawn, [row for row in rows if row["machine"] in PANELS]
    return figures | bounds(rows)


def curves(rows):
    """Rows by the number of ranks for each strategy and number of threads."""
    rows_of = {}
    for row in rows:
        rows_of.setdefault((row["strategy"], row["threads"]), {})[row["nodes"]] = row
    return {name: dict(sorted(curve.items())) for name, curve in rows_of.items()}


def measured(ax, rows):
    """The paper's two and the default: dots with their ranges, and the shapes that the paper gives them."""
    for (strategy, threads), curve in curves(rows).items():
        if strategy in (*SHAPES, DEFAULT):
            dots(ax, strategy, threads, curve)
    shapes(ax, rows, list(SHAPES))
    nodes = sorted({row["nodes"] for row in rows})
    ax.set(title=PANELS[rows[0]["machine"]], ylabel="Seconds", ylim=(0, 1.35 * ax.get_ylim()[1]),
           xlabel="Ranks" if rows[0]["machine"] == "here" else "Nodes", xlim=(0, 1.06 * nodes[-1]))
    ax.set_xticks([p for p in nodes if p >= nodes[-1] / 8])


def over_logarithm(ax, rows):
    """The tree and the default alone, over the logarithm of the number of nodes: there a tree is straight."""
    rows = [row for row in rows if row["strategy"] in ("tree", DEFAULT)]
    for (strategy, threads), curve in curves(rows).items():
        dots(ax, strategy, threads, curve)
    shapes(ax, rows, ["tree"])
    nodes = sorted({row["nodes"] for row in rows})
    ax.set_xscale("log", base=2)
    ax.set_xticks(nodes, [f"{p}" for p in nodes])
    ax.minorticks_off()
    ax.set(title="Emulated nodes over log₂", ylabel="Seconds", xlabel="Nodes, logarithmic axis",
           ylim=(0, 1.35 * ax.get_ylim()[1]))


def dots(ax, strategy, threads, curve):
    """One strategy: medians with the range of their samples; hollow where several threads fold."""
    look = bands.look(strategy)
    spreads = {nodes: (row.median, *row.band) for nodes, row in curve.items()}
    bands.dots(ax, spreads, look, **({"markerfacecolor": "white"} if threads > 1 else {}))


def shapes(ax, rows, strategies):
    """The curve of the paper's shape through the medians of one thread, and how well both shapes fit."""
    lines = []
    for strategy in strategies:
        curve = curves(rows).get((strategy, 1), {})
        fit = formulas.shapes({nodes: row.median for nodes, row in curve.items()})
        if fit is None:
            continue
        nodes = [2 ** (k / 8) for k in range(8 * round(math.log2(min(curve))), 8 * 6 + 1)
                 if 2 ** (k / 8) <= max(curve)]
        slope, start = fit.line if strategy == "direct" else fit.logarithm
        ax.plot(nodes, [slope * (p if strategy == "direct" else math.log2(p)) + start for p in nodes],
                color=bands.look(strategy).color, linestyle=(0, (1, 1.4)), marker="", linewidth=0.9, zorder=1)
        lines.append(f"{strategy}: R² {fit.linear:.3f} of a line, {fit.logarithmic:.3f} of a logarithm")
    style.paper_words(ax, 0.05, 0.95, " and ".join(f"{name} {SHAPES[name]}" for name in strategies))
    ax.text(0.03, 0.9, "\n".join(lines), transform=ax.transAxes, va="top", fontsize=5.5)


def modelled(ax, rows):
    """Closed forms: thin lines without markers, dashed where all threads of a node fold."""
    for (strategy, threads), curve in curves(rows).items():
        ax.plot(list(curve), [row.median for row in curve.values()], color=bands.look(strategy).color,
                marker="", linewidth=0.9, linestyle="-" if threads == 1 else (0, (4, 2)))
    nodes = sorted({row["nodes"] for row in rows})
    ax.set(title=PANELS[rows[0]["machine"]], xlabel="Nodes", ylabel="Seconds",
           xlim=(0, 1.06 * nodes[-1]), ylim=(0, 1.2 * ax.get_ylim()[1]))
    ax.set_xticks([p for p in nodes if p >= nodes[-1] / 8])
    if rows[0]["machine"] == "adonis":
        style.paper_words(ax, 0.05, 0.95, "this axis is 10× shorter than Griffon's")


def legend(drawn, rows, empty):
    """What colours, dots and lines mean; in an empty panel if there is one."""
    from matplotlib.lines import Line2D

    drawn_here = [row["strategy"] for row in rows
                  if row["machine"] in CLUSTERS or row["strategy"] in (*SHAPES, DEFAULT)]
    names = [name for name in style.REDUCTIONS if name in drawn_here]
    handles = {f"{name} (default)" if name == DEFAULT else name: Line2D(
        [], [], color=bands.look(name).color, marker=bands.look(name).marker, linestyle="none")
        for name in names}
    grey = {"color": style.INK, "linestyle": "none"}
    kinds = {"measured: median, range": Line2D([], [], marker="o", **grey),
             "the same, threads fold": Line2D([], [], marker="o", markerfacecolor="white", **grey),
             "the paper's shape, fitted": Line2D([], [], color=style.INK, linestyle=(0, (1, 1.4)), marker="")}
    if any(row["machine"] in CLUSTERS for row in rows):
        kinds["model"] = Line2D([], [], color=style.INK, linewidth=0.9, linestyle="-", marker="")
        kinds["model, all threads fold"] = Line2D([], [], color=style.INK, linewidth=0.9, marker="",
                                                  linestyle=(0, (4, 2)))
    handles |= kinds
    handles[style.PAPER_NAME] = style.paper_key()
    if empty is not None:
        empty.legend(list(handles.values()), list(handles), loc="center", ncols=1)
    else:
        drawn.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=4)


def bounds(rows):
    """How many times its lower bound a reduction takes: dots with ranges; nothing without such rows."""
    groups = {}
    for where, title in OVER_BOUND.items():
        group = [row for row in rows if (row["machine"], row["nodes"]) == where and row["threads"] == 1]
        if group:
            groups[title] = sorted(group, key=lambda row: -row.median)
    if not groups:
        return {}
    counts = [len(group) for group in groups.values()]
    drawn, axes = style.figure(len(groups), 1, width=1.25 * style.COLUMN, squeeze=False, sharex=True,
                               height=0.9 + 0.45 * len(groups) + 0.2 * sum(counts), height_ratios=counts)
    for letter, ax, (title, group) in zip("abc", axes.flat, groups.items(), strict=False):
        for place, row in enumerate(group):
            spread = tuple(seconds / row["bound"] for seconds in (row.median, *row.band))
            bands.dots(ax, {place: spread}, bands.look(row["strategy"]), across=True)
            ax.annotate(f"{spread[0]:.3g}×", (spread[2], place), xytext=(4, 0), va="center",
                        textcoords="offset points", fontsize="small")
        ax.axvline(1, color=style.GREY, linewidth=2, alpha=0.5)
        ax.set_yticks(range(len(group)), [row["strategy"] for row in group])
        ax.set_ylim(-0.6, len(group) - 0.4)
        ax.set_xscale("log")
        ax.set_title(f"{letter}  {title}, {group[0]['n']}²: bound {seconds_text(group[0]['bound'])}")
        if any(row["strategy"] == "tree" for row in group):
            place = next(place for place, row in enumerate(group) if row["strategy"] == "tree")
            style.paper_value(ax, 1, place, "“optimal”")
    longest = max(row.band[1] / row["bound"] for group in groups.values() for row in group)
    axes.flat[-1].set(xlim=(0.9, 2 * longest), xlabel="Times the bound")
    axes.flat[-1].xaxis.set_major_formatter("{x:g}")
    return {"bounds": (drawn, [row for group in groups.values() for row in group])}
