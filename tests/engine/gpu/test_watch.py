"""A device that does not advance, or fails, ends the search with a line; the others are waited for."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import pytest

from gembench.data.workload import Workload, egg_bank
from gembench.engine.gpu.batch_queue import BatchQueue
from gembench.engine.gpu.search import GPUSearch
from gembench.engine.gpu.turns import Batch
from gembench.engine.gpu.watch import Progress, work_together
from gembench.errors import InputError, StalledError

BANK = egg_bank(24, 24, "own")
MICROGRAPH = Workload.make((90, 100), BANK, places=3).micrograph


@pytest.fixture
def hanging(world):
    """An emulated machine whose launches that hang are released when the test is over."""
    yield world
    world.released.set()


def test_a_device_that_never_finishes_is_named_with_its_batch(hanging):
    with GPUSearch(BANK, batch=4, stall_limit=0.3) as engine:
        engine.run(MICROGRAPH)
        count = hanging.launches.count("fold_own")
        hanging.hangs = lambda name, device: hanging.launches.count("fold_own") > count + 4 * count // 6
        with pytest.raises(StalledError, match=r"^GPU 0 \(Emulated\): batch 5 of 6 not done after 0.3 s; is"):
            engine.run(MICROGRAPH)
        used = hanging.used[0]
    assert hanging.used[0] == used  # its memory is not touched: that would wait for the device


def test_a_micrograph_s_spectra_can_hang_too(hanging):
    hanging.hangs = lambda name, device: name == "frame_rows"
    with GPUSearch(BANK, stall_limit=0.3) as engine, \
            pytest.raises(StalledError, match=r"the micrograph's spectra not done after 0.3 s"):
        engine.run(MICROGRAPH)


def test_a_slow_device_that_advances_is_not_given_up(hanging, monkeypatch):
    with GPUSearch(BANK, batch=2, stall_limit=0.5) as engine:
        engine.prepare(MICROGRAPH.shape)
        process, pause = engine._correlators[0].process, threading.Event()
        monkeypatch.setattr(engine._correlators[0], "process",
                            lambda batch: (pause.wait(0.1), process(batch)))
        engine.run(MICROGRAPH)
        assert engine.statistics.seconds > 1.2


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan")])
def test_a_limit_that_is_none_is_refused(world, limit):
    with pytest.raises(InputError, match=r"stall limit of .* s: give more than 0, such as 60"):
        GPUSearch(BANK, stall_limit=limit)


def test_an_error_is_raised_when_all_others_have_ended():
    stopped, ended = threading.Event(), []

    def fail():
        raise ZeroDivisionError

    def work():
        assert stopped.wait(5)
        ended.append(1)

    jobs = [(Progress("a"), fail), (Progress("b"), work), (Progress("c"), work)]
    with pytest.raises(ZeroDivisionError):
        work_together(jobs, stopped.set)
    assert ended == [1, 1]


def test_one_failing_device_of_three_ends_the_search_with_all_others_waited_for(world, monkeypatch):
    world.devices = 3
    with GPUSearch(BANK, batch=2) as engine:
        engine.prepare(MICROGRAPH.shape)
        at_work = []
        for correlator in (engine._correlators[0], engine._correlators[2]):
            def process(batch, correlator=correlator, work=correlator.process):
                at_work.append(correlator)
                threading.Event().wait(0.1)
                work(batch)
                at_work.remove(correlator)

            monkeypatch.setattr(correlator, "process", process)
        monkeypatch.setattr(engine._correlators[1], "process", lambda batch: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            engine.run(MICROGRAPH)
        assert not at_work


def test_batches_are_taken_from_both_ends():
    work = BatchQueue([Batch(0, 4, -1, 8), Batch(4, 2, 0, 3)])
    assert (work.count, work.left) == (2, 11)
    assert work.take_last() == Batch(5, 1, 0, 2)
    taken = iter(work)
    assert next(taken) == (1, Batch(0, 4, -1, 8))
    assert work.left == 1
    assert work.take_last() == Batch(4, 1, 0, 1)
    assert work.take_last() is None
    assert list(taken) == []
    work = BatchQueue([Batch(0, 4, -1, 8)])
    work.stop()
    assert list(work) == []


def test_a_run_that_stalls_ends_with_1_and_keeps_what_is_finished(tmp_path, site, pick):
    """The process ends by itself, the device being left as it is; the next run does the rest."""
    picks = tmp_path / "picks"
    command = [sys.executable, *pick(BANK, MICROGRAPH, "--angle-step", "180", "--device", "gpu",
                                     "--stall-limit", "3", "-o", str(picks))]
    done = subprocess.run(command, env=site | {"SECOND_HANGS": "1"}, capture_output=True, text=True,
                          timeout=100, check=False)
    assert done.returncode == 1, done.stderr
    assert "b.mrc: GPU 0 (Emulated): batch 1 of 1 not done after 3 s" in done.stderr
    assert "Traceback" not in done.stderr
    assert (picks / "a.star").is_file()
    assert not (picks / "b.star").exists()
    done = subprocess.run(command, env=site, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert "1 of 2 micrographs are finished" in done.stdout
    record = json.loads((picks / "run.json").read_text())
    facts = record["micrographs"]["b"]
    assert list(facts["stage_seconds"]) == sorted(["read", "filter", "search", "peaks", "write"])
    assert 0 < facts["device_seconds"] <= facts["search_seconds"] <= facts["stage_seconds"]["search"]
    last = record["runs"][-1]
    assert last["device_busy"] == pytest.approx(facts["device_seconds"] / last["seconds"], abs=1e-3)
