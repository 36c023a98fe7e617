"""`gembench figures`, `report`, `claims` and `export`: what the stored results say; nothing is run."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gembench.commands.numbers import file
from gembench.commands.study import add_folders, experiments_of, results_of, selected
from gembench.errors import InputError

if TYPE_CHECKING:
    from rich.text import Text

    from gembench.study.declare.experiment import Experiment
    from gembench.study.measure.store import Row
    from gembench.study.tell.claims import Verdict

_COLOURS = {"reproduced": "green", "exceeded": "green", "partly": "yellow", "unsettled": "yellow",
            "not reproduced": "red"}


def add_parser(subparsers: Any) -> None:
    """Add `figures`, `report`, `claims` and `export`."""
    figures = subparsers.add_parser("figures", help="draw the figures of stored results")
    figures.add_argument("names", nargs="*", metavar="NAME", help="experiments (default: all)")
    figures.add_argument("--svg", action="store_true", help="draw NAME.svg beside NAME.png")
    figures.set_defaults(run=draw_figures)

    report = subparsers.add_parser("report", help="write the report of stored results, one HTML file")
    report.add_argument("--output", metavar="FILE", type=file, help="(default: report.html in the results)")
    report.set_defaults(run=write_report)

    claims = subparsers.add_parser("claims", help="judge the paper's statements by stored results")
    claims.add_argument("--json", action="store_true", help="as JSON, every claim with every verdict")
    claims.set_defaults(run=show_claims)

    export = subparsers.add_parser("export", help="write the stored results of an experiment as a table")
    export.add_argument("name", metavar="NAME")
    export.add_argument("--csv", metavar="FILE", type=file, nargs="?", const=Path("-"), default=Path("-"),
                        help="comma-separated values, one line per sample (default: standard output)")
    export.set_defaults(run=export_rows)

    for parser in (figures, report, claims, export):
        parser.add_argument("--grid", choices=("quick", "default", "paper"), default="default",
                            help="quick reads quick results only, the others the full ones")
        add_folders(parser)


def draw_figures(args: argparse.Namespace) -> int:
    """Write results/figures/NAME.png for every experiment with stored results; 2 if one fails."""
    from gembench.io.atomic import require_folder
    from gembench.study.tell.figures import declared_rows, write_figures

    failed, formats = False, ("png", "svg") if args.svg else ("png",)
    results = results_of(args.results)
    require_folder(results / "figures")
    for experiment, _ in selected(args.names or ["all"], args.experiments):
        rows = declared_rows(results, experiment, args.grid)
        if not any(row.ok for row in rows):
            print(f"{experiment.name}: no stored results; run `gembench run {experiment.name}`")
        try:
            for path in write_figures(experiment, rows, results / "figures", formats):
                print(path)
        except InputError as error:
            print(f"gembench: error: {error}", file=sys.stderr)
            failed = True
    return 2 if failed else 0


def write_report(args: argparse.Namespace) -> int:
    """Write the report."""
    from gembench.io.atomic import atomic_text, make_folder, require_folder, require_writable
    from gembench.study.declare.experiment import load_all
    from gembench.study.tell.report import render

    folder, results = experiments_of(args.experiments), results_of(args.results)
    require_writable(args.output)
    require_folder(None if args.output else results)
    experiments = load_all(folder)
    path = args.output or make_folder(results) / "report.html"
    pages = {path.with_name(f"{path.stem}-picks{name}.html"): page
             for name, page in _pages_of_picks(experiments, args).items()}
    text = render(experiments, results, folder / "claims.toml", args.grid,
                  picks_pages=[beside.name for beside in pages])
    for beside, page in {path: text, **pages}.items():
        atomic_text(beside, page)
        print(beside)
    return 0


def _pages_of_picks(experiments: dict[str, Experiment], args: argparse.Namespace) -> dict[str, str]:
    """The pages of this machine's picks by what ends their names: '' for the first, -NAME for other sets."""
    from gembench.machine import machine_name
    from gembench.study.picking.page import pages_of_picks
    from gembench.study.picking.stored import STUDY
    from gembench.study.tell.figures import declared_rows

    if STUDY not in experiments:
        return {}
    study = experiments[STUDY]
    pages = pages_of_picks(declared_rows(args.results, study, args.grid), machine_name())
    return {f"-{name}" if study.further([name]) else "": page for name, page in pages.items()}


