"""Any annotated set is a study by its name: imported, picked, judged, drawn and shown by the command line."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from matplotlib import get_cachedir

from gembench.cli import main
from gembench.data.sets import cache_folder
from gembench.data.workload import egg_bank, planted_micrograph
from gembench.engine.picks import Picks
from gembench.io.coordinates import write_coordinates
from gembench.io.images.mrc import write_mrc, write_stack
from gembench.study.declare.cases import Case, select
from gembench.study.declare.experiment import load_experiment
from gembench.study.measure.store import load_rows
from gembench.study.tell.missing import gaps

FOLDER = Path(__file__).parents[3] / "experiments"
STUDIES = {name: load_experiment(FOLDER / f"{name}.py") for name in ("picking", "precision", "peers")}
SIZE, PIXEL_SIZE = 256, 5.0
CASES = ["picking[data=mine,protocol=gembench,angle_step=9]", "precision[data=mine,library=scipy]",
         "peers[task=picks,data=mine,picker=gembench]"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Four micrographs of eggs, all marked, with a template and its mask; how many eggs there are."""
    folder, bank, marks = tmp_path_factory.mktemp("files"), egg_bank(48, 24), []
    (folder / "micrographs").mkdir()
    for seed, name in enumerate("abcd"):
        image, places = planted_micrograph((SIZE, SIZE), bank, seed, visible=1.5)
        write_mrc(folder / "micrographs" / f"{name}.mrc", -image, PIXEL_SIZE)  # light on dark
        labels = ["egg" if number or seed else "unsure" for number in range(len(places))]
        marks.append(Picks(f"{name}.mrc", places[:, 1], places[:, 0], label=labels))
    write_coordinates(folder / "marks.csv", marks)
    write_stack(folder / "templates.mrcs", bank.templates, PIXEL_SIZE)
    write_stack(folder / "masks.mrcs", bank.masks, PIXEL_SIZE)
    return folder, sum(map(len, marks)) - 1


@pytest.fixture(scope="module")
def measured(files, tmp_path_factory):
    """The folder of results of the three studies on the set, imported and run by its name."""
    folder, _ = files
    results = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLCONFIGDIR", get_cachedir())
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("GEMBENCH_DATA", raising=False)
        patch.setenv("GEMBENCH_MACHINE", "here")
        assert main(["data", "import", str(folder / "micrographs"), "--name", "mine", "--annotations",
                     str(folder / "marks.csv"), "--templates", str(folder / "templates.mrcs"), "--masks",
                     str(folder / "masks.mrcs"), "--contrast", "bright", "--lowpass", "20"]) == 0
        assert main(["run", *CASES, "--experiments", str(FOLDER), "--results", str(results)]) == 0
        assert main(["report", "--experiments", str(FOLDER), "--results", str(results)]) == 0
        yield results


def row_of(results, study):
    rows = [row for row in load_rows(results, study, grid="default") if row.case["data"] == "mine"]
    return rows[0]


def test_rows_of_the_set_are_stored_and_judged_by_its_own_marks(measured, files):
    _, count = files
    picking = row_of(measured, "picking")
    assert {row.status for name in STUDIES for row in load_rows(measured, name)} == {"ok"}
    assert picking.case["micrographs"] == "all"
    assert picking["n_truth"] == count
    assert picking["f1"] > 0.9
    assert picking["annotations"].startswith(f"{count} particles on 4 micrographs, ")
    assert "egg views, each of one half of the micrographs" in picking["templates_from"]
    assert "processor_82_seconds" not in picking.metrics  # which is of KLH
    precision = row_of(measured, "precision")
    assert (precision["picks_changed"], precision["f1_float32"]) == (0, precision["f1_float64"])
    assert precision["f1_float32"] == pytest.approx(2 * count / (precision["picks"] - 1 + count))
    peers = row_of(measured, "peers")
    assert (peers["micrographs_judged"], peers["n_truth"]) == (4, count)
    assert peers["f1"] > 0.8


