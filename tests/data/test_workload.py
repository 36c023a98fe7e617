"""Work to measure by: planted particles are found, scores are the formula's, the pace is what was planted."""

from __future__ import annotations

import numpy as np
import pytest

from gembench.data import workload
from gembench.data.workload import OneTemplate, Pace, Workload, direct_scores, egg_bank, planted_micrograph
from gembench.engine.bank import TemplateBank
from gembench.engine.exact.producer import search
from gembench.engine.score_map import ScoreMap


def test_the_same_seed_gives_the_same_micrograph_and_another_seed_another():
    bank = egg_bank(16, 4)
    first, planted = planted_micrograph((96, 80), bank, seed=5)
    again, _ = planted_micrograph((96, 80), bank, seed=5)
    other, _ = planted_micrograph((96, 80), bank, seed=6)
    assert first.dtype == np.float32
    assert first.shape == (96, 80)
    assert len(planted) == 4
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_no_two_turned_eggs_share_a_mask_and_all_discs_do():
    own, disc = egg_bank(40, 8), egg_bank(40, 8, "disc")
    assert len({own.rotated(i).mask_key for i in range(8)}) == 8
    assert len({disc.rotated(i).mask_key for i in range(8)}) == 1


def test_planted_particles_are_the_best_of_their_surroundings_with_their_template():
    bank = egg_bank(32, 6)
    micrograph, planted = planted_micrograph((192, 256), bank, seed=1)
    maps = search(micrograph, bank, dtype="float64")
    assert len(planted)
    for y, x, index in planted:
        near = maps.score[y - 12 : y + 13, x - 12 : x + 13]
        assert np.unravel_index(near.argmax(), near.shape) == (12, 12)
        assert maps.index[y, x] == index
        assert maps.score[y, x] > 0.9


def test_direct_scores_are_one_on_the_template_minus_one_on_its_negative_and_none_outside():
    template = np.random.default_rng(2).normal(size=(6, 5))
    bank = TemplateBank(template[None], np.ones((1, 6, 5), bool))
    micrograph = np.random.default_rng(3).normal(size=(30, 30))
    micrograph[4:10, 7:12] = 3 * template + 8
    micrograph[20:26, 7:12] = -2 * template - 1
    scores = direct_scores(micrograph, bank, 0, np.array([[7, 9], [23, 9], [2, 15], [29, 15], [15, 27]]))
    np.testing.assert_allclose(scores[:2], [1, -1], atol=1e-14)
    assert list(scores[2:]) == [-np.inf, -np.inf, pytest.approx(direct(micrograph[12:18, 25:30], template))]


def direct(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's correlation coefficient."""
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def test_direct_scores_agree_with_pearson_under_a_turned_mask():
    bank = egg_bank(20, 5)
    micrograph = np.random.default_rng(4).normal(size=(60, 60))
    turned = workload.rotate(bank.templates[0], 144.0)
    mask = bank.mask(2)
    cut = micrograph[21:41, 17:37]
    score, = direct_scores(micrograph, bank, 2, np.array([[31, 27]]))
    assert score == pytest.approx(direct(cut[mask], turned[mask]), abs=1e-14)


@pytest.mark.parametrize("transform", [None, (100, 90), (97, 89)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_template_passes_its_check_however_it_is_padded(dtype, transform):
    template = OneTemplate(Workload.make((96, 80), egg_bank(16, 1)), "scipy", dtype, transform)
    assert transform is None or template.plan.transform == transform
    metrics = template.check(template.run())
    assert metrics["error_at_places"] <= workload.TOLERANCE[dtype]
    assert template.check(template.run()) == metrics


@pytest.mark.parametrize("wrong", [
    lambda maps: ScoreMap(maps.score + 2e-5, maps.index),
    lambda maps: ScoreMap(maps.score * np.nan, maps.index),
    lambda maps: ScoreMap(maps.score, (maps.index + 1) % 3),
    lambda maps: ScoreMap(np.roll(maps.score, 1, axis=1), maps.index),
])
def test_a_wrong_map_does_not_pass(wrong):
    work = Workload.make((96, 96), egg_bank(16, 3), places=40)
    maps = search(work.micrograph, work.bank)
    work.check(maps, "float32")
    with pytest.raises(ValueError, match="of the direct sum; float32 allows 1e-05"):
        work.check(wrong(maps), "float32")


def test_places_begin_with_particles():
    work = Workload.make((128, 128), egg_bank(16, 2), places=30)
    assert work.places.shape == (30, 2)
    assert (work.exact.max(axis=1)[:3] > 0.8).all()
    assert (np.abs(work.exact[3:]) < 0.95).any()


def test_the_pace_leaves_out_what_every_thread_did_first(monkeypatch):
    clock = iter([100.0, 100.5, 103.5, 103.5, 106.5, 106.5])
    monkeypatch.setattr(workload.time, "perf_counter", lambda: next(clock))
    pace = Pace(threads=2)
    for _ in range(6):
        pace(4)
    assert pace.seconds_per_template == pytest.approx(6.0 / 16)
