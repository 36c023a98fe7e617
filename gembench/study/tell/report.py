"""The report: one HTML file that needs nothing but itself, the same bytes for the same store and machine."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gembench.machine import machine_name
from gembench.study.declare.experiment import EVIDENCE, Experiment
from gembench.study.measure.store import Row
from gembench.study.picking.stored import STUDY
from gembench.study.tell.claims import (
    VERDICTS,
    Verdict,
    judge_all,
    load_claims,
    summaries,
    table_of_machines,
)
from gembench.study.tell.code import Code
from gembench.study.tell.figures import declared_rows, machines_of
from gembench.study.tell.history import Series, load_history
from gembench.study.tell.missing import Gap
from gembench.study.tell.page.answers import lines
from gembench.study.tell.page.gallery import GalleryRow, gallery_row, load_figures
from gembench.study.tell.page.inline import page_svg
from gembench.study.tell.page.sections import Drawing, Section, drawings_of, section_of
from gembench.study.tell.stages import figure as stages_figure
from gembench.study.tell.stages import load_stages
from gembench.study.tell.text import number_text, seconds_text

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

FOLDER = Path(__file__).with_name("page")
Rows = Mapping[str, Sequence[Row]]


def render(
    experiments: Mapping[str, Experiment], results: Path, claims_file: Path, grid: str = "default",
    here: str | None = None, picks_pages: Sequence[str] = (),
) -> str:
    """The report as HTML.

    claims_file: the ledger's claims; `figures.toml` beside it names the paper's figures for the gallery
    here: the reader's machine, which comes first and is marked; the one that this runs on by default
    picks_pages: the files beside the report that show the picks of the study of picking

    Raises InputError for a broken store, claims or figures file.
    """
    here = machine_name() if here is None else here
    rows = {name: declared_rows(results, experiment, grid) for name, experiment in experiments.items()}
    every = [row for own in rows.values() for row in own]
    machines = sorted(machines_of(every), key=lambda machine: machine != here)
    judged = judge_all(load_claims(claims_file), rows, machines, experiments)
    codes = {name: Code.of(experiment) for name, experiment in experiments.items()}
    gallery, sections = _drawn(experiments, rows, machines, grid, codes, judged,
                               claims_file.with_name("figures.toml"))
    facts, summed = _machine_facts(every, machines), summaries(judged)
    first = machines[0] if machines else ""
    own = {name: [row for row in stored if row.machine == first] for name, stored in rows.items()}
    history = load_history(results / "asv")
    over_stages = _over_stages(history, claims_file.with_name("stages.toml"), here)
    anchors = {"machines", "not-measured", *experiments, *(["claims"] if judged else [])}
    return _environment().get_template("report.html.j2").render(
        grid=grid, machines=machines, here=here, facts=facts, table_1=table_of_machines(facts),
        lines=lines(first, here, facts.get(first, {}), own, summed[0] if summed else None), anchors=anchors,
        gallery=gallery, judged=judged, summaries=[summary.sentence for summary in summed],
        verdict_kinds=_present(VERDICTS, [verdicts[0].verdict for verdicts in judged]),
        evidence_kinds=_present((*EVIDENCE, "none"), [verdicts[0].evidence or "none" for verdicts in judged]),
        sections=sections, gaps_by_machine=_gaps_by_machine(sections), aged=_aged(rows, codes),
        history=history, over_stages=over_stages, value_text=value_text, command=shlex.join,
        picks_pages={STUDY: picks_pages},
    )


def _drawn(
    experiments: Mapping[str, Experiment], rows: Rows, machines: Sequence[str], grid: str,
    codes: Mapping[str, Code], judged: Sequence[Sequence[Verdict]], figures_file: Path,
) -> tuple[list[GalleryRow], list[Section]]:
    """The gallery and the studies' sections; each figure is drawn once and stands in one of them."""
    drawings = {name: drawings_of(experiment, rows[name], machines)
                for name, experiment in experiments.items()}
    made = {name: [each for each in some if isinstance(each, Drawing)] for name, some in drawings.items()}
    gallery = [
        gallery_row(paper, machines, made[paper.experiment], judged, rows[paper.experiment],
                    codes[paper.experiment])
        for paper in load_figures(figures_file) if paper.experiment in experiments and machines
    ]
    sections = []
    for name, experiment in experiments.items():
        above = [row for row in gallery if row.paper.experiment == name and row.drawings]
        shown = [drawing for row in above for drawing in row.drawings]
        places = [(row.paper.name, row.paper.anchor) for row in above]
        sections.append(section_of(experiment, rows[name], machines, grid, codes[name], drawings[name], shown,
                                   places))
    return gallery, sections


def _over_stages(history: Sequence[Series], stages_file: Path, here: str) -> list[Markup]:
    """The engine's speed over its stages on every machine that measured it, the reader's first, as SVG."""
    from markupsafe import Markup

    stages = load_stages(stages_file)
    machines = sorted({series.machine for series in history}, key=lambda machine: (machine != here, machine))
    figures = {machine: stages_figure(history, stages, machine) for machine in machines}
    return [Markup(page_svg(figure, f"history-{number}", f"the engine's speed over its stages on {machine}"))
            for number, (machine, figure) in enumerate(figures.items()) if figure is not None]


def _present(kinds: Sequence[str], some: Sequence[str]) -> list[str]:
    return [kind for kind in kinds if kind in some]


def _gaps_by_machine(sections: Sequence[Section]) -> list[tuple[str, list[Gap]]]:
    """What each machine has not measured, in the order of the studies, the reader's machine first."""
    missing: dict[str, list[Gap]] = {}
    for gap in (gap for section in sections for gap in section.gaps):
        missing.setdefault(gap.machine, []).append(gap)
    return list(missing.items())


def _aged(rows: Rows, codes: Mapping[str, Code]) -> Any:
    """What to say of a verdict whose rows are of other code than today's."""
    old = {(name, row.machine) for name, stored in rows.items() for row in stored
           if row.ok and not codes[name].is_current(row)}

    def aged(verdict: Verdict) -> str:
        judged = verdict.value is not None and (verdict.claim.experiment, verdict.machine) in old
        return "code changed since" if judged else ""

    return aged


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


def _environment() -> Environment:
    import jinja2
    from markupsafe import Markup, escape

    def commands(text: str) -> Markup:
        """What stands between backquotes as code."""
        return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), undefined=jinja2.StrictUndefined, autoescape=True,
        trim_blocks=True, lstrip_blocks=True,
    )
    environment.filters["commands"] = commands
    return environment
