"""`gembench pick` under mpiexec: the bytes of one process, one voice, and an end when a rank ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from gembench.cli import main
from gembench.io.images.mrc import write_mrc, write_stack

PROGRAM = Path(__file__).with_name("picks.py")
BOX, NAMES, BROKEN = 16, "abcde", "d"
TIMES = {"seconds", "search_seconds", "stage_seconds", "producer_wait", "consumer_wait", "transforms"}


def template():
    """A dark L."""
    image = np.zeros((BOX, BOX))
    image[3:13, 4:7] = image[10:13, 4:12] = -1
    return gaussian_filter(image, 0.7)


def micrograph(seed, shape=(97, 120)):
    """One particle more in each, one of them where nothing may be picked."""
    image = np.random.default_rng(seed).normal(0, 0.2, shape)
    for y, x in ((20, 30), (60, 40), (35, 75), (70, 100), (75, 20))[: seed + 1]:
        image[y - 8 : y + 8, x - 8 : x + 8] += template()
    return image


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """mics/ of four micrographs and a broken one, exclude/, and equal templates: all picks tie."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "mics").mkdir()
    (folder / "exclude").mkdir()
    for seed, name in enumerate(NAMES):
        write_mrc(folder / "mics" / f"{name}.mrc", micrograph(seed), 2.0)
    broken = folder / "mics" / f"{BROKEN}.mrc"
    broken.write_bytes(broken.read_bytes()[:2000])
    area = np.zeros((97, 120), np.uint8)
    area[10:30, 20:40] = 255
    Image.fromarray(area).save(folder / "exclude" / "b.png")
    write_stack(folder / "templates.mrcs", np.stack([template(), template()]), 2.0)
    return folder


def command(data, out, *options, step=90, micrographs="mics"):
    return ["pick", str(data / micrographs), "--templates", str(data / "templates.mrcs"), "--pixel-size", "2",
            "--angle-step", str(step), "--average", "1", "--threshold", "0.7", "--fft", "scipy", "--threads",
            "1", "--exclude", str(data / "exclude"), "-o", str(out), *options]


@pytest.fixture(scope="module")
def alone(data, tmp_path_factory):
    """The folder that one process writes, with maps and pictures."""
    out = tmp_path_factory.mktemp("alone") / "out"
    assert main(command(data, out, "--save-maps", "--plots", "--quiet")) == 1
    return out


def contents(folder):
    """Every file's bytes but the list's, which names the folder; of run.json what no clock and rank says."""
    stored = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*")
              if path.is_file()}
    stored.pop("autopick.star")
    record = json.loads(stored.pop("run.json"))
    facts = {key: {name: value for name, value in facts.items() if name not in TIMES}
             for key, facts in record["micrographs"].items()}
    return stored | {"run.json": (record["settings"], facts)}


def runs(folder):
    return json.loads((folder / "run.json").read_text())["runs"]


@pytest.mark.parametrize("ranks", [3, *(pytest.param(n, marks=pytest.mark.exhaustive) for n in (1, 4))])
def test_any_number_of_ranks_writes_the_bytes_of_one_process(mpiexec, data, alone, tmp_path, ranks):
    """By micrographs, by templates, and again for what cannot be read; more ranks than micrographs too."""
    cases = {
        "micrographs": ["--save-maps", "--distribute", "micrographs", *["--plots"][: ranks == 3]],
        "templates": ["--save-maps", "--distribute", "templates"],
        "tree": ["--save-maps", "--distribute", "templates", "--reduce", "tree"],
    }
    commands = [command(data, tmp_path / name, *options) for name, options in cases.items()]
    done = mpiexec(ranks, PROGRAM, *map(json.dumps, [*commands, commands[0]]))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [[1] * ranks] * 4
    expected = contents(alone)
    assert {"a.star", "picks.star", "plots/a.png", "maps/e_score.mrc", "run.json"} < set(expected)
    for name, options in cases.items():
        ours = contents(tmp_path / name)
        files = {file for file in expected if "--plots" in options or not file.startswith("plots/")}
        assert set(ours) == files
        assert [file for file in files if ours[file] != expected[file]] == []
    assert [run["ranks"] for run in runs(tmp_path / "micrographs")] == [ranks] * 2
    assert runs(tmp_path / "tree")[0]["reduction"] == "tree"
    unreadable = [line for line in done.stderr.splitlines() if "d.mrc: is not a whole MRC file" in line]
    assert len(unreadable) == 4  # once by each command
    assert done.stderr.count("Picking: 5 of 5 micrographs") == 3
    assert done.stdout.count("picks on 4 micrographs") == 4


