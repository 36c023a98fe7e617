"""GPUs and CPU threads on one queue: the scores of either, both at work, and the CPU only where it pays."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from gembench.data.workload import Workload, egg_bank
from gembench.engine.exact.producer import search
from gembench.engine.gpu.device import parse_device, uses_cpu
from gembench.engine.mixed import MixedSearch, Pace
from gembench.engine.score_map import finished, merge
from gembench.engine.search import open_search
from gembench.errors import InputError, StalledError

SHAPE = (110, 121)


@pytest.fixture
def always(monkeypatch):
    """The CPU is expected to take no time, so that it always helps."""
    monkeypatch.setattr(MixedSearch, "_cpu_seconds", lambda self, shape: 0.0)


def workload(mask, count=40):
    bank = egg_bank(24, count, mask)
    return bank, Workload.make(SHAPE, bank).micrograph


@pytest.mark.parametrize(("text", "devices", "both"), [
    ("gpu+cpu", (0,), True), ("gpu:1,0+cpu", (1, 0), True), ("all+cpu", "all", True), ("gpu", (0,), False)])
def test_both_are_named_so(text, devices, both):
    assert (parse_device(text), uses_cpu(text)) == (devices, both)


@pytest.mark.parametrize("text", ["cpu+cpu", "+cpu", "gpu+cpu+cpu", "gpu+", "cpu+gpu"])
def test_no_other_mixture_is_known(text):
    with pytest.raises(InputError, match="or gpu\\+cpu for both"):
        parse_device(text)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mask", ["own", "disc"])
def test_both_work_and_the_scores_are_those_of_either(world, always, mask, dtype):
    bank, micrograph = workload(mask)
    expected = search(micrograph, bank, dtype=dtype)  # first, so that the CPU's loops are compiled
    world.devices = 2
    with open_search(bank, device="all+cpu", threads=4, batch=2, dtype=dtype) as engine:
        assert isinstance(engine, MixedSearch)
        assert engine.threads == 4
        assert engine.library.name.startswith("cuda+")
        for _ in range(2):
            done = []
            maps = engine.run(micrograph, on_template=done.append)
            assert 0 < engine.helped < len(bank)
            assert sum(done) == engine.statistics.counts.templates == len(bank)
            np.testing.assert_allclose(maps.score, expected.score, rtol=0,
                                       atol=2e-5 if dtype == "float32" else 1e-10)
            np.testing.assert_array_equal(maps.index < 0, expected.index < 0)
            assert (maps.index != expected.index).mean() < 1e-3


def test_shares_make_the_whole(world, always):
    bank, micrograph = workload("own", 14)
    parts = [MixedSearch(bank, devices=(0,), threads=2, batch=2, share=(part, 3)) for part in range(3)]
    maps, *others = [part.partial(micrograph) for part in parts]
    for other in others:
        merge(maps.score, maps.index, other.score, other.index)
    np.testing.assert_allclose(finished(maps).score, search(micrograph, bank).score, rtol=0, atol=2e-5)
    assert sum(part.statistics.counts.templates for part in parts) == len(bank)


def test_a_cpu_that_would_end_last_takes_nothing(world, monkeypatch):
    bank, micrograph = workload("own", 12)
    monkeypatch.setattr(MixedSearch, "_cpu_seconds", lambda self, shape: 1e3)
    with MixedSearch(bank, threads=2, batch=2) as engine:
        engine.run(micrograph)
        assert engine.helped == 0
        assert engine.statistics.counts.templates == len(bank)


def test_what_the_cpu_takes_is_measured_once_for_a_size(world):
    bank, micrograph = workload("own", 12)
    with MixedSearch(bank, threads=2) as engine:
        engine.run(micrograph)
        (first,) = engine.expected.values()
        assert 0 < first < 60
        engine.run(micrograph)
        engine.run(micrograph[:, :100])
        assert list(engine.expected) == [SHAPE, (110, 100)]
        assert engine.expected[SHAPE] == first


def test_the_pace_of_devices_is_what_they_have_done():
    pace = Pace()
    assert pace.seconds(5) is None
    threading.Event().wait(0.05)
    pace(10)
    assert 0.05 <= pace.seconds(10) < 1
    assert pace.seconds(20) == pytest.approx(2 * pace.seconds(10))


@pytest.mark.parametrize("failing", ["gpu", "cpu"])
def test_either_s_error_ends_both(world, always, monkeypatch, failing):
    bank, micrograph = workload("own")
    with MixedSearch(bank, threads=3, batch=2) as engine:
        engine.run(micrograph)
        correlators = engine._gpu._correlators if failing == "gpu" else engine._cpu._correlators
        with monkeypatch.context() as patch:
            patch.setattr(correlators[0], "process", lambda *args, **options: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                engine.run(micrograph)
        np.testing.assert_allclose(engine.run(micrograph).score, search(micrograph, bank).score, rtol=0,
                                   atol=2e-5)


def test_a_stalled_device_is_not_waited_for(world, always):
    bank, micrograph = workload("own")
    with MixedSearch(bank, threads=2, batch=2, stall_limit=1.0) as engine:
        engine.run(micrograph)
        world.hangs = lambda name, device: name == "fold_own"
        with pytest.raises(StalledError, match=r"GPU 0 \(Emulated\): batch 1 of 20 not done"):
            engine.run(micrograph)
    world.released.set()
