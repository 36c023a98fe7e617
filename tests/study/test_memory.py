"""Peak memory is that of the processes that do the work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gembench.study.clusters import ranks
from gembench.study.clusters.reductions import Reductions
from gembench.study.clusters.searches import Job, Searches
from gembench.study.clusters.series import Series
from gembench.study.declare.experiment import Case, load_experiment
from gembench.study.measure import memory
from gembench.study.measure.worker import Measurement

ROOT = Path(__file__).resolve().parents[2]
MIB = 1 << 20
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
needs_ranks = pytest.mark.skipif(bool(ranks.unavailable()), reason=ranks.unavailable())


@needs_linux
def test_a_peak_is_forgotten_when_it_is_asked() -> None:
    """In a process of its own, whose memory is its own."""
    script = ("from gembench.study.measure.memory import forget_peak, peak_rss\n"
              "held = bytearray(b'1') * (64 << 20)\nwith_it = peak_rss()\ndel held\nstill = peak_rss()\n"
              "forget_peak()\nwithout = peak_rss()\nprint(with_it, still, without)\n")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    with_it, still, without = map(int, done.stdout.split())
    assert with_it >= 64 * MIB
    assert still > with_it - 4 * MIB  # the kernel counts pages in batches
    assert without <= with_it - 60 * MIB


def test_a_system_that_tells_nothing_gives_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "PROCESS", tmp_path / "nowhere")
    memory.forget_peak()
    assert memory.peak_rss() is None
    (tmp_path / "status").write_text("VmRSS: 5 kB\n")
    monkeypatch.setattr(memory, "PROCESS", tmp_path)
    assert memory.peak_rss() is None
    (tmp_path / "status").write_text("VmPeak:  9 kB\nVmHWM:\t  7 kB\n")
    assert memory.peak_rss() == 7 * 1024


@needs_linux
@needs_ranks
def test_ranks_tell_their_own_peaks_case_by_case() -> None:
    """Each of the ranks holds maps of 32 MiB, sent and folded; a rank that waits holds none of MPI's."""
    setting = Reductions("real", "here", 2048, (2, 3), (("direct", 1),))
    entries = [entry for entry in setting.measure(1) if "strategy" in entry]
    assert [entry["nodes"] for entry in entries] == [2, 3]
    for entry in entries:
        assert entry["peak_rss"] > 64 * MIB
        assert entry["nodes"] * 64 * MIB < entry["peak_rss_sum"] <= entry["nodes"] * entry["peak_rss"]


@needs_linux
@needs_ranks
def test_ranks_that_search_tell_their_peaks() -> None:
    setting = Searches("real", "here", 256, 8, (Job(1), Job(2)), ("nodes",), template=32)
    if not setting.unavailable(setting.cases()[-1]):
        first, two = setting.measure(1)
        assert first["peak_rss"] == first["peak_rss_sum"] > 32 * MIB
        assert two["peak_rss"] < two["peak_rss_sum"] <= 2 * two["peak_rss"]


@pytest.mark.parametrize("study", ["reduction", "cluster", "distribution"])
def test_the_stored_peak_is_the_largest_ranks_and_never_the_clients(
    study: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    experiment = load_experiment(ROOT / "experiments" / f"{study}.py")
    kinds = {case["evidence"]: case for case in experiment.grids["quick"]}
    planted = {"seconds": 1e9, "right": True, "copied": 1e9, "reduction_seconds": 0.0}

    def measure(self: object, rounds: int) -> list[dict[str, object]]:
        return [{**planted, **case, "round": number, "peak_rss": 100 + number, "peak_rss_sum": 700 - number}
                for number in range(rounds)]

    for evidence, case in kinds.items():
        planted |= {"distribute": "templates", "micrographs": 1, "storage": "local", **case}
        for setting in (Reductions, Searches):
            monkeypatch.setattr(setting, "measure", measure)
        monkeypatch.setattr("gembench.study.clusters.series.sheet", lambda key, number, make: make())
        done = Measurement(experiment, Case(case), 1)
        done.sample()
        closed = done.close(tmp_path / "none.npz", 1.0)
        assert closed["peak_rss"] == 101, evidence
        if "peak_rss_sum" in closed["metrics"]:
            assert closed["metrics"]["peak_rss_sum"] == 700
        else:
            assert evidence == "model"
    monkeypatch.setattr(Series, "samples", lambda self: [{"seconds": 1.0}])
    assert done.inputs.peak() is None
