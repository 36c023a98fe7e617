"""BandedSearch against the method exact: the same picks, on whatever micrograph and by whatever rules."""

from __future__ import annotations

import logging
import threading
import tracemalloc
from itertools import count

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial import KDTree

from gembench.engine.banded import map as fine_map
from gembench.engine.banded.search import BandedSearch
from gembench.engine.bank import TemplateBank, grid_angles
from gembench.engine.exact.producer import CPUSearch, search
from gembench.engine.filters import average
from gembench.engine.peaks import PeakSettings, find_picks
from gembench.engine.turning import disc_mask
from gembench.errors import InputError

SHAPE = (301, 342)
BOX = 46
NMS = PeakSettings("nms", 0.3, distance=20)
WALK = PeakSettings("gempicker", 0.3)


def smooth(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> np.ndarray:
    image = ndimage.gaussian_filter(rng.normal(size=shape), sigma)
    return image / image.std()


def rectangle(box: int, height: int, width: int) -> np.ndarray:
    y, x = np.ogrid[:box, :box]
    return (abs(y - box // 2) <= height // 2) & (abs(x - box // 2) <= width // 2)


def a_bank(kind: str = "own", step: float = 15.0, views: int = 1, box: int = BOX) -> TemplateBank:
    """Smooth blobs without symmetry, under a rectangle each, one disc, or both."""
    rng = np.random.default_rng(views)
    templates = np.stack([smooth(rng, (box, box), box / 11) for _ in range(views)])
    masks = {"own": rectangle(box, box * 2 // 3, box // 2)[None], "disc": disc_mask((box, box))[None],
             "both": np.stack([rectangle(box, box * 2 // 3, box // 2), disc_mask((box, box))])}[kind]
    return TemplateBank(templates, masks, grid_angles(step))


def a_micrograph(
    bank: TemplateBank, seed: int = 0, shape: tuple[int, int] = SHAPE, filtered: float = 2.2, planted: int = 8
) -> np.ndarray:
    """Filtered noise with turned templates of the bank here and there, some at the edges."""
    rng = np.random.default_rng(seed)
    image = 1.5 * rng.normal(size=shape)
    for _ in range(planted):
        template = bank.rotated(int(rng.integers(len(bank))))
        h, w = template.mask.shape
        y, x = (int(rng.integers(0, n - size + 1)) for n, size in zip(shape, (h, w), strict=True))
        image[y : y + h, x : x + w] += template.weights / template.weights.std()
    return ndimage.gaussian_filter(image, filtered).astype(np.float32)


def assert_same_picks(banded, exact, bank, peaks, *, nearness=1e-3):
    """Every pick of either map has its equal in the other; equal scores may lie in either order."""
    picks, expected = find_picks(banded, bank, peaks), find_picks(exact, bank, peaks)
    assert len(picks) == len(expected)
    if len(expected):
        apart, at = KDTree(picks.xy).query(expected.xy)
        assert apart.max() < nearness
        np.testing.assert_allclose(picks.score[at], expected.score, rtol=0, atol=1e-5)
        # At the corner of a mirrored micrograph a template and its turn are equal but for the last bit.
        other = picks.template[at] != expected.template
        assert all(x in (0, exact.score.shape[1] - 1) for x in expected.x[other])
        assert all(y in (0, exact.score.shape[0] - 1) for y in expected.y[other])
    return len(expected)


def banded(micrograph, bank, peaks=NMS, exclude=None, **options):
    """The map by the method banded, and what it did."""
    with BandedSearch(bank, peaks=peaks, **options) as engine:
        return engine.run(micrograph, exclude=exclude), engine.statistics


@pytest.mark.parametrize("peaks", [NMS, WALK], ids=["nms", "gempicker"])
@pytest.mark.parametrize("edges", ["mask", "box", "reflect"])
@pytest.mark.parametrize("kind", ["own", "disc"])
def test_planted_particles_are_picked_as_by_the_method_exact(kind, edges, peaks):
    bank = a_bank(kind)
    micrograph = a_micrograph(bank)
    maps, statistics = banded(micrograph, bank, peaks, edges=edges)
    exact = search(micrograph, bank, edges=edges)
    assert assert_same_picks(maps, exact, bank, peaks) >= 5
    assert statistics.step > 1
    assert 0 < statistics.exact < micrograph.size / 4
    assert maps.score.dtype == exact.score.dtype
    np.testing.assert_array_equal(maps.index < 0, exact.index < 0)
    assert not maps.score[maps.index < 0].any()


def test_several_views_with_masks_of_their_own():
    bank = a_bank("both", views=2)
    micrograph = a_micrograph(bank, planted=12)
    maps, _ = banded(micrograph, bank)
    assert assert_same_picks(maps, search(micrograph, bank), bank, NMS) >= 5


@pytest.mark.parametrize("shape", [(129, 200), (200, 129), (257, 211)])
def test_odd_sizes(shape):
    bank = a_bank(box=31)
    micrograph = a_micrograph(bank, shape=shape, filtered=2.5)
    maps, statistics = banded(micrograph, bank)
    assert statistics.step > 1
    assert assert_same_picks(maps, search(micrograph, bank), bank, NMS)


def test_a_bank_of_one():
    bank = TemplateBank(a_bank().templates, a_bank().masks)
    micrograph = a_micrograph(bank)
    maps, _ = banded(micrograph, bank)
    assert assert_same_picks(maps, search(micrograph, bank), bank, NMS) >= 5


def test_averaging_filter_and_double_precision():
    bank = a_bank()
    micrograph, _ = average(a_micrograph(bank, filtered=1.5), 4)
    maps, _ = banded(micrograph, bank, dtype="float64")
    exact = search(micrograph, bank, dtype="float64")
    assert maps.score.dtype == np.float64
    assert assert_same_picks(maps, exact, bank, NMS, nearness=1e-9) >= 5


@pytest.mark.parametrize("peaks", [NMS, WALK], ids=["nms", "gempicker"])
def test_excluded_area(peaks):
    bank = a_bank()
    micrograph = a_micrograph(bank, planted=14)
    exclude = np.zeros(SHAPE, bool)
    exclude[90:180, 60:200] = True
    maps, _ = banded(micrograph, bank, peaks, exclude)
    with CPUSearch(bank) as engine:
        exact = engine.run(micrograph, exclude=exclude)
    assert not maps.score[exclude].any()
    assert (maps.index[exclude] == -1).all()
    assert assert_same_picks(maps, exact, bank, peaks) >= 3


def test_maxima_at_any_distance_where_none_is_asked_for():
    bank = a_bank(step=30)
    peaks = PeakSettings("nms", 0.3)
    micrograph = a_micrograph(bank)
    maps, _ = banded(micrograph, bank, peaks)
    assert assert_same_picks(maps, search(micrograph, bank), bank, peaks) >= 8


def test_most_picks_asked_for_and_border():
    bank = a_bank()
    peaks = PeakSettings("gempicker", 0.1, border=5, max_picks=6)
    micrograph = a_micrograph(bank)
    maps, _ = banded(micrograph, bank, peaks)
    assert assert_same_picks(maps, search(micrograph, bank), bank, peaks) == 6


def test_scores_lowered_by_their_slack_make_no_picks():
    bank = a_bank("both", step=10, views=2, box=30)
    micrograph = a_micrograph(bank, seed=2, shape=(240, 250), filtered=5, planted=6)
    peaks = PeakSettings("nms", 0.2, distance=12)
    maps, _ = banded(micrograph, bank, peaks, edges="reflect")
    assert assert_same_picks(maps, search(micrograph, bank, edges="reflect"), bank, peaks) > 100


@pytest.mark.parametrize("peaks", [NMS, WALK], ids=["nms", "gempicker"])
def test_twins_of_a_template_that_looks_the_same_after_half_a_turn(peaks):
    view = smooth(np.random.default_rng(4), (BOX, BOX), BOX / 11)
    mask = np.zeros((BOX, BOX), bool)
    mask[3 : BOX - 3, 6 : BOX - 6] = True
    bank = TemplateBank(view + view[::-1, ::-1], mask, grid_angles(15))
    micrograph = a_micrograph(bank, seed=5, planted=12)
    maps, _ = banded(micrograph, bank, peaks)
    exact = search(micrograph, bank)
    picks = find_picks(exact, bank, peaks)
    rows, columns = picks.y.round().astype(int), picks.x.round().astype(int)
    around = [exact.score[y - 1 : y + 2, x - 1 : x + 2].ravel() for y, x in zip(rows, columns, strict=True)]
    assert sum(np.diff(np.sort(nine)[-2:])[0] < 1e-6 for nine in around if len(nine) == 9) >= 5
    assert assert_same_picks(maps, exact, bank, peaks) >= 10


@pytest.mark.parametrize(("kind", "loud"), [("own", 1), ("own", 2), ("own", 4), ("disc", 1), ("disc", 2)])
def test_every_score_lies_within_its_slack(kind, loud, monkeypatch):
    bank = a_bank(kind)
    micrograph = a_micrograph(bank, seed=3, planted=12)
    y, x = np.ogrid[: SHAPE[0], : SHAPE[1]]
    loudness = 1 + (loud - 1) / (1 + np.exp((np.hypot(y - 60, x - 70) - 60) / 6))
    micrograph = (micrograph * loudness).astype(np.float32)
    seen = {}

    def look_everywhere(fine, _settings):
        fine.look(*(at.ravel() for at in np.indices(fine.cells)))
        seen.update(score=fine.score.copy(), slack=fine.slack.copy(), bound=fine.bound, fine=fine)

    monkeypatch.setattr("gembench.engine.banded.search.settle_maxima", look_everywhere)
    _, statistics = banded(micrograph, bank)
    exact = search(micrograph, bank)
    assert statistics.step > 1
    scored = exact.index >= 0
    assert (np.abs(exact.score - seen["score"]) <= seen["slack"])[scored].all()
    assert np.median(seen["slack"][scored]) < 0.04
    rows, columns = seen["fine"].cell_of(*np.nonzero(scored))
    assert (exact.score[scored] <= seen["bound"][rows, columns]).all()


def test_nothing_reaches_the_threshold():
    bank = a_bank()
    micrograph = a_micrograph(bank, planted=0)
    peaks = PeakSettings("nms", 0.95, distance=20)
    maps, statistics = banded(micrograph, bank, peaks)
    assert statistics.exact == 0
    assert (maps.score < 0.95).all()
    assert len(find_picks(maps, bank, peaks)) == 0


def test_scores_elsewhere_are_near_the_exact_ones():
    bank = a_bank()
    micrograph = a_micrograph(bank)
    maps, _ = banded(micrograph, bank)
    exact = search(micrograph, bank)
    np.testing.assert_array_equal(maps.index < 0, exact.index < 0)
    inside = ndimage.binary_erosion(maps.index >= 0, iterations=12)  # where every template is scored
    assert np.sqrt(np.mean((maps.score - exact.score)[inside] ** 2)) < 0.01


@pytest.mark.parametrize("peaks", [
    pytest.param(NMS, id="nms"), pytest.param(WALK, id="gempicker", marks=pytest.mark.exhaustive),
])
def test_the_same_bits_on_any_number_of_threads(peaks):
    bank = a_bank(step=10)
    micrograph = a_micrograph(bank)
    alone, statistics = banded(micrograph, bank, peaks)
    assert statistics.exact > 100
    for threads in range(2, 9):
        maps, done = banded(micrograph, bank, peaks, threads=threads)
        np.testing.assert_array_equal(maps.score, alone.score)
        np.testing.assert_array_equal(maps.index, alone.index)
        assert (done.seen, done.exact) == (statistics.seen, statistics.exact)


def test_cells_are_looked_at_by_several_threads_at_once(monkeypatch):
    together, gather_cells, calls = threading.Barrier(2, timeout=20), fine_map.gather_cells, count()

    def gather_together(*arguments):
        if next(calls) < 2:
            together.wait()  # for ever, if one part of the cells waits for the other
        gather_cells(*arguments)

    def look_everywhere(fine, _settings):
        fine.look(*(at.ravel() for at in np.indices(fine.cells)))

    monkeypatch.setattr(fine_map, "gather_cells", gather_together)
    monkeypatch.setattr("gembench.engine.banded.search.settle_maxima", look_everywhere)
    bank = a_bank()
    _, statistics = banded(a_micrograph(bank), bank, threads=2)
    assert statistics.seen == np.prod(SHAPE) - (search(a_micrograph(bank), bank).index < 0).sum()


def test_micrographs_one_after_the_other_do_not_know_of_each_other():
    bank = a_bank()
    images = [a_micrograph(bank, 1), a_micrograph(bank, 2, filtered=4), a_micrograph(bank, 3, (240, 260))]
    with BandedSearch(bank, peaks=NMS) as engine:
        for image in [*images, images[0]]:
            maps = engine.run(image)
            alone, _ = banded(image, bank)
            np.testing.assert_array_equal(maps.score, alone.score)
            np.testing.assert_array_equal(maps.index, alone.index)


def test_an_unfiltered_micrograph_is_searched_by_the_method_exact_and_that_is_said(caplog):
    rng = np.random.default_rng(3)
    bank = TemplateBank(rng.normal(size=(1, 20, 20)), rectangle(20, 14, 9)[None], grid_angles(90))
    micrograph = rng.normal(size=(120, 130)).astype(np.float32)
    with caplog.at_level(logging.WARNING, "gembench"):
        maps, statistics = banded(micrograph, bank)
    exact = search(micrograph, bank)
    np.testing.assert_array_equal(maps.score, exact.score)
    np.testing.assert_array_equal(maps.index, exact.index)
    assert statistics.step == 1
    assert statistics.counts.templates == len(bank)
    assert len(caplog.records) == 1
    assert "not low-pass filtered" in caplog.text


def test_a_micrograph_constant_in_places_is_searched_by_the_method_exact(caplog):
    bank = a_bank()
    micrograph = a_micrograph(bank)
    micrograph[100:220, 90:230] = micrograph.mean()
    with caplog.at_level(logging.WARNING, "gembench"):
        maps, statistics = banded(micrograph, bank)
    exact = search(micrograph, bank)
    np.testing.assert_array_equal(maps.score, exact.score)
    assert statistics.step == 1
    assert "almost constant" in caplog.text


@pytest.mark.parametrize(("edges", "kind", "dtype", "filtered"), [
    ("reflect", "own", "float32", 3.5),
    *(pytest.param(*case, marks=pytest.mark.exhaustive)
      for case in (("mask", "disc", "float64", 2.2), ("mask", "both", "float32", 2.2))),
])
def test_predicted_bytes_are_those_allocated(edges, kind, dtype, filtered):
    bank = a_bank(kind, step=15, views=2 if kind == "both" else 1)
    micrograph = a_micrograph(bank, shape=(600, 640), filtered=filtered).astype(dtype)
    with BandedSearch(bank, peaks=NMS, edges=edges, dtype=dtype, library="scipy") as engine:
        assert engine.bytes == 0
        engine.run(micrograph[:500])
        engine.close()
        tracemalloc.start()
        try:
            for _ in range(2):  # while the bank is compressed, and with what was kept of it
                tracemalloc.reset_peak()
                engine.run(micrograph)
                peak = tracemalloc.get_traced_memory()[1]
                assert 0.85 * engine.bytes < peak < 1.15 * engine.bytes
        finally:
            tracemalloc.stop()


def test_less_memory_gives_the_same_picks_or_is_refused():
    bank = a_bank("disc", step=1, box=60)
    micrograph = a_micrograph(bank, shape=(200, 220), filtered=3, planted=4)
    exact = search(micrograph, bank)
    with BandedSearch(bank, peaks=NMS) as engine:
        engine.run(micrograph)
        first = engine.bytes
        engine.run(micrograph)
        assert engine.bytes < first  # the bank is compressed already
    with BandedSearch(bank, peaks=NMS, memory=first - 1) as engine:
        assert assert_same_picks(engine.run(micrograph), exact, bank, NMS)
        assert engine.bytes < first
    for part in (0.6, 0.1):
        with BandedSearch(bank, peaks=NMS, memory=part * first) as engine, pytest.raises(
            InputError, match=r"banded search of 220 x 200 px in float32 needs .* GiB, .* more than are left"
        ):
            engine.run(micrograph)


def test_the_method_exact_keeps_within_the_memory_too(caplog):
    rng = np.random.default_rng(3)
    bank = TemplateBank(rng.normal(size=(1, 20, 20)), rectangle(20, 14, 9)[None], grid_angles(90))
    micrograph = rng.normal(size=(120, 130)).astype(np.float32)
    with BandedSearch(bank, memory=1 << 21) as engine:
        np.testing.assert_array_equal(engine.run(micrograph).score, search(micrograph, bank).score)
    with BandedSearch(bank, memory=1 << 19) as engine, pytest.raises(InputError, match="more than are left"):
        engine.run(micrograph)


def test_progress_counts_every_template():
    bank = a_bank()
    done = []
    with BandedSearch(bank, peaks=NMS) as engine:
        engine.run(a_micrograph(bank), on_template=done.append)
    assert sum(done) == len(bank)


@pytest.mark.parametrize(("micrograph", "message"), [
    (np.zeros((3, 80, 80)), "two dimensions"),
    (np.zeros((80, 80)), "constant"),
    (np.zeros((20, 80)), "larger than the micrograph"),
    (np.full((80, 80), np.nan), "NaN"),
])
def test_unusable_micrographs(micrograph, message):
    with BandedSearch(a_bank()) as engine, pytest.raises(InputError, match=message):
        engine.run(micrograph)


@settings(max_examples=15, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    seed=st.integers(0, 10**6), filtered=st.floats(1.8, 5), height=st.integers(110, 190),
    width=st.integers(110, 190), box=st.integers(20, 40), step=st.sampled_from([20.0, 45.0, 180.0]),
    distance=st.sampled_from([9.0, 16.0, 30.0]), edges=st.sampled_from(["mask", "box", "reflect"]),
    kind=st.sampled_from(["own", "disc"]), planted=st.integers(0, 6),
    rule=st.sampled_from(["nms", "gempicker"]),
)
def test_every_exact_pick_is_found(
    seed, filtered, height, width, box, step, distance, edges, kind, planted, rule
):
    bank = a_bank(kind, step, box=box)
    micrograph = a_micrograph(bank, seed, (height, width), filtered, planted)
    peaks = PeakSettings(rule, 0.25, distance=distance if rule == "nms" else 0)
    maps, _ = banded(micrograph, bank, peaks, edges=edges, dtype="float64")
    exact = search(micrograph, bank, edges=edges, dtype="float64")
    assert_same_picks(maps, exact, bank, peaks, nearness=1e-6)
