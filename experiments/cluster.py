"""Figure 4: the speed-up of one search by the number of nodes that share its templates."""

from __future__ import annotations

from gembench.study.clusters.machines import CLUSTERS
from gembench.study.clusters.searches import Searches, paper_bank
from gembench.study.clusters.series import Series
from gembench.study.declare.experiment import Experiment, grid
from gembench.study.tell import style

ROUNDS = 2
KLH = 180  # templates of the paper's case study
STORAGES = {"griffon": ("shared", "local"), "adonis": ("shared", "cached", "local")}
ONE_OR_TWO = tuple((nodes, "local", "templates", 1) for nodes in (1, 2))
SIMULATED = [paper_bank(evidence, machine, storages) for evidence in ("simulated", "model")
             for machine, storages in STORAGES.items()]
SETTINGS = {
    "quick": [
        Searches("real", "here", 256, 8, ONE_OR_TWO, template=32),
        Searches("emulated", "1Gb/s", 256, 8, ONE_OR_TWO, template=32),
        Searches("simulated", "adonis", 4096, 400, tuple((p, "cached", "templates", 1) for p in (1, 8))),
        Searches("model", "adonis", 4096, 400, tuple((p, "cached", "templates", 1) for p in (1, 8))),
    ],
    "default": [
        Searches("real", "here", 2048, KLH, ONE_OR_TWO), Searches("emulated", "1Gb/s", 2048, KLH, ONE_OR_TWO),
        *SIMULATED,
    ],
}
SETTINGS["paper"] = SETTINGS["default"]
LOOKS = {"shared": (style.VERMILION, "o", 4), "cached": (style.BLUE, "s", 7), "local": (style.GREEN, "D", 4)}
TOLD = {"shared": "templates on one disk", "cached": "in the file server's memory",
        "local": "on a disk of every node"}
LINES = {"simulated": {"linestyle": "-", "markerfacecolor": "white"},
         "model": {"linestyle": (0, (1, 1.6)), "marker": "", "linewidth": 1.0}}


def setting_of(case):
    """The setting that a case belongs to."""
    return next(setting for settings in SETTINGS.values() for setting in settings
                if (setting.evidence, setting.machine, setting.n, setting.templates)
                == (case.evidence, case.machine, case.n, case.templates))


def skip(case):
    """Why there is no such evidence here."""
    return setting_of(case).unavailable()


def evidence_of(case):
    """What the case is evidence of: ranks here are measured, emulated nodes emulated, the rest is a model."""
    return {"real": "measured", "emulated": "emulated"}.get(case.evidence, "model")


def setup(case):
    """Where the samples of this case come from."""
    return Series(setting_of(case), {**case, "distribute": "templates", "micrographs": 1}, ROUNDS)


def run(series, case):
    """One search by all nodes, reduction included; measured together with the other numbers of nodes."""
    return series.next()


def check(output, series, case):
    """The maps are those of one process, byte by byte; no simulation is faster than its workers."""
    if not output["right"]:
        raise ValueError("the maps differ from those of one process")
    if case.machine in CLUSTERS:
        least = case.templates / case.nodes / CLUSTERS[case.machine].workers / series.setting.pace()
        if output["seconds"] < 0.999 * least:
            raise ValueError(f"{output['seconds']:.4g} s are less than the workers need, {least:.4g} s")


def memory(output, series, case):
    """Of the rank that held most; nothing ran where time is calculated."""
    return series.peak()


def seconds(output, series, case):
    """The slowest rank's clock, or the simulated one."""
    return output["seconds"]


def metrics(output, series, case):
    """What went into a simulation, and what of the time is the reduction."""
    if case.machine not in CLUSTERS:
        return {"workers": case.nodes, "peak_rss_sum": series.peak("peak_rss_sum")}
    cluster, setting = CLUSTERS[case.machine], series.setting
    return {"workers": case.nodes * cluster.workers, "templates_per_worker_second": setting.pace(),
            "reduction_seconds": setting.reduction_seconds(case.nodes)}


def speed_ups(rows, **where):
    """Number of nodes -> speed-up over one node, of the rows that match; nothing without one node's time."""
    mine = {row["nodes"]: row for row in rows if all(row[axis] == value for axis, value in where.items())}
    if 1 not in mine:
        return {}
    return {nodes: mine[1].median / mine[nodes].median for nodes in sorted(mine)}


