"""The real set, where it is: whose marks, and halves that keep a field together."""

from __future__ import annotations

import os

import numpy as np
import pytest

from gembench.data.annotated import annotated_set
from gembench.data.sets import find_set
from gembench.evaluate import split_halves

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not os.environ.get("GEMBENCH_DATA") or find_set("klh") is None,
                       reason="GEMBENCH_DATA names no folder with klh"),
]


def test_the_marks_say_how_they_were_made_and_halves_keep_fields_together():
    data = annotated_set("klh")
    total = sum(int((marks.label == "side").sum()) for marks in data.truth)
    assert data.described().startswith(f"{total} side views on {len(data.micrographs)} micrographs, ")
    assert sum(len(source) for source in data.sources.values()) == sum(map(len, data.truth))
    first, second = split_halves([path.name for path in data.micrographs])
    assert abs(len(first) - len(second)) <= 1
    fields = [{name.rsplit(".", 3)[0] for name in half} for half in (first, second)]
    assert not fields[0] & fields[1]
    assert np.isfinite(np.concatenate([marks.xy for marks in data.truth])).all()