def test_the_report_shows_the_set(measured):
    text = (measured / "report.html").read_text()
    for title in ("ROC, 4", "Precision, 4", "Particles picked, 4"):
        assert f"{title} micrographs of mine" in text
    assert "Micrographs of mine" in text
    assert '<a href="report-picks-mine.html">' in text
    page = (measured / "report-picks-mine.html").read_text()
    data = json.loads(re.search(r'<script[^>]*application/json[^>]*>(.*?)</script>', page, re.S)[1])
    assert [entry["name"] for entry in data["micrographs"]] == [f"{name}.mrc" for name in "abcd"]


def test_what_is_missing_on_the_set_is_listed_with_its_name(measured):
    for name, study in STUDIES.items():
        rows = load_rows(measured, name, grid="default")
        missing = [gap for gap in gaps(study, rows, ["here"], "default")
                   if any("data=mine" in command for command in gap.commands)]
        assert missing
        assert not any("mine" in command for gap in gaps(study, [], ["here"], "default")
                       for command in gap.commands)


@pytest.mark.parametrize("name", STUDIES)
def test_a_set_by_name_is_in_no_grid(name, measured):
    study = STUDIES[name]
    assert study.further(["klh", "simulated", None, 3, "mine", "mine"]) == ["mine"]
    for grid in ("quick", "default", "paper"):
        assert {case.get("data") for case in study.grids[grid]} <= {"klh", "simulated", None}
        assert {case["data"] for case in study.cases_for(Case(data="mine"), grid)} == {"mine"}
        assert study.cases_for(Case(data="klh"), grid) == study.grids[grid]


@pytest.mark.parametrize("name", ["yours", '"sub/mine"', '""', "7", "true"])
def test_a_set_that_is_not_here_is_an_error(tmp_path, measured, capsys, name):
    selector = f"picking[data={name}]"
    assert main(["run", selector, "--experiments", str(FOLDER), "--results", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    written = {"7": '"7"', "true": '"true"', '"sub/mine"': "sub/mine"}.get(name, name)
    assert f"picking: no data set {written} is here; choose from klh, mine, simulated, or see" in error
    assert "`gembench data list`" in error


def test_a_set_may_be_called_a_number(monkeypatch):
    monkeypatch.setattr("gembench.data.sets.find_set", {"2024": "here"}.get)
    study = STUDIES["picking"]
    assert study.asked(Case(data=2024, angle_step=4)) == {"data": "2024", "angle_step": 4}
    cases = select("picking", study.cases_for(study.asked({"data": 2024}), "default"),
                   study.asked({"data": 2024}))
    assert {case["data"] for case in cases} == {"2024"}
    assert study.asked(Case(data="klh")) == {"data": "klh"}
    assert study.asked(Case(micrographs=3)) == {"micrographs": 3}
    plain = load_experiment(FOLDER / "fft_libraries.py")
    assert plain.asked(Case(data=3)) == {"data": 3}


def test_a_number_runs_the_set_of_this_name(measured, tmp_path, capsys):
    mine = cache_folder() / "mine"
    shutil.copytree(mine, mine.with_name("2024"))
    try:
        assert main(["run", "precision[data=2024,library=scipy]", "--experiments", str(FOLDER), "--results",
                     str(tmp_path)]) == 0
    finally:
        shutil.rmtree(mine.with_name("2024"))
    assert {row["data"] for row in load_rows(tmp_path, "precision")} == {"2024"}


@pytest.mark.parametrize("broken", ["templates.mrcs", "set.json"])
def test_a_report_leaves_out_the_page_of_a_set_that_is_unusable(measured, tmp_path, capsys, broken):
    file = cache_folder() / "mine" / broken
    whole = file.read_bytes()
    file.unlink()
    if broken == "set.json":
        file.write_text('{"pixel_size": "wide"}')
    try:
        assert main(["report", "--experiments", str(FOLDER), "--results", str(measured), "--output",
                     str(tmp_path / "report.html")]) == 0
    finally:
        file.write_bytes(whole)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    error = capsys.readouterr().err
    assert error.startswith("gembench: warning: mine: the report has no page of its picks: ")
    assert (error.count("\n"), broken in error) == (1, True)
