"""SimGrid's clusters against the closed forms."""

from __future__ import annotations

import pytest

from gembench.study.clusters import model, simulation
from gembench.study.clusters.machines import CLUSTERS
from gembench.study.clusters.searches import Searches
from gembench.study.clusters.simulation import ReductionJob, SearchJob, simulate

needs_simgrid = pytest.mark.skipif(bool(simulation.unavailable()), reason=simulation.unavailable())


@needs_simgrid
@pytest.mark.parametrize("cluster", sorted(CLUSTERS))
@pytest.mark.parametrize("strategy", sorted(model.STRATEGIES))
def test_reductions_take_what_the_closed_forms_say(cluster, strategy):
    nodes = [2, 3, 5, 8]
    found = simulate([ReductionJob(cluster, p, strategy, 1024, 8) for p in nodes])
    costs = model.costs_of(CLUSTERS[cluster], 1024, 8)
    wanted = [model.STRATEGIES[strategy](p, costs) for p in nodes]
    assert found == pytest.approx(wanted, rel=0.02)


@needs_simgrid
def test_a_search_that_storage_holds_back_and_one_that_it_does_not():
    pace = CLUSTERS["griffon"].pace
    jobs = [SearchJob("griffon", 16, storage, 1600, 40 * pace) for storage in ("shared", "local")]
    shared, local = simulate(jobs)
    cluster = CLUSTERS["griffon"]
    assert shared == pytest.approx(
        model.search_seconds(cluster, 16, "shared", templates=1600, pace=40 * pace), rel=0.02)
    assert local == pytest.approx(
        model.search_seconds(cluster, 16, "local", templates=1600, pace=40 * pace), rel=0.1)
    assert shared > 5 * local


@needs_simgrid
@pytest.mark.parametrize("mode", ["micrographs", "templates"])
def test_both_ways_to_share_out_take_what_the_closed_form_says(mode):
    cases = tuple((8, "local", mode, count) for count in (1, 8, 20))
    simulated, formula = (
        [entry["seconds"] for entry in Searches(evidence, "griffon", 2048, 180, cases).measure(1)]
        for evidence in ("simulated", "model")
    )
    assert simulated == pytest.approx(formula, rel=0.05)


def test_a_missing_simgrid_is_named_with_the_remedy(monkeypatch, tmp_path):
    monkeypatch.setattr(simulation, "DEBIAN", tmp_path / "nothing.so")
    monkeypatch.setattr(simulation.importlib.util, "find_spec", lambda name: None)
    assert "apt-get install python3-simgrid" in simulation.unavailable()


@needs_simgrid
def test_a_failed_simulation_is_told():
    with pytest.raises(RuntimeError, match="SimGrid: "):
        simulate([ReductionJob("griffon", 2, "unknown", 64)])
