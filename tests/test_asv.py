"""The regression suite, and the verdict on what asv measured."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import subprocess
import sys
import time
import timeit
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gembench.engine.fft import LIBRARIES
from gembench.engine.peaks import find_picks
from gembench.errors import InputError
from gembench.study.measure.regressions import FACTOR, Suite, compare, main, slowdown, table
from gembench.study.tell.history import Measurement, load_history, load_measurements

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = ["result", "params", "version", "started_at", "duration", "stats_ci_99_a", "stats_ci_99_b",
           "stats_q_25", "stats_q_75"]


def steady(value: float, spread: float = 0.01) -> Measurement:
    return Measurement(value, (value * (1 - spread), value * (1 + spread)))


# The suite itself


@pytest.fixture
def suite_module(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Import a module of the suite under a name that does not hide asv's own package."""
    folder = ROOT / "experiments" / "asv"
    spec = importlib.util.spec_from_file_location("suite", folder / "__init__.py",
                                                  submodule_search_locations=[str(folder)])
    assert spec is not None
    assert spec.loader is not None
    with monkeypatch.context() as patch:
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            patch.setenv(name, "7")  # what the suite sets is undone afterwards
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, "suite", module)
        spec.loader.exec_module(module)
        assert os.environ["OMP_NUM_THREADS"] == "1"

        def load(name: str) -> ModuleType:
            return importlib.import_module(f"suite.{name}")

        yield load
    for name in [name for name in sys.modules if name.startswith("suite.")]:
        del sys.modules[name]


def test_asv_finds_every_kind_of_benchmark(tmp_path: Path) -> None:
    pytest.importorskip("asv_runner")
    listing = tmp_path / "found.json"
    subprocess.run([sys.executable, "-c", "import sys; from asv_runner.discovery import _discover;"
                    " _discover(sys.argv[1:])", str(ROOT / "experiments" / "asv"), str(listing)], check=True)
    benchmarks = {entry["name"]: entry for entry in json.loads(listing.read_text())}
    assert {entry["type"] for entry in benchmarks.values()} == {"time", "peakmemory", "track"}
    assert {name.split(".")[0] for name in benchmarks} == {
        "correlate", "fft", "kernels", "memory", "peaks", "quality", "scoring"}
    assert benchmarks["correlate.Correlate.time_search"]["params"][:2] == [
        ["'exact'", "'paper'"], ["'numpy'", "'scipy'", "'ducc0'", "'fftw'", "'mkl'"]]
    assert benchmarks["quality.Quality.track_missing_f1"]["unit"] == "1 - F1"


