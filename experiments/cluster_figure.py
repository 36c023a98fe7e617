"""Figure 4 drawn: speed-ups of ranks here and of modelled clusters; and what the model's constants decide."""

from __future__ import annotations

import numpy as np

from gembench.drawing import style
from gembench.study.clusters.model import sensitivity
from gembench.study.clusters.model.machines import ADONIS, CLUSTERS, GRIFFON, STORAGE
from gembench.study.tell import bands
from gembench.study.tell.tables import speed_up

COLORS = {"shared": style.VERMILION, "cached": style.BLUE, "local": style.GREEN}
STORAGES = {"shared": "templates on one disk", "cached": "in the file server's memory",
            "local": "on a disk of every node"}
DASHES = {"shared": (0, (6, 1.5)), "cached": (0, (2.5, 1.2)), "local": (0, (1, 1))}
HERE = {"real": ("ranks", style.Series(style.BLACK, "-", "o", "")),
        "emulated": ("emulated nodes, 1 Gb/s", style.Series(style.PURPLE, "-", "D", ""))}
PAPER = {"griffon": "almost linear, below the ideal", "adonis": "linear"}
IDEAL = {"color": style.GREY, "linewidth": 3, "alpha": 0.35, "marker": "", "zorder": 0}


def figure(rows):
    """Speed-up over one node: what was measured here, then the paper's clusters by closed forms."""
    measured = {evidence: ups for evidence in HERE if (ups := speed_ups(biggest(rows, evidence)))}
    machines = [name for name in CLUSTERS if any(row["machine"] == name for row in rows)]
    panels = bool(measured) + len(machines)
    figures = {}
    if panels:
        drawn, axes = style.figure(1, panels, width=style.PAGE if panels > 1 else style.COLUMN, height=3.0,
                                   squeeze=False)
        if measured:
            here(axes.flat[0], measured)
        for ax, machine in zip(axes.flat[bool(measured) :], machines, strict=True):
            modelled(ax, [row for row in rows if row["machine"] == machine], machine)
        for letter, ax in zip("abc", axes.flat, strict=False):
            ax.set_title(f"{letter}  {ax.get_title(loc='left')}")
        legend(drawn, measured, [row["storage"] for row in rows if row["machine"] in CLUSTERS])
        figures[""] = drawn
    if machines:
        figures["constants"] = constants(), [row for row in rows if row["machine"] in CLUSTERS]
    return figures


def biggest(rows, evidence):
    """The rows of one kind of evidence with the most templates."""
    of_kind = [row for row in rows if row["evidence"] == evidence]
    most = max((row["templates"] for row in of_kind), default=0)
    return [row for row in of_kind if row["templates"] == most]


def speed_ups(rows):
    """Number of nodes -> speed-up over one node with its range; nothing without two numbers of nodes."""
    by_nodes = {row["nodes"]: row for row in rows}
    if 1 not in by_nodes or len(by_nodes) < 2:
        return {}
    return {nodes: speed_up(by_nodes[1], by_nodes[nodes]) for nodes in sorted(by_nodes)}


def here(ax, measured):
    """Ranks and emulated nodes of one thread, as many as there are cores; one beside the other."""
    most = max(nodes for ups in measured.values() for nodes in ups)
    ax.plot([1, most], [1, most], **IDEAL)
    for number, (evidence, ups) in enumerate(measured.items()):
        beside = {nodes + 0.02 * most * (2 * number - 1): ups[nodes] for nodes in ups}
        bands.dots(ax, beside, HERE[evidence][1])
    ticks = sorted({nodes for ups in measured.values() for nodes in ups})
    ax.set(title="Real ranks and emulated nodes", xlabel="Ranks of one thread", ylim=(0, 1.15 * most),
           ylabel="Speed-up over one", xlim=(0.8, most + 0.2), xticks=ticks, yticks=[0, *ticks])


def modelled(ax, rows, machine):
    """One cluster: a line for each assumed storage, the ideal grey, nothing of it measured."""
    cluster = CLUSTERS[machine]
    ax.plot([1, cluster.nodes], [1, cluster.nodes], **IDEAL)
    for storage, color in COLORS.items():
        ups = speed_ups([row for row in rows if row["storage"] == storage])
        ax.plot(list(ups), [median for median, _, _ in ups.values()], color=color, marker="", linewidth=1.2,
                linestyle=DASHES[storage])
    ticks = [8 * k for k in range(1, 9)] if cluster.nodes > 8 else range(1, 9)
    ax.set(title=f"{cluster.name}, model: closed form\n    with assumed constants", xticks=ticks,
           yticks=ticks, xlabel=f"Nodes of {cluster.workers} {cluster.kind}", ylabel="Speed-up over one node")
    style.paper_words(ax, 0.06, 0.93, PAPER[machine])


