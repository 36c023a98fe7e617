"""Annotated sets: whose marks they are, where the positions are from, and which of them a study uses."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gembench.data.annotated import annotated, annotated_set, not_asked_for
from gembench.io.images.mrc import write_mrc, write_stack

ROWS = ["m1.mrc,10,20,side,candidate", "m1.mrc,30,20,side,by eye", "m2.mrc,50,60,side,candidate",
        "m1.mrc,70,20,unsure,by eye"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A set called klh of three micrographs, two of them annotated."""
    folder = tmp_path / "klh"
    (folder / "micrographs").mkdir(parents=True)
    for name in ("m1", "m2", "m3"):
        write_mrc(folder / "micrographs" / f"{name}.mrc", np.ones((8, 8), np.float32), 2.2)
    for name in ("templates", "masks"):
        write_stack(folder / f"{name}.mrcs", np.ones((2, 8, 8), np.float32), 2.2)
    (folder / "annotations.csv").write_text("\n".join(["micrograph,x,y,label,source", *ROWS]))
    monkeypatch.setenv("GEMBENCH_DATA", str(tmp_path))
    return folder


def test_a_set_says_whose_marks_judge_and_how_they_were_placed(folder):
    data = annotated_set("klh")
    assert [path.name for path in data.micrographs] == ["m1.mrc", "m2.mrc"]
    said = data.described()
    assert said.startswith("3 side views on 2 micrographs, made by eye for gembench with candidate positions")
    assert "one reader a micrograph" in said
    assert said.endswith("2 of the positions are correlation peaks")
    assert [data.placed(marks).tolist() for marks in data.truth] == [[False, True, True], [False]]


def test_the_first_micrographs_have_their_marks_only(folder):
    data = annotated("klh", 1)
    assert [marks.micrograph for marks in data.truth] == ["m1.mrc"]
    assert data.described().startswith("2 side views on 1 micrographs")
    assert data.described().endswith("1 of the positions are correlation peaks")


def test_other_annotations_are_whose_their_record_says(folder):
    (folder / "set.json").write_text(json.dumps({"pixel_size": 2.2, "annotations": "by F. Mouche"}))
    rows = [row.rpartition(",")[0] for row in ROWS]
    (folder / "annotations.csv").write_text("\n".join(["micrograph,x,y,label", *rows]))
    data = annotated_set("klh")
    assert data.described() == "3 side views on 2 micrographs, by F. Mouche"
    assert not any(data.placed(marks).any() for marks in data.truth)  # nobody says how
    (folder / "set.json").unlink()
    assert "by whom is not said" in annotated_set("klh").described()


def test_simulated_micrographs_are_used_where_there_are_no_real_ones(folder, monkeypatch, tmp_path):
    assert not_asked_for("klh", "klh") == ""
    assert not_asked_for("simulated", "klh") == "the real KLH micrographs are here instead"
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("GEMBENCH_DATA", str(tmp_path / "empty"))
    monkeypatch.setattr("gembench.data.sets.cache_folder", lambda: tmp_path / "empty")
    assert "gembench data fetch klh" in not_asked_for("klh", "klh")
    assert not_asked_for("simulated", "klh") == ""
