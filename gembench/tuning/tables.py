"""What `gembench tune` prints: the ranking, what matters, where misses lie, and the command."""

from __future__ import annotations

import shlex

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gembench.evaluate.bootstrap import Interval
from gembench.tuning.result import Misses, Tuning

BEST = 10  # trials that are shown
MARK = "*"
WIDTH = 100  # columns of a file, which scrolls


def print_tables(tuning: Tuning) -> None:
    """Print everything to standard output, the command last."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, WIDTH)

    def say(text: str = "", style: str = "") -> None:
        console.print(Text(text, style), soft_wrap=True)

    say(f"The best {min(BEST, len(tuning.trials))} of {len(tuning.trials)} trials, judged by halves of"
        f" {tuning.micrographs} micrographs within {tuning.radius:.4g} px", "bold")
    console.print(_ranking(tuning))
    say(f"  {MARK} is chosen" + (": a finer step, beside or decoys are better by less than a standard error"
                                 if tuning.rank else ""))
    if tuning.unannotated:
        say(f"  {tuning.unannotated} micrographs without annotation are not judged")
    say(f"  Chosen on one half and judged on the other, options and threshold: F1 {tuning.choice_f1:.1%}"
        f"{_around(tuning.choice_interval)}")
    for note in tuning.notes:
        say(f"  {note[0].upper()}{note[1:]}")
    say()
    if tuning.effects:
        say("What each option is worth: F1 of the best with each value", "bold")
        console.print(_effects(tuning))
        if idle := [effect.option for effect in tuning.effects if not effect.matters]:
            say(f"  No more than chance, by bootstrap over the micrographs: {', '.join(idle)}\n")
    if sum(tuning.misses.missed):
        say("Where missed particles lie", "bold")
        console.print(_misses(tuning.misses))
        say(f"  {tuning.misses.within} of {sum(tuning.misses.missed)} lie within"
            f" {tuning.misses.unsearched:g} px of an edge, where nothing is picked\n")
    say("The best command", "bold")
    say(f"  On these micrographs, which its threshold is chosen on: F1 {tuning.f1:.1%}, precision"
        f" {tuning.precision:.1%}, recall {tuning.recall:.1%}")
    if tuning.decoys is not None:
        say(f"  {tuning.decoys}: decoys, made of the false picks on all these micrographs, which flatters it")
    say()
    print(shlex.join(tuning.command))
    print(shlex.join(tuning.score_command))


def _around(interval: Interval | None) -> str:
    return "" if interval is None else f" ({interval[0]:.1%} .. {interval[1]:.1%})"


def _ranking(tuning: Tuning) -> Table:
    """The best trials, and the chosen one, which has a mark."""
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    rows = list(zip(tuning.trials, tuning.intervals, strict=True))
    rows = rows[:BEST] + [rows[tuning.rank]] * (tuning.rank >= BEST)
    beside = any(trial.settings.beside for trial, _ in rows)
    decoys = any(trial.decoys for trial, _ in rows)
    headings = ["", "A", "Edges", "Step", "Border", "Dist.", *["Beside"] * beside, *["Decoys"] * decoys,
                "F1 %", "95 %", "P %", "R %", "AP"]
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "Edges" else "right", no_wrap=True)
    for trial, interval in rows:
        at, judged = trial.settings, trial.judged
        table.add_row(
            MARK if trial is tuning.best else "", f"{at.lowpass:g}" if at.lowpass else "-", at.edges,
            f"{at.angle_step:g}", f"{at.peaks.border:g}", f"{at.peaks.distance:g}",
            *[f"{at.beside:g}" if at.beside else "-"] * beside, *["yes" if trial.decoys else "-"] * decoys,
            f"{100 * judged.f1:.1f}",
            "" if interval is None else f"{100 * interval[0]:.1f}-{100 * interval[1]:.1f}",
            f"{100 * judged.precision:.1f}", f"{100 * judged.recall:.1f}", f"{judged.average_precision:.3f}",
        )
    return table


def _effects(tuning: Tuning) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for heading in ("Option", "F1 of its values, %", "Best - worst", "Matters"):
        table.add_column(heading, justify="right" if heading == "Best - worst" else "left",
                         no_wrap=not heading.startswith("F1"))
    for effect in tuning.effects:
        values = ", ".join(f"{value}: {100 * f1:.1f}" for value, f1 in effect.values.items())
        around = "" if effect.interval is None else \
            f" ({100 * effect.interval[0]:.1f}..{100 * effect.interval[1]:.1f})"
        table.add_row(effect.option, values, f"{100 * effect.difference:.1f}{around}",
                      "yes" if effect.matters else "no")
    return table


def _misses(misses: Misses) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("From the edge (px)", "Annotated", "Missed"):
        table.add_column(heading, justify="right")
    ends = [f"{low:.0f} .. {high:.0f}" for low, high in zip(misses.edges, misses.edges[1:], strict=False)]
    for band, annotated, missed in zip([*ends, f"above {misses.edges[-1]:.0f}"], misses.annotated,
                                       misses.missed, strict=True):
        table.add_row(band, str(annotated), str(missed))
    return table
