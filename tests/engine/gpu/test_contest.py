"""Layouts compete once: the fastest is kept for the device, and one that is wrong, fails or hangs is not."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gembench.data.workload import Workload, egg_bank
from gembench.engine.exact.plan import Plan
from gembench.engine.exact.producer import search
from gembench.engine.gpu import contest, layouts
from gembench.engine.gpu.device import DeviceInfo
from gembench.engine.gpu.layouts import Layout
from gembench.engine.gpu.plan import Axis, GPUPlan
from gembench.engine.gpu.search import GPUSearch
from gembench.errors import InputError, StalledError

DEVICE = DeviceInfo(0, "Emulated", 80 << 30, 50 << 20, 227 << 10)
AXIS = Axis(4096, 160, 8, 145, 0, 4095, 72, 4024)
BASE = Plan("exact", np.dtype(np.float32), (4096, 4096), (160, 160), "mask", 0, (512, 512), 1)
OWN = GPUPlan(BASE, "single", Layout(512), AXIS, AXIS, discs=False, owns=True)
LAYOUTS = OWN.competing(DEVICE.shared)


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """A cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "gembench" / "gpu-layouts.json"


def chosen(trial, plan=OWN, driver="driver 1"):
    return contest.fastest(plan, DEVICE, DEVICE.shared, driver, trial)


def trials(seconds=lambda layout: 1.0, scores=lambda layout: 0.0):
    """A trial, and the layouts that it was asked for."""
    tried = []

    def trial(layout):
        tried.append(layout)
        return seconds(layout), np.full((2, 2), scores(layout))

    return trial, tried


def test_the_plain_layout_and_those_of_fewer_exchanges_compete():
    assert LAYOUTS[0] == Layout(512, 8, 2, None)
    assert {(layout.size, layout.held) for layout in LAYOUTS} == {(512, 8), (512, 32), (1024, 8), (1024, 16),
                                                                  (1024, 32)}
    assert {layout[2:] for layout in LAYOUTS} == {
        (2, None, 16, False), (4, 8, 16, False), (4, 8, 4, False), (4, 8, 16, True)}
    assert len(set(LAYOUTS)) == len(LAYOUTS) == 20


def test_tiles_are_read_once_where_a_block_s_memory_suffices():
    """512 points by 8: 64 KiB to exchange eight columns, 32 to keep them; by 32 half of the first."""
    fitting = [{(layout.size, layout.held) for layout in OWN.competing(limit) if layout.once}
               for limit in (96 << 10, (96 << 10) - 1)]
    assert fitting[0] - fitting[1] >= {(512, 8)}
    assert (512, 32) in fitting[1]


def test_the_fastest_is_measured_once_for_a_device_its_driver_and_a_kind_of_search(cache):
    fast = LAYOUTS[3]
    trial, tried = trials(lambda layout: 0.5 if layout == fast else 1.0)
    assert chosen(trial) == chosen(trial) == fast
    assert tried == LAYOUTS
    assert chosen(trial, driver="driver 2") == fast
    assert len(tried) == 2 * len(LAYOUTS)
    entry = next(iter(json.loads(cache.read_text()).values()))
    assert entry["seconds"][str(fast)] == 0.5
    cache.write_text("{damaged")
    assert chosen(trial) == fast
    assert len(tried) == 3 * len(LAYOUTS)


def test_small_micrographs_take_the_plain_layout_unmeasured():
    small = Axis(1000, 160, 8, 145, 0, 999, 72, 928)
    base = Plan("exact", np.dtype(np.float32), (1000, 1000), (160, 160), "mask", 0, (512, 512), 1)
    plan = GPUPlan(base, "single", Layout(512), small, small, discs=False, owns=True)
    trial, tried = trials()
    assert chosen(trial, plan) == plan.competing(DEVICE.shared)[0]
    assert not tried


@pytest.mark.parametrize("off", [3e-5, np.nan])
def test_a_layout_with_other_scores_is_left_out_however_fast(caplog, off):
    wrong = LAYOUTS[2]
    trial, _ = trials(lambda layout: 0.1 if layout == wrong else 1.0,
                      lambda layout: off if layout == wrong else 0.0)
    assert chosen(trial) == LAYOUTS[0]
    assert f"layout {wrong} is left out: scores off by" in caplog.text


def test_a_layout_that_fails_is_left_out_and_the_plain_one_s_failure_is_raised(caplog):
    def fails(layout, which):
        if layout == which:
            raise RuntimeError("too many resources requested for launch")
        return 1.0

    trial, _ = trials(lambda layout: fails(layout, LAYOUTS[1]))
    assert chosen(trial) == LAYOUTS[0]
    assert "fails and is left out: too many resources" in caplog.text
    trial, _ = trials(lambda layout: fails(layout, LAYOUTS[0]))
    with pytest.raises(RuntimeError, match="too many"):
        chosen(trial, driver="driver 2")


def test_a_layout_that_never_ended_is_not_tried_again():
    def hangs(layout):
        if layout == LAYOUTS[4]:
            raise StalledError("GPU 0: not done")
        return 1.0

    trial, tried = trials(hangs)
    with pytest.raises(StalledError):
        chosen(trial)
    assert tried[-1] == LAYOUTS[4]
    tried.clear()
    assert chosen(trial) == LAYOUTS[0]
    assert LAYOUTS[4] not in tried


def test_out_of_memory_is_not_a_layout_s_fault():
    def full(layout):
        raise InputError("GPU 0 has too little memory")

    trial, _ = trials(full)
    with pytest.raises(InputError, match="too little"):
        chosen(trial)


@pytest.mark.parametrize("mask", ["own", pytest.param("disc", marks=pytest.mark.exhaustive)])
def test_a_search_measures_on_its_device_and_gives_the_scores_of_the_cpu(world, monkeypatch, cache, mask):
    monkeypatch.setattr(contest, "WORTH", 1)
    monkeypatch.setattr(contest, "TEMPLATES", 8)
    monkeypatch.setattr(layouts, "LAUNCHES", [layouts.LAUNCHES[0], layouts.LAUNCHES[-1]])
    bank = egg_bank(24, 12, mask)
    work = Workload.make((130, 150), bank)
    with GPUSearch(bank) as engine:
        maps = engine.run(work.micrograph)
        layout = engine.plan.layout
    np.testing.assert_allclose(maps.score, search(work.micrograph, bank).score, rtol=0, atol=2e-5)
    entry, = json.loads(cache.read_text()).values()
    assert Layout(*entry["fastest"]) == layout
    assert len(entry["seconds"]) > 3
    assert not entry["left_out"]
    launches = len(world.launches)
    with GPUSearch(bank) as engine:
        assert engine.run(work.micrograph).score.tobytes() == maps.score.tobytes()
        assert engine.plan.layout == layout
    assert len(world.launches) - launches < launches / 3  # nothing is measured again