def figure(rows):
    """Speed-up over one node: the paper's clusters, simulated and by formula, then ranks and nodes here."""
    machines = [name for name in CLUSTERS if any(row["machine"] == name for row in rows)]
    here = {"Ranks on\nthis machine": "real", "Emulated nodes,\n1 Gb/s": "emulated"}
    found = {name: speed_ups(biggest(rows, evidence), evidence=evidence) for name, evidence in here.items()}
    found = {name: ups for name, ups in found.items() if len(ups) > 1}
    panels = len(machines) + bool(found)
    if not panels:
        return {}
    drawn, axes = style.figure(1, panels, width=style.PAGE, height=2.9, squeeze=False,
                               width_ratios=[1.3] * len(machines) + [1] * bool(found))
    for letter, ax, machine in zip("ab", axes.flat, machines, strict=False):
        cluster = CLUSTERS[machine]
        simulated(ax, [row for row in rows if row["machine"] == machine], cluster)
        ax.set_title(f"{letter}  {cluster.name}: {cluster.workers} {cluster.kind} a node")
    if found:
        bars(axes.flat[-1], found)
        axes.flat[-1].set_title(f"{'abc'[len(machines)]}  Measured here")
    legend(drawn, rows)
    return drawn


def biggest(rows, evidence):
    """The rows of one kind of evidence with the most templates."""
    mine = [row for row in rows if row["evidence"] == evidence]
    most = max((row["templates"] for row in mine), default=0)
    return [row for row in mine if row["templates"] == most]


def simulated(ax, rows, cluster):
    """One cluster: a colour for each storage, simulated with markers, formulas dotted, the ideal grey."""
    ax.plot([1, cluster.nodes], [1, cluster.nodes], color=style.GREY, linewidth=3, alpha=0.35, zorder=0)
    for storage, (color, marker, size) in LOOKS.items():
        for evidence, look in LINES.items():
            ups = speed_ups(rows, evidence=evidence, storage=storage)
            if ups:
                ax.plot(list(ups), list(ups.values()), color=color, markersize=size,
                        **{"marker": marker, **look})
    ticks = [8 * k for k in range(1, 9)] if cluster.nodes > 8 else range(1, 9)
    ax.set(xlabel="Nodes", ylabel="Speed-up over one node", xticks=ticks, yticks=ticks)


def bars(ax, found):
    """Speed-ups of two ranks."""
    for place, ups in enumerate(found.values()):
        nodes = max(ups)
        ax.bar(place, ups[nodes], 0.55, facecolor=style.BLUE, edgecolor="white", hatch="//" * place)
        ax.annotate(f"{ups[nodes]:.2f}×", (place, ups[nodes]), xytext=(0, 3), textcoords="offset points",
                    ha="center")
    ax.axhline(2, color=style.GREY, linewidth=3, alpha=0.35, zorder=0)
    ax.set(xlim=(-0.6, len(found) - 0.4), ylim=(0, 2.4), xlabel="Two ranks of one thread",
           ylabel="Speed-up over one")
    ax.set_xticks(range(len(found)), list(found))
    ax.grid(axis="x", visible=False)


def legend(drawn, rows):
    """What colours and lines mean."""
    from matplotlib.lines import Line2D

    there = {row["storage"] for row in rows if row["machine"] in CLUSTERS}
    handles = {TOLD[name]: Line2D([], [], color=color, marker=marker, markerfacecolor="white")
               for name, (color, marker, _) in LOOKS.items() if name in there}
    kinds = {"simulated (SimGrid)": {"marker": "o", **LINES["simulated"]}, "closed form": LINES["model"]}
    handles |= {name: Line2D([], [], color=style.INK, **look) for name, look in kinds.items()}
    handles["ideal"] = Line2D([], [], color=style.GREY, linewidth=3, alpha=0.35)
    drawn.legend(list(handles.values()), list(handles), loc="outside upper center", ncols=3)


def cases(name):
    """The cases of a grid's settings."""
    return [case for setting in SETTINGS[name]
            for storage in dict.fromkeys(one[1] for one in setting.cases)
            for case in grid(evidence=setting.evidence, machine=setting.machine, n=setting.n,
                             templates=setting.templates, storage=storage,
                             nodes=[one[0] for one in setting.cases if one[1] == storage])]


experiment = Experiment(
    name="cluster", title="Speed by the number of cluster nodes", paper="Fig. 4",
    about="All nodes share the templates of one micrograph; the reduction is included. Here: ranks of one"
    " thread, the maps checked byte by byte against one process. Clusters: 14,630 templates of 160² on 4096²,"
    " at the paper's pace of a core (0.25 templates a second on Dirac, by the clock) and of a GPU (22.9 on a"
    " C2075, by memory bandwidth), templates and masks read file by file: from one disk that all nodes share,"
    " from the memory of one file server, or from a disk of every node. The paper does not tell how fast its"
    " storage was; ours are stated in gembench/study/clusters/machines.py.",
    grids={name: cases(name) for name in SETTINGS},
    evidence=evidence_of,
    setup=setup, run=run, check=check, skip=skip, seconds=seconds, memory=memory, metrics=metrics,
    figure=figure,
    compare="nodes", baseline=1, rounds=ROUNDS, warmups=0, time_limit=600,
    columns=["workers", "templates_per_worker_second", "reduction_seconds"],
)
