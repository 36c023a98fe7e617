"""What an experiment is: one file that declares an `experiment = Experiment(...)`.

The file `experiments/fft_libraries.py` ends with::

  experiment = Experiment(
      name="fft_libraries", title="Speed of the FFT libraries", paper="Fig. 2",
      grids={"quick": grid(library=["scipy", "fftw"], n=256), "default": ..., "paper": ...},
      compare="library", setup=setup, run=run, check=check, figure=figure,
  )

A longer drawing is the function `figure` of `experiments/fft_libraries_figure.py`, which is imported when it
first draws: what is measured does not depend on it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gembench.errors import InputError
from gembench.plugins import load_module, load_plugins
from gembench.study.declare.cases import Case, Value, case_key, format_value
from gembench.study.declare.grid import GRIDS, check_unique, grid

__all__ = [
    "EVIDENCE", "Case", "Experiment", "experiment_files", "experiments_folder", "grid", "load_all",
    "load_experiment", "load_module", "studies_of",
]

FIGURE = "_figure"  # ends the names of files that draw
EVIDENCE = ("measured", "emulated", "simulated data", "model")  # the strongest first


def no_inputs(case: Case) -> None:
    """The setup of an experiment that needs no inputs."""


def never_skipped(case: Case) -> str:
    """The skip of an experiment whose every case can run everywhere."""
    return ""


def one_thread(case: Case) -> int:
    """The thread count of an experiment that says nothing of threads."""
    return 1


def measured(case: Case) -> str:
    """The evidence of an experiment whose every case runs on the hardware that it speaks of."""
    return "measured"


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One study of the paper: cases, what is timed, what must hold, how it is drawn.

    name: the stem of its file
    title: one line for a reader of the report
    paper: where it belongs in the paper ('Fig. 2', 'Fig. 3a'); '' for a study of our own
    about: a sentence or two for the report; may hold what a reader must know to judge the numbers
    grids: cases of the quick, default and paper grid, built with `grid`
    run: `run(inputs, case) -> output`, the only timed call; on a GPU it ends with a synchronisation
    check: `check(output, inputs, case)` raises (or returns False) if the output is wrong, and may return a
        dict of metrics; called outside the clock after every run, and a time counts only if it passes
    setup: `setup(case) -> inputs`, untimed
    skip: `skip(case) -> reason` why the case cannot run here, '' or None if it can
    metrics: `metrics(output, inputs, case) -> dict` of JSON values, on the last output, untimed
    rates: `rates(seconds, case) -> dict` of metrics that follow from the median time
    arrays: `arrays(output, inputs, case) -> dict` of numpy arrays to store beside the record (maps, curves)
    seconds: `seconds(output, inputs, case) -> float` where the output carries its own clock (MPI ranks,
        simulated nodes, device events); the record then says `clock: own`
    memory: `memory(output, inputs, case) -> bytes` where processes of their own do the work, as MPI ranks do:
        the peak of the one that held most, None if unknown; without it, the peak is the worker's
    figure: `figure(rows) -> Figure` or `{name: Figure}` of one machine's measured rows; runs nothing; a tuple
        `(Figure, rows)` says which rows it shows, where not all; without it, that of the file NAME_figure.py
        beside the experiment's, if there is one
    compare: the axis whose values alternate in even rounds; their speed-ups are tabulated
    baseline: the value of `compare` that speed-ups refer to; the first of its group if not given
    columns: metrics the report tabulates, in this order; every number among the metrics if None
    rounds: timed calls per case, rounded up to an even number where arms alternate; at most 2 in the quick
        grid
    warmups: untimed calls before them, kept apart in the record
    time_limit: seconds a case may take in all, set-up and every round included
    threads: `threads(case) -> int`, what the environment and threadpoolctl allow the numerical libraries
    on_data: `on_data(name, grid) -> cases` of a grid on the data set of this name, for a study that takes any
        set beside those of its grids: such cases run when their axis `data` names the set
    evidence: `evidence(case) -> str`, what a result of the case is, one of EVIDENCE: `measured` on this
        hardware, and on real micrographs where the statement is of real micrographs; `emulated`: real code
        over links held to a rate; `simulated data`: micrographs of our simulator; `model`: a closed form

    Raises InputError if a grid is missing, a case stands twice in it, `compare` is not an axis, or an
    evidence is none of EVIDENCE.
    """

    name: str
    title: str
    grids: Mapping[str, Sequence[Case]]
    run: Callable[[Any, Case], Any]
    check: Callable[[Any, Any, Case], Mapping[str, Any] | bool | None]
    setup: Callable[[Case], Any] = no_inputs
    skip: Callable[[Case], str | None] = never_skipped
    metrics: Callable[[Any, Any, Case], Mapping[str, Any]] | None = None
    rates: Callable[[float, Case], Mapping[str, Any]] | None = None
    arrays: Callable[[Any, Any, Case], Mapping[str, Any]] | None = None
    seconds: Callable[[Any, Any, Case], float] | None = None
    memory: Callable[[Any, Any, Case], int | None] | None = None
    figure: Callable[[list[Any]], Any] | None = None
    compare: str | None = None
    baseline: Value = None
    columns: Sequence[str] | None = None
    paper: str = ""
    about: str = ""
    rounds: int = 6
    warmups: int = 1
    time_limit: float = 600.0
    threads: Callable[[Case], int] = one_thread
    evidence: Callable[[Case], str] = measured
    on_data: Callable[[str, str], Sequence[Case]] | None = None
    file: Path = field(default=Path(), compare=False)

    def __post_init__(self) -> None:
        for name in GRIDS:
            if name not in self.grids:
                raise InputError(f"experiment {self.name}: no {name} grid; give quick, default and paper")
        unknown = set(self.grids) - set(GRIDS)
        if unknown:
            raise InputError(f"experiment {self.name}: no grid {min(unknown)}; give quick, default and paper")
        grids = {name: check_unique(self.name, cases) for name, cases in self.grids.items()}
        object.__setattr__(self, "grids", grids)
        if self.compare and not all(self.compare in case for cases in grids.values() for case in cases):
            raise InputError(f"experiment {self.name}: compare={self.compare!r} is not an axis of every case")
        for kind in {self.evidence(case) for cases in grids.values() for case in cases} - set(EVIDENCE):
            remedy = f"return {', '.join(EVIDENCE[:-1])} or {EVIDENCE[-1]}"
            raise InputError(f"experiment {self.name}: evidence {kind!r} is not known; {remedy}")

    def rounds_of(self, grid_name: str, rounds: int | None = None) -> int:
        """Timed calls per case: `rounds` if given, else the experiment's; even where arms alternate."""
        count = rounds or (min(self.rounds, 2) if grid_name == "quick" else self.rounds)
        return count + count % 2 if self.compare else count

    def planned(self) -> list[Case]:
        """The cases of the default and the paper grid, each once: what a complete study holds."""
        cases = [*self.grids["default"], *self.grids["paper"]]
        return list({case_key(case): case for case in cases}.values())

    def further(self, data: Iterable[Value]) -> list[str]:
        """The data sets among values of the axis `data` that no grid has, each once."""
        own = self._own_data()
        named = [name for name in dict.fromkeys(data) if isinstance(name, str) and name not in own]
        return named if self.on_data else []

    def _own_data(self) -> set[Value]:
        return {case.get("data") for cases in self.grids.values() for case in cases}

    def asked(self, chosen: Mapping[str, Value]) -> Case:
        """The axis values asked for; a data set is a name, also one that reads as a number."""
        data = chosen.get("data")
        named = self.on_data and isinstance(data, (int, float)) and data not in self._own_data()
        return Case({**chosen, "data": format_value(data)} if named else chosen)

    def cases_on(self, name: str, grid_name: str) -> list[Case]:
        """The cases of a grid on a data set that no grid has."""
        assert self.on_data is not None
        return check_unique(self.name, self.on_data(name, grid_name))

    def cases_for(self, chosen: Mapping[str, Value], grid_name: str) -> Sequence[Case]:
        """The cases to choose from: those of a grid, or on another data set if one is asked for.

        Raises InputError if that set is not on this machine, or unusable.
        """
        from gembench.data.sets import find_set, names_here

        for name in self.further([chosen.get("data")]):
            if find_set(name) is None:
                names = sorted({str(own) for own in self._own_data() - {None}} | set(names_here()))
                raise InputError(f"{self.name}: no data set {format_value(name)} is here; choose from"
                                 f" {', '.join(map(format_value, names))}, or see `gembench data list`")
            return self.cases_on(name, grid_name)
        return self.grids[grid_name]

    def declared(self, grid_name: str, sets: Iterable[Value] = ()) -> list[Case]:
        """The cases of a report, each once: the quick ones or all others, those on further `sets` last."""
        names = ("quick",) if grid_name == "quick" else ("default", "paper")
        cases = [case for name in names for case in self.grids[name]]
        cases += [case for data in self.further(sets) for name in names for case in self.cases_on(data, name)]
        return list({case_key(case): case for case in cases}.values())

    @property
    def order(self) -> tuple[float, str, str]:
        """Sort key: the paper's figures in their order, then the studies of our own by name."""
        figure = re.search(r"Fig\. (\d+)(\w?)", self.paper)
        return (float(figure[1]), figure[2], self.name) if figure else (float("inf"), "", self.name)


