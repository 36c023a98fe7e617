"""The runner: order, checks before times, contained crashes, limits, one thread that is one thread."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from gembench.cli import main
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


IN_A_WORKER = 'import os, sys, time\nif "worker" in sys.argv[0]'


def test_what_a_study_imports_is_imported_once_for_all_its_cases(toy: Toy, tmp_path: Path) -> None:
    folder = toy('grid(arm=["a", "b", "c"], n=10)')
    (folder / "toy.py").write_text(
        f'{IN_A_WORKER} and "gembench.engine.picks" not in sys.modules:\n'
        '    print("imports", file=open(os.environ["TOY_LOG"], "a"))\n'
        "import gembench.engine.picks\n" + (folder / "toy.py").read_text())
    assert all(row.ok for row in measured(folder).values())
    assert (tmp_path / "log").read_text().splitlines().count("imports") == 1


@pytest.mark.parametrize(("does", "status", "reason"), [
    ("os._exit(3)", "failed", "the worker died: exit code 3"),
    ('sys.stderr.write("no room\\n"), os.kill(os.getpid(), 9)', "failed", "signal SIGKILL: no room"),
    ("time.sleep(60)", "timeout", "used up its 2 s"),
])
def test_a_study_that_cannot_be_imported_in_a_worker_fails_case_by_case(
    toy: Toy, does: str, status: str, reason: str
) -> None:
    folder = toy('grid(arm=["a", "b"], n=10)')
    (folder / "toy.py").write_text(f"{IN_A_WORKER}: {does}\n" + (folder / "toy.py").read_text())
    for row in measured(folder, Settings(keep="none", time_limit=2)).values():
        assert (row.status, reason in row.reason) == (status, True), row.reason


def test_a_case_that_kills_the_process_it_is_a_fork_of_is_one_failed_case(toy: Toy) -> None:
    folder = toy('grid(arm=["parricide", "right"], n=10)')
    text = (folder / "toy.py").read_text()
    (folder / "toy.py").write_text(text.replace(
        'if case.arm == "crash"', 'if case.arm == "parricide":\n        os.kill(os.getppid(), 9)\n'
        '        time.sleep(60)\n    if case.arm == "crash"'))
    rows = measured(folder)
    assert (rows["parricide"].status, rows["right"].status) == ("failed", "ok")
    assert "signal SIGKILL" in rows["parricide"].reason


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


def test_what_failed_is_measured_again_unless_it_is_kept(toy: Toy, tmp_path: Path) -> None:
    folder, log = toy('grid(arm=["right", "wrong", "hang"], n=10)', pause=0.0), tmp_path / "log"
    limit = {"time_limit": 3.0}
    first = measured(folder, Settings(**limit))
    assert [first[arm].status for arm in ("right", "wrong", "hang")] == ["ok", "failed", "timeout"]
    once = log.read_text()
    measured(folder, Settings(**limit, keep_failed=True))
    assert log.read_text() == once
    for keep in ("same", "any"):
        before = log.read_text()
        again = measured(folder, Settings(keep=keep, **limit))
        assert log.read_text() == before + "wrong 10\n"
        assert again["wrong"].path > first["wrong"].path
        assert again["right"].path == again["hang"].path == first["right"].path


def test_a_run_returns_every_row_of_its_selection(toy: Toy, tmp_path: Path) -> None:
    folder = toy('grid(arm=["right", "wrong"], n=[10, 20])')
    experiment = load_experiment(folder / "toy.py")

    def run(keep_failed: bool) -> list[tuple[object, object, str]]:
        rows = run_experiment(experiment, tmp_path / "results", Settings(keep_failed=keep_failed),
                              chosen={"n": 20}, tell=lambda line: None)
        return sorted((row["arm"], row["n"], row.status) for row in rows)

    assert run(False) == run(False) == run(True) == [("right", 20, "ok"), ("wrong", 20, "failed")]


def run_command(folder: Path, *options: str) -> int:
    return main(["run", "toy", "--experiments", str(folder), "--results", str(folder.parent / "results"),
                 *options])


def test_the_exit_code_tells_of_every_failure_of_the_selection(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = toy('grid(arm=["right", "wrong"], n=10)')
    for options in ([], [], ["--keep-failed"]):
        assert run_command(folder, *options) == 1
        assert capsys.readouterr().err == ("gembench: 1 of 2 cases failed; the first: toy[arm=wrong,n=10]:"
                                           " check: AssertionError: sum is 46\n")
    toy('grid(arm="right", n=10)')
    assert run_command(folder) == 0
    assert capsys.readouterr().err == ""


ARRAYS = '''
import errno, numpy, os
from gembench.study.declare.experiment import Experiment, grid

def arrays(output, inputs, case):
    if "FULL" in os.environ:
        def write(*args, **named):
            raise OSError(errno.ENOSPC, "No space left on device")
        numpy.savez_compressed = write
    return {"squares": output}

cases = grid(n=4)
experiment = Experiment(
    name="toy", title="Arrays", grids={"quick": cases, "default": cases, "paper": cases}, rounds=1,
    run=lambda inputs, case: numpy.arange(case.n) ** 2, check=lambda output, inputs, case: None,
    arrays=arrays,
)
'''


def test_a_case_whose_arrays_found_no_room_says_so_and_is_measured_when_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "toy.py").write_text(ARRAYS)
    monkeypatch.setenv("FULL", "1")
    assert run_command(tmp_path, "--results", str(tmp_path / "results")) == 1
    row, = load_rows(tmp_path / "results", "toy")
    assert row.status == "failed"
    assert ".npz" in row.reason
    assert "no space left" in row.reason.lower()
    assert "died" not in row.reason
    assert not list(tmp_path.rglob("*.npz"))
    monkeypatch.delenv("FULL")
    assert run_command(tmp_path, "--results", str(tmp_path / "results")) == 0
    row, = load_rows(tmp_path / "results", "toy")
    assert row.arrays["squares"].tolist() == [0, 1, 4, 9]


@pytest.mark.parametrize("lines", [0, 1])
def test_a_full_disk_ends_a_run_with_a_line_and_what_was_stored_is_kept(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lines: int
) -> None:
    folder, synced = toy('grid(arm="right", n=[10, 20])'), 0

    def fsync(number: int) -> None:
        nonlocal synced
        synced += 1
        if synced > 2 * lines:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fsync)
        assert run_command(folder) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "cannot be written: No space left on device; make room, then give the same command" in error
    assert len(list((tmp_path / "results").rglob("*.jsonl"))) == lines
    assert len(load_rows(tmp_path / "results", "toy")) >= lines
    assert run_command(folder) == 0
    assert {row["n"] for row in load_rows(tmp_path / "results", "toy") if row.ok} == {10, 20}


def test_a_stored_run_of_the_future_is_refused_since_it_would_hide_this_one(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = toy('grid(arm="right", n=10)')
    assert run_command(folder) == 0
    path, = (tmp_path / "results").rglob("*.jsonl")
    path.write_text(re.sub(r'"started": "2...', '"started": "2999', path.read_text()))
    assert run_command(folder) == 0  # nothing to measure
    capsys.readouterr()
    assert run_command(folder, "--fresh") == 2
    error = capsys.readouterr().err
    assert error.startswith(f"gembench: error: {path}: started 2999-")
    assert "set the clock, or move the file away" in error
    assert list((tmp_path / "results").rglob("*.jsonl")) == [path]


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
