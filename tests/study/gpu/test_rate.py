"""Rate and dead time, the read-bound timeline, and the bytes of a search: planted answers."""

from __future__ import annotations

import math
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gembench.data.workload import Workload, egg_bank
from gembench.engine.exact.producer import search
from gembench.engine.score_map import ScoreMap
from gembench.study.gpu.rate import rate_and_dead_time, score_error
from gembench.study.gpu.timeline import Producer, klh, reading_seconds
from gembench.study.gpu.traffic import copy_bandwidth, least_bytes


@given(rate=st.floats(1, 1e5), first=st.floats(0, 1), tail=st.floats(0, 1),
       sizes=st.lists(st.integers(1, 64), min_size=2, max_size=20))
def test_rate_and_dead_time_are_those_planted(rate, first, tail, sizes):
    counts = np.cumsum(sizes)
    done = [(100 + first + count / rate, size) for count, size in zip(counts, sizes, strict=True)]
    seconds = first + counts[-1] / rate + tail
    fitted, dead = rate_and_dead_time(done, seconds, int(counts[-1]))
    assert fitted == pytest.approx(rate, rel=1e-6)
    assert dead == pytest.approx(first + tail, abs=1e-6 * seconds)
    steady, _ = rate_and_dead_time(done[-2:], seconds, int(counts[-1]))
    assert steady == pytest.approx(rate, rel=1e-6)


@pytest.mark.parametrize(("done", "reason"), [
    ([], "0 moments of progress"), ([(1.0, 8)], "1 moments of progress"),
    ([(2.0, 8), (1.0, 8)], "does not grow"),
])
def test_no_rate_without_progress(done, reason):
    with pytest.raises(ValueError, match=reason):
        rate_and_dead_time(done, 3.0, 16)


@pytest.fixture(scope="module")
def work():
    return Workload.make((96, 96), egg_bank(24, 6), places=8)


def test_the_score_error_is_the_one_planted(work):
    maps = search(work.micrograph, work.bank, dtype="float64")
    assert score_error(work, maps, 1e-12) < 1e-12
    shifted = ScoreMap(maps.score + 1e-3, maps.index)
    assert score_error(work, shifted, 2e-3) == pytest.approx(1e-3, rel=1e-9)
    with pytest.raises(ValueError, match=r"scores are off by 1.0e-03"):
        score_error(work, shifted, 2e-5)
    with pytest.raises(ValueError, match=r"off by [1-9].* better by [1-9]"):
        score_error(work, ScoreMap(maps.score, (maps.index + 1) % 6), 2e-5)
    with pytest.raises(ValueError, match="8 places of 8 were not scored"):
        score_error(work, ScoreMap(maps.score, np.full_like(maps.index, -1)), 2e-5)
    with pytest.raises(ValueError, match="off by nan"):
        score_error(work, ScoreMap(np.full_like(maps.score, math.nan), maps.index), 2e-5)


def test_reading_faster_than_computing_costs_one_read():
    producer = Producer(read=0.001, compute=0.01)
    assert producer.micrograph_seconds(50) == pytest.approx(0.001 + 50 * 0.01)
    assert producer.unhindered.micrograph_seconds(50) == pytest.approx(0.5)


def test_four_gpus_wait_for_the_disk():
    """The paper's case: 223 s on one GPU, a minute expected of four, almost three observed."""
    compute, read = 223 / (82 * 180), 170 / (82 * 180)
    four = Producer(read, compute, gpus=4)
    assert four.unhindered.seconds() == pytest.approx(223 / 4, rel=1e-6)
    assert four.seconds() == pytest.approx(170, rel=0.02)
    assert Producer(read, compute, gpus=1).seconds() == pytest.approx(223, rel=0.01)


@given(read=st.floats(0, 0.1), compute=st.floats(1e-4, 0.1), dead=st.floats(0, 1),
       templates=st.integers(1, 60), depth=st.integers(1, 9))
def test_more_gpus_never_take_longer_and_nothing_beats_the_slower_of_reading_and_arithmetic(
    read, compute, dead, templates, depth
):
    producers = [Producer(read, compute, dead, gpus, depth) for gpus in (1, 2, 3, 4)]
    taken = [producer.micrograph_seconds(templates) for producer in producers]
    assert all(after <= before + 1e-9 for before, after in pairwise(taken))
    for gpus, seconds in enumerate(taken, 1):
        assert seconds >= max(templates * read + compute, templates * compute / gpus) + dead - 1e-9
        assert seconds <= templates * (read + compute) + dead + 1e-9


def test_templates_are_read_from_files(tmp_path):
    assert 0 < reading_seconds(3, 32, tmp_path) < 10
    assert not list(tmp_path.iterdir())


def test_the_timeline_of_klh_holds_what_the_claims_ask_for():
    timeline = klh(compute=0.0151, dead=0.02, read=0.0115)
    assert timeline["compute_bound_seconds"] == timeline["arithmetic_seconds"][3]
    assert timeline["read_bound_seconds"] == timeline["timeline_seconds"][3]
    alone = [82 * (180 * 0.0151 / n + 0.02) for n in (1, 2, 3, 4)]
    assert timeline["arithmetic_seconds"] == pytest.approx(alone)
    assert timeline["read_bound_seconds"] / timeline["compute_bound_seconds"] > 2


def test_least_bytes_of_a_template():
    plane = 64 * 33 * 8
    strip = 10 * 33 * 8
    maps = 2 * 64 * 64 * 8
    own = least_bytes((64, 64), 10, "float32", own_mask=True)
    assert own == 2 * (3 * plane + 2 * strip) + maps + 2 * plane
    one_mask = least_bytes((64, 64), 10, "float32", own_mask=False)
    assert one_mask == 2 * (plane + strip) + maps + plane + 64 * 64 * 4
    assert least_bytes((64, 64), 10, "float64", own_mask=False) == 2 * one_mask - 64 * 64 * 8


def test_a_batch_shares_the_maps_and_half_precision_halves_the_passes():
    apart, together = (least_bytes((64, 64), 10, "float32", own_mask=True, batch=batch) for batch in (1, 16))
    endless = least_bytes((64, 64), 10, "float32", own_mask=True, batch=10**9)
    assert together - endless == pytest.approx((apart - endless) / 16, rel=1e-4)
    half = least_bytes((64, 64), 10, "float32", own_mask=True, batch=10**9, spectrum_bytes=4)
    assert half == pytest.approx(endless / 2, rel=1e-4)


class FakeCuda:
    """The few names of CuPy that a copy takes, with a clock that ticks two milliseconds a copy."""

    def __init__(self, free: int) -> None:
        self.copied, self.cuda = [], self
        self.runtime = self
        self.memGetInfo = lambda: (free, free)
        self.Event = lambda: SimpleNamespace(record=lambda: None, synchronize=lambda: None)
        self.get_elapsed_time = lambda start, stop: 2.0
        self.arange, self.empty_like = np.arange, np.empty_like

    def copyto(self, target, source):
        np.copyto(target, source)
        self.copied.append(source.nbytes)


def test_the_copy_counts_bytes_read_and_written_and_fits_into_free_memory():
    device = FakeCuda(free=1 << 16)
    assert copy_bandwidth(device, nbytes=1 << 20, repeats=3) == 2 * (1 << 14) / 2e-3
    assert device.copied == [1 << 14] * 5