def experiments_folder(folder: str | Path | None = None) -> Path:
    """The folder of experiments: `folder`, else GEMBENCH_EXPERIMENTS, else ./experiments.

    Raises InputError if it is not there.
    """
    chosen = Path(folder or os.environ.get("GEMBENCH_EXPERIMENTS") or "experiments")
    if not chosen.is_dir():
        reason = "is no folder" if chosen.exists() else "no such folder"
        raise InputError(f"{chosen}: {reason}; run gembench in its checkout, or give --experiments DIR")
    return chosen


def experiment_files(folder: Path) -> dict[str, Path]:
    """Name -> file of every experiment in `folder`; a file that begins with _ or ends in _figure is none."""
    return {path.stem: path for path in sorted(folder.glob("*.py"))
            if not path.stem.startswith("_") and not path.stem.endswith(FIGURE)}


def studies_of(folder: Path) -> dict[str, Path]:
    """Name -> file of every experiment: those in `folder`, and those that plug-ins declare.

    Raises InputError for a plug-in that cannot be imported, or whose study has the name of another.
    """
    files = experiment_files(folder)
    for path, module in load_plugins().items():
        if not isinstance(getattr(module, "experiment", None), Experiment):
            continue
        if files.setdefault(path.stem, path).resolve() != path:
            raise InputError(f"{path}: {folder} has an experiment {path.stem} already; rename the plug-in")
    return files


