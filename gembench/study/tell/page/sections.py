"""What the page says of each study: figures, tables, provenance and gaps, one part for each machine."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gembench.errors import InputError
from gembench.study.declare.experiment import Experiment
from gembench.study.measure.store import Row
from gembench.study.tell.code import Code
from gembench.study.tell.figures import draw
from gembench.study.tell.missing import Gap, gaps
from gembench.study.tell.page.inline import page_svg
from gembench.study.tell.tables import Table, provenance_sentence, stability_warning, table_of
from gembench.text import for_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Drawing:
    """One figure of one machine's rows of one study."""

    experiment: str
    machine: str
    name: str
    figure: Figure

    @property
    def svg(self) -> str:
        """The figure as it stands in the page."""
        prefix = re.sub(r"[^\w-]", "-", f"{self.experiment}-{for_file(self.machine)}-{self.name}")
        return page_svg(self.figure, prefix, f"{self.experiment} {self.caption} on {self.machine}")

    @property
    def caption(self) -> str:
        """What is on it, beside what it says itself."""
        return self.name.replace("_", " ")


@dataclass(frozen=True)
class Part:
    """One machine's part of a study: drawings that the gallery does not show, table, notes.

    same: the axes that the table leaves out, which have one value in every case
    """

    machine: str
    drawings: list[Drawing]
    table: Table
    same: str
    notes: list[str]


@dataclass(frozen=True)
class Section:
    """One study.

    parts: of every machine that has rows, the reader's first
    shown_above: names of the paper's figures whose rows of the gallery show its drawings, and their anchors
    """

    experiment: Experiment
    parts: list[Part]
    gaps: list[Gap]
    shown_above: list[tuple[str, str]]


def drawings_of(experiment: Experiment, rows: Sequence[Row], machines: Sequence[str]) -> list[Drawing | str]:
    """Every figure of the study, machine by machine; for one that cannot be drawn, why."""
    return [drawing for machine in machines for drawing in _drawings(experiment, rows, machine)]


def _drawings(experiment: Experiment, rows: Sequence[Row], machine: str) -> Iterator[Drawing | str]:
    own = [row for row in rows if row.machine == machine and row.ok]
    try:
        for name, figure in draw(experiment, own).items():
            yield Drawing(experiment.name, machine, name, figure)
    except InputError as error:
        yield f"The figure could not be drawn: {error}"


def section_of(
    experiment: Experiment, rows: Sequence[Row], machines: Sequence[str], grid: str, code: Code,
    drawings: Sequence[Drawing | str], shown: Sequence[Drawing], shown_above: Sequence[tuple[str, str]],
) -> Section:
    """Everything that the page says of one study.

    drawings: what `drawings_of` gave; shown: those that the gallery shows; shown_above: where it does
    """
    parts = []
    for machine in machines:
        own = [row for row in rows if row.machine == machine]
        if not own:
            continue
        left = [drawing for drawing in drawings
                if isinstance(drawing, Drawing) and drawing.machine == machine and drawing not in shown]
        notes = [text for text in drawings if isinstance(text, str)] if machine == machines[0] else []
        notes += filter(None, [provenance_sentence(own, code), stability_warning(own)])
        table, same = table_of(experiment, own, [machine], code).narrowed()
        parts.append(Part(machine, left, table, same, notes))
    missing = gaps(experiment, rows, machines or ["no machine"], grid)
    return Section(experiment, parts, missing, list(shown_above))
