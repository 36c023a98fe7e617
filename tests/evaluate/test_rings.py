"""Rings planted in score maps, and maps without any."""

from __future__ import annotations

import numpy as np
import pytest

from gembench.evaluate.rings import compare_rings, ring_contrasts, ring_profile

RADII = (8, 30)


def map_with_rings(places, radius=20, height=0.3, noise=0.0):
    rng = np.random.default_rng(3)
    y, x = np.indices((300, 400))
    score = noise * rng.standard_normal((300, 400))
    for row, column in places:
        score[np.hypot(y - row, x - column).astype(int) == radius] += height
    return score


def test_a_ring_stands_above_its_centre():
    places = np.array([(100, 100), (200, 300), (10, 100), (100, 395)])
    score = map_with_rings(places[:2])
    np.testing.assert_allclose(ring_contrasts(score, places, RADII), [0.3, 0.3])  # the others leave the map
    assert ring_profile(score, (100, 100), 30).argmax() == 20
    assert ring_profile(score, (100, 100), 30)[19] == 0
    assert ring_profile(score, (29, 100), 30) is None
    assert ring_contrasts(map_with_rings(places[:1], radius=5), places[:1], RADII) == pytest.approx(0)


def test_rings_are_held_against_random_places():
    places = np.array([(100, 100), (200, 300), (120, 250), (200, 80)])
    rings = compare_rings([(map_with_rings(places, noise=0.02), places)], RADII, 40)
    assert rings.places == 4
    assert rings.contrast > rings.random_high > rings.random
    anywhere = np.array([(60, 60), (240, 200), (60, 330), (150, 150)])
    none = compare_rings([(map_with_rings([], noise=0.02), anywhere)], RADII, 40)
    assert none.random > 0  # the highest of 23 rings is above most centres
    assert none.contrast < none.random_high + 0.02
    assert rings.contrast > none.random_high + 0.2


def test_more_places_are_held_against_means_of_more():
    score = map_with_rings([], noise=0.02)
    few, many = (compare_rings([(score, np.full((n, 2), 150))], RADII, 40) for n in (1, 40))
    assert many.random_high < few.random_high
    assert many.random == few.random


def test_without_a_place_there_is_nothing_to_say():
    assert compare_rings([(map_with_rings([]), np.empty((0, 2), int))], RADII, 40) is None
    assert compare_rings([], RADII, 40) is None