def _figure_beside(path: Path) -> Callable[[list[Any]], Any] | None:
    """The drawing in the file NAME_figure.py beside an experiment's, imported when it first draws."""
    drawing = path.with_name(f"{path.stem}{FIGURE}.py")
    return (lambda rows: load_module(drawing).figure(rows)) if drawing.exists() else None


def load_experiment(path: Path) -> Experiment:
    """The experiment that the file `path` declares.

    Raises InputError if the file cannot be imported, declares none, or is named otherwise.
    """
    declared = getattr(load_module(path), "experiment", None)
    if not isinstance(declared, Experiment):
        remedy = f"add it, or rename the file to _{path.name}"
        raise InputError(f"{path}: declares no `experiment = Experiment(...)`; {remedy}")
    if declared.name != path.stem:
        raise InputError(f"{path}: its experiment is named {declared.name!r}; name it {path.stem!r}")
    object.__setattr__(declared, "file", path.resolve())
    if declared.figure is None:
        object.__setattr__(declared, "figure", _figure_beside(path.resolve()))
    return declared


def load_all(folder: Path) -> dict[str, Experiment]:
    """Every experiment in `folder` and of plug-ins by name, the paper's figures first.

    Raises InputError if there is none or a file is broken.
    """
    experiments = [load_experiment(path) for path in studies_of(folder).values()]
    if not experiments:
        raise InputError(f"{folder}: holds no experiments; an experiment is one .py file in it")
    return {experiment.name: experiment for experiment in sorted(experiments, key=lambda e: e.order)}