def test_a_part_of_the_engine_is_where_it_is_today_or_was_before(
    suite_module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = suite_module("_inputs")
    for name, places in inputs.PLACES.items():
        today = importlib.import_module(f"gembench.{places[0]}")
        assert inputs.part(name) is getattr(today, name)
    old = ModuleType("gembench.engine.before")
    old.Former = object()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gembench.engine.before", old)
    monkeypatch.setitem(inputs.PLACES, "Latter", ("engine.nowhere", "engine.peaks", "engine.before:Former"))
    assert inputs.part("Latter") is old.Former
    monkeypatch.setitem(inputs.PLACES, "Latter", ("engine.nowhere", "engine.peaks"))
    with pytest.raises(ImportError, match="no Latter at this commit"):
        inputs.part("Latter")


def test_the_paper_method_takes_five_transforms_a_template_and_two(suite_module: Any) -> None:
    memory = suite_module("memory")
    assert memory.Transforms().track_transforms("paper") == 5 + 2 / 8
    assert memory.Transforms().track_transforms("exact") < 4


def test_a_missing_library_is_skipped_not_failed(suite_module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LIBRARIES["scipy"], "unavailable", lambda: "not installed: here")
    with pytest.raises(NotImplementedError, match="'scipy' cannot be used: not installed: here"):
        suite_module("fft").FFT().setup("scipy", 16)


def test_the_score_map_has_peaks_for_both_rules(suite_module: Any) -> None:
    peaks = suite_module("peaks")
    for rule in peaks.Peaks.params[0]:
        case = peaks.Peaks()
        case.setup(rule, 512)
        assert len(find_picks(case.maps, case.bank, case.settings)) > 10


@pytest.mark.parametrize("name", ["Correlate", "Masks", "Threads", "Banded"])
def test_the_clock_of_a_search_sees_it_wait(suite_module: Any, name: str) -> None:
    timer = getattr(getattr(suite_module("correlate"), name), "timer", timeit.default_timer)
    start = timer()
    time.sleep(0.02)
    assert timer() - start >= 0.02


# The verdict


@given(st.floats(1e-6, 1e3), st.floats(0.1, 10))
def test_a_steady_benchmark_is_slower_beyond_the_factor_only(before: float, ratio: float) -> None:
    assert slowdown(steady(before, 0), steady(before * ratio, 0)) == (before * ratio > FACTOR * before)


def test_a_busy_machine_is_no_slowdown_while_the_fastest_calls_stay_fast() -> None:
    assert slowdown(Measurement(1.0, (0.9, 1.9)), Measurement(2.0, (1.8, 2.2)))
    assert not slowdown(Measurement(1.0, (0.9, 1.9)), Measurement(2.0, (1.1, 2.2)))


def test_an_error_that_was_zero_and_is_not_any_more_is_worse() -> None:
    slower, lost = compare({"f1": steady(0.0)}, {"f1": steady(0.1)})
    assert (slower, lost) == (["f1"], [])
    assert table(slower, {"f1": steady(0.0)}, {"f1": steady(0.1)}).splitlines()[1].split() == [
        "0", "0.1", "inf", "f1"]


def test_compare_lists_the_worst_first_and_what_is_lost() -> None:
    base = {name: steady(1.0) for name in ("a", "b", "c", "gone")}
    head = {"a": steady(1.4), "b": steady(3.0), "c": steady(1.2), "new": steady(9.0)}
    assert compare(base, head) == (["b", "a"], ["gone"])


def test_nothing_measured_at_both_commits_is_an_error() -> None:
    with pytest.raises(InputError, match=r"nothing was compared: 1 .* at the base, 0 at HEAD"):
        compare({"a": steady(1.0)}, {})


# Around asv


def write_results(folder: Path, machine: str, commit: str, values: dict[str, float | None]) -> None:
    """A results file as asv writes it: one benchmark over a size, its samples within 1 %."""
    labels = list(values)
    results = list(values.values())
    quartiles = [[value and value * part for value in results] for part in (0.99, 1.01)]
    path = folder / machine / f"{commit[:8]}-virtualenv-py3.11.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    entry = [results, [labels], "hash", 0, 1.0, None, None, *quartiles]
    path.write_text(json.dumps({"commit_hash": commit, "date": 1, "result_columns": COLUMNS,
                                "results": {"fold.time_fold": entry, "fold.failed": [None, [labels]]}}))


def test_measurements_are_those_of_one_commit_without_failed_and_skipped(tmp_path: Path) -> None:
    write_results(tmp_path, "box", "a" * 40, {"64": 2.0, "128": None, "256": float("nan")})
    write_results(tmp_path, "box", "b" * 40, {"64": 3.0})
    (tmp_path / "box" / "machine.json").write_text("{}")
    assert load_measurements(tmp_path, "box", "a" * 40) == {
        "fold.time_fold(64)": Measurement(2.0, (1.98, 2.02))}
    assert load_measurements(tmp_path, "other", "a" * 40) == {}


def test_a_history_that_starts_at_zero_can_be_drawn(tmp_path: Path) -> None:
    write_results(tmp_path, "box", "a" * 40, {"64": 0.0})
    (series,) = load_history(tmp_path)
    assert (series.change, series.polyline(10, 10)) == (1.0, "0.0,10.0")


class Checkout:
    """A git repository of two commits, and an asv that gives planted times, one dict for each run."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.planted: list[tuple[dict[str, float | None], ...]] = []
        self.commands: list[tuple[str, ...]] = []
        (root / "asv.conf.json").write_bytes((ROOT / "asv.conf.json").read_bytes())
        self.git("init", "-q", "-b", "main")
        self.base, self.head = self.commit("base"), self.commit("head")
        monkeypatch.chdir(root)
        monkeypatch.setenv("GEMBENCH_MACHINE", "box")

    def git(self, *command: str) -> str:
        return subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t", *command], cwd=self.root,
                              capture_output=True, text=True, check=True).stdout.strip()

    def commit(self, content: str) -> str:
        (self.root / "file").write_text(content)
        self.git("add", "file")
        self.git("commit", "-q", "-m", content)
        return self.git("rev-parse", "HEAD")

    def asv(self, *command: str) -> int:
        """Write the planted times of the next run."""
        self.commands.append(command)
        if command[0] == "run" and "--config" in command:
            config = json.loads(Path(command[command.index("--config") + 1]).read_text())
            commits = Path(command[-1].removeprefix("HASHFILE:")).read_text().split()
            for commit, values in zip(commits, self.planted.pop(0), strict=True):
                if values:
                    write_results(Path(config["results_dir"]), "box", commit, values)
        return 0


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    made = Checkout(tmp_path, monkeypatch)
    monkeypatch.setattr(Suite, "asv", lambda suite, *command, quiet=False: made.asv(*command))
    return made


def test_a_slowdown_seen_twice_fails_and_is_named(checkout: Checkout, capsys: Any) -> None:
    checkout.planted = [({"64": 1.0, "128": 1.0}, {"64": 2.0, "128": 1.1})] * 2
    assert main(["compare", "HEAD~1"]) == 1
    assert capsys.readouterr().out.splitlines()[-1].split() == ["1", "2", "2.00", "fold.time_fold(64)"]
    first, again = [command for command in checkout.commands if command[0] == "run"]
    assert "--interleave-rounds" in first
    assert r"--bench=^fold\.time_fold\(64\)$" in again


def test_a_slowdown_that_is_gone_the_second_time_passes(checkout: Checkout, capsys: Any) -> None:
    checkout.planted = [({"64": 1.0}, {"64": 2.0}), ({"64": 1.0}, {"64": 1.0})]
    assert main(["compare", "HEAD~1"]) == 0
    assert "none of 1 benchmarks is slower than 1.3 x HEAD~1" in capsys.readouterr().out


def test_a_benchmark_that_fails_at_head_only_fails(checkout: Checkout, capsys: Any) -> None:
    checkout.planted = [({"64": 1.0, "128": 1.0}, {"64": 1.0, "128": None})]
    assert main(["compare", "HEAD~1"]) == 1
    assert "failed or skipped at " + checkout.head[:8] + ": fold.time_fold(128)" in capsys.readouterr().out


@pytest.mark.parametrize("planted", [({}, {}), ({"64": 1.0}, {}), ({"64": None}, {"64": None})])
def test_nothing_measured_fails_even_if_asv_is_content(
    checkout: Checkout, capsys: Any, planted: tuple[dict[str, float | None], ...]
) -> None:
    stale = checkout.root / ".asv" / "regressions" / "results"
    write_results(stale, "box", checkout.base, {"64": 1.0})
    write_results(stale, "box", checkout.head, {"64": 1.0})
    checkout.planted = [planted]
    assert main(["compare", "HEAD~1"]) == 2
    assert "error: nothing was compared" in capsys.readouterr().err


def test_head_against_itself_measures_two_commits_of_one_tree(checkout: Checkout) -> None:
    checkout.planted = [({"64": 1.0}, {"64": 1.0})]
    assert main(["compare", "HEAD"]) == 0
    base, twin = (checkout.root / ".asv" / "regressions" / "commits").read_text().split()
    assert base == checkout.head != twin
    assert checkout.git("rev-parse", f"{base}^{{tree}}") == checkout.git("rev-parse", f"{twin}^{{tree}}")


def test_an_unknown_base_is_an_error_of_one_line(checkout: Checkout, capsys: Any) -> None:
    assert main(["compare", "nowhere"]) == 2
    assert "'nowhere' is no commit here" in capsys.readouterr().err.splitlines()[-1]


def test_bench_without_a_single_value_fails(checkout: Checkout, capsys: Any) -> None:
    assert main(["bench"]) == 1
    write_results(checkout.root / "results" / "asv", "box", checkout.head, {"64": 1.0})
    assert main(["bench"]) == 0
    assert f"regressions: 1 values at {checkout.head[:8]}" in capsys.readouterr().out
    assert checkout.commands[-1] == ("run", "--machine", "box", f"{checkout.head}^!")


def test_the_history_is_measured_at_every_stage_and_at_head(checkout: Checkout, capsys: Any) -> None:
    (checkout.root / "experiments").mkdir()
    stages = checkout.root / "experiments" / "stages.toml"
    stages.write_text(f'[[stage]]\ncommit = "{checkout.base[:7]}"\nname = "first"\n')
    assert main(["history"]) == 0
    assert checkout.commands[-1] == ("run", "--machine", "box", "--skip-existing-successful",
                                     f"HASHFILE:{checkout.root / '.asv' / 'stages'}")
    assert (checkout.root / ".asv" / "stages").read_text().split() == [checkout.base, checkout.head]
    stages.write_text('[[stage]]\ncommit = "0123456"\nname = "of another repository"\n')
    assert main(["history"]) == 2
    assert "'0123456' is no commit here" in capsys.readouterr().err


def test_outside_a_checkout_nothing_runs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"asv\.conf\.json: not found"):
        Suite(tmp_path)
