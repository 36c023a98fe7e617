"""`gembench list`, `run` and `machine`: the experiments, measuring them, and what they are measured on."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gembench.commands.numbers import folder, readable, rounds, time_limit
from gembench.errors import InputError
from gembench.text import printable

if TYPE_CHECKING:
    from gembench.study.declare.cases import Case
    from gembench.study.declare.experiment import Experiment

RESULTS = Path("results")
INSTALLED = Path(__file__).resolve().parents[2] / "gembench_experiments"  # where a wheel puts experiments/


def add_folders(parser: argparse.ArgumentParser) -> None:
    """The options that say where experiments and results are."""
    parser.add_argument("--experiments", metavar="DIR", type=readable,
                        help="folder of experiments (default: GEMBENCH_EXPERIMENTS, ./experiments, else those"
                        " that were installed)")
    parser.add_argument("--results", metavar="DIR", type=folder, default=RESULTS,
                        help="folder of stored results (default: results)")
    add_plugins(parser)


def add_plugins(parser: argparse._ActionsContainer) -> None:
    """The option that names plug-ins; `gembench.cli` loads them before the command runs."""
    parser.add_argument("--plugin", dest="plugins", metavar="FILE", type=readable, action="append",
                        default=[], help="Python file that adds an FFT library or a study; may be given again"
                        " (installed packages add theirs themselves)")


def add_parser(subparsers: Any) -> None:
    """Add `list`, `run` and `machine`."""
    listing = subparsers.add_parser("list", help="list experiments, their cases and what is stored of them")
    listing.add_argument("names", nargs="*", metavar="NAME", help="list the cases of these experiments")
    listing.add_argument("--grid", choices=("quick", "default", "paper"), default="default")
    add_folders(listing)
    listing.set_defaults(run=list_experiments)

    run = subparsers.add_parser(
        "run", help="measure the cases of experiments",
        description="Measure the cases of experiments and store each as it finishes. Cases that are stored"
        " already, from the same sources, libraries and GPUs, are kept: after an interruption the same"
        " command goes on where it stopped. Cases that failed are measured again. The exit code is 1 if one"
        " of the selection has failed, now or, if it is kept, before.",
    )
    run.add_argument("selectors", nargs="+", metavar="NAME[axis=value,...]",
                     help="experiments or some of their cases; `all` for every experiment")
    run.add_argument("--grid", choices=("quick", "default", "paper"), default="default")
    keep = run.add_mutually_exclusive_group()
    keep.add_argument("--resume", dest="keep", action="store_const", const="any", default="same",
                      help="keep stored cases even if sources or libraries have changed since")
    keep.add_argument("--fresh", dest="keep", action="store_const", const="none",
                      help="keep nothing: measure every case again")
    run.add_argument("--keep-failed", action="store_true",
                     help="keep cases that failed too (default: they are measured again)")
    run.add_argument("--rounds", type=rounds, metavar="N", help="timed calls per case")
    run.add_argument("--time-limit", type=time_limit, metavar="SECONDS", help="what one case may take in all")
    add_folders(run)
    run.set_defaults(run=run_experiments)

    machine = subparsers.add_parser("machine", help="show this machine as results record it")
    machine.set_defaults(run=show_machine)


def experiments_of(folder: Path | None) -> Path:
    """The folder of experiments: `folder`, GEMBENCH_EXPERIMENTS or ./experiments, else those installed.

    Raises InputError if there is none.
    """
    import os

    from gembench.study.declare.experiment import experiments_folder

    chosen = folder or os.environ.get("GEMBENCH_EXPERIMENTS")
    if chosen is None and not Path("experiments").is_dir() and INSTALLED.is_dir():
        return INSTALLED
    return experiments_folder(chosen)


def results_of(folder: Path) -> Path:
    """The folder of stored results.

    Raises InputError if it is missing, unless it is the default one: nothing has been measured yet.
    """
    if folder.is_dir() or (folder == RESULTS and not folder.exists()):
        return folder
    reason = "is no folder" if folder.exists() else "no such folder"
    raise InputError(f"{folder}: {reason}; give --results DIR, the folder that `gembench run` has written")


def selected(selectors: list[str], folder: Path | None) -> list[tuple[Experiment, Case]]:
    """The experiments that `selectors` name with the axis values asked of each; only their files are read.

    Raises InputError for a name that no file has.
    """
    from gembench.study.declare.cases import Case, parse_selector
    from gembench.study.declare.experiment import load_all, load_experiment, studies_of

    folder = experiments_of(folder)
    if "all" in selectors:
        return [(experiment, Case()) for experiment in load_all(folder).values()]
    files, chosen_of = studies_of(folder), []
    for name, chosen in map(parse_selector, selectors):
        if name not in files:
            raise InputError(f"{folder}: no experiment {name}; choose from {', '.join(files) or 'none'}")
        chosen_of.append((load_experiment(files[name]), chosen))
    return chosen_of


def run_experiments(args: argparse.Namespace) -> int:
    """Measure and store; returns 1 if a case of the selection failed, measured now or kept."""
    from gembench.io.atomic import require_folder
    from gembench.study.declare.cases import case_name
    from gembench.study.measure.runner import Settings, run_experiment

    settings = Settings(args.grid, args.keep, args.keep_failed, args.rounds, args.time_limit)
    cases, failures = 0, []
    require_folder(args.results)
    for experiment, chosen in selected(args.selectors, args.experiments):
        rows = run_experiment(experiment, args.results, settings, chosen=chosen, tell=_tell)
        cases += len(rows)
        failures += [f"{case_name(experiment.name, row.case)}: {row.reason}" for row in rows
                     if row.status == "failed"]
    if failures:
        print(f"gembench: {len(failures)} of {cases} cases failed; the first: {failures[0]}", file=sys.stderr)
    return int(bool(failures))


def _tell(line: str) -> None:
    print(line, flush=True)


def list_experiments(args: argparse.Namespace) -> int:
    """Experiments with their case counts, or the cases of those named."""
    from rich.console import Console

    experiments = [experiment for experiment, _ in selected(args.names or ["all"], args.experiments)]
    results = results_of(args.results)
    console = Console(highlight=False, markup=False)
    if args.names:
        for experiment in experiments:
            _list_cases(console, experiment, args.grid, results)
    else:
        _list_all(console, experiments, results)
    return 0


def _list_all(console: Any, experiments: list[Experiment], results: Path) -> None:
    from rich.table import Column, Table

    from gembench.study.declare.grid import GRIDS
    from gembench.study.measure.store import load_rows

    table = Table(Column("experiment", no_wrap=True), Column("paper", no_wrap=True), "what it measures",
                  "cases: " + ", ".join(GRIDS), "stored", box=None)
    for experiment in experiments:
        stored = [row for row in load_rows(results, experiment.name) if row.ok]
        machines = len({row.machine for row in stored})
        measured = f"{len(stored)} on {machines} machine(s)" if stored else "none"
        counts = " / ".join(str(len(experiment.grids[grid])) for grid in GRIDS)
        table.add_row(experiment.name, experiment.paper, experiment.title, counts, measured)
    console.print(table)


def _list_cases(console: Any, experiment: Experiment, grid: str, results: Path) -> None:
    from gembench.study.declare.cases import case_key, case_name
    from gembench.study.measure.store import load_rows
    from gembench.study.tell.code import Code

    code = Code.of(experiment)
    console.print(f"{experiment.name}: {experiment.title}", style="bold")
    stored: dict[str, list[str]] = {}
    for row in load_rows(results, experiment.name, grid=grid):
        stored.setdefault(case_key(row.case), []).append(
            f"{row.status} on {printable(row.machine)} {code.text(row)}")
    for case in experiment.grids[grid]:
        where = ", ".join(stored.get(case_key(case), ["not measured"]))
        console.print(f"  {case_name(experiment.name, case)}  {where}", soft_wrap=True)


def show_machine(args: argparse.Namespace) -> int:
    """Name, hardware and libraries of this machine."""
    from rich.console import Console
    from rich.table import Table

    from gembench import machine

    table = Table("", "", box=None, show_header=False)
    for key, value in machine.describe().items():
        table.add_row(key, _readable(key, value))
    for library, version in machine.libraries().items():
        table.add_row(library, version)
    Console(highlight=False, markup=False).print(table)
    return 0


def _readable(key: str, value: Any) -> str:
    if key == "ram":
        return f"{value / 2**30:.1f} GiB"
    if key == "gpus":
        return "; ".join(", ".join(gpu.values()) for gpu in value) or "none"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "unknown" if value is None else str(value)
