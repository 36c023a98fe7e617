"""The bytes of picks: the same on any threads, ranks, distribution, reduction, with FFTW on a new cache."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from gembench.cli import main
from gembench.engine.bank import TemplateBank, grid_angles
from gembench.engine.exact.producer import search
from gembench.engine.fft import LIBRARIES
from gembench.engine.mpi.reductions import FOR_PICKING
from gembench.io.images.mrc import write_mrc, write_stack

PROGRAM = Path(__file__).with_name("picks.py")
ALONE = "import json, sys; from gembench.cli import main; print([main(json.loads(w)) for w in sys.argv[1:]])"
BOX, SHAPE, METHODS = 32, (181, 202), ("exact", "banded", "paper")
pytestmark = pytest.mark.skipif(LIBRARIES["fftw"].unavailable() is not None, reason="FFTW is not installed")


def views():
    """Two smooth views, the second of which looks the same after half a turn."""
    rng = np.random.default_rng(5)
    first, second = (gaussian_filter(rng.normal(size=(BOX, BOX)), 3) for _ in range(2))
    return [view / view.std() for view in (first, second + second[::-1, ::-1])]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """mics/ of three micrographs of smooth noise with some particles, a bank, and an empty cache/."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "mics").mkdir()
    mask = np.zeros((BOX, BOX), bool)
    mask[5:-5, 8:-8] = True
    for seed, name in enumerate("abc"):
        rng = np.random.default_rng(seed)
        image = 1.5 * rng.normal(size=SHAPE)
        for view in views() * 3:
            y, x = (int(rng.integers(0, n - BOX)) for n in SHAPE)
            image[y : y + BOX, x : x + BOX] += np.rot90(view, seed) * mask
        write_mrc(folder / "mics" / f"{name}.mrc", gaussian_filter(image, 3), 2.0)
    write_stack(folder / "templates.mrcs", np.stack(views()), 2.0)
    write_stack(folder / "masks.mrcs", np.stack([mask, mask]).astype(np.float32), 2.0)
    return folder


def command(data, out, method, *options):
    return json.dumps([
        "pick", str(data / "mics"), "--templates", str(data / "templates.mrcs"), "--masks",
        str(data / "masks.mrcs"), "--pixel-size", "2", "--angle-step", "30", "--average", "1", "--clip", "0",
        "--template-contrast", "dark", "--threshold", "0.4", "--distance", "12", "--fft", "fftw", "--method",
        method, "--quiet", "-o", str(out), *options])


def picks(folder):
    """The bytes of picks.star and of every micrograph's STAR file."""
    names = ("a.star", "b.star", "c.star", "picks.star")
    return [(folder / name).read_bytes() for name in names]


@pytest.fixture(scope="module")
def together(data):
    """The folders, by threads and method, of four processes that start at the same time on an empty cache."""
    environment = os.environ | {"GEMBENCH_CACHE": str(data / "cache")}
    assert not (data / "cache").exists()
    folders = {(n, method): data / f"{method}-{n}" for n in (1, 2, 5, 8) for method in METHODS}
    processes = [
        subprocess.Popen([sys.executable, "-c", ALONE, *(
            command(data, folders[n, method], method, "--threads", str(n)) for method in METHODS
        )], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for n in (1, 2, 5, 8)
    ]
    for process in processes:
        said = process.communicate(timeout=120)
        assert said == ("[0, 0, 0]\n", "")  # and no method took another's place
    return folders


def test_processes_that_start_together_on_an_empty_cache_write_the_same_bytes(data, together):
    assert list((data / "cache").rglob("*.wisdom"))
    for (_, method), folder in together.items():
        assert picks(folder) == picks(together[1, method])
    rows = [picks(together[1, method])[-1].count(b"\n") for method in METHODS]
    assert min(rows) > 30
    assert picks(together[1, "exact"]) != picks(together[1, "paper"])  # other roundings would show


@pytest.mark.parametrize("threads", [3, 4, 6, 7])
@pytest.mark.exhaustive
def test_other_numbers_of_threads_write_the_same_bytes(monkeypatch, data, together, tmp_path, threads):
    monkeypatch.setenv("GEMBENCH_CACHE", str(data / "cache"))
    for method in METHODS:
        words = command(data, tmp_path / method, method, "--threads", str(threads))
        assert main(json.loads(words)) == 0
        assert picks(tmp_path / method) == picks(together[1, method])


@pytest.mark.parametrize("ranks", [2, *(pytest.param(n, marks=pytest.mark.exhaustive) for n in (1, 3, 4))])
def test_ranks_write_the_bytes_of_one_process(mpiexec, monkeypatch, data, together, tmp_path, ranks):
    monkeypatch.setenv("GEMBENCH_CACHE", str(data / "cache"))
    cases = {method: (method, "--distribute", "micrographs") for method in METHODS}
    cases["paper by templates"] = "paper", "--distribute", "templates"
    for name in FOR_PICKING:
        cases[name] = "exact", "--distribute", "templates", "--reduce", name
    commands = [command(data, tmp_path / name, *options, "--threads", str(1 + (ranks < 3)))
                for name, options in cases.items()]
    done = mpiexec(ranks, PROGRAM, *commands)
    assert json.loads(done.stdout.splitlines()[-1]) == [[0] * ranks] * len(cases), done.stderr
    for name, (method, *_) in cases.items():
        assert picks(tmp_path / name) == picks(together[1, method]), name


@pytest.mark.parametrize("method", ["exact", "paper"])
def test_maps_are_the_same_on_any_number_of_threads_and_depth_of_the_queue(method):
    bank = TemplateBank(np.stack(views()), None, grid_angles(45))
    micrograph = gaussian_filter(np.random.default_rng(3).normal(size=(90, 100)), 1)
    alone = search(micrograph, bank, method=method, library="fftw")
    for threads in range(1, 9):
        for depth in (None, 1, 3):
            maps = search(micrograph, bank, method=method, library="fftw", threads=threads, queue_depth=depth)
            assert maps.score.tobytes() == alone.score.tobytes()
            assert maps.index.tobytes() == alone.index.tobytes()