def show_claims(args: argparse.Namespace) -> int:
    """Print each statement with its verdicts, and their counts; the exit code is 0 whatever they are."""
    import json

    from gembench.study.declare.experiment import load_all
    from gembench.study.tell.claims import judge_all, ledger_json, load_claims, summaries
    from gembench.study.tell.code import machine_sentences
    from gembench.study.tell.figures import declared_rows, machines_of

    folder, results = experiments_of(args.experiments), results_of(args.results)
    experiments = load_all(folder)
    rows = {name: declared_rows(results, experiment, args.grid)
            for name, experiment in experiments.items()}
    machines = machines_of(row for stored in rows.values() for row in stored)
    judged = judge_all(load_claims(folder / "claims.toml"), rows, machines, experiments)
    if args.json:
        print(json.dumps(ledger_json(judged), indent=1, ensure_ascii=False))
        return 0
    _print_ledger(judged)
    for summary in summaries(judged):
        print(f"\n{summary.sentence}")
    for machine, sentence in machine_sentences(rows, experiments).items():
        print(f"\n{machine}: {sentence}")
    return 0


def _print_ledger(judged: Sequence[Sequence[Verdict]]) -> None:
    """Statement and paper's value on the left, every machine's verdict on the right."""
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    table = Table(Column("the paper's statement", ratio=1, overflow="fold"),
                  Column("what the stored results say", ratio=1, overflow="fold"), show_lines=True)
    for verdicts in judged:
        claim = verdicts[0].claim
        statement = Text(claim.statement)
        statement.append(f"\n{claim.where}: {claim.paper}\n{claim.id}", "dim")
        if claim.note:
            statement.append(f"\n{claim.note}", "dim italic")
        table.add_row(statement, _verdict_lines(verdicts))
    Console(highlight=False, markup=False).print(table)


def _verdict_lines(verdicts: Sequence[Verdict]) -> Text:
    """The verdicts of all machines, those that say the same together."""
    from rich.text import Text

    machines: dict[tuple[str, ...], list[str]] = {}
    for verdict in verdicts:
        texts = (verdict.badge_text, verdict.value_text, verdict.detail_text)
        machines.setdefault(texts, []).append(verdict.machine)
    lines = Text()
    for (badge, value, detail), names in machines.items():
        lines.append("\n" if lines else "")
        lines.append(badge, _COLOURS.get(badge.split(",")[0], "bold"))
        lines.append(f": {value}" if value else "")
        lines.append(f"\n{detail}" if detail else "", "dim")
        lines.append(f"\n{', '.join(names)}" if any(names) else "", "cyan")
    return lines


def csv_text(rows: list[Row]) -> str:
    """One line per sample; a case without samples has one line with its status and reason."""
    axes = list(dict.fromkeys(axis for row in rows for axis in row.case))
    metrics = list(dict.fromkeys(name for row in rows for name in row.metrics if name not in axes))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    measured = ["status", "reason", "round", "seconds", "peak_rss"]
    writer.writerow(["machine", "grid", "started", "commit", *axes, *measured, *metrics])
    for row in rows:
        for number, seconds in enumerate(row.samples or [""], 1):
            writer.writerow([
                row.machine, row.grid, row.run["started"], row.run["commit"],
                *(row.case.get(axis, "") for axis in axes), row.status, row.reason,
                number if row.samples else "", seconds, row.peak_rss,
                *(row.metrics.get(name, "") for name in metrics),
            ])
    return text.getvalue()


def export_rows(args: argparse.Namespace) -> int:
    """Write the latest rows of one experiment as CSV."""
    from gembench.io.atomic import atomic_text, require_writable
    from gembench.study.measure.store import load_rows

    (experiment, _), = selected([args.name], args.experiments)
    standard = args.csv == Path("-")
    require_writable(None if standard else args.csv)
    text = csv_text(load_rows(results_of(args.results), experiment.name, grid=args.grid))
    if standard:
        sys.stdout.write(text)
    else:
        atomic_text(args.csv, text)
        print(args.csv)
    return 0
