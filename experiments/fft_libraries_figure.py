"""Figure 2 drawn: speed relative to FFTW over the micrograph's size, a panel a precision."""

from __future__ import annotations

from gembench.drawing import style
from gembench.engine.fft import LIBRARIES, PREFERENCE
from gembench.study.tell import bands
from gembench.study.tell.tables import speed_up

NAMES = list(dict.fromkeys(["fftw", *PREFERENCE, *LIBRARIES, "cufft"]))
PANELS = {"float32": "a  Single precision", "float64": "b  Double precision"}
PAPER = {"float32": 47, "float64": 30}  # times as fast as FFTW at 4096: cuFFT on one C2075


def figure(rows):
    """One panel for each precision; FFTW's measured plans are 1, and the paper's GPU stands among ours."""
    base = {(row["precision"], row["n"]): row for row in rows if row["library"] == "fftw"}
    compared = [row for row in rows if (row["precision"], row["n"]) in base]
    if not compared:
        return {}
    drawn, axes = style.figure(1, 2, width=style.PAGE, height=2.9, sharex=True, sharey=True)
    ratios = {row.name: speed_up(base[row["precision"], row["n"]], row) for row in compared}
    gpu = any(row["library"] == "cufft" for row in compared)
    reach = [value for spread in ratios.values() for value in spread] + (list(PAPER.values()) if gpu else [])
    for ax, (precision, title) in zip(axes, PANELS.items(), strict=True):
        for name in NAMES:
            group = [row for row in compared if (row["library"], row["precision"]) == (name, precision)]
            if group:
                bands.line(ax, [row["n"] for row in group], [ratios[row.name] for row in group], name)
        bands.octaves(ax, [4096, *(row["n"] for row in compared)], reach)
        _paper(ax, PAPER[precision], gpu)
        ax.set_title(title, pad=6 if gpu else 12)
        ax.set_xlabel("Micrograph size N (pixels), template N/8")
    axes[0].set_ylabel("Speed relative to FFTW\n(measured plans = 1, > 1 is faster)")
    handles = [*_entries(axes), style.paper_key()]
    drawn.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 5))
    return drawn


def _paper(ax, times, gpu):
    """The paper's cuFFT: in its place where ours is drawn too, else beyond the upper edge."""
    if gpu:
        style.paper_value(ax, 4096, times, f"{times}×, one C2075", offset=(-7, 0))
    else:
        style.paper_beyond(ax, 4096, f"{times}× with cuFFT on a C2075")


def _entries(axes):
    """What the legend holds: each library once, in whichever panel it is."""
    entries = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    return list(entries.values())
