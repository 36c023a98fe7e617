"""FFTW's plans: kept as wisdom, and the same in all processes that plan at the same time."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from gembench.engine.fft import LIBRARIES, aligned_zeros, fft_library, planner

if LIBRARIES["fftw"].unavailable():
    pytest.skip(str(LIBRARIES["fftw"].unavailable()), allow_module_level=True)

SHAPE = (12, 20)
IMAGE = np.random.default_rng(4).normal(size=SHAPE)


@pytest.fixture
def wisdom(monkeypatch, tmp_path):
    """The file of an empty cache folder, with nothing planned yet."""
    monkeypatch.setenv("GEMBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(planner, "_plans", {})
    return planner.wisdom_file(single=False)


def transform_works() -> None:
    np.testing.assert_allclose(fft_library("fftw").rfft2(IMAGE), np.fft.rfft2(IMAGE), atol=1e-12)


def counting(monkeypatch) -> list[int]:
    """The flags of every plan that is made from now on."""
    flags, made = [], planner._made

    def counted(problem, flag, **options):
        flags.append(flag)
        return made(problem, flag, **options)

    monkeypatch.setattr(planner, "_made", counted)
    return flags


def test_a_plan_is_made_once_and_its_wisdom_kept(wisdom, monkeypatch):
    flags = counting(monkeypatch)
    transform_works()
    transform_works()
    assert flags == [planner.MEASURE]
    assert wisdom.read_text().startswith("(fftw-3")
    assert sorted(path.name for path in wisdom.parent.iterdir()) == ["fftw.lock", "fftw.wisdom"]


def test_a_plan_is_made_from_what_another_process_has_measured(wisdom, monkeypatch):
    transform_works()
    kept = wisdom.read_text()
    planner._forget(single=False)
    monkeypatch.setattr(planner, "_plans", {})
    imported = []
    takes = planner.library_takes

    def noted(single, text):
        imported.append(text)
        return takes(single, text)

    monkeypatch.setattr(planner, "library_takes", noted)
    transform_works()
    assert imported == [kept]
    assert wisdom.read_text() == kept


@pytest.mark.parametrize("damage", [
    b"", b"\x80\x04garbage", b"\xff\xfe\x00", b"{}", b"(fftw-3.3.10 fftw_wisdom #x0", b"(fftw-2 fftw_wisdom)",
])
def test_damaged_wisdom_is_planned_anew(wisdom, damage):
    wisdom.parent.mkdir(parents=True)
    wisdom.write_bytes(damage)
    transform_works()
    assert wisdom.read_text().rstrip().endswith(")")


def test_where_no_cache_can_be_written_all_processes_estimate_alike(wisdom, monkeypatch):
    flags = counting(monkeypatch)
    wisdom.parents[1].write_text("a file where the folder should be")
    transform_works()
    assert flags[-1] == planner.ESTIMATE


def test_estimated_plans_do_not_take_what_was_measured(wisdom, monkeypatch):
    transform_works()
    measured = planner._wisdom(single=False).splitlines()[1:-1]
    assert measured
    fft_library("fftw-estimate").rfft2(IMAGE)
    assert not set(measured) & set(planner._wisdom(single=False).splitlines())


@pytest.mark.parametrize("known_here", [False, True])
def test_a_rank_plans_by_what_the_root_has_measured_and_leaves_its_own_cache_alone(
    wisdom, monkeypatch, tmp_path, known_here
):
    transform_works()
    measured = planner.wisdom()
    monkeypatch.setenv("GEMBENCH_CACHE", str(tmp_path / "elsewhere"))
    if known_here:
        monkeypatch.setattr(planner, "_plans", {})
        transform_works()
    elsewhere = planner.wisdom_file(single=False)
    kept = elsewhere.read_text() if known_here else None
    monkeypatch.setattr(planner, "_plans", {})
    monkeypatch.setattr(planner, "_learnt", {})
    planner.learn(measured)
    flags = counting(monkeypatch)
    transform_works()
    assert flags == [planner._WISDOM_ONLY]
    assert (elsewhere.read_text() if elsewhere.exists() else None) == kept
    monkeypatch.setattr(planner, "_plans", {})
    for text in ("", "(no wisdom)"):
        planner.learn({True: text, False: text})
        transform_works()


def test_processes_that_start_together_on_an_empty_cache_plan_alike(tmp_path):
    code = """
import hashlib, numpy as np
from gembench.engine.fft import fft_library
rows = fft_library("fftw").row_transforms(960, 16, "float32")
rows.full[:] = np.random.default_rng(1).normal(size=rows.full.shape)
rows.half[:] = np.random.default_rng(2).normal(size=rows.half.shape)
rows.ifft(), rows.irfft()
print(hashlib.sha256(rows.full.tobytes() + rows.real.tobytes()).hexdigest())
"""
    environment = os.environ | {"GEMBENCH_CACHE": str(tmp_path)}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(4)
    ]
    printed = {process.communicate(timeout=100)[0] for process in processes}
    assert all(process.returncode == 0 for process in processes)
    assert len(printed) == 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_compiled_code_transforms_as_python_does(dtype):
    from gembench.engine.fft.native import execute

    for name in (name for name, library in LIBRARIES.items() if library.native):
        if LIBRARIES[name].unavailable():
            continue
        rows = fft_library(name).row_transforms(30, 16, dtype)
        rng = np.random.default_rng(3)
        full = rng.normal(size=rows.full.shape) + 1j * rng.normal(size=rows.full.shape)
        for native, transform in ((rows.native_fft(), rows.fft), (rows.native_ifft(), rows.ifft)):
            rows.full[:] = full
            transform()
            expected = rows.full.copy()
            rows.full[:] = full
            assert execute(tuple(native), rows.full, rows.full) == 0
            assert rows.full.tobytes() == expected.tobytes()
        rows.real[:] = rng.normal(size=rows.real.shape)
        rows.rfft()
        expected = rows.half.copy()
        assert execute(tuple(rows.native_rfft()), rows.real, rows.half) == 0
        assert rows.half.tobytes() == expected.tobytes()
        apart = aligned_zeros((16, 24), rows.half.dtype)
        apart[:, :16] = expected
        rows.irfft(expected)
        real = rows.real.copy()
        assert execute(tuple(rows.native_irfft(24)), apart, rows.real) == 0
        np.testing.assert_allclose(rows.real, real, rtol=0, atol=1e-5 if dtype == "float32" else 1e-13)
