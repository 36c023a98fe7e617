"""Device memory: predicted before it is taken, batches that fit, and a line where nothing fits."""

from __future__ import annotations

import time

import numpy as np
import pytest

from gembench.engine.bank import TemplateBank, grid_angles
from gembench.engine.exact.producer import search
from gembench.engine.gpu import plan as plans
from gembench.engine.gpu.search import GPUSearch
from gembench.errors import InputError

RNG = np.random.default_rng(40)
MASK = np.pad(np.ones((12, 6), bool), ((3, 3), (7, 5)))
BANK = TemplateBank(RNG.normal(size=(1, 18, 18)), MASK, grid_angles(10))
LINE = (r"^GPU 0 \(Emulated\) has \d+\.\d\d GiB free, a micrograph of 100 x 90 px needs \d+\.\d\d: free some,"
        r" bin it, or use --device cpu$")
MICROGRAPH = RNG.normal(size=(90, 100))


@pytest.fixture(autouse=True)
def _small_reserve(monkeypatch):
    monkeypatch.setattr(plans, "RESERVE", 1 << 10)


def run(**options):
    with GPUSearch(BANK, **options) as engine:
        return engine.run(MICROGRAPH), engine.plan


def until(reached, seconds=30.0):
    end = time.monotonic() + seconds
    while not reached() and time.monotonic() < end:
        time.sleep(0.01)


@pytest.mark.parametrize("spectra", ["single", "half"])
@pytest.mark.parametrize("bank", [BANK, TemplateBank(RNG.normal(size=(1, 18, 18)), angles=grid_angles(10))])
def test_what_is_allocated_is_what_was_predicted(world, bank, spectra):
    with GPUSearch(bank, spectra=spectra) as engine:
        engine.prepare(MICROGRAPH.shape)
        turned = sum(array.nbytes for array in engine._turned[0].pointers)
        small = 4096  # roots, geometry, floors, batch
        assert 0 <= world.peak[0] - turned - engine.plan.bytes < small
        before = world.used[0]
        engine.run(MICROGRAPH)
        assert world.used[0] == before == world.peak[0]
    assert world.used[0] == 0


def test_the_batch_is_what_fits(world):
    expected, roomy = run()
    assert roomy.pairs == 16
    for spare in (0.9, 0.7, 0.6):
        until(lambda: world.used[0] == 0)  # a thread that ends may hold an array a moment longer
        world.memory = int(spare * roomy.bytes)
        maps, plan = run()
        assert plan.pairs < 16
        assert plan.bytes + plans.RESERVE <= world.memory
        assert maps.score.tobytes() == expected.score.tobytes()
    assert [run(batch=batch)[1].pairs for batch in (1, 2, 3, 4)] == [1, 1, 2, 2]


def test_the_batch_is_halved_when_memory_runs_out_after_all(world):
    expected, roomy = run()
    world.fail_above = roomy.arrays["masks"][0][0] * 64 * 64 * 8 // 3
    maps, plan = run()
    assert plan.pairs == 4
    assert maps.score.tobytes() == expected.score.tobytes()


def test_one_line_where_nothing_fits(world):
    for limit, size in (("memory", 1 << 18), ("fail_above", 1 << 16)):
        setattr(world, limit, size)
        with pytest.raises(InputError, match=LINE):
            run()
        world.memory = 8 << 30


def test_templates_beyond_every_transform_are_named(world):
    world.shared = 48 << 10
    bank = TemplateBank(RNG.normal(size=(1, 300, 300)))
    with pytest.raises(InputError, match="masks of 299 x 299 px are too large for a GPU"), \
            GPUSearch(bank) as engine:
        engine.run(RNG.normal(size=(400, 400)))


def test_a_failing_device_ends_the_search_with_its_error(world, monkeypatch):
    world.devices = 2
    expected = search(MICROGRAPH, BANK)
    with GPUSearch(BANK, batch=2) as engine:
        engine.prepare(MICROGRAPH.shape)
        process = engine._correlators[1].process
        monkeypatch.setattr(engine._correlators[1], "process", lambda batch: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            engine.run(MICROGRAPH)
        monkeypatch.setattr(engine._correlators[1], "process", process)
        np.testing.assert_allclose(engine.run(MICROGRAPH).score, expected.score, rtol=0, atol=2e-5)


def test_bytes_moved_are_counted_for_the_paper_s_size():
    """121 tiles of 512^2 points, 368 x 512 kept of each product; 1.5 of them a template with its own mask."""
    from gembench.engine.exact.plan import Plan
    from gembench.engine.gpu.layouts import Layout

    base = Plan("exact", np.dtype(np.float32), (4096, 4096), (160, 160), "mask", 0, (512, 512), 1)
    axis = plans.Axis(4096, 160, 8, 145, 0, 4095, 72, 4024)
    own = plans.GPUPlan(base, "single", Layout(512), axis, axis, discs=False, owns=True)
    assert (own.tiles, own.step) == (121, (368, 368))
    assert own.bytes_moved["products"] == 2 * 121 * 368 * 512 * 8 * 1.5
    assert own.bytes_moved["spectra"] == 2 * 121 * 512 * 512 * 8 * 1.5
    assert own.bytes_moved["maps"] == 4096**2 * 16 / 4
    once = own.laid_out(Layout(512, once=True)).bytes_moved  # 8 planes a group, not 12
    assert once == own.bytes_moved | {"spectra": 121 * 512 * 512 * 8 * 8 / 4}


def test_the_page_s_table_of_bytes_is_the_plan_s():
    """Products, spectra and maps as the plan counts them; every exchange writes and reads shared memory."""
    from pathlib import Path

    import gembench
    from gembench.engine.exact.plan import Plan
    from gembench.engine.gpu.layouts import Layout

    page = (Path(gembench.__file__).parent / "guide" / "gpus.md").read_text(encoding="utf-8")
    base = Plan("exact", np.dtype(np.float32), (4096, 4096), (160, 160), "mask", 0, (512, 512), 1)
    axis = plans.Axis(4096, 160, 8, 145, 0, 4095, 72, 4024)
    rows = []
    for mask, layouts in (("own", ((512, 8), (512, 32), (1024, 8), (1024, 32), (512, 8, 1), (1024, 8, 1))),
                          ("one disc", ((512, 8), (512, 32), (1024, 8), (1024, 16), (1024, 32), (512, 8, 1),
                                        (1024, 8, 1)))):
        for size, held, *once in layouts:
            own = mask == "own"
            plan = plans.GPUPlan(base, "single", Layout(size, held, once=bool(once)), axis, axis,
                                 discs=not own, owns=own)
            moved, shape = plan.bytes_moved, plan.shape
            points = plan.tiles * size * (size + plan.step[0]) * (1.5 if own else 0.5)
            exchanged = 2 * points * shape.exchanges * shape.complex_bytes
            gigabytes = [moved["products"], moved["spectra"], moved["maps"], exchanged]
            name = f"{size}{', read once' * bool(once)}"
            rows.append(f"| {mask} | {name} | {held} | {shape.exchanges} | {plan.tiles} | "
                        + " | ".join(f"{value / 1e9:.2f}" for value in gigabytes) + " |")
    assert [line for line in page.splitlines() if line.startswith(("| own", "| one disc"))] == rows
