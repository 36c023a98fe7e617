"""Micrographs or templates shared out, drawn: seconds a micrograph by the number of micrographs."""

from __future__ import annotations

from gembench.drawing import style
from gembench.study.clusters.model.machines import CLUSTERS
from gembench.study.tell import bands

LOOKS = {"micrographs": style.Series(style.BLUE, (0, (6, 1.5)), "s", ""),
         "templates": style.Series(style.VERMILION, "-", "o", "")}


def figure(rows):
    """A panel for ranks here, in dots with ranges, and one for a cluster by a closed form, in lines."""
    most = {}
    for row in rows:
        most[row["machine"]] = max(most.get(row["machine"], 0), row["templates"])
    rows = [row for row in rows if row["templates"] == most[row["machine"]]]
    machines = sorted(most, key=lambda name: name != "here")
    drawn, axes = style.figure(1, len(machines), width=style.COLUMN * min(2, len(machines)), height=3.1,
                               squeeze=False)
    for letter, ax, machine in zip("abc", axes.flat, machines, strict=False):
        of_machine = [row for row in rows if row["machine"] == machine]
        panel(ax, of_machine, measured=machine == "here")
        row = of_machine[0]
        work = f"{row['templates']} templates on {row['n']}²"
        if machine == "here":
            ax.set_title(f"{letter}  {row['nodes']} real ranks here, {work}")
        else:
            ax.set_title(f"{letter}  {CLUSTERS[machine].name}, {row['nodes']} nodes, {work},\n"
                         "    model: closed form with assumed constants")
    legend(drawn, machines)
    return drawn, rows


def panel(ax, rows, *, measured):
    """One machine: a colour for each way to share out."""
    from matplotlib.ticker import LogLocator

    for mode, look in LOOKS.items():
        of_mode = [row for row in rows if row["distribute"] == mode]
        of_mode.sort(key=lambda row: row["micrographs"])
        spreads = {row["micrographs"]: tuple(time / row["micrographs"] for time in (row.median, *row.band))
                   for row in of_mode}
        if spreads and measured:
            beside = {count * (0.96 if mode == "micrographs" else 1.04): spreads[count] for count in spreads}
            bands.dots(ax, beside, look)
        elif spreads:
            ax.plot(list(spreads), [median for median, _, _ in spreads.values()], color=look.color, marker="",
                    linestyle=look.dash, linewidth=1.2)
    counts = sorted({row["micrographs"] for row in rows})
    ax.set_xscale("log", base=2)
    ax.set_xticks(counts, [f"{count}" for count in counts])
    if measured:
        ax.set_ylim(0, 1.15 * ax.get_ylim()[1])
    else:
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))  # an axis may lie inside a decade
        ax.yaxis.set_major_formatter("{x:g}")
    ax.minorticks_off()
    ax.set(xlabel="Micrographs", ylabel="Seconds a micrograph")
    style.paper_words(ax, 0.3, 0.93, "by templates where there are\nmore cores than micrographs")


def legend(drawn, machines):
    """What colours and lines mean."""
    from matplotlib.lines import Line2D

    handles = {}
    for mode, look in LOOKS.items():
        if "here" in machines:
            handles[f"{mode} shared out"] = Line2D([], [], color=look.color, marker=look.marker,
                                                   linestyle="none")
        if any(machine in CLUSTERS for machine in machines):
            handles[f"{mode}, model"] = Line2D([], [], color=look.color, linestyle=look.dash, marker="")
    handles[style.PAPER_NAME] = style.paper_key()
    drawn.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=3)
