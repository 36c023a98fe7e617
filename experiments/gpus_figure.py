"""What the GPU study draws: rates by size, by number of GPUs and by option, and the read-bound KLH.

The bare figure is the paper's Fig. 3b. A machine without a GPU draws nothing.
"""

from __future__ import annotations

from gembench.drawing import style
from gembench.study.gpu.looks import LOOKS, MASKS, chosen
from gembench.study.gpu.profile_figure import profile
from gembench.study.tell import bands
from gembench.study.tell.tables import speed_up
from gembench.study.tell.text import seconds_text

PANELS = {"float32": "a  Single precision", "float64": "b  Double precision"}
PAPER_GAIN = {1: 1, 2: 2, 3: 3, 4: 4}  # GPUs of Mbiserv -> speed-up over one, read off Fig. 3b: linear
PAPER_PACE = {"core": 0.25, "GPU": 22.9}  # templates a second at 4096: a core of Dirac, one C2075
PAPER_JOB = "160 s on four C2075"  # 14,630 templates at 4096
PAPER_KLH = {1: 223, 4: 180}  # GPUs -> seconds for 82 micrographs; on four "almost 3 min"
PAPER_EXPECTED = (4, 60)  # "about 1 minute" was expected of four


def figure(rows):
    """Every figure that the rows of one machine suffice for, by name."""
    if not any(row["device"] == "gpu" for row in rows):
        return {}
    drawn = {"": devices(rows), "sizes": sizes(rows), "profile": profile(rows), "options": options(rows),
             "reading": reading(rows)}
    return {name: made for name, made in drawn.items() if made is not None}


def per_second(row):
    """Templates a second: at the median time, and at the longest and shortest."""
    short, long = row.band
    return 1 / row.median, 1 / long, 1 / short


def line(ax, x, spreads, look, label):
    """The medians over `x` and their band behind them."""
    middle, low, high = zip(*spreads, strict=True)
    ax.fill_between(x, low, high, color=look.color, alpha=0.13, linewidth=0)
    ax.plot(x, middle, label=label, **look.line)


def devices(rows):
    """Fig. 3b: speed-up by the number of GPUs beside the ideal and the paper's, and the pace of one GPU."""
    single = chosen(rows, device="gpu", precision="float32")
    several = {row["n"] for row in single if row["devices"] > 1}
    base = {row["n"]: row for row in single if row["devices"] == 1 and row["n"] in several}
    shown = sorted((row for row in single if row["n"] in base), key=lambda row: row["devices"])
    if not shown:
        return None
    most = max(4, *(row["devices"] for row in shown))
    drawn, (left, right) = style.figure(1, 2, width=style.PAGE, height=2.7)
    left.plot([1, most], [1, most], color=style.GREY, linestyle=(0, (1, 2)), marker="", label="ideal")
    for n, look in zip(sorted(base, reverse=True), LOOKS.values(), strict=False):
        group = [row for row in shown if row["n"] == n]
        x = [row["devices"] for row in group]
        line(left, x, [speed_up(base[n], row) for row in group], look, f"{n} × {n}")
        line(right, x, [_each(row) for row in group], look, f"{n} × {n}")
    for count, gain in PAPER_GAIN.items():
        style.paper_value(left, count, gain, f"{gain}× on {count}" if count == 4 else "", offset=(-7, 3))
    for ax in (left, right):
        ax.set(xlabel="GPUs", xticks=range(1, most + 1))
        ax.set_ylim(0, 1.1 * ax.get_ylim()[1])
    left.set(title="a  Speed-up", ylabel="Speed-up over one GPU")
    right.set(title="b  Pace of a GPU", ylabel="Templates / GPU / s")
    handles = [*left.get_legend_handles_labels()[0], style.paper_key()]
    drawn.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return drawn


def _each(row):
    """Templates a second of each device."""
    middle, low, high = per_second(row)
    return middle / row["devices"], low / row["devices"], high / row["devices"]


def arms(rows):
    """Rows of one core, of as many cores as were measured, and of one GPU, each by size."""
    arms = {name: {} for name in LOOKS}
    for row in sorted(rows, key=lambda row: (row["n"], row["devices"])):
        if row["devices"] == 1:
            arms["one core" if row["device"] == "cpu" else "one GPU"][row["n"]] = row
        elif row["device"] == "cpu":
            arms["all cores"][row["n"]] = row
    return {name: by_size for name, by_size in arms.items() if by_size}


