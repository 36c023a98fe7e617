"""Picks down to a floor: kept apart, and what `gembench filter` goes back to."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from gembench.cli import main
from gembench.data.workload import egg_bank, planted_micrograph
from gembench.io.coordinates import read_coordinates
from gembench.io.images.mrc import write_stack

BANK = egg_bank(32, 12)
COMMAND = ("pick", "mics", "--templates", "t.mrcs", "--masks", "m.mrcs", "--pixel-size", "2",
           "--angle-step", "30", "--average", "1", "--distance", "20", "--threads", "1", "--fft", "scipy",
           "--quiet")


@pytest.fixture
def folder(two_micrographs):
    """Eggs in noise, dark on light: some score above 0.5, noise above 0.15."""
    two_micrographs(lambda seed: planted_micrograph((256, 256), BANK, seed, visible=0.8)[0], 2.0)
    write_stack("t.mrcs", BANK.templates, 2.0, "dark")
    write_stack("m.mrcs", BANK.masks, 2.0)


def picked(*options, output):
    assert main([*COMMAND, *options, "-o", output]) == 0


def columns(path):
    return {part.micrograph: np.column_stack([part.xy, part.score, part.psi]).tolist()
            for part in read_coordinates(path)}


@pytest.mark.parametrize("options", [(), ("--method", "banded", "--lowpass", "12"), ("--beside", "0.7")])
def test_filter_goes_below_the_threshold_to_what_pick_would_find(folder, options):
    picked(*options, "--threshold", "0.5", output="plain")
    picked(*options, "--threshold", "0.5", "--floor", "0.1", output="floor")
    picked(*options, "--threshold", "0.15", output="low")
    assert columns("floor") == columns("plain")
    assert len(read_coordinates("low")[0]) > len(read_coordinates("plain")[0]) > 0
    for threshold, expected in (("0.15", "low"), ("0.5", "plain")):
        assert main(["filter", "floor", "--threshold", threshold, "-o", f"at{threshold}", "--quiet"]) == 0
        assert columns(f"at{threshold}") == columns(expected)


def test_the_best_so_many_are_of_the_picks_alone(folder):
    picked("--threshold", "0.5", "--floor", "0.1", "--max-picks", "2", output="floor")
    picked("--threshold", "0.5", "--max-picks", "2", output="plain")
    assert columns("floor") == columns("plain")
    assert main(["filter", "floor", "--threshold", "0.1", "-o", "at", "--quiet"]) == 0
    assert len(read_coordinates("at")[0]) > 2


def test_what_is_not_stored_is_said(folder, capsys):
    picked("--threshold", "0.5", output="plain")
    picked("--threshold", "0.5", "--floor", "0.3", output="floor")
    for source, least in (("plain", "0.5"), ("floor", "0.3")):
        capsys.readouterr()
        assert main(["filter", source, "--threshold", "0.25", "-o", f"{source}-at", "--quiet"]) == 0
        error = capsys.readouterr().err
        assert f"{source}: holds picks from {least} on: pick with --floor 0.25" in error
        assert error.count("\n") == 1
    assert main(["filter", "floor", "--threshold", "0.3", "-o", "at", "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_a_folder_is_bound_to_its_floor_and_loses_it_when_overwritten(folder, capsys):
    picked("--threshold", "0.5", "--floor", "0.3", output="out")
    assert json.loads(Path("out/run.json").read_text())["settings"]["floor"] == 0.3
    assert {path.name for path in Path("out/.lower").iterdir()} == {"a.star", "b.star"}
    assert main([*COMMAND, "--threshold", "0.5", "-o", "out"]) == 2
    assert "floor" in capsys.readouterr().err
    picked("--threshold", "0.5", "--overwrite", output="out")
    assert not list(Path("out/.lower").iterdir())
    assert main(["filter", "out", "--threshold", "0.4", "-o", "at", "--quiet"]) == 0
    assert columns("at") == columns("out")
    assert "floor" not in json.loads(Path("out/run.json").read_text())["settings"]


@pytest.mark.parametrize(("options", "message"), [
    (("--floor", "0.3"), "a score below the threshold, 0.3"),
    (("--floor", "-2"), "a score below the threshold, 0.3"),
    (("--floor", "0.2", "--peaks", "gempicker"), "a worse pick can take a better one"),
])
def test_a_floor_that_means_nothing_is_refused(folder, capsys, options, message):
    assert main([*COMMAND, *options, "-o", "out"]) == 2
    assert message in capsys.readouterr().err
    assert not Path("out").exists()


def test_folders_of_micrographs_are_filtered_below_the_threshold_too(folder):
    for name in ("one", "two"):
        Path(f"mics/{name}").mkdir()
        shutil.copy("mics/a.mrc", f"mics/{name}/a.mrc")
    files = [f"mics/{name}.mrc" for name in ("b", "one/a", "two/a")]
    for output, options in (("floor", ("0.5", "--floor", "0.1")), ("low", ("0.15",))):
        assert main(["pick", *files, *COMMAND[2:], "--threshold", *options, "-o", output]) == 0
    assert main(["filter", "floor", "--threshold", "0.15", "-o", "at.star", "--quiet"]) == 0
    assert columns("at.star") == columns("low")
    assert len(columns("low")) == 3
    Path("floor/autopick.star").unlink()  # as while a run goes on
    Path("floor/picks.star").unlink()
    Path("floor/b.star").unlink()
    assert sorted(columns("floor")) == ["one/a.mrc", "two/a.mrc"]


def test_what_fails_later_keeps_what_is_finished(folder, capsys):
    """A picture is asked for when the micrograph can no longer be read; nothing else of it changed."""
    options = ("--threshold", "0.5", "--floor", "0.1", "--save-maps")
    picked(*options, output="floor")
    kept = [Path("floor/.lower/a.star"), Path("floor/maps/a_score.mrc"), Path("floor/a.star")]
    held = [path.read_bytes() for path in kept]
    micrograph = Path("mics/a.mrc")
    status = micrograph.stat()
    content = micrograph.read_bytes()
    micrograph.write_bytes(content[:1024] + b"\xff" * (len(content) - 1024))  # NaN
    os.utime(micrograph, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert main([*COMMAND, *options, "--plots", "-o", "floor"]) == 1
    assert "mics/a.mrc: 65536 of 65536 pixels are NaN" in capsys.readouterr().err
    assert [path.read_bytes() for path in kept] == held


def test_what_is_missing_below_the_threshold_is_picked_again(folder, capsys):
    options = ("--threshold", "0.5", "--floor", "0.1")
    picked(*options, output="floor")
    before = columns("floor/.lower/a.star")
    Path("floor/.lower/a.star").unlink()
    assert main(["filter", "floor", "--threshold", "0.2", "-o", "at.star"]) == 2
    assert "give the command of `gembench pick` again" in capsys.readouterr().err
    picked(*options, output="floor")
    assert columns("floor/.lower/a.star") == before


@pytest.mark.parametrize("record", [
    '{"x": 1}', '{"settings": {"peaks": 5}, "runs": [], "micrographs": {}}', "[",
])
def test_a_record_of_another_program_is_none(folder, record):
    picked("--threshold", "0.5", output="plain")
    Path("plain/run.json").write_text(record)
    assert main(["filter", "plain", "--threshold", "0.4", "-o", "at.star", "--quiet"]) == 0
    assert columns("at.star") == columns("plain")


def test_what_is_dropped_beside_is_counted_above_the_threshold(folder):
    counts = []
    for output, options in (("plain", ()), ("floor", ("--floor", "0.05"))):
        picked("--threshold", "0.2", "--beside", "0.3", *options, output=output)
        facts = json.loads(Path(f"{output}/run.json").read_text())["micrographs"]
        counts.append([facts[key]["beside"] for key in sorted(facts)])
    assert counts[0] == counts[1]
    assert sum(counts[0]) > 0
