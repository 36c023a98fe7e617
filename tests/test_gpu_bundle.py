"""The GPU bundle: one script that runs through with few packages, without a GPU and with an emulated one."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gembench import __version__
from gembench.errors import InputError
from gembench.study.gpu import bundle, unpack
from gembench.study.measure import provenance
from gembench.study.measure.store import load_rows

ROOT = Path(__file__).parents[1]
ABSENT = ("mrcfile", "ducc0", "starfile", "pooch", "pandas", "rich", "tifffile", "jinja2", "psutil", "pyfftw",
          "mkl", "mkl_fft", "mpi4py", "gembench")
HIDE = f"""
from importlib.machinery import PathFinder

found = PathFinder.find_spec

def find_spec(cls, name, path=None, target=None):
    spec = found(name, path, target)
    installed = spec is not None and ("-packages" in str(spec.origin) or {str(ROOT)!r} in str(spec.origin))
    return None if installed and name.split(".")[0] in {ABSENT!r} else spec

PathFinder.find_spec = classmethod(find_spec)
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory) -> Path:
    """The bundle, built here."""
    target = tmp_path_factory.mktemp("dist") / "bundle.py"
    assert bundle.main([str(target)]) == 0
    return target


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> dict[str, str]:
    """The environment of a machine with few packages, none of gembench's own, and a CuPy that is broken."""
    site = tmp_path_factory.mktemp("site")
    (site / "sitecustomize.py").write_text(HIDE)
    (site / "cupy.py").write_text("raise ImportError('libcuda.so.1: cannot open shared object file')\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GEMBENCH")}
    quickly = {"NUMBA_OPT": "0"}  # every run compiles all kernels, in two thirds of the time
    return {**environment, **quickly, "PYTHONPATH": str(site), "GEMBENCH_MACHINE": "bare", "HOME": str(site)}


def started(script, folder, environment, *words):
    command = [sys.executable, str(script), "--grid", "quick", *words]
    return subprocess.Popen(command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT)


@pytest.fixture(scope="module")
def visited(script, bare, tmp_path_factory):
    """What a whole run said, the rows it stored, by study, and what its tests said."""
    folder = tmp_path_factory.mktemp("visited")
    run = started(script, folder, bare, "--results", "out", "--minutes", "8")
    output, _ = run.communicate(timeout=600)
    assert run.returncode == 0, output
    names = ("gpus", "fft_libraries", "gpu_picks")
    rows = {name: load_rows(folder / "out", name, grid="quick") for name in names}
    return output, rows, (folder / "out" / "tests.txt").read_text()


@pytest.mark.slow
def test_without_a_gpu_it_runs_through_and_says_what_it_skipped(visited):
    output, rows, _ = visited
    assert "GPU parts are skipped: no CUDA device: CuPy is installed but broken: libcuda.so.1" in output
    assert "profile: skipped: no CUDA device" in output
    assert "FAILED" not in output
    statuses = {name: sorted(row.status for row in study_rows) for name, study_rows in rows.items()}
    assert statuses == {"gpus": ["ok", *["skipped"] * 3], "fft_libraries": ["ok", "ok", "skipped", "skipped"],
                        "gpu_picks": ["skipped"]}
    skipped = [row for study_rows in rows.values() for row in study_rows if row.status == "skipped"]
    assert all(row.reason.startswith("no CUDA device") for row in skipped)
    assert {row.machine for row in skipped} == {"bare"}


@pytest.mark.slow
def test_the_rows_say_where_they_come_from(visited):
    row = visited[1]["gpus"][0]
    assert row.run["commit"] == provenance.commit(ROOT)[0]
    assert row.run["libraries"]["gembench"] == __version__
    assert row.run["machine"]["physical_cores"] is None  # psutil, which would know, is not there


def test_the_tree_has_the_sources_by_which_a_checkout_knows_its_results(script, tmp_path, monkeypatch):
    names = {"COMMIT": "", "__name__": "bundle"}
    exec(script.read_text(), names)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("PYTHONPATH", "GEMBENCH_EXPERIMENTS", "GEMBENCH_COMMIT"):
        monkeypatch.setenv(name, "")
    names["unpack"](tmp_path)
    for name, _ in bundle.members():
        if name.endswith((".py", ".cu")):
            assert (tmp_path / name).is_file(), name
    assert (tmp_path / "gembench/study/gpu/unpack.py").read_bytes() == Path(unpack.__file__).read_bytes()


@pytest.mark.slow
def test_what_is_measured_when_it_is_ended_is_kept_and_the_rest_is_told(script, bare, tmp_path):
    run = started(script, tmp_path, bare, "--results", "out", "--no-tests")
    deadline = time.monotonic() + 120
    while not any(row.ok for row in load_rows(tmp_path / "out", "gpus", grid="quick")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    run.send_signal(signal.SIGTERM)
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 128 + signal.SIGTERM
    assert re.search(r"left out: gpu_picks: .*: the run was ended", output)
    assert any(row.ok for row in load_rows(tmp_path / "out", "gpus", grid="quick"))


def test_when_the_time_is_up_it_ends_well(script, bare, tmp_path):
    run = started(script, tmp_path, bare, "--results", "out", "--no-tests", "--minutes", "0.02")
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 0, output
    assert "left out: gpu_picks: the same picks as the CPU's: the time was up" in output


@pytest.mark.slow
def test_the_gpu_tests_are_run_and_their_output_is_kept(visited):
    output, _, log = visited
    assert output.index("== GPU tests") > output.index("== gpu_picks")  # last: the studies tell more
    assert re.search(r"\d+ skipped|no tests ran", log), log
    assert "failed" not in log


def test_the_same_tree_gives_the_same_bytes(script):
    assert bundle.script() == script.read_text(encoding="utf-8")


def test_all_that_a_worker_needs_travels():
    names = {name for name, _ in bundle.members()}
    assert {"gembench/engine/gpu/source/fft.cu", "gembench/data/one_template.cu", "experiments/gpus.py",
            "gembench/drawing/style.mplstyle", "carried/mrcfile/mrcfile/mrcfile.py", "pyproject.toml",
            "tests/engine/gpu/conftest.py"} <= names
    assert any(name.startswith("carried/mrcfile/LICENSE") for name in names)
    assert not any("__pycache__" in name or name.startswith("results") for name in names)


def test_a_folder_that_is_no_checkout_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no such folder; build the bundle in gembench's checkout"):
        list(bundle.members(tmp_path))
