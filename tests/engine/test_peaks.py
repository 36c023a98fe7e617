"""Peaks against slow literal implementations, and positions of planted parabolas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial import KDTree

from gembench.engine.bank import TemplateBank, grid_angles
from gembench.engine.exact.producer import search
from gembench.engine.peaks import PEAK_RULES, PeakSettings, find_picks, maxima
from gembench.engine.score_map import ScoreMap
from gembench.engine.turning import disc_mask, rotate
from gembench.errors import InputError


def a_bank(box: tuple[int, int] = (9, 9)) -> TemplateBank:
    """Two views at four angles; a disc and a bar."""
    masks = np.stack([disc_mask(box), np.zeros(box, bool)])
    masks[1, box[0] // 2 - 3 : box[0] // 2 + 2, box[1] // 2 - 1 : box[1] // 2 + 1] = True
    templates = np.random.default_rng(0).normal(size=(2, *box))
    return TemplateBank(templates, masks, grid_angles(90), pixel_size=2.2)


BANK = a_bank()


def maps_of(points: dict[tuple[int, int], float], shape: tuple[int, int] = (60, 80)) -> ScoreMap:
    """A map of zeros with scores at (y, x), all of template 0."""
    score = np.zeros(shape, np.float32)
    for at, value in points.items():
        score[at] = value
    return ScoreMap(score, np.zeros(shape, np.int32))


def positions(picks) -> list[tuple[float, float]]:
    return list(zip(picks.y.tolist(), picks.x.tolist(), strict=True))


def nms_of(maps, **options) -> list[tuple[float, float]]:
    return positions(find_picks(maps, BANK, PeakSettings("nms", subpixel=False, **options)))


def nms(points, **options) -> list[tuple[float, float]]:
    return nms_of(maps_of(points), **options)


def test_local_maxima_best_first():
    assert nms({(10, 10): 0.5, (30, 50): 0.9, (50, 20): 0.7, (5, 5): 0.2}) == [(30, 50), (50, 20), (10, 10)]


def test_equal_scores_come_in_reading_order():
    assert nms({(50, 20): 0.5, (10, 60): 0.5, (10, 10): 0.5}) == [(10, 10), (10, 60), (50, 20)]


@pytest.mark.parametrize(("at", "kept"), [
    ((20, 29), 1), ((20, 30), 2), ((26, 28), 2), ((26, 27), 1), ((20, 31), 2),
])
def test_peaks_exactly_at_the_distance_are_kept(at, kept):
    assert len(nms({(20, 20): 0.9, at: 0.8}, distance=10)) == kept


def test_suppressed_peaks_suppress_nothing():
    assert nms({(20, 20): 0.9, (20, 28): 0.8, (20, 36): 0.7}, distance=10) == [(20, 20), (20, 36)]


def highest_neighbours(values):
    """The highest of each pixel and its eight neighbours."""
    return ndimage.maximum_filter(values, 3, mode="constant", cval=-np.inf)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_maxima_of_lowered_and_of_raised_scores(dtype):
    rng = np.random.default_rng(3)
    score, slack = rng.random((2, 90, 70)).astype(dtype)
    slack *= dtype(0.1)
    places = rng.permutation(score.size)
    lowered, raised = score - slack, score + dtype(0.5) * slack
    for is_maximum, expected in [
        (maxima(score, places), score == highest_neighbours(score)),
        (maxima(score, places, slack, -1.0), lowered == highest_neighbours(lowered)),
        (maxima(score, places, slack, 0.5), raised >= highest_neighbours(score)),
    ]:
        assert 300 < expected.sum() < 2000
        np.testing.assert_array_equal(is_maximum, expected.ravel()[places])


@pytest.mark.parametrize("distance", [0, 3])
def test_a_plateau_is_one_peak(distance):
    line = dict.fromkeys([(20, x) for x in range(20, 29)] + [(21, 29)], 0.5)
    corner = dict.fromkeys([(40, 40), (41, 39), (42, 40)], 0.5)
    assert nms(line | corner, distance=distance) == [(20, 20), (40, 40)]


def test_neighbouring_peaks_without_a_distance():
    assert nms({(20, 20): 0.5, (20, 22): 0.6, (22, 20): 0.4, (21, 21): 0.3}) == [(20, 22), (20, 20), (22, 20)]


@pytest.mark.parametrize("rule", PEAK_RULES)
@pytest.mark.parametrize("by", [-4e-6, -1e-7, 0, 1e-7, 4e-6])
@pytest.mark.parametrize("beside", [(0, 1), (1, 0), (1, -1), (2, 2), (2, -2), (0, 2)])
def test_of_peaks_that_rounding_decides_between_the_first_is_picked(beside, by, rule):
    other = 20 + beside[0], 30 + beside[1]
    maps = maps_of({(20, 30): 0.5, other: 0.5 + by, (22, 33): 0.4})
    maps.index[20, 30], maps.index[other] = 3, 7
    picks = find_picks(maps, BANK, PeakSettings(rule, distance=4, subpixel=False))
    assert positions(picks) == [(20, 30)]
    assert picks.template.tolist() == [3]


@pytest.mark.parametrize("rule", PEAK_RULES)
@pytest.mark.parametrize(("beside", "by"), [((0, 1), 1e-5), ((1, 1), 1e-3), ((3, 0), 1e-7), ((0, 3), 1e-7)])
def test_a_peak_that_is_higher_or_further_is_not_taken_for_a_twin(beside, by, rule):
    other = 20 + beside[0], 30 + beside[1]
    maps = maps_of({(20, 30): 0.5, other: 0.5 + by})
    assert positions(find_picks(maps, BANK, PeakSettings(rule, distance=5, subpixel=False)))[0] == other


def test_a_twin_that_is_not_scored_is_none():
    maps = maps_of({(20, 30): 0.5, (20, 31): 0.5, (21, 31): 0.5000001})
    maps.index[20] = -1
    assert nms_of(maps) == [(21, 31)]


def test_twins_without_a_distance_are_one_peak():
    assert nms({(20, 20): 0.5, (22, 21): 0.5 + 1e-7, (40, 40): 0.6}, distance=0) == [(40, 40), (20, 20)]


@pytest.mark.parametrize("rule", PEAK_RULES)
def test_picks_of_a_template_and_its_half_turn_do_not_depend_on_rounding(rule):
    rng = np.random.default_rng(8)
    view = ndimage.gaussian_filter(rng.normal(size=(20, 20)), 2)
    view += view[::-1, ::-1]  # the same after half a turn about a point half a pixel off the centre pixel
    mask = np.zeros((20, 20), bool)
    mask[2:18, 2:18] = True
    bank = TemplateBank(view, mask, [0.0, 180.0])
    micrograph = 0.1 * rng.normal(size=(150, 150))
    for y, x in np.mgrid[5:130:30, 7:130:30].reshape(2, -1).T:
        micrograph[y : y + 20, x : x + 20] += view / view.std()
    chosen = PeakSettings(rule, 0.9)
    ways = ("scipy", "float64"), ("scipy", "float32"), ("numpy", "float32")
    first, *others = (find_picks(search(micrograph, bank, library=library, dtype=dtype), bank, chosen)
                      for library, dtype in ways)
    assert len(first) == 25
    for other in others:
        assert len(other) == 25
        apart, at = KDTree(other.xy).query(first.xy)
        assert apart.max() < 1e-3
        np.testing.assert_array_equal(other.template[at], first.template)


@pytest.mark.parametrize(("at", "border", "kept"), [
    ((0, 0), 0, 1), ((5, 40), 5, 1), ((4, 40), 5, 0), ((54, 40), 5, 1), ((55, 40), 5, 0),
    ((30, 74), 5, 1), ((30, 75), 5, 0), ((59, 79), 0, 1), ((59, 40), 0.5, 0),
])
def test_nms_border_is_from_edge_to_centre(at, border, kept):
    assert len(nms({at: 0.5}, border=border)) == kept


@pytest.mark.parametrize("rule", PEAK_RULES)
def test_thresholds_include_their_values(rule):
    maps = maps_of({(20, 20): 0.25, (20, 60): 0.5, (40, 20): 0.75, (40, 60): 0.125})
    picks = find_picks(maps, BANK, PeakSettings(rule, threshold=0.25, high_threshold=0.5))
    assert picks.score.tolist() == [0.5, 0.25]


@pytest.mark.parametrize("rule", PEAK_RULES)
def test_max_picks_takes_the_best(rule):
    maps = maps_of({(20, 20): 0.5, (20, 60): 0.7, (40, 40): 0.6})
    assert positions(find_picks(maps, BANK, PeakSettings(rule, max_picks=2))) == [(20, 60), (40, 40)]


@pytest.mark.parametrize("rule", PEAK_RULES)
def test_unscored_pixels_are_no_peaks(rule):
    maps = maps_of({(20, 20): 0.5, (40, 40): 0.9})
    maps.index[35:45, 35:45] = -1
    assert positions(find_picks(maps, BANK, PeakSettings(rule, threshold=-1)))[0] == (20, 20)
    maps.index[:] = -1
    assert len(find_picks(maps, BANK, PeakSettings(rule))) == 0


@pytest.mark.parametrize("rule", PEAK_RULES)
def test_picks_carry_what_is_known(rule):
    maps = maps_of({(20, 20): 0.5, (30, 60): 0.75})
    maps.index[20, 20], maps.index[30, 60] = 6, 3
    picks = find_picks(maps, BANK, PeakSettings(rule), "m1.mrc")
    assert (picks.micrograph, picks.pixel_size) == ("m1.mrc", 2.2)
    assert picks.score.tolist() == [0.75, 0.5]
    assert picks.template.tolist() == [3, 6]
    assert picks.view.tolist() == [0, 1]
    assert picks.psi.tolist() == [270.0, 180.0]


def literal_gempicker(maps: ScoreMap, bank: TemplateBank, s: PeakSettings) -> list[tuple[int, int]]:
    """The rules one after the other: the best pixel left over, again and again."""
    score = np.where(maps.index >= 0, maps.score.astype(float), -np.inf)
    H, W = score.shape
    h, w = bank.box
    picked: list[tuple[int, int]] = []
    while len(picked) < (s.max_picks or score.size):
        y, x = (int(i) for i in np.unravel_index(score.argmax(), score.shape))
        if score[y, x] < s.threshold:
            break
        for my, mx in np.argwhere(bank.mask(int(maps.index[y, x]))):
            py, px = y + my - h // 2, x + mx - w // 2
            if 0 <= py < H and 0 <= px < W:
                score[py, px] = -np.inf
        top, left = y - h // 2, x - w // 2
        if min(top, left, H - top - h, W - left - w) >= s.border:
            picked.append((y, x))
    def alone(place: tuple[int, int]) -> bool:
        return all(np.hypot(place[0] - b[0], place[1] - b[1]) >= s.distance for b in picked if b != place)

    return [place for place in picked if alone(place) and maps.score[place] <= s.high_threshold]


@pytest.mark.parametrize("portion", [1, 30, 1 << 14])
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000), box=st.sampled_from([(9, 9), (8, 8), (10, 13)]),
    levels=st.sampled_from([4, 1000]), distance=st.sampled_from([0, 5, 8, 12.5]),
    border=st.sampled_from([0, 1, 3, 7.5]),
    high=st.sampled_from([0.7, 1.0]), most=st.sampled_from([None, 1, 5]),
)
def test_gempicker_rules_against_the_literal_ones(portion, seed, box, levels, distance, border, high, most):
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(50, 61)), 3)
    score = np.round(levels * smooth / np.abs(smooth).max()) / levels
    maps = ScoreMap(score.astype(np.float32), rng.integers(-1, 8, score.shape).astype(np.int32))
    chosen = PeakSettings("gempicker", 0.25, high, distance, border, most, subpixel=False)
    bank = a_bank(box)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gembench.engine.peaks.PORTION", portion)
        assert positions(find_picks(maps, bank, chosen)) == literal_gempicker(maps, bank, chosen)


def literal_nms(maps: ScoreMap, s: PeakSettings) -> list[tuple[int, int]]:
    """Every pixel above its neighbours (no plateaus here), the best first, each at its distance."""
    H, W = maps.score.shape
    peaks = []
    for y, x in np.ndindex(H, W):
        around = maps.score[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
        if maps.index[y, x] >= 0 and maps.score[y, x] >= s.threshold and maps.score[y, x] == around.max():
            peaks.append((y, x))
    kept: list[tuple[int, int]] = []
    for y, x in sorted(peaks, key=lambda at: -maps.score[at]):
        if all(np.hypot(y - a, x - b) >= s.distance for a, b in kept):
            kept.append((y, x))
    kept = [(y, x) for y, x in kept if maps.score[y, x] <= s.high_threshold
            and min(y, x, H - 1 - y, W - 1 - x) >= s.border]
    return kept[: s.max_picks]


def test_the_shoulder_of_a_peak_left_out_does_not_take_its_place() -> None:
    shoulder = {(4, 40): 0.9, (9, 40): 0.6, (40, 40): 0.95, (40, 45): 0.6, (25, 60): 0.7}
    assert nms(shoulder, border=6, high_threshold=0.92, distance=8) == [(25, 60)]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0, 1, 2, 3.7, 15]), st.sampled_from([0, 4.5]),
       st.sampled_from([None, 3]))
def test_nms_against_the_literal_rule(seed, distance, border, most):
    rng = np.random.default_rng(seed)
    score = rng.permutation(40 * 43).reshape(40, 43) / (40 * 43)  # all different
    maps = ScoreMap(score, rng.integers(-1, 8, score.shape).astype(np.int32))
    chosen = PeakSettings("nms", 0.4, 0.95, distance, border, most, subpixel=False)
    assert positions(find_picks(maps, BANK, chosen)) == literal_nms(maps, chosen)


@settings(max_examples=30, deadline=None)
@given(st.floats(-0.49, 0.49), st.floats(-0.49, 0.49), st.sampled_from(PEAK_RULES))
def test_the_vertex_of_a_planted_parabola_is_recovered(dy, dx, rule):
    y, x = np.indices((60, 80))
    score = 0.8 - 0.01 * (y - 30 - dy) ** 2 - 0.02 * (x - 41 - dx) ** 2
    picks = find_picks(ScoreMap(score, np.zeros((60, 80), np.int32)), BANK, PeakSettings(rule, 0.7))
    assert (picks.y[0], picks.x[0]) == pytest.approx((30 + dy, 41 + dx), abs=1e-9)
    assert picks.score[0] == score[30, 41]


def test_peaks_beside_the_edge_or_unscored_pixels_stay_on_their_pixel():
    y, x = np.indices((60, 80))
    score = 0.8 - 0.01 * (y + 0.3) ** 2 - 0.02 * (x - 41.2) ** 2
    maps = ScoreMap(score, np.zeros((60, 80), np.int32))
    settings_ = PeakSettings(threshold=0.7)
    assert positions(find_picks(maps, BANK, settings_)) == [(0, pytest.approx(41.2))]
    maps.index[0, 42] = -1
    assert positions(find_picks(maps, BANK, settings_)) == [(0, 41)]


def test_a_turned_planted_particle_is_picked_between_pixels():
    bank = TemplateBank(ndimage.gaussian_filter(np.random.default_rng(3).normal(size=(2, 24, 24)), (0, 3, 3)),
                        angles=grid_angles(45))
    micrograph = np.zeros((90, 90))
    micrograph[30:54, 40:64] = rotate(bank.templates[1], 135)
    moved = ndimage.shift(micrograph, (0.3, -0.4), order=3)
    picks = find_picks(search(moved, bank), bank, PeakSettings(threshold=0.5, distance=20))
    assert (picks.y[0], picks.x[0]) == pytest.approx((42.3, 51.6), abs=0.08)
    assert (picks.view[0], picks.psi[0], picks.template[0]) == (1, 135.0, 11)


@pytest.mark.parametrize(("options", "message"), [
    ({"rule": "best"}, "peak rule 'best' is unknown: choose from nms, gempicker"),
    ({"threshold": 0.9, "high_threshold": 0.3}, "threshold 0.9 and high threshold 0.3"),
    ({"threshold": -1.5}, "threshold -1.5"),
    ({"threshold": np.nan}, "threshold nan"),
    ({"distance": -1}, "distance -1: give at least 0"),
    ({"distance": np.nan}, "distance nan"),
    ({"border": -0.5}, "border -0.5: give at least 0"),
    ({"max_picks": 0}, "max picks 0: give at least 1"),
])
def test_unusable_settings_are_named(options, message):
    with pytest.raises(InputError, match=message):
        PeakSettings(**options)
