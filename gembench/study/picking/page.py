"""The study's picks as a page to look through, micrograph by micrograph."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import numpy as np

from gembench.data.annotated import SIMULATED, annotated
from gembench.data.sets import find_set
from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.study.measure.store import Row
from gembench.study.picking.stored import STUDY, restored_picks
from gembench.view.content import Judging, Shown, content
from gembench.view.page import render

PROTOCOL = "gembench"  # whose picks are shown
log = logging.getLogger("gembench")


def pages_of_picks(rows: Iterable[Row], here: str) -> dict[str, str]:
    """Pages of the picks that were measured on the machine `here`, as HTML by data set.

    Simulated micrographs, which are made again if need be, have one only where no real ones have. Picks are
    judged as the study judges them. A set that is here but unusable is left out with a warning.
    """
    pages: dict[str, str] = {}
    unusable: set[str] = set()
    measured = [row for row in rows if row.ok and row.machine == here and row["protocol"] == PROTOCOL]
    for row in sorted(measured, key=lambda row: row["data"] == SIMULATED):
        name = str(row["data"])
        if name in pages or name in unusable or (name == SIMULATED and pages):
            continue
        try:
            if (name == SIMULATED or find_set(name)) and (picks := restored_picks(row.arrays)):
                pages[name] = _page(row, picks)
        except InputError as error:
            unusable.add(name)
            log.warning("%s: the report has no page of its picks: %s", name, error)
    return pages


def _page(row: Row, picks: list[Picks]) -> str:
    data = annotated(str(row["data"]), row["micrographs"])
    target = data.target
    judging = Judging(target.radius, labels=target.labels, views=target.shown)
    title = f"Picks of the study {STUDY}: {len(picks)} {row['data']} micrographs, protocol {PROTOCOL}"
    shown = Shown(title, target.distance, round(float(np.mean(row.metrics["thresholds"])), 3))
    return render(content(data.micrographs, picks, data.truth, judging, shown))
