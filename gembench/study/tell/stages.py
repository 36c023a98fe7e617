"""The engine's speed over the stages of its history, which `experiments/stages.toml` names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gembench.drawing import style
from gembench.errors import InputError
from gembench.io.typed import REQUIRED, TEXT, Kind, read_records
from gembench.study.tell.history import Series

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KEYS: dict[str, tuple[Kind, Any]] = {"commit": (TEXT, REQUIRED), "name": (TEXT, REQUIRED)}
LEAST_HASH = 7  # letters that tell a commit from all others here
LEAST = 2  # stages that make a history
NOW = "now"
SEARCH = "correlate.Correlate.time_search('{}', '{}', 1024)"
# Panel -> benchmark -> its name, how it looks, and how many templates it searches
PANELS: dict[str, dict[str, tuple[str, style.Series, int]]] = {
    "a  A mask of its own, 1024²": {
        SEARCH.format("paper", "mkl"): ("method of 2013, MKL", style.Series(style.GREY, "-", "h", ""), 4),
        SEARCH.format("exact", "scipy"): ("exact, SciPy", style.series("scipy"), 4),
        SEARCH.format("exact", "fftw"): ("exact, FFTW", style.series("fftw"), 4),
        SEARCH.format("exact", "mkl"): ("exact, MKL", style.series("mkl"), 4),
    },
    "b  Other work": {
        "correlate.Threads.time_search(2)": ("2048², two threads", style.series("exact"), 4),
        "correlate.Masks.time_search('ellipse')": (
            "one mask for two turns", style.Series(style.SKY, "-", "P", ""), 8),
        "correlate.Masks.time_search('disc')": (
            "one disc for all", style.Series(style.PURPLE, "-", "v", ""), 8),
        "correlate.Banded.time_search": ("banded, low-passed", style.series("banded"), 90),
    },
}


@dataclass(frozen=True)
class Stage:
    """A commit, by the first letters of its hash, and what it brought."""

    commit: str
    name: str


def load_stages(path: Path) -> list[Stage]:
    """The stages that a file names, oldest first; none if there is no such file.

    Raises InputError for a broken file.
    """
    stages = [Stage(**entry) for entry in read_records(path, "stage", KEYS)]
    for number, stage in enumerate(stages, 1):
        if len(stage.commit) < LEAST_HASH:
            raise InputError(f"{path}: stage {number}: a commit's hash has {LEAST_HASH} letters or more; mend"
                             " the file")
    return stages


def by_stage(series: Series, stages: Sequence[Stage]) -> dict[str, float]:
    """The values of a benchmark by the names of the stages; the last one after all stages is today's."""
    values: dict[str, float] = {}
    for commit, value in series.points:
        named = next((stage.name for stage in stages if _same(stage.commit, commit)), NOW)
        if named != NOW:
            values.pop(NOW, None)
        values[named] = value
    return values


def _same(some: str, other: str) -> bool:
    length = min(len(some), len(other))
    return some[:length] == other[:length]


def figure(history: Sequence[Series], stages: Sequence[Stage], machine: str) -> Figure | None:
    """Milliseconds a template at every stage that was measured on a machine; None for fewer than two."""
    measured = {series.benchmark: by_stage(series, stages) for series in history if series.machine == machine}
    drawn = [benchmark for panel in PANELS.values() for benchmark in panel if benchmark in measured]
    names = [name for name in (*(stage.name for stage in stages), NOW)
             if any(name in measured[benchmark] for benchmark in drawn)]
    if len(names) < LEAST:
        return None
    with style.context():
        made, axes = style.figure(1, 2, width=style.PAGE, height=3.6, sharex=True)
        for ax, (title, panel) in zip(axes, PANELS.items(), strict=True):
            for benchmark, (label, look, templates) in panel.items():
                values = measured.get(benchmark, {})
                at = [place for place, name in enumerate(names) if name in values]
                ax.plot(at, [1e3 * values[names[place]] / templates for place in at], label=label,
                        **look.line)
            ax.set(title=title, yscale="log", xticks=range(len(names)), xlim=(-0.4, len(names) - 0.6))
            ax.set_xticklabels(names, rotation=38, ha="right", rotation_mode="anchor")
            ax.yaxis.set_major_formatter("{x:g}")
            ax.legend(loc="best")
        axes[0].set_ylabel("Milliseconds a template")
        style.sign(made, f"{machine} · measured · airspeed velocity at the commits that mark the stages")
    return made
