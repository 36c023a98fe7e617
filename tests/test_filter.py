"""`gembench filter`: which of stored picks are kept, and that nothing is written for bad input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gembench.cli import main
from gembench.engine.picks import Picks
from gembench.io.coordinates import read_coordinates, write_coordinates
from gembench.io.images.mrc import write_mrc


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two micrographs of 100 x 200 px with picks, the scores out of order."""
    monkeypatch.chdir(tmp_path)
    Path("mics").mkdir()
    for name in ("a.mrc", "b.mrc"):
        write_mrc(f"mics/{name}", np.zeros((100, 200), np.float32), 2.0)
    a = Picks("a.mrc", [50, 55, 5, 150, 194.0], [50, 50, 50, 50, 50.0], score=[0.6, 0.7, 0.9, 0.4, 0.8],
              view=[0, 1, 0, 0, 0], template=[3, 4, 5, 6, 7], psi=[1, 2, 3, 4, 5.0], pixel_size=2.0)
    b = Picks("b.mrc", [100.0], [95.0], score=[0.5], view=[1], template=[2], psi=[7.0], pixel_size=2.0)
    write_coordinates("picks", [a, b], format="star")
    return {"a.mrc": a, "b.mrc": b}


def kept(*options, output="out"):
    assert main(["filter", "picks", "-o", output, "--quiet", *map(str, options)]) == 0
    return {picks.micrograph: picks.score.tolist() for picks in read_coordinates(output) if len(picks)}


@pytest.mark.parametrize(("options", "a", "b"), [
    ((), [0.9, 0.8, 0.7, 0.6, 0.4], [0.5]),
    (("--threshold", 0.6), [0.9, 0.8, 0.7, 0.6], None),  # at the threshold is kept
    (("--distance", 6), [0.9, 0.8, 0.7, 0.4], [0.5]),  # 0.6 is 5 px from a better one
    (("--distance", 5), [0.9, 0.8, 0.7, 0.6, 0.4], [0.5]),
    (("--views", "0"), [0.9, 0.8, 0.6, 0.4], None),
    (("--views", "0", "--distance", 6), [0.9, 0.8, 0.6, 0.4], None),  # views first
    (("--border", 5, "--micrographs", "mics"), [0.9, 0.8, 0.7, 0.6, 0.4], None),  # x = 5 and 199 - 194
    (("--border", 5.5, "--micrographs", "mics"), [0.7, 0.6, 0.4], None),
    (("--max-picks", 2), [0.9, 0.8], [0.5]),
])
def test_rules_keep_what_they_say(folder, options, a, b):
    assert kept(*options) == {name: scores for name, scores in (("a.mrc", a), ("b.mrc", b)) if scores}


def test_all_values_are_kept_and_picks_star_repeats_them(folder):
    assert main(["filter", "picks", "-o", "out", "--threshold", "0.85"]) == 0
    for path in ("out/a.star", "out/picks.star"):
        (picks,) = read_coordinates(path)
        assert picks.xy.tolist() == [[5, 50]]
        assert (picks.template.tolist(), picks.view.tolist(), picks.psi.tolist()) == ([5], [0], [3])
        assert picks.pixel_size == 2
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.star", "b.star", "picks.star"]


def test_a_file_is_written_in_its_format(folder):
    assert kept("--max-picks", 1, output="chosen.csv") == {"a.mrc": [0.9], "b.mrc": [0.5]}


@pytest.mark.parametrize(("options", "text"), [
    (("--border", "5"), "give --micrographs"),
    (("--distance", "-1"), "at least 0"),
    (("--max-picks", "0"), "at least 1"),
    (("--views", "one"), "whole numbers"),
])
def test_bad_rules_are_one_line_and_write_nothing(folder, capsys, options, text):
    assert main(["filter", "picks", "-o", "out", *options]) == 2
    error = capsys.readouterr().err
    assert text in error
    assert error.count("\n") == 1
    assert not Path("out").exists()


def test_what_is_read_is_not_written_over(folder, capsys):
    assert main(["filter", "picks", "-o", "picks"]) == 2
    Path("full").mkdir()
    Path("full/x").touch()
    assert main(["filter", "picks", "-o", "full"]) == 2
    assert [path.name for path in Path("full").iterdir()] == ["x"]


def test_picks_without_scores_or_views_are_refused_where_a_rule_needs_them(folder, capsys):
    Path("bare.csv").write_text("micrograph,x,y\na.mrc,10,10\na.mrc,90,50\n")
    for options in (("--threshold", "0.1"), ("--distance", "3"), ("--max-picks", "1"), ("--views", "0")):
        assert main(["filter", "bare.csv", "-o", "out.csv", *options]) == 2
    assert main(["filter", "bare.csv", "-o", "out.csv", "--border", "11", "--micrographs", "mics"]) == 0
    assert read_coordinates("out.csv")[0].xy.tolist() == [[90, 50]]


def test_score_names_the_best_threshold_and_filter_reaches_its_f1(folder, capsys):
    """Two fields: in each, true picks score above the false one, at different scores."""
    picks = [Picks("a.mrc", [10, 50, 90], [10, 50, 90], score=[0.9, 0.8, 0.3]),
             Picks("b.mrc", [10, 50, 90], [10, 50, 90], score=[0.7, 0.6, 0.5])]
    write_coordinates("p.star", picks)
    Path("t.csv").write_text("micrograph,x,y\na.mrc,10,10\na.mrc,50,50\nb.mrc,10,10\nb.mrc,50,50\n")
    assert main(["score", "--picks", "p.star", "--truth", "t.csv", "--radius", "5", "--json", "s.json"]) == 0
    out = capsys.readouterr().out
    said = "Highest F1 on these micrographs, 100.0%, at score >= 0.6: gembench filter PICKS"
    assert said in " ".join(out.split())
    result = json.loads(Path("s.json").read_text())
    assert (result["best_threshold"], result["best_f1"]) == (0.6, 1)
    halves = result["halves"]
    assert halves["thresholds"] == [0.6, 0.8]  # a is judged at b's best, b at a's, which finds none of b
    assert (halves["recall"], halves["precision"]) == (0.5, 1)
    assert "By halves" in out
    assert main(["filter", "p.star", "--threshold", "0.6", "-o", "q.star", "--quiet"]) == 0
    assert main(["score", "--picks", "q.star", "--truth", "t.csv", "--radius", "5", "--json", "s.json"]) == 0
    assert json.loads(Path("s.json").read_text())["f1"] == 1


def test_without_scores_there_are_no_halves(folder):
    Path("bare.csv").write_text("micrograph,x,y\na.mrc,10,10\nb.mrc,90,50\n")
    arguments = ["--truth", "bare.csv", "--radius", "5", "--json", "s.json", "--quiet"]
    assert main(["score", "--picks", "bare.csv", *arguments]) == 0
    result = json.loads(Path("s.json").read_text())
    assert (result["best_threshold"], result["halves"]) == (None, None)
