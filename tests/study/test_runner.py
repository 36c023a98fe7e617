"""The runner: order, checks before times, contained crashes, limits, one thread that is one thread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gembench.errors import InputError
from gembench.study.declare.experiment import load_all, load_experiment
from gembench.study.measure.runner import Settings, run_experiment
from gembench.study.measure.store import Row, load_rows

Toy = Callable[..., Path]
FRESH = Settings(keep="none")


def measured(folder: Path, settings: Settings = FRESH, **options: object) -> dict[str, Row]:
    experiment = load_experiment(folder / "toy.py")
    results = folder.parent / "results"
    run_experiment(experiment, results, settings, tell=lambda line: None, **options)  # type: ignore[arg-type]
    return {str(row["arm"]): row for row in load_rows(results, "toy", grid=settings.grid)}


def test_compared_arms_alternate_in_even_rounds_and_warm_up_apart(toy: Toy, tmp_path: Path) -> None:
    rows = measured(toy('grid(arm=["a", "b", "c"], n=10)', rounds=3))
    warmups, rounds = ["a", "b", "c"], ["a", "b", "c", "c", "b", "a"] * 2
    assert [line.split()[0] for line in (tmp_path / "log").read_text().splitlines()] == warmups + rounds
    for row in rows.values():
        assert (row.status, row.reason, len(row.samples), len(row.warmups), row.arms) == ("ok", "", 4, 1, 3)
        assert row.metrics == {"total": 45, "nothing": None}
        assert row.peak_rss is not None
        assert row.peak_rss > 2**20


def test_a_wrong_output_has_a_reason_and_no_time(toy: Toy) -> None:
    rows = measured(toy('grid(arm=["wrong", "right"], n=10)'))
    assert (rows["wrong"].status, rows["wrong"].samples, rows["wrong"].metrics) == ("failed", (), {})
    assert rows["wrong"].reason == "check: AssertionError: sum is 46"
    assert rows["right"].ok


@pytest.mark.parametrize(("arm", "reason"), [("crash", "exit code 7"), ("segfault", "signal SIGSEGV")])
def test_a_crash_is_contained(toy: Toy, arm: str, reason: str) -> None:
    rows = measured(toy(f'grid(arm=["{arm}", "right"], n=10)'))
    assert rows[arm].status == "failed"
    assert reason in rows[arm].reason
    assert rows[arm].samples == ()
    assert rows["right"].ok


def test_a_slow_case_is_stopped_at_its_limit(toy: Toy) -> None:
    rows = measured(toy('grid(arm=["hang", "right"], n=10)'), Settings(time_limit=3))
    assert rows["hang"].status == "timeout"
    assert "3 s in set-up and warm-up" in rows["hang"].reason
    assert rows["right"].ok


def test_a_skipped_case_says_why_and_is_asked_again(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = toy('grid(arm=["gpu", "right"], n=10)')
    first = measured(folder)
    assert (first["gpu"].status, first["gpu"].reason) == ("skipped", "no CUDA device")
    monkeypatch.setenv("TOY_DEVICE", "1")
    second = measured(folder, Settings())
    assert second["gpu"].ok
    assert second["right"].samples == first["right"].samples


def test_stored_cases_are_kept_until_the_sources_change_or_fresh_is_asked(toy: Toy, tmp_path: Path) -> None:
    folder, log = toy('grid(arm="a", n=10)'), tmp_path / "log"
    measured(folder, Settings())
    once = log.read_text()
    measured(folder, Settings())
    assert log.read_text() == once
    measured(folder, FRESH)
    assert log.read_text() == once * 2
    toy('grid(arm="a", n=10)', pause=0.001)
    measured(folder, Settings(keep="any"))
    assert log.read_text() == once * 2
    measured(folder, Settings())
    assert log.read_text() == once * 3


def test_quick_results_stand_for_quick_ones_only(toy: Toy, tmp_path: Path) -> None:
    folder = toy('grid(arm=["slow", "fast"], n=3)')
    measured(folder, Settings(grid="quick"))
    assert load_rows(tmp_path / "results", "toy") == []
    measured(folder, Settings())
    assert {row.grid for row in load_rows(tmp_path / "results", "toy")} == {"default"}
    assert {row.grid for row in load_rows(tmp_path / "results", "toy", grid="quick")} == {"quick"}


def test_a_paper_result_serves_the_default_grid(toy: Toy, tmp_path: Path) -> None:
    folder = toy('grid(arm="slow", n=[10, 11])')
    measured(folder, Settings(grid="paper"))
    measured(folder, Settings())
    rows = load_rows(tmp_path / "results", "toy")
    assert [(row["n"], row.grid) for row in rows] == [(10, "paper"), (99, "paper"), (11, "default")]
    assert len(rows[-1].run["resumed_from"]) == 1


def test_only_the_chosen_cases_run(toy: Toy, tmp_path: Path) -> None:
    folder = toy()
    measured(folder, FRESH, chosen={"n": 20, "arm": "fast"})
    assert [row.name for row in load_rows(tmp_path / "results", "toy")] == ["toy[arm=fast,n=20]"]
    with pytest.raises(InputError, match=r"toy: no case has n=30; choose from 10, 20"):
        measured(folder, FRESH, chosen={"n": 30})


THREADS = '''
from gembench.study.declare.experiment import Experiment, grid

def run(inputs, case):
    import numba, numpy, os, scipy.linalg
    from threadpoolctl import threadpool_info
    numpy.ones((64, 64)) @ numpy.ones((64, 64))
    pools = [pool["num_threads"] for pool in threadpool_info()]
    return {"pools": pools, "numba": numba.config.NUMBA_NUM_THREADS, "omp": os.environ["OMP_NUM_THREADS"]}

def check(output, inputs, case):
    return output

cases = grid(threads=[1, 2])
experiment = Experiment(
    name="toy", title="Threads", grids={"quick": cases, "default": cases, "paper": cases},
    run=run, check=check, rounds=1, threads=lambda case: case.threads,
)
'''


def test_one_thread_is_one_thread(tmp_path: Path) -> None:
    (tmp_path / "toy.py").write_text(THREADS)
    run_experiment(load_experiment(tmp_path / "toy.py"), tmp_path, FRESH, tell=lambda line: None)
    for row in load_rows(tmp_path, "toy"):
        assert row.ok, row.reason
        assert row.metrics["pools"]
        assert max(row.metrics["pools"]) <= row["threads"]
        assert (row.metrics["numba"], row.metrics["omp"]) == (row["threads"], str(row["threads"]))


HOOKS = '''
import numpy
from gembench.study.declare.experiment import Experiment, grid

cases = grid(n=[4, 5])
experiment = Experiment(
    name="toy", title="Hooks", grids={"quick": cases, "default": cases, "paper": cases}, rounds=3, warmups=0,
    setup=lambda case: case.n, run=lambda n, case: numpy.arange(n),
    check=lambda output, n, case: {"sum": output.sum()}, seconds=lambda output, n, case: 0.5 * n,
    rates=lambda seconds, case: {"per_second": case.n / seconds},
    arrays=lambda output, n, case: {"output": output},
)
'''


def test_an_output_may_bring_its_own_time_rates_and_arrays(tmp_path: Path) -> None:
    (tmp_path / "toy.py").write_text(HOOKS)
    run_experiment(load_experiment(tmp_path / "toy.py"), tmp_path / "results", FRESH, tell=lambda line: None)
    for row in load_rows(tmp_path / "results", "toy"):
        n = row["n"]
        assert (row.samples, row.warmups, row.clock) == ((n / 2,) * 3, (), "own"), row.reason
        assert row.metrics == {"sum": n * (n - 1) // 2, "per_second": 2.0}
        assert row.arrays["output"].tolist() == list(range(n))


def test_a_drawing_beside_its_experiment_is_no_experiment_and_imported_when_it_draws(tmp_path: Path) -> None:
    (tmp_path / "toy.py").write_text(HOOKS)
    assert load_experiment(tmp_path / "toy.py").figure is None
    (tmp_path / "toy_figure.py").write_text("1 / 0")
    assert list(load_all(tmp_path)) == ["toy"]
    experiment = load_experiment(tmp_path / "toy.py")
    (tmp_path / "toy_figure.py").write_text("def figure(rows):\n    return {'of': rows}\n")
    assert experiment.figure is not None
    assert experiment.figure([1, 2]) == {"of": [1, 2]}
    (tmp_path / "toy.py").write_text(HOOKS.replace("experiment = ", "def figure(rows): return 'its own'\n\n"
                                                   "experiment = ").replace("rounds=3", "figure=figure"))
    own = load_experiment(tmp_path / "toy.py").figure
    assert own is not None
    assert own([]) == "its own"


def test_a_broken_experiment_file_is_named(tmp_path: Path) -> None:
    for text, reason in [("1 / 0", "ZeroDivisionError"), ("x = 1", "declares no"),
                         (HOOKS.replace('"toy"', '"other"'), "named 'other'"),
                         (HOOKS.replace('"quick": cases, ', ""), "no quick grid"),
                         (HOOKS.replace("rounds=3", "compare='m'"), "is not an axis")]:
        (tmp_path / "toy.py").write_text(text)
        with pytest.raises(InputError, match=rf"toy\.py: .*{reason}"):
            load_experiment(tmp_path / "toy.py")
