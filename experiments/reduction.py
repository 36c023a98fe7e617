"""Figure 5: the time of a reduction of all ranks' maps, by the number of ranks."""

from __future__ import annotations

import statistics

from gembench.study.clusters import model
from gembench.study.clusters.machines import CLUSTERS
from gembench.study.clusters.reductions import ReductionSeries, Setting
from gembench.study.declare.experiment import Experiment, grid
from gembench.study.tell import bands, style

ROUNDS = 2  # 64 emulated nodes take half a minute a round
DEFAULT = "shared"  # gembench.engine.mpi.reductions.DEFAULT_REDUCTION, named here since it needs no import
PAPER = (("direct", 1), ("tree", 1), ("direct", 2), ("tree", 2))  # two threads here, all eight there
OURS = (("key", 1), ("scatter", 1), ("chain", 1), ("shared", 1))
FIRST = (("direct", 1), ("tree", 1), ("shared", 1))  # the paper's two and the default
ON_CLUSTER = (("direct", 1), ("tree", 1), ("direct", 8), ("tree", 8), ("chain", 8))
POWERS = (2, 4, 8, 16, 32, 64)
SETTINGS = {
    "quick": [
        Setting("real", "here", 256, (2, 3), FIRST),
        Setting("emulated", "100Mb/s", 128, (2, 3, 4), FIRST),
        *(Setting(evidence, "adonis", 256, (2, 4, 8), (("direct", 1), ("tree", 1), ("chain", 8)))
          for evidence in ("simulated", "model")),
    ],
    "default": [
        Setting("real", "here", 4096, (2, 4, 8), (*PAPER, *OURS)),
        Setting("emulated", "100Mb/s", 512, POWERS, FIRST),
        Setting("emulated", "1Gb/s", 4096, (8,), (("tree", 1), ("shared", 1))),
        *(Setting(evidence, machine, 4096, POWERS[: nodes], ON_CLUSTER)
          for evidence in ("simulated", "model") for machine, nodes in (("griffon", 6), ("adonis", 3))),
    ],
}
SETTINGS["paper"] = [
    *SETTINGS["default"],
    Setting("real", "here", 2048, (2, 4, 8), (*PAPER, *OURS, ("maxloc", 1))),
    Setting("emulated", "100Mb/s", 256, POWERS, (*FIRST, *OURS[:-1], ("maxloc", 1))),
    Setting("emulated", "1Gb/s", 2048, (2, 4, 8), (*FIRST, *OURS[:-1])),
]
LINES = {"real": {"linestyle": "-"}, "emulated": {"linestyle": (0, (5, 1.2))},
         "simulated": {"linestyle": (0, (3, 1.2, 1, 1.2)), "markerfacecolor": "white"}}
DOTS = {"linestyle": (0, (1, 1.6)), "linewidth": 1.0}
WITH_THREADS = {"markersize": 6, "linewidth": 0.8}
TOLD = {"real": "real ranks", "emulated": "emulated nodes", "simulated": "simulated (SimGrid)",
        "model": "closed form", "threads": "folded on all threads", "bound": "lower bound"}
NAMES = {"here": "Ranks on this machine", "100Mb/s": "Emulated nodes, 100 Mb/s", "1Gb/s": "1 Gb/s",
         "griffon": "Griffon, 16 Gb/s of data", "adonis": "Adonis, 32 Gb/s of data"}


def setting_of(case):
    """The setting that a case belongs to."""
    return next(setting for settings in SETTINGS.values() for setting in settings
                if (setting.evidence, setting.machine, setting.n) == (case.evidence, case.machine, case.n))


def skip(case):
    """Why there is no such evidence here."""
    return setting_of(case).unavailable()


def evidence_of(case):
    """What the case is evidence of: ranks here are measured, emulated nodes emulated, the rest is a model."""
    return {"real": "measured", "emulated": "emulated"}.get(case.evidence, "model")


def setup(case):
    """Where the samples of this case come from."""
    return ReductionSeries(setting_of(case), case, ROUNDS)


def run(series, case):
    """One reduction from a barrier to the end of the slowest rank; measured together with other cases."""
    return series.next()


def check(output, series, case):
    """The maps are those of a serial fold, byte by byte; nothing calculated is faster than its link."""
    if case.evidence in ("real", "emulated"):
        if not output["right"]:
            raise ValueError("the maps differ from those of a serial fold")
    elif output["seconds"] < 0.999 * series.bound():
        raise ValueError(f"{output['seconds']:.3g} s are less than the link needs, {series.bound():.3g} s")


def memory(output, series, case):
    """Of the rank that held most; nothing ran where time is calculated."""
    return series.peak()


