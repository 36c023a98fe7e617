"""Sharing out micrographs against sharing out templates, by the number of micrographs."""

from __future__ import annotations

from gembench.study.clusters.machines import CLUSTERS
from gembench.study.clusters.searches import Searches
from gembench.study.clusters.series import Series
from gembench.study.declare.experiment import Experiment, grid
from gembench.study.tell import style

ROUNDS = 2
MODES = ("micrographs", "templates")
KLH = 180  # templates of the paper's case study


def shared_out(nodes, micrographs):
    """The cases of both ways to share out so many micrographs."""
    return tuple((nodes, "local", mode, count) for count in micrographs for mode in MODES)


ON_GRIFFON = [Searches(evidence, "griffon", 2048, KLH, shared_out(64, (1, 4, 16, 64)))
              for evidence in ("simulated", "model")]
SETTINGS = {
    "quick": [
        Searches("real", "here", 256, 8, shared_out(2, (1, 2)), template=32, keep=True),
        *(Searches(evidence, "adonis", 2048, KLH, shared_out(4, (1, 2, 8)))
          for evidence in ("simulated", "model")),
    ],
    "default": [
        Searches("real", "here", 1024, 24, shared_out(2, (1, 2, 8)), template=80, keep=True), *ON_GRIFFON,
    ],
    "paper": [
        Searches("real", "here", 2048, KLH, shared_out(2, (1, 2, 8)), keep=True), *ON_GRIFFON,
    ],
}
COLORS = {"micrographs": style.BLUE, "templates": style.VERMILION}
LINES = {"real": {"linestyle": "-"}, "simulated": {"linestyle": "-", "markerfacecolor": "white"},
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
    return Series(setting_of(case), {**case, "storage": "local"}, ROUNDS)


def run(series, case):
    """All micrographs, from a barrier to the end of the slowest rank; measured together with other cases."""
    return series.next()


def check(output, series, case):
    """The maps of all micrographs are those of one process, byte by byte."""
    if not output["right"]:
        raise ValueError("the maps differ from those of one process")


def memory(output, series, case):
    """Of the rank that held most; nothing ran where time is calculated."""
    return series.peak()


def seconds(output, series, case):
    """The slowest rank's clock, or the simulated one."""
    return output["seconds"]


def metrics(output, series, case):
    """What all ranks together held at their peaks."""
    return {"peak_rss_sum": series.peak("peak_rss_sum")}


def rates(time, case):
    """Micrographs a second."""
    return {"micrographs_per_second": case.micrographs / time}


def figure(rows):
    """Seconds a micrograph by the number of micrographs, a panel for ranks here and one for a cluster."""
    most = {}
    for row in rows:
        most[row["machine"]] = max(most.get(row["machine"], 0), row["templates"])
    rows = [row for row in rows if row["templates"] == most[row["machine"]]]
    machines = sorted(most, key=lambda name: name != "here")
    drawn, axes = style.figure(1, len(machines), width=style.COLUMN * min(2, len(machines)), height=2.9,
                               squeeze=False)
    for letter, ax, machine in zip("abc", axes.flat, machines, strict=False):
        panel(ax, [row for row in rows if row["machine"] == machine])
        row = next(row for row in rows if row["machine"] == machine)
        name = f"{row['nodes']} ranks here" if machine == "here" else \
            f"{CLUSTERS[machine].name}, {row['nodes']} nodes"
        ax.set_title(f"{letter}  {name}: {row['templates']} templates on {row['n']}²")
    legend(drawn, {row["evidence"] for row in rows})
    return drawn


def panel(ax, rows):
    """One machine: a colour for each way to share out."""
    from matplotlib.ticker import LogLocator

    for mode, color in COLORS.items():
        for evidence, look in LINES.items():
            mine = sorted((row for row in rows if row["distribute"] == mode and row["evidence"] == evidence),
                          key=lambda row: row["micrographs"])
            if mine:
                counts = [row["micrographs"] for row in mine]
                marker = "s" if mode == "micrographs" else "o"
                ax.plot(counts, [row.median / row["micrographs"] for row in mine], color=color,
                        **{"marker": marker, **look})
                low, high = ([row.band[side] / row["micrographs"] for row in mine] for side in (0, 1))
                ax.fill_between(counts, low, high, color=color, alpha=0.13, linewidth=0)
    counts = sorted({row["micrographs"] for row in rows})
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xticks(counts, [f"{count}" for count in counts])
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))  # an axis may lie inside a decade
    ax.yaxis.set_major_formatter("{x:g}")
    ax.minorticks_off()
    ax.set(xlabel="Micrographs", ylabel="Seconds a micrograph")


def legend(drawn, evidence):
    """What colours and lines mean."""
    from matplotlib.lines import Line2D

    handles = {f"{mode} shared out": Line2D([], [], color=color, marker="s" if mode == "micrographs" else "o")
               for mode, color in COLORS.items()}
    names = {"real": "real ranks", "simulated": "simulated (SimGrid)", "model": "closed form"}
    handles |= {name: Line2D([], [], color=style.INK, **{"marker": "o", **LINES[kind]})
                for kind, name in names.items() if kind in evidence}
    drawn.legend(list(handles.values()), list(handles), loc="outside upper center", ncols=3)


def cases(name):
    """The cases of a grid's settings."""
    return [case for setting in SETTINGS[name]
            for case in grid(evidence=setting.evidence, machine=setting.machine, n=setting.n,
                             templates=setting.templates, nodes=setting.cases[0][0],
                             micrographs=dict.fromkeys(one[3] for one in setting.cases), distribute=MODES)]


experiment = Experiment(
    name="distribution", title="Micrographs or templates shared out",
    about="The same micrographs and templates: either whole micrographs are handed out to whoever is free, or"
    " all search every micrograph with a share of the templates, and the maps are reduced. Real ranks have"
    " one thread each; their maps are checked byte by byte against one process. The cluster is the paper's"
    " Griffon at its pace, with KLH's 180 templates: few micrographs leave most nodes idle when whole ones"
    " are handed out, and 180 templates leave most of its 512 cores idle when templates are.",
    grids={name: cases(name) for name in SETTINGS},
    evidence=evidence_of,
    setup=setup, run=run, check=check, skip=skip, seconds=seconds, memory=memory, metrics=metrics,
    rates=rates, figure=figure,
    compare="distribute", baseline="micrographs", rounds=ROUNDS, warmups=0, time_limit=600,
    columns=["micrographs_per_second"],
)
