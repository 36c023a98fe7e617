"""Micrographs filtered on a device give the scores of those that are filtered on the host."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from gembench.data.workload import Workload, egg_bank
from gembench.engine.bank import TemplateBank
from gembench.engine.filters import LineFilter, average, lowpass
from gembench.engine.gpu import plan as plans
from gembench.engine.gpu.search import GPUSearch
from gembench.engine.peaks import PeakSettings
from gembench.errors import InputError
from gembench.io.images.micrographs import Micrograph
from gembench.picking.picker import Picker
from gembench.picking.prepare import filtered
from gembench.picking.settings import PickSettings

PIXEL = 2.2
FILTERS = {  # low-pass in A, side of the averaging filter
    "average": (0.0, 4), "odd average": (0.0, 3), "low-pass": (40.0, 1), "both": (30.0, 2),
    "weak": (10.0, 2),
    "wider than the micrograph": (150.0, 1),
}
BANK = egg_bank(24, 6)
SEEN = np.random.default_rng(7)


def settings_of(name, **others):
    resolution, k = FILTERS[name]
    return PickSettings(PIXEL, lowpass=resolution, average=k, **others)


@pytest.mark.parametrize("name", FILTERS)
def test_one_convolution_is_both_filters(name):
    """Along a line, by the sums themselves, mirrored with the outermost pixel repeated."""
    resolution, k = FILTERS[name]
    line = SEEN.normal(size=75)
    both = LineFilter.of((75, 75), resolution=resolution, pixel_size=PIXEL, k=k)
    extended = np.pad(line, 400, mode="symmetric")
    ours = [both.weights @ extended[400 + x + both.first :][: len(both.weights)] for x in range(75)]
    expected = average(lowpass(np.tile(line, (75, 1)), resolution, PIXEL), k)[0]
    np.testing.assert_allclose(ours, expected[37], rtol=0, atol=1e-12)


def test_no_filter_is_none_and_impossible_ones_are_refused_alike():
    assert LineFilter.of((75, 75), resolution=0, pixel_size=PIXEL, k=1) is None
    for resolution, k in ((-1, 1), (166, 1), (0, 0), (0, 76)):
        with pytest.raises(InputError) as ours:
            LineFilter.of((75, 75), resolution=resolution, pixel_size=PIXEL, k=k)
        with pytest.raises(InputError) as theirs:
            average(lowpass(np.ones((75, 75)), resolution, PIXEL), k)
        assert str(ours.value) == str(theirs.value)


@pytest.mark.parametrize("mean", [0.0, 1e4])
@pytest.mark.parametrize("edges", ["mask", "box", "reflect"])
@pytest.mark.parametrize("name", FILTERS)
def test_scores_are_those_of_a_micrograph_filtered_before(cupy, name, edges, mean):
    image = (SEEN.normal(size=(61, 75)) + mean).astype(np.float32)
    before, _, _ = filtered(image.astype(np.float64), settings_of(name))
    resolution, k = FILTERS[name]
    with GPUSearch(BANK, edges=edges) as engine:
        expected = engine.run(before)
        scores, indices = expected.score.copy(), expected.index.copy()
        engine.line_filter = LineFilter.of(image.shape, resolution=resolution, pixel_size=PIXEL, k=k)
        maps = engine.run(image)
        np.testing.assert_allclose(maps.score, scores, rtol=0, atol=2e-5)
        assert np.array_equal(maps.index >= 0, indices >= 0)
        engine.line_filter = None
        assert engine.run(before).score.tobytes() == scores.tobytes()


def test_a_filter_takes_no_memory_of_its_own(world, monkeypatch):
    """A tile of 64 points serves this micrograph, whose pixels it does not hold: the plan makes room."""
    monkeypatch.setattr(plans, "SIZES", [64])
    mask = np.zeros((50, 50), bool)
    mask[20:30, 20:30] = True
    bank = TemplateBank(SEEN.normal(size=(1, 50, 50)), mask[None], [0.0])
    image = SEEN.normal(size=(104, 104))
    with GPUSearch(bank, edges="box") as engine:
        engine.prepare(image.shape)
        assert engine.plan.tiles == 1
        shape, dtype = engine.plan.arrays["squares"]
        assert np.prod(shape) * dtype.itemsize >= 8 * image.size
        expected = engine.run(filtered(image, settings_of("average"))[0]).score.copy()
        used = world.used[0]
        engine.line_filter = LineFilter.of(image.shape, resolution=0, pixel_size=PIXEL, k=4)
        np.testing.assert_allclose(engine.run(image).score, expected, rtol=0, atol=2e-5)
        assert world.used[0] == used + engine.line_filter.weights.nbytes


def planted(tmp_path):
    work = Workload.make((140, 150), BANK)
    return Micrograph("a", work.micrograph.astype(np.float32), PIXEL, tmp_path / "a.mrc")


def test_a_picker_leaves_filters_to_the_device_and_picks_the_same(world, tmp_path):
    micrograph, settings = planted(tmp_path), settings_of("weak", peaks=PeakSettings(distance=20))
    picked = {}
    for device in ("cpu", "gpu"):
        with Picker(BANK, settings, device=device) as picker:
            ready = picker.prepare(micrograph)
            assert (ready.line_filter is not None) == (device == "gpu") == (picker.filters == "GPU")
            picked[device] = picker.pick(ready).picks
    assert len(picked["cpu"]) == len(picked["gpu"]) >= 4  # as many as were planted
    for name in ("x", "y"):
        np.testing.assert_allclose(getattr(picked["gpu"], name), getattr(picked["cpu"], name), atol=1e-2)
    np.testing.assert_array_equal(picked["gpu"].template, picked["cpu"].template)
    np.testing.assert_allclose(picked["gpu"].score, picked["cpu"].score, atol=2e-5)


def test_where_the_host_needs_the_filtered_micrograph_it_filters(world, tmp_path):
    micrograph, peaks = planted(tmp_path), PeakSettings(distance=20)
    area = np.zeros(micrograph.shape, bool)
    area[:60] = True
    with Picker(BANK, settings_of("weak", peaks=peaks), device="gpu") as picker:
        scores = [picker.search_one(picker.prepare(micrograph, exclude)).maps.score.copy()
                  for exclude in (area, None, area)]  # what one leaves to the device, the next does not
        assert picker.prepare(micrograph, area).line_filter is None
    with Picker(BANK, settings_of("weak", peaks=peaks)) as picker:
        for score, exclude in zip(scores, (area, None, area), strict=True):
            expected = picker.search_one(picker.prepare(micrograph, exclude)).maps.score
            np.testing.assert_allclose(score, expected, rtol=0, atol=2e-5)
    for device, options, reason in (("gpu+cpu", {}, "CPU: CPU threads"),
                                    ("gpu", {"beside": 0.5}, "CPU: what")):
        with Picker(BANK, settings_of("weak", peaks=peaks, **options), device=device) as picker:
            assert picker.filters.startswith(reason)
            assert picker.prepare(micrograph).line_filter is None


def test_run_json_says_who_filters(tmp_path, site, pick):
    picks = tmp_path / "picks"
    micrograph = planted(tmp_path).data
    command = [sys.executable, *pick(BANK, micrograph, "--angle-step", "180", "--device", "gpu",
                                     "--average", "4", "-o", str(picks))]
    done = subprocess.run(command, env=site, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads((picks / "run.json").read_text())["runs"][-1]["filters"] == "GPU"
