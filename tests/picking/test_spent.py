"""Where the time of a run went: planted times of stages, and the sum that run.json has."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from gembench.cli import main
from gembench.io.images.mrc import write_mrc, write_stack
from gembench.picking import run as run_module
from gembench.picking.facts import Spent

CPU = SimpleNamespace()
STAGES = {"read": 0.25, "filter": 1.5, "search": 9.5, "peaks": 0.25, "write": 0.5}


def spent(seconds, micrographs=1, stages=STAGES):
    out = Spent()
    for _ in range(micrographs):
        out.add({"picks": 3, "stage_seconds": stages})
    facts = out.of_run(seconds, CPU)
    assert facts["stage_seconds"] == {stage: micrographs * taken for stage, taken in stages.items()}
    return str(out), facts


def test_stages_that_follow_each_other():
    text, facts = spent(12.0)
    assert text == ("12.0 s: reading 0.2 s, preparing 1.5 s, searching 9.5 s, taking peaks 0.2 s,"
                    " writing 0.5 s")
    assert facts["seconds"] == 12.0
    assert facts["beside_seconds"] == 0


def test_what_overlaps_is_said():
    text, facts = spent(23.0, 2)
    assert text.endswith("searching 19.0 s, taking peaks 0.5 s, writing 1.0 s; at least 1.0 s of them beside"
                         " other stages")
    assert facts["beside_seconds"] == 1.0
    assert spent(30.0, 2)[1]["beside_seconds"] == 0


def test_long_times_are_read_easily():
    text, _ = spent(240.0, 20)
    assert text.startswith("4 min 0 s: reading 5.0 s, preparing 30.0 s, searching 3 min 10 s, ")


def test_a_micrograph_that_is_not_picked_took_nothing_and_devices_are_counted():
    out = Spent()
    out.add({})
    out.add({"device_seconds": 3.0, "stage_seconds": STAGES})
    facts = out.of_run(4.0, SimpleNamespace(devices=(0, 1)))
    assert facts["device_busy"] == 0.375
    assert "device_busy" not in spent(1.0)[1]


@pytest.mark.parametrize("options", [(), ("--memory", "4G")])
def test_pick_says_it_once_and_run_json_has_it(tmp_path, capsys, monkeypatch, options):
    """The clock goes on by a second whenever the run asks it, which it does at both ends of each stage."""
    rng = np.random.default_rng(0)
    (tmp_path / "mics").mkdir()
    for name in "ab":
        write_mrc(tmp_path / "mics" / f"{name}.mrc", rng.normal(size=(80, 90)), 2.0)
    write_stack(tmp_path / "templates.mrcs", rng.normal(size=(1, 16, 16)), 2.0)
    if options:  # nothing is read ahead then
        ticks = iter(range(1000))
        monkeypatch.setattr(run_module, "time", SimpleNamespace(perf_counter=lambda: float(next(ticks))))
    out = tmp_path / "out"
    words = ["pick", str(tmp_path / "mics"), "--templates", str(tmp_path / "templates.mrcs"), "--pixel-size",
             "2", "--angle-step", "180", "--fft", "scipy", "--threads", "1", "-o", str(out), *options]
    assert main(words) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "searching" in line]
    record = json.loads((out / "run.json").read_text())
    stages = [facts["stage_seconds"] for facts in record["micrographs"].values()]
    of_run = record["runs"][-1]["stage_seconds"]
    assert of_run == pytest.approx({name: sum(own[name] for own in stages) for name in stages[0]}, abs=1e-3)
    if options:  # 8 times for each micrograph and once at the end
        assert lines == ["17.0 s: reading 2.0 s, preparing 2.0 s, searching 2.0 s, taking peaks 2.0 s,"
                         " writing 2.0 s"]
    assert len(lines) == 1
    assert main(words) == 0
    assert "searching" not in capsys.readouterr().out  # nothing was left to do
