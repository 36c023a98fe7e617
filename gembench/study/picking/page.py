"""The study's picks as a page to look through, micrograph by micrograph."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from gembench.data import klh
from gembench.data.annotated import SIMULATED, annotated
from gembench.data.sets import find_set
from gembench.engine.picks import Picks
from gembench.study.measure.store import Row
from gembench.study.picking.stored import STUDY, restored_picks
from gembench.view.content import Judging, Shown, content
from gembench.view.page import render

PROTOCOL = "gembench"  # whose picks are shown


def page_of_picks(rows: Iterable[Row], here: str) -> str:
    """A page of the picks that were measured on the machine `here`, as HTML; '' without any.

    Of real micrographs where they are, else of simulated ones, which are made again if need be. They are
    judged as the study judges them.
    """
    usable = [row for row in rows if row.ok and row.machine == here and row["protocol"] == PROTOCOL
              and (row["data"] == SIMULATED or find_set(str(row["data"])))]
    for row in sorted(usable, key=lambda row: row["data"] == SIMULATED):
        picks = restored_picks(row.arrays)
        if picks:
            return _page(row, picks)
    return ""


def _page(row: Row, picks: list[Picks]) -> str:
    data = annotated(str(row["data"]), int(row["micrographs"]))
    judging = Judging(klh.RADIUS, labels=[klh.VIEWS[klh.SIDE]], views=[klh.SIDE])
    title = f"Picks of the study {STUDY}: {len(picks)} {row['data']} micrographs, protocol {PROTOCOL}"
    shown = Shown(title, klh.DISTANCE, round(float(np.mean(row.metrics["thresholds"])), 3))
    return render(content(data.micrographs, picks, data.truth, judging, shown))
