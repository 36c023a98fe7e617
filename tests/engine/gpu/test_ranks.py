"""GPUs under mpiexec: the ranks of a node take its devices by turns, and give the bytes of one process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gembench.data.workload import Workload, egg_bank
from gembench.engine.gpu.device import device_of_rank

BANK = egg_bank(24, 5, "own")
MICROGRAPH = Workload.make((90, 100), BANK, places=3).micrograph


@pytest.mark.parametrize(("text", "expected"), [
    ("cpu", ["cpu"] * 4), ("gpu", ["gpu:0", "gpu:1", "gpu:2", "gpu:0"]),
    ("all", ["gpu:0", "gpu:1", "gpu:2", "gpu:0"]), ("gpu:2,0", ["gpu:2", "gpu:0"] * 2),
    ("gpu:1", ["gpu:1"] * 4), ("gpu+cpu", ["gpu:0+cpu", "gpu:1+cpu", "gpu:2+cpu", "gpu:0+cpu"]),
])
def test_every_rank_of_a_node_has_one_device(world, text, expected):
    world.devices = 3
    assert [device_of_rank(text, rank) for rank in range(4)] == expected


def test_without_a_device_the_choice_stays_for_its_error_to_be_said(world):
    world.devices = 0
    assert device_of_rank("gpu", 1) == "gpu"


@pytest.mark.parametrize("distribution", [
    "templates", pytest.param("micrographs", marks=pytest.mark.exhaustive),
])
def test_ranks_pick_on_devices_what_one_process_picks(
    tmp_path, site, pick, mpiexec, monkeypatch, distribution
):
    options = ("--angle-step", "90", "--device", "gpu", "--save-maps", "-o")
    alone, together, used = tmp_path / "alone", tmp_path / "together", tmp_path / "used"
    used.mkdir()
    done = subprocess.run([sys.executable, *pick(BANK, MICROGRAPH, *options, str(alone))], env=site,
                          capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("PYTHONPATH", "EMULATED_GPUS", "DEVICES_USED"):
        monkeypatch.setenv(name, (site | {"EMULATED_GPUS": "2", "DEVICES_USED": str(used)})[name])
    done = mpiexec(2, *pick(BANK, MICROGRAPH, *options, str(together), "--distribute", distribution))
    assert done.returncode == 0, done.stderr
    for file in ("a.star", "b.star", "picks.star", "maps/a_score.mrc", "maps/a_index.mrc"):
        assert (together / file).read_bytes()[-2000:] == (alone / file).read_bytes()[-2000:], file
    seen = sorted(file.read_text() for file in used.iterdir() if file.read_text())
    assert seen == ["0", "1"] or (distribution == "micrographs" and set(seen) <= {"0", "1"})
