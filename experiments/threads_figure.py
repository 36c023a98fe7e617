"""Figure 3a drawn: the speed-up by the number of cores, and what a core does in a second."""

from __future__ import annotations

from statistics import median

from gembench.drawing import style
from gembench.study.tell import bands
from gembench.study.tell.tables import speed_up

PAPER = {4: 3.5, 8: 5.5}  # cores of Dirac -> speed-up over one
PAPER_PACE = (8, 0.25)  # cores, templates of a core in a second
BANK = 14_630  # templates of the paper's measurement


def figure(rows):
    """Ours beside the ideal, beside threads that share nothing but the machine, and beside the paper's."""
    base = {row["method"]: row for row in rows if row["threads"] == 1}
    if not base:
        return {}
    drawn, (left, right) = style.figure(1, 2, width=style.PAGE, height=3.0)
    most = max(row["threads"] for row in rows)
    shown = max(most, *PAPER)
    left.plot([1, shown], [1, shown], color=style.GREY, linestyle=(0, (1, 2)), marker="", label="ideal")
    _arithmetic(left, rows)
    for method in base:
        group = sorted((row for row in rows if row["method"] == method), key=lambda row: row["threads"])
        threads = [row["threads"] for row in group]
        bands.line(left, threads, [speed_up(base[method], row) for row in group], method)
        paces = [tuple(1 / (time * row["threads"]) for time in (row.median, *row.band)) for row in group]
        bands.line(right, threads, paces, method, _total(group[-1]))
    for cores, gain in PAPER.items():
        style.paper_value(left, cores, gain, f"{gain}×", offset=(5, -4))
    style.paper_value(right, *PAPER_PACE, "0.25 on Dirac", offset=(0, 6))
    ticks = sorted({row["threads"] for row in rows} | {1, 2, *PAPER})
    for ax in (left, right):
        ax.set(xlabel="Consumer threads, one a core", xticks=ticks, xlim=(0.7, shown + 0.3))
    left.set(title="a  Speed-up", ylabel="Speed-up over one thread", ylim=(0, left.get_ylim()[1]))
    right.set(title="b  Pace of a core", ylabel="Templates / core / s", ylim=(0, 1.1 * right.get_ylim()[1]))
    drawn.legend(handles=[*left.get_legend_handles_labels()[0], style.paper_key()], ncols=1,
                 loc="outside right upper")
    drawn.legend(handles=[*right.get_legend_handles_labels()[0], _paper_total()], ncols=1,
                 loc="outside right lower",
                 title=f"{BANK:,} templates,\nprojected from b")
    return drawn


def _arithmetic(ax, rows):
    """What as many threads gain that multiply matrices in their caches: median, and lowest to highest."""
    rates = {}
    for row in rows:
        rates.setdefault(row["threads"], []).append(row["arithmetic"])
    if 1 not in rates:
        return
    alone = median(rates[1])
    counts = sorted(rates)
    spreads = [[pick(rates[count]) / alone for count in counts] for pick in (median, min, max)]
    ax.fill_between(counts, *spreads[1:], color=style.GREY, alpha=0.18, linewidth=0)
    ax.plot(counts, spreads[0], color=style.GREY, marker="_", linestyle="-", linewidth=0.9,
            label="arithmetic alone,\nmin..max")


def _total(row):
    """The whole of the paper's measurement by one method."""
    cores = "one core" if row["threads"] == 1 else f"{row['threads']} cores"
    return f"{style.label(row['method'])}:\n{duration(row['projected_seconds'])}, {cores}"


def _paper_total():
    key = style.paper_key()
    key.set_label("the paper: 7,415 s\n(2 h 04 min), 8 cores")
    return key


def duration(seconds):
    """A long time as a person says it."""
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
