"""The gallery: each figure of the paper by name, ours under it, and what the ledger says of it.

`figures.toml` beside the studies names them::

  [[figure]]
  name = "Fig. 3a"
  says = "what the figure of the paper shows, in our words"
  experiment = "threads"
  drawings = [""]          # names of the study's drawings, the first that is there; may end in *
  lead = "four-cores-3.5x" # the claim whose verdict stands first
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from gembench.io.typed import REQUIRED, TEXT, Kind, list_of, read_records
from gembench.study.measure.store import Row
from gembench.study.tell.claims import VERDICTS, Verdict
from gembench.study.tell.code import Code
from gembench.study.tell.page.sections import Drawing

KEYS: dict[str, tuple[Kind, Any]] = {
    "name": (TEXT, REQUIRED), "says": (TEXT, REQUIRED), "experiment": (TEXT, REQUIRED),
    "drawings": (list_of(TEXT), REQUIRED), "lead": (TEXT, REQUIRED),
}


@dataclass(frozen=True)
class PaperFigure:
    """One figure of the paper: its name, what it says in our words, and which study answers it how."""

    name: str
    says: str
    experiment: str
    drawings: Sequence[str]
    lead: str

    @property
    def anchor(self) -> str:
        """Its id in the page."""
        return self.name.lower().replace(". ", "-").replace(" ", "-")

    def owns(self, verdict: Verdict) -> bool:
        """Whether the claim speaks of this figure, or of a panel of it."""
        number = self.name.removeprefix("Fig. ")
        return any(figure.startswith(number) for figure in verdict.claim.figures)


@dataclass(frozen=True)
class Answer:
    """One machine's answer to a figure of the paper.

    lead: the verdict that stands first, None where no claim speaks of the figure; others: the rest
    code: whether the code has changed since its rows were measured, '' without rows
    """

    machine: str
    drawings: list[Drawing]
    lead: Verdict | None
    others: list[Verdict]
    code: str

    @property
    def counts(self) -> str:
        """`2 reproduced, 1 not testable here`, of the others."""
        numbers = Counter(verdict.verdict for verdict in self.others)
        return ", ".join(f"{numbers[verdict]} {verdict}" for verdict in VERDICTS if numbers[verdict])


@dataclass(frozen=True)
class GalleryRow:
    """A figure of the paper and every machine's answer, the reader's first."""

    paper: PaperFigure
    answers: list[Answer]

    @property
    def drawings(self) -> list[Drawing]:
        """All that it shows."""
        return [drawing for answer in self.answers for drawing in answer.drawings]


def load_figures(path: Path) -> list[PaperFigure]:
    """The figures of the paper that `figures.toml` names, in its order; none if there is no such file.

    Raises InputError for a broken file.
    """
    return [PaperFigure(**entry) for entry in read_records(path, "figure", KEYS)]


def gallery_row(
    paper: PaperFigure, machines: Sequence[str], drawings: Sequence[Drawing],
    judged: Sequence[Sequence[Verdict]], rows: Sequence[Row], code: Code,
) -> GalleryRow:
    """What every machine answers to one figure of the paper; machines without an answer are left out.

    drawings, rows, code: of the study that answers it; judged: the whole ledger
    """
    answers = []
    for machine in machines:
        shown = _chosen(paper, [drawing for drawing in drawings if drawing.machine == machine])
        verdicts = [verdict for claim in judged for verdict in claim if verdict.machine == machine]
        lead = next((verdict for verdict in verdicts if verdict.claim.id == paper.lead), None)
        others = [verdict for verdict in verdicts if paper.owns(verdict) and verdict is not lead]
        if shown or machine == machines[0]:
            own = [row for row in rows if row.machine == machine and row.ok]
            answers.append(Answer(machine, shown, lead, others, code.sentence(own) if own else ""))
    return GalleryRow(paper, answers)


def _chosen(paper: PaperFigure, drawings: Sequence[Drawing]) -> list[Drawing]:
    """The drawings by the first of the figure's names that any of them has."""
    for pattern in paper.drawings:
        matching = [drawing for drawing in drawings if fnmatchcase(drawing.name, pattern)]
        if matching:
            return matching
    return []
