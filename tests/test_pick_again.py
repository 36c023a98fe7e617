"""`gembench pick` into a folder it has written before: what is kept, picked again and refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from gembench.cli import main
from gembench.io.coordinates import read_coordinates
from gembench.io.images.mrc import write_mrc, write_stack

BOX = 16
CENTRES = ((20, 30), (60, 40), (35, 75))  # y, x


def template():
    """A dark L."""
    image = np.zeros((BOX, BOX))
    image[3:13, 4:7] = image[10:13, 4:12] = -1
    return gaussian_filter(image, 0.7)


def micrograph(seed, size=96):
    image = np.random.default_rng(seed).normal(0, 0.2, (size, size))
    for y, x in CENTRES:
        image[y - 8 : y + 8, x - 8 : x + 8] += template()
    return image


@pytest.fixture
def folder(two_micrographs):
    """The current folder: mics/a.mrc, mics/b.mrc, templates.mrcs."""
    two_micrographs(micrograph, 2.0)
    write_stack("templates.mrcs", template()[None], 2.0)


def command(*options, micrographs="mics", out="out"):
    return ["pick", micrographs, "--templates", "templates.mrcs", "--pixel-size", "2", "--angle-step", "90",
            "--average", "1", "--threshold", "0.7", "--threads", "1", "--fft", "scipy", "-o", out, "--quiet",
            *map(str, options)]


def pick(*options, **inputs):
    return main(command(*options, **inputs))


def files(out="out"):
    """Every file below OUT with its content and the time it was written."""
    return {str(path.relative_to(out)): (path.read_bytes(), path.stat().st_mtime_ns)
            for path in Path(out).rglob("*") if path.is_file()}


def contents(out="out"):
    """The STAR files' bytes."""
    return {path.name: path.read_bytes() for path in Path(out).glob("*.star")}


def picks_in(out="out"):
    """Those with picks: their list, autopick.star, names the folder."""
    return {name: data for name, data in contents(out).items() if name != "autopick.star"}


def record(out="out"):
    return json.loads(Path(out, "run.json").read_text())


def test_the_same_command_again_writes_nothing(folder, capsys):
    assert pick() == 0
    before = files()
    assert pick() == 0
    assert files() == before
    arguments = [word for word in command() if word != "--quiet"]
    assert main(arguments) == 0
    assert "2 of 2 micrographs are finished and skipped" in capsys.readouterr().out
    assert files() == before


def test_a_record_of_a_name_that_no_file_can_have(folder):
    assert pick() == 0
    before, stored = contents(), record()
    stored["micrographs"]["m" * 300] = stored["micrographs"]["a"]
    Path("out/run.json").write_text(json.dumps(stored))
    assert pick() == 0
    assert contents() == before


def test_new_micrographs_join(folder):
    assert pick() == 0
    before = files()
    write_mrc("mics/c.mrc", micrograph(2), 2.0)
    assert pick() == 0
    after = files()
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {"autopick.star", "picks.star", "run.json"}
    assert [part.micrograph for part in read_coordinates("out/picks.star")] == ["a.mrc", "b.mrc", "c.mrc"]
    assert len(record()["runs"]) == 2
    assert list(record()["micrographs"]) == ["a", "b", "c"]


@pytest.mark.parametrize("age", [60, -3600])
def test_a_changed_micrograph_is_picked_again(folder, age):
    """Newer than its picks or older, as a copy that keeps the time is."""
    assert pick() == 0
    before = files()
    write_mrc("mics/b.mrc", np.roll(micrograph(1), 5, axis=1), 2.0)
    os.utime("mics/b.mrc", times=(time.time() + age,) * 2)
    assert pick() == 0
    after = files()
    assert after["a.star"] == before["a.star"]
    picks = {part.micrograph: sorted(np.rint(part.x).tolist()) for part in read_coordinates("out/picks.star")}
    assert picks == {"a.mrc": [30, 40, 75], "b.mrc": [35, 45, 80]}
    assert pick() == 0
    assert files() == after


def test_another_micrograph_of_the_same_name_takes_its_place(folder):
    assert pick() == 0
    Path("others").mkdir()
    write_mrc("others/a.mrc", np.roll(micrograph(0), 5, axis=1), 2.0)
    assert pick(micrographs="others") == 0
    picks = {part.micrograph: sorted(np.rint(part.x).tolist()) for part in read_coordinates("out/picks.star")}
    assert picks == {"a.mrc": [35, 45, 80], "b.mrc": [30, 40, 75]}


@pytest.mark.parametrize(("options", "said"), [
    (("--threshold", 0.8), "threshold 0.7 became 0.8"),
    (("--angle-step", 45), "angle_step 90.0 became 45.0"),
    (("--contrast", "bright"), "contrast dark became bright"),
    (("--distance", 5, "--max-picks", 2), "distance 9.0 became 5.0; max_picks None became 2"),
])
def test_other_settings_are_refused_and_named(folder, capsys, options, said):
    assert pick() == 0
    before = files()
    assert pick(*options) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"gembench: error: out: holds picks made with other settings ({said}): choose another folder, or"
        " --overwrite")
    assert files() == before


def test_other_templates_are_other_settings(folder, capsys):
    assert pick() == 0
    write_stack("templates.mrcs", template()[None, ::-1], 2.0)
    assert pick() == 2
    err = capsys.readouterr().err
    assert err.startswith("gembench: error: out: holds picks made with other settings (templates ")
    assert err.count("\n") == 1