def seconds(output, series, case):
    """The slowest rank's clock, or the simulated one."""
    return output["seconds"]


def metrics(output, series, case):
    """The bound, what of it is reached, and R^2 of both shapes over the curve this case belongs to."""
    fit = model.shapes(series.curve())
    rounds = [entry["seconds"] for entry in series.mine()]
    found = {"bound": series.bound(), "times_bound": statistics.median(rounds) / series.bound(),
             "r2_linear": fit.linear if fit else None, "r2_logarithmic": fit.logarithmic if fit else None,
             "peak_rss_sum": series.peak("peak_rss_sum")}
    if case.evidence == "real":
        found["copied_gb_per_second"] = series.copied() / 1e9
    if case.machine in CLUSTERS:
        found["fold_seconds"] = CLUSTERS[case.machine].fold_seconds(case.n**2, case.threads)
    return found


def curves(rows, **where):
    """Time by the number of ranks for each strategy and number of threads, of the rows that match."""
    found = {}
    for row in rows:
        if all(row[axis] == value for axis, value in where.items()):
            found.setdefault((row["strategy"], row["threads"]), {})[row["nodes"]] = row
    return {name: dict(sorted(curve.items())) for name, curve in sorted(found.items())}


def figure(rows):
    """Time over ranks, a panel for each machine, one kind of evidence a curve; and times over the bounds."""
    largest = {}
    for row in rows:
        largest[row["machine"]] = max(largest.get(row["machine"], 0), row["n"])
    rows = [row for row in rows if row["n"] == largest[row["machine"]]]
    panels = [name for name in ("here", "100Mb/s", "griffon", "adonis") if name in largest]
    if not panels:
        return {}
    lines, columns = -(-len(panels) // 2), min(2, len(panels))
    drawn, axes = style.figure(lines, columns, width=style.COLUMN * columns, height=0.7 + 2.3 * lines,
                               squeeze=False)
    for letter, ax, machine in zip("abcd", axes.flat, panels, strict=False):
        panel(ax, rows, machine)
        ax.set_title(f"{letter}  {NAMES[machine]}, {largest[machine]}²")
    for ax in axes.flat[len(panels) :]:
        ax.remove()
    legends(drawn, rows)
    over = bounds(rows)
    return {"": drawn, "bounds": over} if over else {"": drawn}


def panel(ax, rows, machine):
    """One machine: what was measured or simulated with markers, what formulas say in dots, the bound grey."""
    mine = [row for row in rows if row["machine"] == machine]
    for evidence in dict.fromkeys(row["evidence"] for row in mine):
        for (strategy, threads), curve in curves(mine, evidence=evidence).items():
            draw_curve(ax, evidence, strategy, threads, curve)
    measured = curves([row for row in mine if row["evidence"] in ("real", "emulated")], threads=1)
    if measured:
        fitted(ax, machine, {name: {p: row.median for p, row in curve.items()}
                             for (name, _), curve in measured.items()})
    bound = {row["nodes"]: row["bound"] for row in mine}
    ax.plot(list(bound), list(bound.values()), color=style.GREY, linewidth=3, alpha=0.35, zorder=0)
    ranks = sorted(bound)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xticks(ranks, [f"{p}" for p in ranks])
    ax.minorticks_off()
    ax.set_ylim(top=4 * ax.get_ylim()[1])  # room for the text
    ax.set(xlabel="Ranks" if machine == "here" else "Nodes", ylabel="Seconds")
    ax.text(0.03, 0.97, shapes_text(mine), transform=ax.transAxes, va="top", fontsize="small")


def draw_curve(ax, evidence, strategy, threads, curve):
    """One strategy by one kind of evidence."""
    look = bands.look(strategy)
    p, medians = list(curve), [row.median for row in curve.values()]
    if evidence == "model":
        ax.plot(p, medians, color=look.color, **DOTS)
        return
    size = WITH_THREADS if threads > 1 else {}
    ax.plot(p, medians, color=look.color, marker=look.marker, **LINES[evidence], **size)
    low, high = zip(*[row.band for row in curve.values()], strict=True)
    ax.fill_between(p, low, high, color=look.color, alpha=0.13, linewidth=0)


def fitted(ax, machine, measured):
    """The closed forms with the costs that fit the measured curves best, all strategies together."""
    known = {name: curve for name, curve in measured.items() if name in model.STRATEGIES}
    if not known:
        return
    costs = model.fitted(known, lanes=1 if machine == "here" else float("inf"))
    for name, curve in known.items():
        p = list(curve)
        ax.plot(p, [model.STRATEGIES[name](one, costs) for one in p], color=bands.look(name).color, **DOTS)


def shapes_text(rows):
    """Which shape fits the paper's two curves, by R^2 of a line and of a logarithm."""
    told = []
    for strategy in ("direct", "tree"):
        fits = [row.metrics for row in rows if row["strategy"] == strategy and row["threads"] == 1
                and row["evidence"] != "model" and row.metrics.get("r2_linear") is not None]
        if fits:
            told.append(f"{strategy}: R² {fits[-1]['r2_linear']:.3f} of a line,"
                        f" {fits[-1]['r2_logarithmic']:.3f} of a logarithm")
    return "\n".join(told)


def legends(drawn, rows):
    """What colours, lines and sizes mean."""
    from matplotlib.lines import Line2D

    names = [name for name in style.REDUCTIONS if any(row["strategy"] == name for row in rows)]
    handles = [Line2D([], [], color=bands.look(name).color, marker=bands.look(name).marker) for name in names]
    drawn.legend(handles, [f"{name} (default)" if name == DEFAULT else name for name in names],
                 loc="outside upper center", ncols=4 if len(names) == 4 else len(names))
    kinds = {evidence: Line2D([], [], color=style.INK, marker="o", **look) for evidence, look in LINES.items()
             if any(row["evidence"] == evidence for row in rows)}
    kinds["model"] = Line2D([], [], color=style.INK, **DOTS)
    if any(row["threads"] > 1 for row in rows):
        kinds["threads"] = Line2D([], [], color=style.INK, marker="o", **WITH_THREADS)
    kinds["bound"] = Line2D([], [], color=style.GREY, linewidth=3, alpha=0.35)
    drawn.legend(list(kinds.values()), [TOLD[kind] for kind in kinds], loc="outside lower center", ncols=6,
                 columnspacing=1.2)


def bounds(rows):
    """How many times its lower bound a reduction takes, where maps are whole; None without such rows."""
    groups = {"4 ranks here": ("here", 4), "8 nodes of 1 Gb/s": ("1Gb/s", 8)}
    found = {name: sorted((row for row in rows if (row["machine"], row["nodes"]) == where
                           and row["threads"] == 1), key=lambda row: -row.median)
             for name, where in groups.items()}
    found = {name: group for name, group in found.items() if group}
    if not found:
        return None
    counts = [len(group) for group in found.values()]
    drawn, axes = style.figure(len(found), 1, width=style.COLUMN, height=0.9 + 0.24 * sum(counts),
                               squeeze=False, height_ratios=counts, sharex=False)
    for ax, (name, group) in zip(axes.flat, found.items(), strict=True):
        for place, row in enumerate(group):
            times = row.median / row["bound"]
            ax.barh(place, times, 0.7, **bands.look(row["strategy"]).bar)
            ax.annotate(f"{times:.2f}×, {1e3 * row.median:.0f} ms", (times, place), xytext=(3, 0),
                        textcoords="offset points", va="center", fontsize="small")
        ax.axvline(1, color=style.GREY, linewidth=3, alpha=0.5)
        ax.set_yticks(range(len(group)), [row["strategy"] for row in group])
        ax.set(title=f"{name}, {group[0]['n']}²", xlabel=f"Times the bound, {1e3 * group[0]['bound']:.0f} ms")
        ax.margins(x=0.35)
        ax.grid(axis="y", visible=False)
    return drawn


def cases(name):
    """The cases of a grid's settings."""
    return [case for setting in SETTINGS[name] for strategy, threads in setting.strategies
            for case in grid(evidence=setting.evidence, machine=setting.machine, n=setting.n,
                             nodes=setting.nodes, threads=threads, strategy=strategy)]


experiment = Experiment(
    name="reduction", title="Reducing all ranks' maps to one", paper="Fig. 5",
    about="Time from a barrier to the end of the slowest rank; score and index of every pixel, checked byte"
    " by byte against a serial fold. Real ranks share this machine's memory: their bound is every rank's maps"
    " read once and the result written, at the rate at which all of them copy. Emulated nodes are network"
    " namespaces on links of a limited rate: their bound is m / B, the time to receive one rank's maps."
    " Simulated clusters have the paper's links and stated rates of memory. Closed forms are dotted; in the"
    " panels of measured ranks their costs are fitted. Cases of one panel are measured in one launch.",
    grids={name: cases(name) for name in SETTINGS},
    evidence=evidence_of,
    setup=setup, run=run, check=check, skip=skip, seconds=seconds, memory=memory, metrics=metrics,
    figure=figure,
    compare="strategy", baseline="direct", rounds=ROUNDS, warmups=0, time_limit=900,
    columns=["bound", "times_bound", "r2_linear", "r2_logarithmic"],
)
