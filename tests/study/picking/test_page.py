"""The page of the study's picks, and the report's link to it."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from gembench.cli import main
from gembench.data.annotated import Annotated
from gembench.engine.picks import Picks
from gembench.io.images.mrc import write_mrc
from gembench.study.measure.store import RunWriter
from gembench.study.picking import page
from gembench.study.picking.page import pages_of_picks
from gembench.study.picking.stored import restored_picks, stored_picks

PICKS = [Picks("a.mrc", [40.0, 100.0], [50.0, 60.0], score=[0.9, 0.4], view=[0, 0]), Picks("b.mrc", [], []),
         Picks("c.mrc", [30.5], [20.25], score=[0.7], view=[1])]


def columns(picks):
    return [(part.micrograph, part.xy.tolist(), part.score.tolist(), part.view.tolist()) for part in picks]


def test_picks_come_back_as_they_were_stored(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", **stored_picks(PICKS))
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert columns(restored_picks(dict(arrays))) == columns(PICKS)
    assert restored_picks({"recall": np.zeros(3)}) == []


@pytest.fixture
def measured(row, tmp_path, monkeypatch):
    """A folder of results with a row of the study, whose set is three small micrographs."""
    for name in "abc":
        write_mrc(tmp_path / f"{name}.mrc", np.random.default_rng(1).normal(size=(128, 160)), 2.2)
    marks = [Picks(f"{name}.mrc", [40.0], [50.0], label=["side"]) for name in "abc"]
    files = [tmp_path / f"{name}.mrc" for name in "abc"]
    data = Annotated("simulated", files, marks, tmp_path, tmp_path, 2.2)
    monkeypatch.setattr(page, "annotated", lambda name, count: data)
    monkeypatch.setenv("GEMBENCH_MACHINE", "planned")
    case = {"data": "simulated", "micrographs": 6, "angle_step": 4, "protocol": "gembench", "symmetry": False,
            "templates": "projections"}
    made = replace(row([1.0], metrics={"thresholds": [0.5, 0.7]}, **case), arrays_file="a.npz")
    results = tmp_path / "results"
    with RunWriter(results, {**made.run, "experiment": "picking"}) as writer:
        writer.arrays_folder.mkdir()
        np.savez(writer.arrays_folder / "a.npz", **stored_picks(PICKS))
        writer.write(made)
    return results


def test_the_report_links_to_a_page_of_this_machines_picks(measured, capsys):
    assert main(["report", "--results", str(measured)]) == 0
    assert capsys.readouterr().out.split() == [f"{measured}/report.html", f"{measured}/report-picks.html"]
    assert '<a href="report-picks.html">' in (measured / "report.html").read_text()
    text = (measured / "report-picks.html").read_text()
    data = json.loads(re.search(r'<script[^>]*application/json[^>]*>(.*?)</script>', text, re.S)[1])
    assert [entry["name"] for entry in data["micrographs"]] == ["a.mrc", "b.mrc", "c.mrc"]
    assert data["threshold"] == pytest.approx(0.6)


def test_where_no_picks_are_stored_there_is_no_page(measured, monkeypatch, capsys):
    monkeypatch.setenv("GEMBENCH_MACHINE", "another")
    assert main(["report", "--results", str(measured)]) == 0
    assert not (measured / "report-picks.html").exists()
    assert "report-picks" not in (measured / "report.html").read_text()
    assert pages_of_picks([], "planned") == {}