def test_threads_and_fft_library_are_no_settings(folder):
    assert pick() == 0
    before = files()
    assert pick("--threads", 2, "--fft", "numpy") == 0
    assert files() == before


def test_overwrite_removes_what_was_picked_before(folder):
    """The picks, maps and plots of micrographs that are no longer given, too; nothing else."""
    assert pick("--save-maps", "--plots") == 0
    Path("out/notes.txt").write_text("mine")
    assert pick("--overwrite", "--max-picks", 1, micrographs="mics/b.mrc") == 0
    assert set(files()) == {"autopick.star", "b.star", "picks.star", "run.json", "notes.txt"}
    (picks,) = read_coordinates("out/picks.star")
    assert (picks.micrograph, len(picks)) == ("b.mrc", 1)
    assert list(record()["micrographs"]) == ["b"]


@pytest.mark.parametrize("options", [("--fft", "fftpack"), ("--threads", 0), ("--exclude", "nowhere"),
                                     ("--symmetry", "2,2"), ("--pixel-size", 3)])
def test_a_refused_command_overwrites_nothing(folder, options):
    assert pick() == 0
    before = files()
    assert pick("--overwrite", *options) == 2
    assert files() == before


def test_maps_and_plots_asked_for_later(folder):
    """Maps need a new search, pictures only the stored picks."""
    assert pick() == 0
    before = files()
    assert pick("--plots") == 0
    assert {name: part for name, part in files().items() if name.endswith("star")} == {
        name: part for name, part in before.items() if name.endswith("star")}
    assert set(files()) - set(before) == {"plots/a.png", "plots/b.png"}
    assert pick("--save-maps") == 0
    assert contents() == {name: part[0] for name, part in before.items() if name.endswith("star")}
    assert {name for name in files() if name.startswith("maps")} == {
        f"maps/{name}_{what}.mrc" for name in "ab" for what in ("score", "index")}


def test_stars_are_the_same_bytes_for_any_number_of_threads(folder):
    for out, threads in (("one", 1), ("again", 1), ("two", 2), ("three", 3)):
        assert pick("--threads", threads, "--angle-step", 20, out=out) == 0
    assert len(picks_in("one")) == 3
    assert picks_in("again") == picks_in("two") == picks_in("three") == picks_in("one")


def test_micrographs_named_in_another_order_give_the_same_picks(folder):
    assert pick() == 0
    assert main(["pick", "mics/b.mrc", *command(micrographs="mics/a.mrc", out="turned")[1:]]) == 0
    assert picks_in("turned") == picks_in()


def test_a_bad_micrograph_is_left_out_and_picked_when_repaired(folder, capsys):
    """The others are picked; a good one that goes bad takes its picks with it."""
    assert pick() == 0
    good = Path("mics/a.mrc").read_bytes()
    Path("mics/a.mrc").write_bytes(good[:5000])
    for _ in range(2):
        assert pick() == 1
        err = capsys.readouterr().err
        assert err.startswith("gembench: error: mics/a.mrc: is not a whole MRC file")
        assert err.count("\n") == 1
        assert [part.micrograph for part in read_coordinates("out/picks.star")] == ["b.mrc"]
        assert set(contents()) == {"autopick.star", "b.star", "picks.star"}
        assert record()["micrographs"]["a"]["error"] == err.removeprefix("gembench: error: ").strip()
    Path("mics/a.mrc").write_bytes(good)
    assert pick() == 0
    assert [part.micrograph for part in read_coordinates("out/picks.star")] == ["a.mrc", "b.mrc"]
    assert "error" not in record()["micrographs"]["a"]


def test_without_a_good_micrograph_there_is_no_picks_star(folder, capsys):
    write_mrc("mics/a.mrc", np.ones((96, 96)), 2.0)
    arguments = command(micrographs="mics/a.mrc")
    arguments.remove("--quiet")
    assert main(arguments) == 2
    assert set(files()) == {"run.json"}
    assert "picks.star" not in capsys.readouterr().out


INTERRUPTIBLE = """
import signal, sys
from gembench.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the parent ignores it
sys.exit(main(sys.argv[1:]))
"""


def test_an_interrupted_run_keeps_what_is_finished_and_goes_on(folder):
    for seed in range(4):
        write_mrc(f"mics/m{seed}.mrc", micrograph(seed, 200), 2.0)
    options = ("--method", "paper", "--angle-step", 3)
    process = subprocess.Popen([sys.executable, "-c", INTERRUPTIBLE, *command(*options)],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(Path().glob("out/m*.star")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == ("", "gembench: interrupted\n")
    assert process.returncode == 130
    finished = contents()
    assert 1 <= len(finished) < 6
    assert set(files()) == {*finished, "run.json"}
    bare = [name for name in finished if "seconds" not in record()["micrographs"][name.removesuffix(".star")]]
    assert len(bare) <= 1  # the micrograph whose picks were being written
    before = files()
    assert pick(*options) == 0
    assert {name: part for name, part in files().items() if name in finished} == {
        name: part for name, part in before.items() if name in finished}
    assert pick(*options, out="whole") == 0
    assert picks_in() == picks_in("whole")
    assert len(picks_in()) == 7
