"""The study's picks as arrays to store: without what shows them, on which they do not depend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.picks import Picks

STUDY = "picking"


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
