"""Closed forms of reductions and searches: by hand, event by event, and planted shapes."""

from __future__ import annotations

import heapq
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gembench.study.clusters.model import formulas
from gembench.study.clusters.model.formulas import Costs
from gembench.study.clusters.model.machines import ADONIS, CLUSTERS, GRIFFON, NETWORKS, STORAGE, Storage

HAND = Costs(message=1, transfer=10, fold=4)  # a step takes 15


@pytest.mark.parametrize(("p", "seconds"), [(2, 15), (3, 30), (4, 45), (64, 945)])
def test_direct_folds_one_after_another(p, seconds):
    assert formulas.direct(p, HAND) == seconds


@pytest.mark.parametrize(("p", "seconds"), [(2, 15), (3, 30), (4, 30), (5, 45), (8, 45), (64, 90)])
def test_a_tree_takes_a_step_each_time_the_ranks_double(p, seconds):
    assert formulas.tree(p, HAND) == seconds


def test_scattering_moves_twice_all_but_the_roots_own_share():
    assert formulas.scatter(2, HAND) == 2 * 1 + (20 + 4) / 2
    assert formulas.scatter(4, HAND) == 4 * 1 + (20 + 4) * 3 / 4


def test_a_chain_of_two_in_one_piece_is_one_step():
    costs = Costs(message=100, transfer=10, fold=4)  # so long a latency that segments do not pay
    assert formulas.segments(2, costs) == 1
    assert formulas.chain(2, costs) == costs.step


def stepwise_chain(p: int, costs: Costs) -> float:
    """A chain by its events: ranks receive a segment, fold it and pass it on, by one link and one core."""
    s = formulas.segments(p, costs)
    ready = [0.0] * s  # when each segment may leave the last rank
    for _ in range(p - 1):
        link = core = 0.0
        arrived = []
        for k in range(s):
            link = max(link, ready[k]) + costs.message + costs.transfer / s
            arrived.append(link)
        for k in range(s):
            core = max(core, arrived[k]) + costs.fold / s
            ready[k] = core
    return ready[-1]


@given(st.integers(2, 70), st.floats(0.5, 50), st.floats(0.5, 50))
def test_a_chain_takes_what_its_events_take(p, transfer, fold):
    costs = Costs(1e-6, transfer, fold)
    assert formulas.chain(p, costs) == pytest.approx(stepwise_chain(p, costs), rel=1e-3)


@given(st.integers(2, 70), st.floats(1e-5, 1e-2), st.floats(0.5, 50), st.floats(0.5, 50))
def test_segments_are_as_many_as_are_fastest(p, message, transfer, fold):
    costs = Costs(message, transfer, fold)

    def seconds(s: int) -> float:
        return ((p - 1) * (message + (transfer + fold) / s)
                + (s - 1) * (message + max(transfer, fold) / s))

    best = min(map(seconds, range(1, formulas.MOST_SEGMENTS + 1)))
    assert formulas.chain(p, costs) == pytest.approx(best, rel=0.01)


def stepwise_tree(p: int, costs: Costs) -> float:
    """Pairs of whoever is free longest fold; the time when one rank is left."""
    free = [0.0] * p
    heapq.heapify(free)
    while len(free) > 1:
        heapq.heappush(free, max(heapq.heappop(free), heapq.heappop(free)) + costs.step)
    return free[0]


@given(st.integers(1, 6))
def test_a_tree_takes_what_its_events_take(k):
    assert formulas.tree(2**k, HAND) == stepwise_tree(2**k, HAND)


@given(st.sampled_from(sorted(CLUSTERS)), st.integers(2, 64), st.sampled_from(sorted(formulas.STRATEGIES)))
def test_no_reduction_is_faster_than_the_roots_link(cluster, p, strategy):
    costs = formulas.costs_of(CLUSTERS[cluster], 4096, 8)
    bound = costs.transfer * ((p - 1) / p if strategy == "scatter" else 1)
    assert formulas.STRATEGIES[strategy](p, costs) >= bound


def test_the_papers_clusters():
    assert (GRIFFON.nodes * GRIFFON.cores, ADONIS.nodes * ADONIS.workers) == (512, 16)
    griffon, adonis = (formulas.costs_of(cluster, 4096) for cluster in (GRIFFON, ADONIS))
    assert griffon.transfer == pytest.approx(2 * adonis.transfer)
    assert GRIFFON.fold_seconds(10**6, 1) == pytest.approx(24e6 / 3.5e9)
    assert STORAGE["shared"].seconds(1) == pytest.approx(2 * (5e-3 + 102_400 / 100e6))


def test_emulated_networks_have_the_rates_of_their_names():
    assert {name: network.bandwidth * 8 for name, network in NETWORKS.items()} == {
        "100Mb/s": 100e6, "1Gb/s": 1e9}


def test_a_search_takes_its_slowest_part():
    pace, shared, local = GRIFFON.pace, STORAGE["shared"], STORAGE["local"]
    assert formulas.search_seconds(GRIFFON, 1, local, templates=80) == pytest.approx(10 / pace)
    # 41 on 8 cores
    assert formulas.search_seconds(GRIFFON, 2, local, templates=81) == pytest.approx(6 / pace)
    assert formulas.search_seconds(GRIFFON, 64, shared) == pytest.approx(shared.seconds(14_630))
    assert formulas.search_seconds(GRIFFON, 64, local) == pytest.approx(math.ceil(229 / 8) / pace)
    slow = Storage(1.0, 1e9, own=True)
    assert formulas.search_seconds(GRIFFON, 64, slow) == pytest.approx(slow.seconds(229))


def test_the_default_reduction_is_a_chain_folded_on_all_cores():
    assert formulas.reduction_seconds(GRIFFON, 4096, 1) == 0
    chain = formulas.chain(64, formulas.costs_of(GRIFFON, 4096, 8))
    assert formulas.reduction_seconds(GRIFFON, 4096, 64) == chain


@pytest.mark.parametrize(("planted", "shape"), [
    ({p: 3.0 * (p - 1) for p in (2, 4, 8, 16)}, "linear"),
    ({p: 3.0 * math.log2(p) for p in (2, 4, 8, 16)}, "logarithmic"),
])
def test_planted_shapes_are_recovered(planted, shape):
    fit = formulas.shapes(planted)
    assert fit.best == shape
    assert getattr(fit, shape) == pytest.approx(1)
    assert getattr(fit, {"linear": "logarithmic", "logarithmic": "linear"}[shape]) < 0.95
    assert all(fit.at(p) == pytest.approx(seconds) for p, seconds in planted.items())


def test_two_points_have_no_shape():
    assert formulas.shapes({2: 1.0, 4: 2.0}) is None
    assert formulas.shapes({2: 1.0, 4: 1.0, 8: 1.0}) is None