def sizes(rows):
    """Templates a second over the micrograph's size, a panel a precision, with the GPU's lead over a core."""
    panels = {precision: arms(chosen(rows, precision=precision)) for precision in PANELS}
    panels = {precision: by_arm for precision, by_arm in panels.items() if by_arm}
    if not panels:
        return None
    width = style.PAGE if len(panels) > 1 else style.COLUMN
    drawn, axes = style.figure(1, len(panels), width=width, height=3.3, sharey=True, squeeze=False)
    handles = {}
    for ax, (precision, by_arm) in zip(axes[0], panels.items(), strict=True):
        for name, by_size in by_arm.items():
            cores = max(row["devices"] for row in by_size.values())
            label = f"{cores} cores" if name == "all cores" else name
            line(ax, list(by_size), [per_second(row) for row in by_size.values()], LOOKS[name], label)
        for n, row in by_arm.get("one GPU", {}).items():
            _lead(ax, n, row, by_arm.get("one core", {}).get(n))
        ax.set(title=PANELS[precision], yscale="log")
        _size_axis(ax, {4096, *(n for by_size in by_arm.values() for n in by_size)})
        if precision == "float32":
            style.paper_value(ax, 4096, PAPER_PACE["core"], "0.25, a core of Dirac", offset=(0, -6))
            style.paper_value(ax, 4096, PAPER_PACE["GPU"], "22.9, a C2075", offset=(0, 6))
            _whole_job(ax, by_arm.get("one GPU", {}).get(4096))
        handles |= {label: handle for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    axes[0][0].set_ylabel("Templates / s")
    shown = [*handles.values(), style.paper_key()]
    drawn.legend(handles=shown, loc="outside lower center", ncols=len(shown))
    return drawn


def _lead(ax, n, row, core):
    """How many times as fast as one core the GPU is at one size, above its point."""
    if core is not None:
        ax.annotate(f"{speed_up(core, row)[0]:.0f}×", (n, 1 / row.median), xytext=(0, 5),
                    textcoords="offset points", ha="center", fontsize="small", color=LOOKS["one GPU"].color)


def _whole_job(ax, row):
    """What the paper's whole job took here, timed once, and there."""
    if row is not None and "whole_job_seconds" in row.metrics:
        ours = seconds_text(row["whole_job_seconds"])
        ax.annotate(f"14,630 templates at 4096: {ours}\n(the paper: {PAPER_JOB})", (0.98, 0.98),
                    xycoords="axes fraction", fontsize=6.5, ha="right", va="top")


def _size_axis(ax, sizes):
    from matplotlib.ticker import NullLocator

    ax.set_xscale("log", base=2)
    ax.set_xticks(sorted(sizes), [str(n) for n in sorted(sizes)])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("Micrograph size N (pixels)")
    ax.margins(0.08, 0.15)


def options(rows):
    """Rate by the number of templates in a batch, and by what the spectra are stored in."""
    single = chosen(rows, device="gpu", devices=1, precision="float32", mask=..., spectra=..., batch=...)
    batches = sorted((row for row in chosen(single, n=4096, batch=...) if row["batch"] != "auto"),
                     key=lambda row: row["batch"])
    storage = [row for row in chosen(single, mask=..., spectra=...) if row["n"] in (2048, 4096)]
    panels = []
    if len(batches) > 1:
        panels.append(("Templates in a batch", _batches, batches))
    if any(row["spectra"] == "half" for row in storage):
        panels.append(("Storage of the spectra", _storage, storage))
    if not panels:
        return None
    width = style.PAGE if len(panels) > 1 else style.COLUMN
    drawn, axes = style.figure(1, len(panels), width=width, height=2.5, squeeze=False)
    for ax, (title, panel, group), letter in zip(axes[0], panels, "ab", strict=False):
        panel(ax, group)
        ax.set_title(f"{letter}  {title}" if len(panels) > 1 else title)
    return drawn


def _batches(ax, rows):
    counts = [row["batch"] for row in rows]
    line(ax, counts, [per_second(row) for row in rows], LOOKS["one GPU"], "one GPU")
    ax.set_xscale("log", base=2)
    ax.set_xticks(counts, [str(count) for count in counts])
    ax.minorticks_off()
    ax.set(xlabel="Templates in a batch, 4096 × 4096", ylabel="Templates / s")
    ax.set_ylim(0, 1.1 * ax.get_ylim()[1])


def _storage(ax, rows):
    """Dots with ranges, single and half, for each size and mask, with the scores' error beside."""
    groups = sorted({(row["n"], row["mask"]) for row in rows}, key=lambda pair: (pair[0], pair[1] != "own"))
    for row in rows:
        half = row["spectra"] == "half"
        place = groups.index((row["n"], row["mask"])) + (0.2 if half else -0.2)
        bands.dots(ax, {place: per_second(row)}, LOOKS["all cores" if half else "one GPU"], across=True)
        ax.annotate(f"{'half' if half else 'single'}, error {row['error_at_places']:.0e}",
                    (per_second(row)[2], place), xytext=(7, 0), textcoords="offset points", va="center",
                    fontsize="small")
    bands.lines_of_cases(ax, [f"{n}, {MASKS[mask]}" for n, mask in groups])
    ax.locator_params(axis="x", nbins=5)
    ax.set(xlabel="Templates / s", xlim=(0, 1.6 * max(per_second(row)[2] for row in rows)))


def reading(rows):
    """KLH by the number of GPUs: what the arithmetic takes, and what it takes when templates are read."""
    row = next((row for row in chosen(rows, device="gpu", devices=1, precision="float32")
                if "timeline_seconds" in row.metrics), None)
    if row is None:
        return None
    drawn, ax = style.figure(width=style.COLUMN, height=2.9)
    counts = range(1, len(row["timeline_seconds"]) + 1)
    for name, look, label in (("timeline_seconds", "all cores", "templates read from files"),
                              ("arithmetic_seconds", "one GPU", "arithmetic alone")):
        ax.plot(counts, row[name], label=label, **LOOKS[look].line)
    for count, seconds in PAPER_KLH.items():
        style.paper_value(ax, count, seconds, "223 s" if count == 1 else "almost 3 min", offset=(0, 6))
    style.paper_value(ax, *PAPER_EXPECTED, "1 min expected", offset=(0, -6))
    ax.set(xlabel="GPUs", ylabel="82 micrographs, 180 templates (s)", xticks=list(counts), yscale="log",
           xlim=(0.6, len(counts) + 0.6))
    ax.yaxis.set_major_formatter("{x:g}")
    low, high = ax.get_ylim()
    ax.set_ylim(low, 1.6 * high)
    ax.set_title("Worked out from measured rates")
    drawn.legend(handles=[*ax.get_legend_handles_labels()[0], style.paper_key()], ncols=2,
                 loc="outside lower center")
    return drawn
