"""The reductions: keys in the order of the maps, segments of the best length, bytes of the serial fold."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gembench.engine.mpi.reductions import DEFAULT_REDUCTION, REDUCTIONS, reduce_maps
from gembench.engine.mpi.reductions.chain import IN_FLIGHT, LONGEST, SHORTEST, segment_bytes
from gembench.engine.mpi.reductions.keys import HIGHEST_INDEX, packed, unpack
from gembench.engine.mpi.reductions.messages import SLICE, fold, spans
from gembench.engine.score_map import ScoreMap
from gembench.errors import InputError

PROGRAM = Path(__file__).with_name("reductions.py")
SCORE = st.floats(width=32, allow_nan=False)
INDEX = st.integers(-1, HIGHEST_INDEX)


def keys_of(*pixels):
    scores, indices = zip(*pixels, strict=True)
    return packed(np.array(scores, np.float32), np.array(indices, np.int32))


@settings(deadline=None)
@given(st.lists(st.tuples(SCORE, INDEX), min_size=1, max_size=40))
def test_keys_give_back_every_bit(pixels):
    keys = keys_of(*pixels)
    score, index = np.empty(len(keys), np.float32), np.empty(len(keys), np.int32)
    unpack(keys, score, index)
    scores, indices = zip(*pixels, strict=True)
    assert score.tobytes() == np.array(scores, np.float32).tobytes()
    assert index.tolist() == list(indices)


@settings(deadline=None)
@given(st.tuples(SCORE, INDEX), st.tuples(SCORE, INDEX))
def test_the_larger_key_has_the_larger_score_or_the_lower_index(one, other):
    first, second = keys_of(one, other)
    if (one[0], -one[1]) != (other[0], -other[1]):
        assert (first > second) == ((one[0], -one[1]) > (other[0], -other[1]))


def test_keys_know_the_sign_of_zero_after_the_index():
    plus, minus, lower = keys_of((0.0, 7), (-0.0, 7), (-0.0, 6))
    assert lower > max(plus, minus)
    assert plus != minus


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_fold_on_several_threads_is_that_on_one(threads):
    rng = np.random.default_rng(threads)
    size = 3 * SLICE + 11
    score = rng.integers(0, 4, (2, size)).astype(np.float32)
    index = rng.integers(0, 50, (2, size)).astype(np.int32)
    first = (score[0] > score[1]) | ((score[0] == score[1]) & (index[0] < index[1]))
    expected = np.where(first, score[0], score[1]), np.where(first, index[0], index[1])
    fold(score[0], index[0], score[1], index[1], threads)
    np.testing.assert_array_equal(score[0], expected[0])
    np.testing.assert_array_equal(index[0], expected[1])


@settings(deadline=None)
@given(st.integers(0, 5000), st.integers(1, 700))
def test_pieces_cover_everything_once(size, length):
    parts = list(spans(size, length))
    assert [pixel for part in parts for pixel in range(size)[part]] == list(range(size))
    assert all(part.stop - part.start <= length for part in parts)


@settings(deadline=None)
@given(st.integers(1 << 16, 1 << 33), st.integers(3, 500))
def test_segments_take_least_time(size, ranks):
    """By the closed form of a chain, (p + s - 2) (a + m / (s B)), with a B = IN_FLIGHT, times B."""
    best = segment_bytes(size, ranks)

    def bytes_passed(segment):
        segments = size / segment
        return (ranks + segments - 2) * (IN_FLIGHT + size / segments)

    assert SHORTEST <= best <= LONGEST
    if SHORTEST < best < LONGEST:
        assert bytes_passed(best) <= min(bytes_passed(best / 1.2), bytes_passed(best * 1.2))


def test_unusable_maps_are_refused():
    score, index = np.zeros((2, 3), np.float32), np.zeros((2, 3), np.int32)
    with pytest.raises(InputError, match=r"reduction best: choose one of direct, .*shared"):
        reduce_maps(None, ScoreMap(score, index), name="best")
    with pytest.raises(InputError, match="float16 and int32"):
        reduce_maps(None, ScoreMap(score.astype(np.float16), index))
    with pytest.raises(InputError, match="float32 and int64"):
        reduce_maps(None, ScoreMap(score, index.astype(np.int64)))


@pytest.mark.parametrize("ranks", [3, 4, *(pytest.param(n, marks=pytest.mark.exhaustive) for n in (1, 2))])
def test_every_reduction_gives_the_bytes_of_the_serial_fold(mpiexec, ranks):
    """Ties everywhere, unscored pixels, either zero, odd sizes, whole and in pieces, any root."""
    done = mpiexec(ranks, PROGRAM)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    refused = {case for case in results if case.startswith(("key", "scatter")) and "float64" in case}
    assert {case.split()[0] for case in results} == set(REDUCTIONS) > {DEFAULT_REDUCTION}
    assert {case: said for case, said in results.items() if case not in refused and said != "same"} == {}
    assert refused
    assert all("holds a float32 score, these are float64: choose" in results[case] for case in refused)
