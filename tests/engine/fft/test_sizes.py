"""Transform sizes: good ones, the cheapest by the table, and the table's own measurement."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gembench.engine.fft import LIBRARIES, fft_library
from gembench.engine.fft import costs as fft_costs
from gembench.engine.fft import sizes as fft_sizes
from gembench.engine.fft.sizes import COSTS, REST, WIDEST, fast_size, smooth_sizes


def smooth(n: int) -> bool:
    for prime in (2, 3, 5, 7):
        while n % prime == 0:
            n //= prime
    return n == 1


@given(st.integers(1, 20_000))
def test_a_size_is_large_enough_even_and_smooth_and_none_in_reach_is_cheaper(n):
    size = fast_size(n)
    assert size >= n
    assert size % 2 == 0
    assert smooth(size)
    assert fast_size(size) <= WIDEST * size
    in_reach = [m for m in COSTS if n <= m <= WIDEST * n]
    if n >= min(COSTS) and in_reach:
        assert size * (COSTS[size] + REST) == min(m * (COSTS[m] + REST) for m in in_reach)


@pytest.mark.parametrize("n", [1, 2, 97, 129, 255, max(COSTS) + 1, 3 * max(COSTS)])
def test_outside_the_table_it_is_the_smallest_good_size(n):
    assert fast_size(n) == next(size for size in smooth_sizes(2 * n + 2) if size >= n)


def test_the_cheapest_of_a_planted_table_wins(monkeypatch):
    monkeypatch.setattr(fft_sizes, "COSTS", {256: 1.0, 260: 9.0, 270: 3.0, 280: 1.0, 320: 0.0, 400: 0.0})
    choose = fast_size.__wrapped__
    assert choose(256) == 256
    assert choose(257) == 320  # 320 * 6 < 280 * 7
    assert choose(321) == 400
    assert choose(401) == 420  # beyond the table


def test_powers_of_two_stay_and_bad_sizes_are_passed_over():
    assert [fast_size(2**k) for k in range(8, 14)] == [2**k for k in range(8, 14)]
    assert fast_size(2049) == 2160  # not 2058 = 2 * 3 * 7^3


def test_the_table_holds_every_smooth_size_in_its_range():
    assert list(COSTS) == [n for n in smooth_sizes(fft_costs.SIZES[1]) if n >= fft_costs.SIZES[0]]
    assert all(0 < cost < 100 for cost in COSTS.values())


def test_the_printed_table_is_the_source_of_the_same_table():
    lines = fft_costs.as_source(COSTS).splitlines()
    names: dict[str, dict[int, float]] = {}
    exec("\n".join(lines), names)
    assert names["COSTS"] == COSTS
    assert max(map(len, lines)) <= 110


@pytest.mark.skipif(any(LIBRARIES[name].unavailable() for name in ("mkl",)), reason="mkl is not installed")
def test_a_cost_is_measured():
    assert 0 < fft_costs.row_cost(fft_library("mkl"), 64) < 1e6


def test_the_measured_table_is_the_mean_of_the_libraries_and_the_least_of_the_passes(monkeypatch):
    costs = iter([4.0, 8.0, 2.0, 10.0, 3.0, 7.0, 5.0, 9.0])  # two libraries, two sizes, two passes
    monkeypatch.setattr(fft_costs, "fft_library", lambda name: name)
    monkeypatch.setattr(fft_costs, "row_cost", lambda library, n: next(costs))
    assert fft_costs.measure([64, 128], passes=2) == {64: 2.5, 128: 8.0}
