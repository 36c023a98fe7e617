"""GPUSearch against the direct sum and the CPU engine: scores, edges, ties, batches, devices, shares."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from gembench.data.workload import Workload, egg_bank
from gembench.engine.bank import TemplateBank, grid_angles
from gembench.engine.exact.producer import CPUSearch, search
from gembench.engine.gpu.layouts import Layout
from gembench.engine.gpu.search import GPUSearch
from gembench.engine.peaks import PeakSettings
from gembench.engine.score_map import finished, merge
from gembench.engine.turning import disc_mask, rotate
from gembench.errors import InputError
from gembench.io.images.micrographs import Micrograph
from gembench.picking.picker import Picker
from gembench.picking.settings import PickSettings

TOLERANCE = {"float32": 2e-5, "float64": 1e-10}
HALF = 2e-3
POSITIONS = 150
ANGLES = [0.0, 30.0, 90.0, 180.0, 211.0]


def smooth(rng, shape, sigma=1.5):
    image = ndimage.gaussian_filter(rng.normal(size=shape), (0,) * (len(shape) - 2) + (sigma, sigma))
    return image / image.std()


def a_mask(kind, shape):
    h, w = shape
    mask = np.zeros(shape, bool)
    if kind == "rectangle":
        mask[h // 4 : h // 4 + h // 2, w // 3 : w // 3 + max(w // 3, 2)] = True
    elif kind == "irregular":
        mask = smooth(np.random.default_rng(h * w), shape, 2) > 0.2
    else:
        mask = disc_mask(shape) if kind == "disc" else np.ones(shape, bool)
    return mask


CASES = {  # micrograph, its mean, template box, mask, edge rule, interpolation
    "odd": ((97, 121), 0.0, (20, 20), "rectangle", "mask", "bilinear"),
    "even": ((96, 128), 1e4, (21, 21), "disc", "mask", "bilinear"),
    "square": ((110, 110), 0.0, (24, 18), "irregular", "box", "cubic"),
    "tiny template": ((64, 81), 1e4, (8, 8), "full", "mask", "bilinear"),
    "wide template": ((70, 90), 0.0, (9, 60), "rectangle", "mask", "bilinear"),
    "whole": ((47, 52), 0.0, (47, 52), "full", "mask", "bilinear"),
    "whole box": ((48, 48), 1e4, (48, 48), "rectangle", "box", "bilinear"),
    "mirrored": ((75, 64), 1e4, (16, 22), "irregular", "reflect", "bilinear"),
    "mirrored whole": ((40, 51), 0.0, (40, 51), "disc", "reflect", "bilinear"),
}


@cache
def a_case(name):
    """A micrograph, a bank of two views at five angles, and what the micrograph is mirrored by."""
    shape, mean, box, kind, edges, interpolation = CASES[name]
    rng = np.random.default_rng(len(name))
    micrograph = 3 * smooth(rng, shape) + rng.normal(size=shape) + mean
    bank = TemplateBank(smooth(rng, (2, *box)), a_mask(kind, box), ANGLES, interpolation)
    return micrograph, bank, min(shape) - 1 if edges == "reflect" else 0


def direct(best_scores, name):
    """Positions, and scores, indices and leads of a case there by the direct sum."""
    micrograph, bank, margin = a_case(name)
    rng = np.random.default_rng(5)
    rows, columns = (rng.integers(0, n, POSITIONS) for n in micrograph.shape)
    rows[:5], columns[:5] = micrograph.shape[0] // 2, micrograph.shape[1] // 2 + np.arange(-2, 3)
    padded = np.pad(micrograph, margin, mode="reflect") if margin else micrograph
    turned = [(rotate(bank.templates[view], psi, bank.interpolation), bank.mask(view * len(ANGLES) + i))
              for view in range(2) for i, psi in enumerate(ANGLES)]
    score, index, lead = best_scores(padded, turned, rows + margin, columns + margin)
    if CASES[name][4] == "box":
        (h, w), (H, W) = bank.box, micrograph.shape
        top, left = rows - h // 2, columns - w // 2
        outside = (top < 0) | (left < 0) | (top + h > H) | (left + w > W)
        score, index = np.where(outside, 0, score), np.where(outside, -1, index)
    return rows, columns, score, index, lead


def gpu_search(micrograph, bank, **options):
    with GPUSearch(bank, **options) as engine:
        return engine.run(micrograph)


def same(maps, expected):
    assert maps.score.tobytes() == expected.score.tobytes()
    assert maps.index.tobytes() == expected.index.tobytes()


def agree(maps, expected, tolerance):
    """The scores within the tolerance, the same places scored, and the same templates where one is ahead."""
    np.testing.assert_allclose(maps.score, expected.score, rtol=0, atol=tolerance)
    np.testing.assert_array_equal(maps.index < 0, expected.index < 0)
    return (maps.index != expected.index).mean()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_scores_and_indices_are_those_of_the_direct_sum(cupy, best_scores, name, dtype):
    micrograph, bank, _ = a_case(name)
    rows, columns, score, index, lead = direct(best_scores, name)
    maps = gpu_search(micrograph, bank, dtype=dtype, edges=CASES[name][4], devices=(0,))
    assert (index >= 0).any()
    assert maps.score.dtype == np.dtype(dtype)
    assert maps.index.dtype == np.int32
    assert maps.score.shape == maps.index.shape == micrograph.shape
    np.testing.assert_allclose(maps.score[rows, columns], score, rtol=0, atol=TOLERANCE[dtype])
    clear = (lead > 2 * TOLERANCE[dtype]) | (index < 0)
    np.testing.assert_array_equal(maps.index[rows, columns][clear], index[clear])
    assert not maps.score[maps.index < 0].any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_the_whole_maps_are_those_of_the_cpu(cupy, name, dtype):
    micrograph, bank, _ = a_case(name)
    maps = gpu_search(micrograph, bank, dtype=dtype, edges=CASES[name][4], devices=(0,))
    expected = search(micrograph, bank, dtype=dtype, edges=CASES[name][4])
    assert agree(maps, expected, TOLERANCE[dtype]) < 1e-3


@pytest.mark.parametrize(("mask", "spectra"), [
    ("own", "single"), ("disc", "single"),
    *(pytest.param(mask, "half", marks=pytest.mark.exhaustive) for mask in ("own", "disc")),
])
def test_templates_of_the_paper_s_size(cupy, mask, spectra):
    """160^2 pixels, tiles of 512^2 points, two of them."""
    bank = egg_bank(160, 3, mask)
    work = Workload.make((440, 560), bank, places=40)
    with GPUSearch(bank, spectra=spectra, devices=(0,)) as engine:
        maps = engine.run(work.micrograph)
        assert (engine.plan.transform, engine.plan.tiles) == ((512, 512), 2)
    agree(maps, search(work.micrograph, bank, dtype="float64"), HALF if spectra == "half" else 2e-6)
    if spectra == "single":
        work.check(maps, "float32")


@pytest.mark.parametrize("mask", ["own", "disc"])
def test_every_layout_gives_the_same_scores(cupy, mask):
    """Layouts differ in rounding if their transforms do, and in nothing if only their launches do."""
    bank = egg_bank(24, 12, mask)
    micrograph = Workload.make((150, 131), bank).micrograph
    expected = search(micrograph, bank, dtype="float64")
    plain = gpu_search(micrograph, bank, devices=(0,), layout=Layout(64))
    agree(plain, expected, 2e-6)
    for lanes, tiles in ((1, 4), (3, 2), (4, 8)):
        same(gpu_search(micrograph, bank, devices=(0,), layout=Layout(64, 8, lanes, tiles)), plain)
    for size, held in ((128, 16), (256, 16), (512, 32)):
        agree(gpu_search(micrograph, bank, devices=(0,), layout=Layout(size, held)), expected, 2e-6)


@pytest.mark.parametrize("mask", ["own", "disc"])
@pytest.mark.parametrize(("size", "held"), [(64, 8), (128, 8), (512, 32)])
def test_tiles_that_are_read_once_give_the_same_scores(cupy, size, held, mask):
    """By one buffer and by two that take turns; the last group has one pair, and its second template none."""
    bank = egg_bank(24, 5, mask)
    micrograph = Workload.make((75, 91), bank).micrograph
    maps = gpu_search(micrograph, bank, devices=(0,), layout=Layout(size, held, once=True))
    agree(maps, search(micrograph, bank, dtype="float64"), 2e-6)


@pytest.mark.exhaustive
@pytest.mark.parametrize("spectra", ["single", "half"])
@pytest.mark.parametrize("mask", ["own", "disc"])
def test_scores_by_every_transform_and_precision(cupy, transform, mask, spectra):
    """A micrograph of odd sides and an odd number of templates, in tiles of 64 to 2048 points."""
    size, dtype, held = transform
    if spectra == "half" and dtype == "float64":
        pytest.skip("half spectra go with float32")
    bank = egg_bank(24, 5, mask)
    micrograph = Workload.make((75, 91), bank).micrograph
    expected = search(micrograph, bank, dtype="float64")
    for once in (False, True):
        maps = gpu_search(micrograph, bank, dtype=dtype, spectra=spectra, devices=(0,),
                          layout=Layout(size, held, once=once))
        agree(maps, expected, HALF if spectra == "half" else TOLERANCE[dtype])


@pytest.mark.parametrize("name", ["odd", "even", "mirrored"])
def test_half_precision_spectra_cost_little_and_sigma_nothing(cupy, name):
    micrograph, bank, _ = a_case(name)
    maps = gpu_search(micrograph, bank, spectra="half", edges=CASES[name][4], devices=(0,))
    expected = search(micrograph, bank, dtype="float64", edges=CASES[name][4])
    error = np.abs(maps.score - expected.score).max()
    assert TOLERANCE["float32"] < error < HALF
    np.testing.assert_array_equal(maps.index < 0, expected.index < 0)


@pytest.mark.parametrize(("name", "spectra"), [
    ("odd", "single"), ("even", "half"),
    *(pytest.param(*case, marks=pytest.mark.exhaustive) for case in (("odd", "half"), ("even", "single"))),
])
def test_the_same_bits_for_every_batch_device_and_share(world, name, spectra):
    micrograph, bank, _ = a_case(name)
    first = gpu_search(micrograph, bank, spectra=spectra)
    for batch in (1, 3, 7):
        same(gpu_search(micrograph, bank, batch=batch, spectra=spectra), first)
    world.l2 = 64 << 20  # more tiles in one launch
    same(gpu_search(micrograph, bank, spectra=spectra), first)
    same(gpu_search(micrograph, bank, spectra=spectra, graph=False), first)
    world.devices = 3
    for devices in ((2, 0), None):
        same(gpu_search(micrograph, bank, devices=devices, batch=2, spectra=spectra), first)
    for parts in (2, 7):
        shares = [GPUSearch(bank, spectra=spectra, share=(part, parts)) for part in range(parts)]
        maps, *others = [share.partial(micrograph) for share in shares]
        for other in others:
            merge(maps.score, maps.index, other.score, other.index)
        same(finished(maps), first)


def test_one_search_over_many_micrographs_is_many_searches(cupy):
    rng = np.random.default_rng(20)
    masks = np.stack([disc_mask((15, 15)), np.pad(np.ones((9, 5), bool), ((3, 3), (5, 5)))])
    bank = TemplateBank(smooth(rng, (2, 15, 15)), masks, grid_angles(20))
    first, second, other = (rng.normal(size=shape) for shape in ((60, 71), (60, 71), (48, 64)))
    with GPUSearch(bank, devices=(0,), batch=6) as engine:
        for micrograph in (first, second, other, first, first):
            done = []
            maps = engine.run(micrograph, on_template=done.append)
            same(maps, gpu_search(micrograph, bank, devices=(0,)))
            assert agree(maps, search(micrograph, bank), TOLERANCE["float32"]) < 1e-3
            assert sum(done) == len(bank) == engine.statistics.counts.templates
            assert max(done) <= 6


@pytest.mark.parametrize("mask", ["disc", "own"])
def test_equal_scores_keep_the_lowest_index(cupy, mask):
    rng = np.random.default_rng(6)
    first, other = smooth(rng, (2, 12, 12))
    masks = None if mask == "disc" else a_mask("rectangle", (12, 12))
    bank = TemplateBank(np.stack([first, other, first, first, other, other, first]), masks, angles=[0, 90])
    maps = gpu_search(smooth(rng, (60, 71)), bank, devices=(0,), batch=2)
    scored = maps.index >= 0
    assert scored.any()
    assert set(np.unique(maps.index[scored])) == {0, 1, 2, 3}


def test_a_flat_micrograph_scores_zero_by_the_lowest_index(cupy):
    rng = np.random.default_rng(7)
    view = smooth(rng, (10, 10))
    micrograph = np.zeros((60, 60))
    micrograph[50:, 50:] = rng.normal(size=(10, 10))
    maps = gpu_search(micrograph, TemplateBank(np.stack([view, -view, view])), devices=(0,))
    assert not maps.score[6:40, 6:40].any()
    assert not maps.index[6:40, 6:40].any()


def symmetric(height, width, box):
    mask = np.zeros((box, box), bool)
    top, left = (box - height) // 2, (box - width) // 2
    mask[top : top + height, left : left + width] = True
    return mask


@pytest.mark.parametrize(("mask", "masks"), [
    (disc_mask((21, 21)), 1), (symmetric(13, 7, 21), 6), (a_mask("irregular", (21, 21)), 12),
])
def test_equal_masks_share_what_they_need(cupy, mask, masks):
    bank = TemplateBank(smooth(np.random.default_rng(9), mask.shape), mask, grid_angles(30))
    micrograph = np.random.default_rng(9).normal(size=(64, 70))
    with GPUSearch(bank, devices=(0,), batch=4) as engine:
        agree(engine.run(micrograph), search(micrograph, bank), TOLERANCE["float32"])
        counts = engine.statistics.counts
        assert (counts.forward, counts.inverse, counts.templates) == (2 + 12 + masks, 12 + 2 * masks, 12)


def test_discs_of_different_size_and_masks_of_their_own_in_one_bank(cupy):
    rng = np.random.default_rng(15)
    shapes = [disc_mask((21, 21), radius) for radius in (5, 9, 9, 7)] + [a_mask("irregular", (21, 21))]
    bank = TemplateBank(smooth(rng, (5, 21, 21)), np.stack(shapes), grid_angles(120))
    micrograph = rng.normal(size=(60, 70))
    maps = gpu_search(micrograph, bank, dtype="float64", edges="box", devices=(0,), batch=8)
    agree(maps, search(micrograph, bank, dtype="float64", edges="box"), TOLERANCE["float64"])


def test_hot_pixels_steps_and_ramps_cost_no_more_than_on_the_cpu(cupy):
    rng = np.random.default_rng(16)
    bank = TemplateBank(smooth(rng, (10, 10)), a_mask("rectangle", (10, 10)), [0, 45])
    for hot, step, ramp in ((0, 1e5, 0), (1e9, 0, 0), (65535, 1e2, 0), (0, 0, 1e6), (1e3, 1.0, 10)):
        image = rng.normal(size=(48, 53)) + np.linspace(0, ramp, 53)
        image[:, :20] = 1.0
        image[30:] += step
        image[20, 25] += hot
        maps = gpu_search(image, bank, devices=(0,))
        fine = search(image, bank, dtype="float64").score
        coarse = search(image, bank).score
        assert np.isfinite(maps.score).all()
        assert np.abs(maps.score).max() <= 1
        error, allowed = (np.abs(score - fine)[score != 0].max(initial=0) for score in (maps.score, coarse))
        assert error <= 2 * allowed + 1e-6
        assert ((maps.score != 0) == (coarse != 0)).mean() > 0.999


def test_planted_templates_are_found_at_their_pixel_with_their_index(cupy):
    rng, box = np.random.default_rng(10), 23
    bank = TemplateBank(smooth(rng, (2, box, box), 2), symmetric(17, 11, box), grid_angles(30))
    planted = {(30, 30): 3, (30, 75): 17, (75, 40): 0, (80, 90): 23, (60, 110): 12}
    clean = np.zeros((112, 131))
    for (y, x), k in planted.items():
        image = rotate(bank.templates[k // 12], bank.angles[k % 12])
        clean[y - box // 2 : y - box // 2 + box, x - box // 2 : x - box // 2 + box] = image
    maps = gpu_search(1e4 + 50 * clean, bank, devices=(0,))
    for (y, x), k in planted.items():
        assert maps.score[y, x] == pytest.approx(1, abs=1e-5)
        assert maps.index[y, x] == k


def test_excluded_pixels_are_not_scored_and_do_not_reach_the_others(cupy):
    micrograph, bank, _ = a_case("odd")
    exclude = np.zeros(micrograph.shape, bool)
    exclude[10:40, 20:60] = True
    blob = np.where(exclude, np.nan, micrograph)
    with GPUSearch(bank, devices=(0,)) as engine, CPUSearch(bank) as cpu:
        agree(engine.run(blob, exclude=exclude), cpu.run(blob, exclude=exclude), TOLERANCE["float32"])


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float16, ">f4", bool])
def test_micrographs_of_any_real_type(cupy, dtype):
    micrograph = (np.random.default_rng(14).normal(size=(32, 40)) > 0).astype(dtype)
    bank = TemplateBank(smooth(np.random.default_rng(13), (9, 9)))
    maps = gpu_search(micrograph, bank, devices=(0,))
    same(maps, gpu_search(micrograph.astype(np.float64), bank, devices=(0,)))


@pytest.mark.parametrize(("micrograph", "message"), [
    (np.zeros(40), "two dimensions"),
    (np.full((32, 40), np.nan), "holds 1280 NaN"),
    (np.full((32, 40), 0.1), "the micrograph is constant"),
    (np.full((32, 40), 7, np.int16), "the micrograph is constant"),
    (np.random.default_rng(1).normal(size=(8, 40)), "template box of 9 x 9 px is larger than the micrograph"),
])
def test_unusable_micrographs_are_named_and_the_next_one_is_searched(cupy, micrograph, message):
    bank = TemplateBank(smooth(np.random.default_rng(13), (9, 9)))
    good = np.random.default_rng(2).random((32, 40))
    with GPUSearch(bank, devices=(0,)) as engine:
        with pytest.raises(InputError, match=message):
            engine.run(micrograph)
        agree(engine.run(good), search(good, bank), TOLERANCE["float32"])


def test_stages_add_up_and_leave_the_maps_as_they_are(cupy):
    micrograph, bank, _ = a_case("odd")
    with GPUSearch(bank, devices=(0,)) as engine:
        first = engine.run(micrograph)
        seconds = engine.stage_seconds(micrograph)
        assert set(seconds) == {"copies", "frame", "turn templates", "template spectra", "turn masks",
                             "mask spectra", "products", "rows and fold"}
        assert min(seconds.values()) > 0
        same(engine.run(micrograph), first)


def test_full_batches_are_replayed_from_a_graph(world):
    micrograph, bank, _ = a_case("odd")
    with GPUSearch(bank, batch=2) as engine:
        engine.run(micrograph)
        assert world.graphs == len(bank) // 2 - 1  # the first is launched as it is
        engine.run(micrograph)
        assert world.graphs == len(bank) - 1


def test_a_picker_finds_the_same_particles_on_a_gpu(cupy, tmp_path):
    bank = egg_bank(24, 12)
    work = Workload.make((140, 150), bank)
    micrograph = Micrograph("a", work.micrograph, 2.2, tmp_path / "a.mrc")
    settings = PickSettings(2.2, average=1, peaks=PeakSettings(distance=20))
    picks = {}
    for device in ("cpu", "gpu:0"):
        with Picker(bank, settings, device=device) as picker:
            picks[device] = picker.pick(picker.prepare(micrograph)).picks
            assert picker.search.threads == 1
    assert len(picks["cpu"]) == 4  # as many as were planted
    np.testing.assert_array_equal(picks["gpu:0"].template, picks["cpu"].template)
    np.testing.assert_allclose(picks["gpu:0"].x, picks["cpu"].x, atol=1e-3)
    np.testing.assert_allclose(picks["gpu:0"].score, picks["cpu"].score, atol=2e-5)


@pytest.mark.parametrize(("device", "settings", "message"), [
    ("gpu", {"method": "paper"}, "method 'paper' is not made for GPUs: choose exact, or --device cpu"),
    ("cpu", {"spectra": "half"}, "spectra in 'half' precision are for GPUs: use --device gpu"),
])
def test_a_picker_says_what_only_one_of_them_does(world, device, settings, message):
    with pytest.raises(InputError, match=message):
        Picker(egg_bank(24, 2), PickSettings(2.2, **settings), device=device)
