"""What `gembench score` prints: the statistics with their intervals, and the worst micrographs."""

from __future__ import annotations

import math
from contextlib import suppress

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gembench.errors import InputError
from gembench.evaluate import Evaluation, best_f1

_ROWS = (
    ("Precision", "precision", ".1%"), ("Recall", "recall", ".1%"), ("False discovery rate", "fdr", ".1%"),
    ("F1", "f1", ".1%"), ("Average precision", "average_precision", ".3f"),
    ("AUC of the top 2 N picks", "auc", ".3f"), ("Mean distance (px)", "mean_distance_px", ".2f"),
    ("Median distance (px)", "median_distance_px", ".2f"),
)
_WORST = 5


def print_tables(evaluation: Evaluation, title: str) -> None:
    """Print the tables to standard output."""
    console = Console(highlight=False)
    console.print(Text(title, "bold"), soft_wrap=True)
    console.print(_statistics(evaluation))
    console.print(_counts(evaluation))
    worst = _worst(evaluation)
    if worst.row_count:
        console.print(Text("Most errors on", "bold"))
        console.print(worst)


def _statistics(evaluation: Evaluation) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("Statistic")
    table.add_column("Value", justify="right")
    table.add_column("95 % interval", justify="right", style="dim")
    values = evaluation.to_dict()
    for label, name, form in _ROWS:
        interval = values.get(f"{name}_interval")
        spread = f"{interval[0]:{form}} .. {interval[1]:{form}}" if interval else ""
        table.add_row(label, _shown(values[name], form), spread)
    return table


def _shown(value: float | None, form: str) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:{form}}"


def _counts(evaluation: Evaluation) -> str:
    """The counts in sentences."""
    e, at = evaluation, evaluation.settings
    threshold = "" if at["threshold"] is None else f" with score >= {at['threshold']:g}"
    lines = [
        f"{e.n_picks} picks{threshold}: {e.true_positives} true, {e.false_positives} false,"
        f" {e.ignored} ignored",
        f"{e.n_truth} annotated particles on {len(e.judged)} micrographs: {e.true_positives} found,"
        f" {e.missed} missed",
        f"Matched within {at['radius_px']:g} px ({at['method']})",
    ]
    if e.unscored:
        lines.append("None of the picks has a score: there is no average precision"
                     if e.unscored == e.n_picks else
                     f"{e.unscored} of {e.n_picks} picks have no score: they count, and are not ranked")
    with suppress(InputError):  # no scores, or nothing found: there is no threshold to speak of
        best, f1 = best_f1(e)
        lines.append(f"Highest F1 on these micrographs, {f1:.1%}, at score >= {best:.4g}:"
                     f"\n    gembench filter PICKS --threshold {best:.4g} -o OUT")
    return "".join(f"  {line}\n" for line in lines)


def _worst(evaluation: Evaluation) -> Table:
    """The micrographs with the most errors, missed and false together."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("Micrograph", overflow="fold")
    for heading in ("Particles", "Found", "Missed", "False"):
        table.add_column(heading, justify="right")
    counts = [part.to_dict() for part in evaluation.judged]
    wrong = [row for row in counts if row["missed"] + row["false_positives"]]
    for row in sorted(wrong, key=lambda row: -row["missed"] - row["false_positives"])[:_WORST]:
        numbers = (row["n_truth"], row["true_positives"], row["missed"], row["false_positives"])
        table.add_row(Text(row["micrograph"]), *map(str, numbers))
    return table
