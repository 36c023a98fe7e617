"""The real micrographs and their annotations read as their own description says."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from gembench.io.coordinates import micrograph_key, read_coordinates
from gembench.io.images.micrographs import find_micrographs, read_micrograph, read_shape
from gembench.io.images.mrc import read_stack

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif("GEMBENCH_DATA" not in os.environ, reason="GEMBENCH_DATA is not set"),
]


def data(folder: str) -> Path:
    return Path(os.environ["GEMBENCH_DATA"]) / folder


def test_klh_annotations() -> None:
    picks = read_coordinates(data("klh") / "annotations.csv")
    labels = np.concatenate([part.label for part in picks])
    assert len(picks) == 41
    assert (np.count_nonzero(labels == "side"), np.count_nonzero(labels == "unsure")) == (548, 133)


@pytest.mark.parametrize(("folder", "shape", "count"), [("klh", (2048, 2048), 41),
                                                        ("apoferritin", (1200, 1240), 5)])
def test_micrographs_and_annotations_go_together(folder: str, shape: tuple[int, int], count: int) -> None:
    files = find_micrographs([data(folder) / "micrographs"])
    assert len(files) == count
    assert {read_shape(file) for file in files} == {shape}
    picks = read_coordinates(data(folder) / "annotations.csv")
    assert {micrograph_key(part.micrograph) for part in picks} == {micrograph_key(file) for file in files}
    for rows in picks:
        assert ((rows.xy >= 0) & (rows.xy < shape[::-1])).all()
    assert read_micrograph(files[0], pixel_size=2.2).shape == shape


def test_klh_templates_and_masks() -> None:
    templates, size = read_stack(data("klh") / "templates.mrcs")
    assert templates.shape == (2, 272, 272)
    assert size == pytest.approx(2.2, abs=1e-6)
    masks, _ = read_stack(data("klh") / "masks.mrcs")
    assert np.unique(masks).tolist() == [0, 1]