def test_ranks_are_seen_and_the_distribution_chosen(mpiexec, data, alone, tmp_path):
    """Two threads on each of two ranks for one micrograph: by templates. Warnings and errors come once."""
    single = command(data, tmp_path / "one", "--threads", "2", micrographs="mics/e.mrc")
    single[single.index("--exclude") : single.index("--exclude") + 2] = []
    done = mpiexec(2, "-m", "gembench", *single)
    assert done.returncode == 0, done.stderr
    assert [run["distribution"] for run in runs(tmp_path / "one")] == ["templates"]
    assert "2 threads on each of 2 ranks, which get a share of the templates, reduction shared" in done.stdout
    done = mpiexec(2, "-m", "gembench", *command(data, tmp_path / "four", "--save-maps"))
    assert done.returncode == 1
    ours, expected = contents(tmp_path / "four"), contents(alone)
    assert ours == {file: held for file, held in expected.items() if not file.startswith("plots/")}
    assert [run["distribution"] for run in runs(tmp_path / "four")] == ["micrographs"]
    done = mpiexec(2, "-m", "gembench", *command(data, tmp_path / "four", "--reduce", "maxloc"))
    assert done.returncode == 2
    assert done.stderr.count("gembench: error: reduction maxloc: choose one of shared, ") == 1


def started(data, out, distribution):
    """A run on three ranks that has finished a micrograph, and would go on for a minute."""
    words = command(data, out, "--distribute", distribution, "--quiet", step=0.5)
    launcher = Path(sys.executable).with_name("mpiexec")
    run = subprocess.Popen([launcher, "-n", "3", sys.executable, "-m", "gembench", *words], text=True,
                           stderr=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    end = time.monotonic() + 60
    while not list(out.glob("[!.]*.star")) and time.monotonic() < end:
        assert run.poll() is None
        time.sleep(0.05)
    return run


def rank_process(run, rank):
    """The process of one rank that works, which is the child of the one that watches over it."""
    ours = [child for child in psutil.Process(run.pid).children(recursive=True)
            if child.environ().get("PMI_RANK") == str(rank) and not child.children()]
    return ours[0]


@pytest.mark.parametrize("distribution", ["micrographs", "templates"])
def test_a_killed_rank_ends_the_run_which_resumes(mpiexec, data, tmp_path, distribution):
    out = tmp_path / "out"
    run = started(data, out, distribution)
    everyone = psutil.Process(run.pid).children(recursive=True)
    rank_process(run, 1).kill()
    _, said = run.communicate(timeout=30)
    assert run.returncode != 0
    assert said.count("gembench: error: rank ") == 1
    assert "ended by SIGKILL" in said
    assert not psutil.wait_procs(everyone, timeout=10)[1]
    finished = {path.name: path.stat().st_mtime_ns for path in out.glob("*.star")}
    assert "picks.star" not in finished
    assert finished
    done = mpiexec(2, "-m", "gembench", *command(data, out, "--distribute", distribution, step=0.5))
    assert done.returncode == 1, done.stderr
    assert all((out / name).stat().st_mtime_ns == time for name, time in finished.items())
    assert {path.stem for path in out.glob("*.star")} == {*NAMES, "autopick", "picks"} - {BROKEN}


def test_ctrl_c_ends_everything(mpiexec, data, tmp_path):
    run = started(data, tmp_path / "out", "templates")
    everyone = psutil.Process(run.pid).children(recursive=True)
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=30)
    assert run.returncode != 0
    assert not psutil.wait_procs(everyone, timeout=10)[1]


@pytest.mark.parametrize(("variables", "options", "said"), [
    ({"PYTHONPATH": "broken"}, ("--distribute", "templates"), "MPI: mpi4py cannot be used (no libmpi"),
    ({"OMPI_COMM_WORLD_SIZE": "4"}, (), "MPI: 4 ranks were started but each sees itself alone"),
    ({}, ("--reduce", "tree"), "--reduce tree: one rank has nothing to reduce"),
])
def test_an_mpi_that_cannot_be_used_gives_one_line(data, tmp_path, monkeypatch, variables, options, said):
    pytest.importorskip("mpi4py")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "mpi4py.py").write_text("raise RuntimeError('no libmpi')")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    words = command(data, tmp_path / "out", *options)
    done = subprocess.run([sys.executable, "-m", "gembench", *words], cwd=tmp_path, text=True,
                          capture_output=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"gembench: error: {said}")
    assert not (tmp_path / "out").exists()
