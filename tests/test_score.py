"""`gembench score` from files to tables, JSON and plots."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from subprocess import run

import numpy as np
import pytest
from PIL import Image

from gembench.cli import main
from gembench.engine.picks import Picks
from gembench.io.coordinates import write_coordinates

TRUTH = """\
micrograph,x,y,label
a.mrc,100,100,side
a.mrc,200,100,side
a.mrc,300,100,top
b.mrc,100,50,side
b.mrc,400,50,unsure
c.mrc,60,60,side
"""
PICKS = """\
micrograph,x,y,score,view
a.mrc,103,104,0.9,0
a.mrc,300,100,0.8,1
b.mrc,100,50,0.7,0
b.mrc,400,52,0.6,0
b.mrc,300,300,0.5,0
c.mrc,300,300,0.4,0
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("truth.csv").write_text(TRUTH)
    Path("picks.csv").write_text(PICKS)
    return tmp_path


def score(*options, picks="picks.csv", truth="truth.csv", radius="10"):
    return main(["score", "--picks", picks, "--truth", truth, "--radius", radius, *options])


def scored(*options, **paths):
    assert score("--json", "score.json", "--quiet", *options, **paths) == 0
    return json.loads(Path("score.json").read_text())


def counts(result):
    return tuple(result[name] for name in ("true_positives", "false_positives", "ignored", "missed"))


def test_json_holds_the_hand_computed_statistics(folder, capsys):
    result = scored()
    assert counts(result) == (3, 2, 1, 2)
    assert (result["n_picks"], result["n_truth"]) == (6, 5)
    assert (result["precision"], result["recall"], result["fdr"]) == (0.6, 0.6, 0.4)
    assert result["f1"] == pytest.approx(0.6)
    assert result["mean_distance_px"] == pytest.approx(5 / 3)
    assert result["median_distance_px"] == 0
    assert result["average_precision"] == pytest.approx(3 / 5)  # true, true, true, false, false
    assert result["auc"] == 1
    for name in ("precision", "recall", "fdr", "f1", "average_precision"):
        low, high = result[f"{name}_interval"]
        assert low <= result[name] <= high
    assert (result["picks"], result["truth"]) == ("picks.csv", "truth.csv")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("options", "expected"), [
    (["--labels", "side"], (2, 3, 1, 2)),
    (["--labels", "side", "--ignore-labels", "unsure,top"], (2, 2, 2, 2)),
    (["--labels", "side", "--ignore-labels", ""], (2, 4, 0, 2)),
    (["--labels", "side", "--views", "0"], (2, 2, 1, 2)),
    (["--threshold", "0.7"], (3, 0, 0, 2)),
    (["--method", "greedy"], (3, 2, 1, 2)),
])
def test_options_choose_what_counts(folder, options, expected):
    assert counts(scored(*options)) == expected


def test_a_smaller_radius_finds_less(folder):
    assert counts(scored(radius="4")) == (2, 3, 1, 3)


def test_a_star_file_scores_like_the_table(folder):
    from gembench.io.coordinates import read_coordinates

    write_coordinates("picks.star", read_coordinates("picks.csv"))
    assert counts(scored(picks="picks.star")) == (3, 2, 1, 2)


def test_the_tables_name_the_statistics_and_the_worst_micrograph(folder, capsys):
    assert score() == 0
    out = capsys.readouterr().out
    for text in ("Precision", "60.0%", "95 % interval", "6 picks: 3 true, 2 false, 1 ignored",
                 "5 annotated particles on 3 micrographs: 3 found, 2 missed",
                 "Matched within 10 px (optimal)", "score >= 0.7"):
        assert text in out
    assert out.index("c.mrc") < out.index("a.mrc", out.index("Most errors"))


def test_names_in_brackets_are_shown_as_they_are(folder, capsys):
    Path("truth.csv").write_text(TRUTH.replace("c.mrc", "c[bold].mrc"))
    assert score() == 0
    assert "c[bold].mrc" in capsys.readouterr().out


