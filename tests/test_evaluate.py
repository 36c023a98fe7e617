"""Matching, proportions, curves, intervals and splits against answers worked out by hand."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.evaluate import best_threshold, evaluate, field_of, match, split_halves


def at(*xy, name="mic.mrc", **columns):
    x, y = np.array(xy, float).reshape(-1, 2).T
    return Picks(name, x, y, **columns)


def line(*x, **columns):
    """Picks on the x axis."""
    return at(*[(value, 0) for value in x], **columns)


# --- matching


@pytest.mark.parametrize("method", ["optimal", "greedy"])
def test_nearest_pairs_within_the_radius(method):
    matched = match(line(0, 10, 50), line(52, 11), 5, method)
    assert matched.pick.tolist() == [1, 2]
    assert matched.truth.tolist() == [1, 0]
    assert matched.distance.tolist() == [1, 2]


@pytest.mark.parametrize("method", ["optimal", "greedy"])
def test_the_radius_is_inclusive(method):
    assert len(match(at((0, 0)), at((3, 4)), 5, method)) == 1
    assert len(match(at((0, 0)), at((3, 4)), 4.999, method)) == 0
    assert len(match(at((7, 7)), at((7, 7)), 0, method)) == 1


@pytest.mark.parametrize("method", ["optimal", "greedy"])
@pytest.mark.parametrize(("a", "b"), [((), ()), ((1.0,), ()), ((), (1.0,))])
def test_nothing_matches_nothing(method, a, b):
    assert len(match(line(*a), line(*b), 10, method)) == 0


def test_optimal_beats_greedy():
    # the better pick takes the particle that the other one needs
    picks, truth = line(4, 0, score=[0.9, 0.5]), line(3, 9)
    greedy, optimal = match(picks, truth, 5, "greedy"), match(picks, truth, 5, "optimal")
    assert (greedy.pick.tolist(), greedy.truth.tolist()) == ([0], [0])
    assert (optimal.pick.tolist(), optimal.truth.tolist()) == ([0, 1], [1, 0])
    assert optimal.distance.tolist() == [5, 3]


def test_optimal_takes_the_shorter_of_two_full_pairings():
    matched = match(line(0, 2), line(1, 3.5), 4, "optimal")
    assert matched.truth.tolist() == [0, 1]
    assert matched.distance.sum() == 2.5
    matched = match(at((0, 2), (1, 1)), at((1, 1), (0, 0)), 2, "optimal")  # 2 + 0 against twice sqrt(2)
    assert matched.distance.tolist() == [2, 0]


def test_greedy_goes_by_score_then_by_given_order():
    assert match(line(1, 0, score=[0.2, 0.7]), line(0), 2, "greedy").pick.tolist() == [1]
    assert match(line(1, 0, score=[0.7, 0.7]), line(0), 2, "greedy").pick.tolist() == [0]
    assert match(line(1, 0, score=[math.nan, -1.0]), line(0), 2, "greedy").pick.tolist() == [1]
    assert match(line(0), line(1, -1), 2, "greedy").truth.tolist() == [0]


def test_a_dense_crowd_is_matched_whole():
    rng = np.random.default_rng(0)
    truth = at(*rng.uniform(0, 400, (400, 2)))
    order = rng.permutation(400)
    matched = match(truth[order].shifted(0.01, 0), truth, 60, "optimal")  # one big component
    assert matched.truth.tolist() == order.tolist()


def test_bad_matching_input_is_one_line():
    with pytest.raises(InputError, match=r"radius -1 px"):
        match(line(0), line(0), -1)
    with pytest.raises(InputError, match=r"radius nan px"):
        match(line(0), line(0), math.nan)
    with pytest.raises(InputError, match="method 'best'"):
        match(line(0), line(0), 1, "best")
    with pytest.raises(InputError, match=r"mic\.mrc: a position is not finite"):
        match(line(math.nan), line(0), 1)


grid = st.tuples(st.integers(0, 6), st.integers(0, 6))
points = st.lists(grid, max_size=5).map(lambda xy: at(*xy))


def brute_force(picks, truth, radius):
    """Most pairs, then least total distance, over every way to pair."""
    short, long = sorted((picks.xy, truth.xy), key=len)
    distance = np.hypot(*(short[:, None] - long[None]).transpose(2, 0, 1))
    best = (0, 0.0)
    for order in itertools.permutations(range(len(long)), len(short)):
        near = [d for i, j in enumerate(order) if (d := distance[i, j]) <= radius]
        best = min(best, (-len(near), sum(near)))
    return -best[0], best[1]


@settings(deadline=None)
@given(points, points, st.sampled_from([0, 1, 1.5, 2, 3, 10]))
def test_optimal_is_what_brute_force_finds(picks, truth, radius):
    matched = match(picks, truth, radius, "optimal")
    count, total = brute_force(picks, truth, radius)
    assert len(matched) == count
    assert matched.distance.sum() == pytest.approx(total)


@settings(deadline=None)
@given(points, points, st.sampled_from([0, 1, 2, 3]), st.sampled_from(["optimal", "greedy"]))
def test_every_matching_is_one_to_one_within_the_radius(picks, truth, radius, method):
    matched = match(picks, truth, radius, method)
    assert len(matched) <= min(len(picks), len(truth))
    assert len(set(matched.pick)) == len(set(matched.truth)) == len(matched)
    assert (matched.distance <= radius).all()
    offset = picks.xy[matched.pick] - truth.xy[matched.truth]
    np.testing.assert_allclose(matched.distance, np.hypot(*offset.T))


@settings(deadline=None)
@given(points, points, st.sampled_from([0, 1, 2, 3]))
def test_optimal_is_symmetric_and_never_worse_than_greedy(picks, truth, radius):
    there, back = match(picks, truth, radius), match(truth, picks, radius)
    assert len(there) == len(back) >= len(match(picks, truth, radius, "greedy"))
    assert there.distance.sum() == pytest.approx(back.distance.sum())


# --- counts and proportions


def two_micrographs():
    """Five particles; picks by score: T(a) F(a) T(b) F(b) T(a), one particle of each missed or found."""
    truth = [line(0, 100, 200, name="a.mrc"), line(0, 100, name="b.mrc")]
    picks = [
        line(3, 50, 201, name="a.star", score=[0.9, 0.8, 0.5]),
        line(102, 300, name="b.star", score=[0.7, 0.6]),
    ]
    return picks, truth


def test_hand_computed_counts_and_proportions():
    result = evaluate(*two_micrographs(), radius=5)
    assert (result.n_picks, result.n_truth, result.true_positives, result.false_positives) == (5, 5, 3, 2)
    assert (result.missed, result.ignored) == (2, 0)
    assert (result.precision, result.recall, result.fdr) == (3 / 5, 3 / 5, 2 / 5)
    assert result.f1 == pytest.approx(3 / 5)
    assert (result.mean_distance, result.median_distance) == (2, 2)
    assert sorted(result.distances) == [1, 2, 3]


def test_threshold_is_inclusive_and_leaves_the_curves():
    result = evaluate(*two_micrographs(), radius=5, threshold=0.7)
    assert (result.n_picks, result.true_positives, result.false_positives) == (3, 2, 1)
    assert len(result.precision_recall.threshold) == 5


def test_a_micrograph_without_picks_is_missed_whole():
    picks, truth = two_micrographs()
    result = evaluate(picks[:1], truth, 5)
    assert (result.n_truth, result.true_positives, result.missed) == (5, 2, 3)
    assert result.judged[1].to_dict() == {
        "micrograph": "b.mrc", "n_picks": 0, "n_truth": 2, "true_positives": 0, "false_positives": 0,
        "ignored": 0, "missed": 2}


def test_picks_on_a_micrograph_without_truth_count_nowhere():
    picks, truth = two_micrographs()
    result = evaluate(picks, truth[:1], 5)
    assert result.unannotated_micrographs == ("b.star",)
    assert (result.n_picks, result.n_truth) == (3, 3)


def test_an_unsure_annotation_counts_neither_way():
    truth = [line(0, 10, 100, label=["side", "unsure", "unsure"])]
    result = evaluate([line(9, 11, 300, score=[0.9, 0.8, 0.7])], truth, 5)
    # one pick is absorbed; a second on the same mark, and one on nothing, are false; no unsure one is missed
    assert (result.true_positives, result.ignored, result.false_positives, result.missed) == (0, 1, 2, 1)


@pytest.mark.parametrize("method", ["optimal", "greedy"])
def test_a_particle_has_precedence_over_an_unsure_mark(method):
    truth = [line(0, 4, label=["side", "unsure"])]
    result = evaluate([line(3, score=[0.9])], truth, 5, method=method)
    assert (result.true_positives, result.ignored, result.missed) == (1, 0, 0)
    assert result.distances.tolist() == [3]


def test_labels_select_the_particles():
    truth = [line(0, 100, 200, label=["side", "top", "unsure"])]
    picks = [line(0, 100, 200, score=[0.9, 0.8, 0.7])]
    counts = {
        "all": evaluate(picks, truth, 5),
        "side": evaluate(picks, truth, 5, labels=["side"]),
        "side, no top": evaluate(picks, truth, 5, labels=["side"], ignore_labels=["unsure", "top"]),
        "unsure too": evaluate(picks, truth, 5, labels=["side", "top", "unsure"]),
        "nothing ignored": evaluate(picks, truth, 5, ignore_labels=[]),
    }
    assert {name: (r.true_positives, r.false_positives, r.ignored) for name, r in counts.items()} == {
        "all": (2, 0, 1), "side": (1, 1, 1), "side, no top": (1, 0, 2), "unsure too": (3, 0, 0),
        "nothing ignored": (3, 0, 0)}


def test_views_select_the_picks():
    picks = [line(0, 100, 200, score=[0.9, 0.8, 0.7], view=[0, 1, 2])]
    assert evaluate(picks, [line(0, 200)], 5, views=[0]).n_picks == 1
    assert evaluate(picks, [line(0, 200)], 5, views=[0, 2]).true_positives == 2
    with pytest.raises(InputError, match="name no view"):
        evaluate([line(0)], [line(0)], 5, views=[0])


def test_no_pick_at_all_is_recall_zero_and_no_precision():
    result = evaluate([], [line(0, 1)], 5)
    assert (result.recall, result.f1, result.missed) == (0, 0, 2)
    assert math.isnan(result.precision)
    assert math.isnan(result.mean_distance)
    assert math.isnan(result.median_distance)
    as_json = result.to_dict(curves=True)
    assert as_json["precision"] is None
    assert as_json["roc_curve"] is None
    json.dumps(as_json, allow_nan=False)


@pytest.mark.parametrize(("change", "message"), [
    ({"radius": -2}, "radius -2 px"),
    ({"picks": [line(0, name="z.mrc")]}, "share no micrograph"),
    ({"truth": [line(0, label=["unsure"])]}, r"label any but the ignored ones \(it has: unsure\)"),
    ({"truth": []}, "share no micrograph"),
    ({"labels": ["sied"]}, r"no particle with label sied \(it has: \(none\)\)"),
    ({"picks": [line(0), line(1, name="mic.star")]}, "mic.star: two lists of picks"),
    ({"picks": [line(0, pixel_size=4.4)], "truth": [line(0, pixel_size=2.2)]}, "picks at 4.4 A/px"),
    ({"picks": [line(0)], "threshold": 0.3}, "threshold 0.3: the picks have no score"),
    ({"resamples": -1}, "-1 bootstrap resamples"),
])
def test_bad_input_is_one_line(change, message):
    options = {"picks": [line(0, score=[0.5])], "truth": [line(0)], "radius": 5} | change
    with pytest.raises(InputError, match=message) as caught:
        evaluate(**options)
    assert "\n" not in str(caught.value)


# --- curves


def test_hand_computed_precision_recall():
    # by score: true, false, true, false, true; five particles, two never found
    curve = evaluate(*two_micrographs(), radius=5).precision_recall
    assert curve.threshold.tolist() == [0.9, 0.8, 0.7, 0.6, 0.5]
    np.testing.assert_allclose(curve.precision, [1, 1 / 2, 2 / 3, 2 / 4, 3 / 5])
    np.testing.assert_allclose(curve.recall, [1 / 5, 1 / 5, 2 / 5, 2 / 5, 3 / 5])


def test_hand_computed_average_precision_counts_the_missed():
    result = evaluate(*two_micrographs(), radius=5)
    assert result.average_precision == pytest.approx((1 + 2 / 3 + 3 / 5) / 5)


def test_equal_scores_are_one_point():
    picks = [line(0, 300, 100, score=[0.5, 0.5, 0.5])]
    result = evaluate(picks, [line(0, 100)], 5)
    assert result.precision_recall.precision.tolist() == [2 / 3]
    assert result.average_precision == pytest.approx(2 / 3)
    assert result.auc == 0.5


def test_roc_takes_the_top_2n_picks():
    # one particle: of true (0.9), false (0.8), false (0.7) only the first two count
    picks = [line(0, 300, 400, score=[0.9, 0.8, 0.7])]
    result = evaluate(picks, [line(0)], 5)
    assert result.roc.n_picks == 2
    assert result.roc.fpr[-1] == result.roc.tpr[-1] == 1
    assert result.auc == 1


def test_hand_computed_auc():
    # true, false, true, false, true: of 3 x 2 pairs of a true and a false pick, 2 + 1 are in order
    assert evaluate(*two_micrographs(), radius=5).auc == pytest.approx(3 / 6)


def test_all_true_picks_have_no_roc():
    result = evaluate([line(0, score=[0.9])], [line(0)], 5)
    assert result.roc is None
    assert math.isnan(result.auc)
    assert result.average_precision == 1


def test_without_scores_there_are_counts_but_no_curves():
    result = evaluate([line(0, 50)], [line(0)], 5)
    assert (result.precision, result.recall) == (0.5, 1)
    assert result.ranking is result.precision_recall is result.roc is None
    assert result.to_dict()["average_precision"] is None


def test_best_threshold_has_the_highest_f1():
    # F1 at each score: 2/6, 2/7, 4/8, 4/9, 6/10
    assert best_threshold(evaluate(*two_micrographs(), radius=5)) == 0.5
    picks = [line(0, 100, 300, 400, score=[0.9, 0.8, 0.7, 0.6])]
    assert best_threshold(evaluate(picks, [line(0, 100)], 5)) == 0.8
    for hopeless in ([line(0)], [line(9, score=[0.5])]):
        with pytest.raises(InputError, match="no threshold can be chosen"):
            best_threshold(evaluate(hopeless, [line(0)], 5))


@st.composite
def scored_micrographs(draw):
    """Up to four micrographs with picks of few distinct scores, so that ties occur."""
    picks, truth = [], []
    for k in range(draw(st.integers(1, 4))):
        xy = draw(st.lists(grid, max_size=6))
        score = draw(st.lists(st.sampled_from([0.2, 0.4, 0.6, 0.8]), min_size=len(xy), max_size=len(xy)))
        picks.append(at(*xy, name=f"{k}.mrc", score=score))
        marks = draw(st.lists(grid, min_size=1, max_size=4))
        label = ["side", *draw(st.lists(st.sampled_from(["side", "unsure"]), min_size=len(marks) - 1,
                                        max_size=len(marks) - 1))]
        truth.append(at(*marks, name=f"{k}.mrc", label=label))
    return picks, truth


@settings(deadline=None)
@given(scored_micrographs())
def test_the_curve_at_a_threshold_is_the_thresholded_matching(data):
    picks, truth = data
    curve = evaluate(picks, truth, 1.5).precision_recall
    for threshold, precision, recall in zip(*curve, strict=True):
        there = evaluate(picks, truth, 1.5, threshold=threshold, method="greedy")
        assert there.precision == pytest.approx(precision)
        assert there.recall == pytest.approx(recall)


@settings(deadline=None)
@given(scored_micrographs(), st.sampled_from(["optimal", "greedy"]))
def test_proportions_are_consistent(data, method):
    result = evaluate(*data, 1.5, method=method)
    assert result.true_positives + result.false_positives + result.ignored == result.n_picks
    assert result.true_positives + result.missed == result.n_truth
    if result.true_positives + result.false_positives:
        assert result.precision + result.fdr == pytest.approx(1)
    assert 0 <= result.average_precision <= 1


@settings(deadline=None)
@given(scored_micrographs())
def test_areas_agree_with_scikit_learn(data):
    result = evaluate(*data, 1.5)
    ranking, top = result.ranking, slice(2 * result.n_truth)
    if ranking.true.any():
        among_picks = average_precision_score(ranking.true, ranking.score)
        recall = ranking.true.sum() / result.n_truth
        assert result.average_precision == pytest.approx(among_picks * recall)
    else:
        assert result.average_precision == 0
    if result.roc is not None:
        assert result.auc == pytest.approx(roc_auc_score(ranking.true[top], ranking.score[top]))
        assert result.auc == pytest.approx(np.trapezoid(result.roc.tpr, result.roc.fpr))


# --- intervals


def many_micrographs(n=12):
    rng = np.random.default_rng(3)
    truth = [at(*rng.integers(0, 40, (6, 2)) * 50, name=f"{k}.mrc") for k in range(n)]
    picks = []
    for part in truth:
        hits = part.xy[rng.random(6) < 0.8] + 1
        xy = np.concatenate([hits, rng.integers(0, 40, (4, 2)) * 50 + 25])
        picks.append(at(*xy, name=part.micrograph, score=np.round(rng.random(len(xy)), 2)))
    return picks, truth


def test_intervals_are_reproducible_and_hold_the_value():
    first = evaluate(*many_micrographs(), radius=5).to_dict()
    assert first == evaluate(*many_micrographs(), radius=5).to_dict()
    other = evaluate(*many_micrographs(), radius=5, seed=1)
    assert first["average_precision_interval"] != list(other.intervals["average_precision"])
    for name in ("precision", "recall", "fdr", "f1", "mean_distance_px", "average_precision", "auc"):
        low, high = first[f"{name}_interval"]
        assert low <= first[name] <= high
        assert low < high or name == "mean_distance_px"


def test_resampling_is_evaluating_the_drawn_micrographs():
    picks, truth = many_micrographs(5)
    weights = np.array([[0, 3, 1, 0, 1]])
    drawn = [(k, copy) for k, times in enumerate(weights[0]) for copy in range(times)]

    def again(lists):
        return [Picks(f"{k}-{copy}.mrc", lists[k].x, lists[k].y, lists[k].score) for k, copy in drawn]

    ranking = evaluate(picks, truth, 5).ranking
    result = evaluate(again(picks), again(truth), 5)
    assert ranking.average_precision(weights)[0] == pytest.approx(result.average_precision)
    assert ranking.auc(weights)[0] == pytest.approx(result.auc)


def test_identical_micrographs_have_no_spread():
    truth = [line(0, 100, name=f"{k}.mrc") for k in range(4)]
    picks = [line(0, 300, name=f"{k}.mrc", score=[0.9, 0.1]) for k in range(4)]
    assert evaluate(picks, truth, 5).intervals["precision"] == (0.5, 0.5)


def test_one_micrograph_has_no_interval():
    result = evaluate([line(0, score=[0.5])], [line(0)], 5)
    assert set(result.intervals.values()) == {None}
    assert result.to_dict()["recall_interval"] is None


def test_to_dict_is_json_and_names_its_settings():
    result = evaluate(*two_micrographs(), radius=5, labels=["", "side"], resamples=10)
    stored = json.loads(json.dumps(result.to_dict(curves=True), allow_nan=False))
    assert stored["precision"] == 0.6
    assert len(stored["precision_interval"]) == 2
    assert stored["labels"] == ["", "side"]
    assert stored["radius_px"] == 5
    assert stored["n_micrographs"] == len(stored["micrographs"]) == 2
    assert stored["precision_recall_curve"]["threshold"] == [0.9, 0.8, 0.7, 0.6, 0.5]
    assert stored["roc_curve"]["threshold"][0] is None  # before the first pick


# --- halves


def test_field_of_drops_exposure_and_preset():
    assert field_of("01nov26b.006.005.001.002.jpg") == "01nov26b.006.005"
    assert field_of("01nov26b.006.005.002.002.jpg") == "01nov26b.006.005"
    assert field_of("01nov26b.006.005.001.mrc") == "01nov26b.006.005"
    assert field_of("01nov26b.006.007.001.002.jpg") == "01nov26b.006.007"
    assert field_of("mic_001.mrc") == "mic_001"


def test_halves_keep_fields_together_in_any_order():
    names = [f"s.001.{hole:03}.{exposure:03}.002.jpg" for hole in range(5) for exposure in (1, 2)]
    names.append("other.mrc")
    halves = split_halves(names)
    assert halves == split_halves(reversed(names))
    assert sorted(halves[0] + halves[1]) == sorted(names)
    assert not {field_of(name) for name in halves[0]} & {field_of(name) for name in halves[1]}
    assert abs(len(halves[0]) - len(halves[1])) <= 2


def test_halves_by_another_grouping():
    assert split_halves(["b1", "a1", "a2", "b2"], group=lambda name: name[0]) == (["a1", "a2"], ["b1", "b2"])
    assert split_halves([]) == ([], [])