def legend(drawn, measured, storages):
    """What colours and lines mean."""
    from matplotlib.lines import Line2D

    handles = {HERE[evidence][0]: Line2D([], [], color=HERE[evidence][1].color, linestyle="none",
                                         marker=HERE[evidence][1].marker) for evidence in measured}
    handles |= {f"model: {words}": Line2D([], [], color=COLORS[name], linestyle=DASHES[name], marker="")
                for name, words in STORAGES.items() if name in storages}
    handles["ideal"] = Line2D([], [], **{**IDEAL, "zorder": 1})
    handles[style.PAPER_NAME] = style.paper_key()
    drawn.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=3)


def constants():
    """How the paper's statements of its clusters hang on what it does not give: closed forms, no rows."""
    drawn, (left, right) = style.figure(1, 2, width=style.PAGE, height=3.2)
    by_access(left)
    by_memory(right)
    left.set_title("a  Model: Fig. 4 by the disk's access time")
    right.set_title("b  Model: Fig. 5 by Adonis' memory")
    return drawn


def by_access(ax):
    """Shares of the ideal speed-up over the access time of the one disk that all nodes read from."""
    accesses = np.linspace(*sensitivity.ACCESSES, 96)
    disks = [sensitivity.with_access(access) for access in accesses]
    shortest, longest = (1e3 * edge for edge in sensitivity.griffon_interval())
    ax.axvspan(shortest, longest, color=style.ORANGE, alpha=0.22, linewidth=0)
    for cluster, color, dash in ((GRIFFON, style.VERMILION, "-"), (ADONIS, style.BLUE, (0, (6, 1.5)))):
        ax.plot(1e3 * accesses, [sensitivity.of_ideal(cluster, disk) for disk in disks], color=color,
                linestyle=dash, marker="", linewidth=1.2)
        share = sensitivity.of_ideal(cluster, STORAGE["shared"])
        ax.plot([1e3 * STORAGE["shared"].access], [share], color=color, marker="o", markersize=4)
        ax.annotate(f"{cluster.name} {share:.2f}", (1e3 * STORAGE["shared"].access, share), xytext=(6, -1),
                    textcoords="offset points", color=color, fontsize="small")
    ax.text(longest + 0.6, 1.0, f"shaded: {shortest:.1f} to {longest:.1f} ms, where Griffon is\n"
            "almost linear and yet held back by its disk;\ndots: the 5 ms assumed here", fontsize=6, va="top")
    ax.axhline(sensitivity.ALMOST_LINEAR, color=style.GREY, linewidth=0.7, linestyle=(0, (1, 2)), zorder=0)
    style.paper_words(ax, 0.42, 0.66, "Griffon almost linear, held back by\nstorage; Adonis linear")
    ax.set(xlabel="Access time of the one disk (ms)", ylabel="Speed-up of all nodes, share of the ideal",
           ylim=(0, 1.05), xlim=(1, 20), xticks=[1, 5, 10, 15, 20])


def by_memory(ax):
    """The gain of threads on Adonis over Griffon's, over how much eight cores gain in Adonis' memory."""
    gains = np.linspace(1, 4, 61)
    ax.plot(gains, [sensitivity.more_on_adonis(gain) for gain in gains], color=style.BLUE, marker="",
            linewidth=1.2)
    ax.axhline(1, color=style.GREY, linewidth=0.9, linestyle=(0, (1, 2)), zorder=0)
    for gain, words in ((sensitivity.memory_gain(ADONIS), "as assumed\nfor Adonis"),
                        (sensitivity.memory_gain(GRIFFON), "as assumed\nfor Griffon")):
        value = sensitivity.more_on_adonis(gain)
        ax.plot([gain], [value], color=style.BLUE, marker="o", markersize=4)
        ax.annotate(f"{words}: {value:.2f}", (gain, value), xytext=(4, -4), textcoords="offset points",
                    va="top", fontsize="small")
    style.paper_words(ax, 0.06, 0.93, "threads help more on Adonis (above 1)")
    ax.set(xlabel="Memory rate of 8 cores over that of one, Adonis", xlim=(1, 4.1),
           ylabel="Gain of threads, Adonis over Griffon")
