"""The study's picks as a page to look through, micrograph by micrograph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.data import klh
from gembench.data.annotated import SIMULATED, annotated
from gembench.data.sets import find_set
from gembench.engine.picks import Picks
from gembench.study.measure.store import Row
from gembench.view.content import Judging, Shown, content
from gembench.view.page import render

STUDY = "picking"
PROTOCOL = "gembench"  # whose picks are shown


def stored_picks(picks: Sequence[Picks]) -> dict[str, NDArray[Any]]:
    """Picks of several micrographs as arrays to store: names and counts of these, then all picks in a row."""
    columns = {name: np.concatenate([getattr(part, name) for part in picks])
               for name in ("x", "y", "score", "view")}
    return {"picked_names": np.array([part.micrograph for part in picks], np.str_),
            "picked_counts": np.array([len(part) for part in picks]),
            **{f"picked_{name}": column for name, column in columns.items()}}


def restored_picks(arrays: dict[str, Any]) -> list[Picks]:
    """The picks that `stored_picks` made arrays of; none where there are no such arrays."""
    if "picked_names" not in arrays:
        return []
    stops = np.cumsum(arrays["picked_counts"])
    own = [slice(stop - count, stop) for stop, count in zip(stops, arrays["picked_counts"], strict=True)]
    return [Picks(str(name), arrays["picked_x"][part], arrays["picked_y"][part], arrays["picked_score"][part],
                  view=arrays["picked_view"][part])
            for name, part in zip(arrays["picked_names"], own, strict=True)]


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
