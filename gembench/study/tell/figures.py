"""Figures: each experiment's own drawing of its stored rows; nothing is run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gembench.drawing import style
from gembench.errors import InputError
from gembench.io.atomic import make_folder
from gembench.study.declare.cases import case_key
from gembench.study.declare.experiment import EVIDENCE, Experiment
from gembench.study.measure.store import Row, load_rows
from gembench.text import for_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def machines_of(rows: Iterable[Row]) -> list[str]:
    """The machines that have rows, the one with most measured cases first, then by name."""
    measured: dict[str, int] = {}
    for row in rows:
        measured[row.machine] = measured.get(row.machine, 0) + row.ok
    return sorted(measured, key=lambda machine: (-measured[machine], machine))


def declared_rows(results: Path, experiment: Experiment, grid: str) -> list[Row]:
    """The stored rows of the cases that the experiment declares today, in the order it declares them.

    Each carries the evidence that the experiment says it is.
    """
    stored = load_rows(results, experiment.name, grid=grid)
    cases = experiment.declared(grid, (row.case.get("data") for row in stored))
    position = {case_key(case): number for number, case in enumerate(cases)}
    rows = [row for row in stored if case_key(row.case) in position]
    rows = [replace(row, evidence=experiment.evidence(row.case)) for row in rows]
    return sorted(rows, key=lambda row: (position[case_key(row.case)], row.machine))


def draw(experiment: Experiment, rows: Sequence[Row]) -> dict[str, Figure]:
    """The experiment's figures of one machine's measured rows, by name; none without rows or drawing.

    Raises InputError if its `figure` fails.
    """
    measured = [row for row in rows if row.ok]
    if experiment.figure is None or not measured:
        return {}
    with style.context():
        try:
            drawn = experiment.figure(measured)
        except Exception as error:
            reason = f"figure() fails on the stored rows: {type(error).__name__}: {error}"
            raise InputError(f"{experiment.file}: {reason}; mend it") from error
        figures: dict[str, Figure] = {}
        for name, made in (drawn if isinstance(drawn, Mapping) else {"": drawn}).items():
            figure, shown = made if isinstance(made, tuple) else (made, measured)
            style.sign(figure, signature(experiment, shown))
            figures[name] = figure
    return figures


def signature(experiment: Experiment, rows: Sequence[Row]) -> str:
    """Whose numbers a figure shows, and of what kind they are."""
    runs = list({row.path: row.run for row in rows}.values())
    machine, days = runs[0]["machine"], sorted({str(run.get("started", ""))[:10] for run in runs})
    hardware = [machine["cpu"], f"{machine['cores']} cores"] if "cpu" in machine else []
    gpus = sorted({str(gpu["name"]) for gpu in machine.get("gpus") or []})
    return " · ".join(filter(None, [
        machine["name"], *hardware, *gpus, " and ".join(kinds_of(experiment, rows)), days[-1]]))


def kinds_of(experiment: Experiment, rows: Sequence[Row]) -> list[str]:
    """The kinds of evidence among the rows, the strongest first."""
    kinds = {experiment.evidence(row.case) for row in rows}
    return [kind for kind in EVIDENCE if kind in kinds]


def file_stems(experiment: Experiment, rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Stem of the figure files -> one machine's rows; the machine with most cases has the bare name."""
    machines = machines_of(row for row in rows if row.ok)
    return {experiment.name + (f"@{for_file(machine)}" if number else ""):
            [row for row in rows if row.machine == machine] for number, machine in enumerate(machines)}


def write_figures(
    experiment: Experiment, rows: Sequence[Row], folder: Path, formats: Sequence[str] = ("png",)
) -> list[Path]:
    """Draw every machine's figures into `folder`; returns the files written.

    formats: png, svg or both

    Raises InputError if a figure cannot be drawn or written.
    """
    written = []
    for stem, own in file_stems(experiment, rows).items():
        for name, figure in draw(experiment, own).items():
            path = make_folder(folder) / (f"{stem}-{for_file(name)}" if name else stem)
            written += style.save(figure, path, formats)
    return written
