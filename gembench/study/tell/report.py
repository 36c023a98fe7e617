"""The report: one HTML file that needs nothing but itself, the same bytes for the same store."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gembench.errors import InputError
from gembench.study.declare.experiment import Experiment
from gembench.study.measure.store import Row
from gembench.study.tell.claims import judge_all, load_claims, summaries
from gembench.study.tell.code import Code
from gembench.study.tell.figures import declared_rows, draw, file_stems, machines_of, svg_text
from gembench.study.tell.history import Series, load_history
from gembench.study.tell.missing import Gap, gaps
from gembench.study.tell.tables import Table, provenance_sentence, stability_warning, table_of
from gembench.study.tell.text import number_text, seconds_text

TEMPLATE = Path(__file__).with_name("report.html.j2")


@dataclass(frozen=True)
class Drawing:
    """One inline figure: SVG text and whose results it shows."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Section:
    """What the report says of one experiment."""

    experiment: Experiment
    drawings: list[Drawing]
    table: Table | None
    notes: list[str]
    gaps: list[Gap]


def inline_svg(text: str, prefix: str) -> str:
    """SVG to stand inside HTML: ids made unique by `prefix`, prologue, metadata and namespaces left out."""
    body = text[text.index("<svg"):]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", body)
    body = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', body)
    body = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', body)
    return re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", body)


def _drawings(experiment: Experiment, rows: Sequence[Row], notes: list[str]) -> list[Drawing]:
    """The inline figures; a figure that cannot be drawn becomes a note."""
    drawings = []
    for stem, own in file_stems(experiment, rows).items():
        try:
            figures = draw(experiment, own)
        except InputError as error:
            notes.append(f"The figure could not be drawn: {error}")
            continue
        for name, figure in figures.items():
            prefix = re.sub(r"\W", "-", f"{stem}-{name}")
            caption = ": ".join(filter(None, [own[0].machine, name.replace("_", " ")]))
            drawings.append(Drawing(inline_svg(svg_text(figure), prefix), caption))
    return drawings


def section_of(experiment: Experiment, rows: Sequence[Row], machines: Sequence[str], grid: str) -> Section:
    """Figures, table, provenance and gaps of one experiment."""
    own = [machine for machine in machines if any(row.machine == machine for row in rows)]
    notes: list[str] = []
    drawings, code = _drawings(experiment, rows, notes), Code.of(experiment)
    for machine in own:
        here = [row for row in rows if row.machine == machine]
        notes += filter(None, [provenance_sentence(here, code), stability_warning(here)])
    table = table_of(experiment, rows, own) if rows else None
    missing = gaps(experiment, rows, machines or ["no machine"], grid)
    return Section(experiment, drawings, table, notes, missing)


def _machine_facts(rows: Sequence[Row], machines: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The last run record of each machine: hardware, libraries, thread environment."""
    facts: dict[str, dict[str, Any]] = {}
    for machine in machines:
        runs = [row.run for row in rows if row.machine == machine]
        facts[machine] = dict(max(runs, key=lambda run: str(run["started"])))
    return facts


def value_text(series: Series, value: float) -> str:
    """A value of a benchmark's history in its unit."""
    if series.unit == "seconds":
        return seconds_text(value)
    if series.unit == "bytes":
        return f"{number_text(value / 2**20)} MiB"
    return f"{number_text(value)} {series.unit}".strip()


def render(
    experiments: Mapping[str, Experiment], results: Path, claims_file: Path, grid: str = "default"
) -> str:
    """The report as HTML.

    Raises InputError for a broken store or claims file.
    """
    import jinja2

    rows = {name: declared_rows(results, experiment, grid) for name, experiment in experiments.items()}
    every = [row for known in rows.values() for row in known]
    machines = machines_of(every)
    judged = judge_all(load_claims(claims_file), rows, machines, experiments)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE.parent), undefined=jinja2.StrictUndefined,
        autoescape=True, trim_blocks=True, lstrip_blocks=True,
    )
    return environment.get_template(TEMPLATE.name).render(
        grid=grid, machines=machines, facts=_machine_facts(every, machines),
        measured=sum(row.ok for row in every), judged=judged,
        summaries=[summary.sentence for summary in summaries(judged)],
        sections=[section_of(experiment, rows[name], machines, grid)
                  for name, experiment in experiments.items()],
        history=load_history(results / "asv"), value_text=value_text, command=shlex.join,
    )