def test_plots_are_drawn_and_repeatable(folder):
    assert score("--quiet", "--plots", "plots", "--threshold", "0.55") == 0
    names = {f"{name}.{suffix}" for name in ("pr", "roc", "scores", "distance") for suffix in ("png", "svg")}
    first = {path.name: path.read_bytes() for path in Path("plots").iterdir()}
    assert set(first) == names
    for name in ("pr", "roc", "scores", "distance"):
        with Image.open(f"plots/{name}.png") as image:
            assert np.asarray(image.convert("L")).std() > 5  # something is on it
    assert score("--quiet", "--plots", "again", "--threshold", "0.55") == 0
    assert first == {path.name: path.read_bytes() for path in Path("again").iterdir()}


def test_picks_without_scores_have_counts_and_say_what_is_not_drawn(folder, capsys):
    Path("picks.csv").write_text("micrograph,x,y\na.mrc,100,100\na.mrc,900,900\n")
    result = scored("--plots", "plots")
    assert counts(result) == (1, 1, 0, 4)
    assert result["average_precision"] is None
    assert {path.name for path in Path("plots").iterdir()} == {"distance.png", "distance.svg"}
    assert "warning: roc is not drawn: the picks have no score" in capsys.readouterr().err


def test_boxes_that_count_y_from_the_bottom(folder):
    Path("micrographs").mkdir()
    for name, height in (("a", 500), ("b", 400)):
        Image.fromarray(np.zeros((height, 600), np.uint8)).save(f"micrographs/{name}.png")
    a, b = Picks("a.mrc", [100, 200], [100, 100]), Picks("b.mrc", [100], [50])
    upside_down = [Picks("a", a.x, 499 - a.y), Picks("b", b.x, 399 - b.y)]
    write_coordinates("boxes", upside_down, format="box", box_size=40)
    flipped = scored("--flip-y", "picks", "--micrographs", "micrographs", picks="boxes")
    assert counts(flipped) == (3, 0, 0, 2)
    assert flipped["mean_distance_px"] == 0
    assert counts(scored(picks="boxes")) == (0, 3, 0, 5)


def test_picks_on_micrographs_without_truth_are_left_out_aloud(folder, capsys):
    Path("picks.csv").write_text(PICKS + "".join(f"z{k}.mrc,1,1,0.1,0\n" for k in range(4)))
    result = scored()
    assert counts(result) == (3, 2, 1, 2)
    assert result["unannotated_micrographs"] == ["z0.mrc", "z1.mrc", "z2.mrc", "z3.mrc"]
    assert "warning: 4 micrographs have picks but no annotations" in capsys.readouterr().err


@pytest.mark.parametrize(("options", "paths", "message"), [
    ([], {"radius": "-1"}, "radius -1 px"),
    ([], {"picks": "nothing.csv"}, "nothing.csv"),
    ([], {"truth": "other.csv"}, "share no micrograph"),
    (["--labels", "sied"], {}, "no particle with label sied (it has: side, top, unsure)"),
    (["--flip-y", "both"], {}, "--flip-y both"),
    (["--json", "missing/score.json"], {}, "missing/score.json"),
])
def test_bad_input_is_one_line_and_exit_code_2(folder, capsys, options, paths, message):
    Path("other.csv").write_text("micrograph,x,y\nz.mrc,1,1\n")
    before = sorted(folder.iterdir())
    assert score("--quiet", *options, **paths) == 2
    err = capsys.readouterr().err
    assert err.startswith("gembench: error: ")
    assert err.count("\n") == 1
    assert message in err
    assert sorted(folder.iterdir()) == before


def test_help_needs_nothing_heavy():
    loaded = (
        "import argparse, sys; from gembench.commands import score\n"
        "score.add_parser(argparse.ArgumentParser().add_subparsers())\n"
        "print([m for m in ('numpy', 'scipy', 'matplotlib', 'sklearn', 'rich') if m in sys.modules])"
    )
    done = run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("option", "value", "said"), [
    ("--views", "side", "'side' is not a whole number"),
    ("--threshold", "nan", "'nan' is not a finite number"),
])
def test_options_must_be_numbers(folder, capsys, option, value, said):
    with pytest.raises(SystemExit, match="2"):
        score(option, value)
    assert said in capsys.readouterr().err
