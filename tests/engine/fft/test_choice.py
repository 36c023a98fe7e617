"""'auto': what measures fastest here, kept in the cache; what cannot be used is passed over with a reason."""

from __future__ import annotations

import json
from importlib import metadata

import pytest

from gembench.engine.fft import LIBRARIES, PREFERENCE, cache, choice, fft_library, mkl
from gembench.engine.fft.choice import Choice
from gembench.errors import InputError

COSTS = {"mkl": 3.0, "fftw": 2.0, "scipy": 5.0, "ducc0": 1.0, "numpy": 9.0}


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """An empty cache; all libraries can be used and cost what is planted. The names, as they are measured."""
    monkeypatch.delenv(choice.PIN, raising=False)
    monkeypatch.setenv("GEMBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(choice, "_taken", [])
    names: list[str] = []
    for name in PREFERENCE:
        library = LIBRARIES[name]
        monkeypatch.setattr(library, "unavailable", classmethod(lambda cls: None))
        rows = type("Rows", (), {"ifft": lambda self: None, "irfft": lambda self: None, "name": name})
        monkeypatch.setattr(library, "row_transforms", lambda *_, rows=rows: rows())

    def cost(transforms):
        names.append(transforms[0].__self__.name)
        return COSTS[names[-1]] + 0.1 * (len(names) == 1)

    monkeypatch.setattr(choice, "_cost", cost)
    return names


def in_a_new_process(monkeypatch) -> None:
    monkeypatch.setattr(choice, "_taken", [])


def test_auto_takes_what_costs_least_and_says_so(measured):
    library = fft_library()
    assert library.name == "ducc0"
    assert str(library.choice) == ("ducc0, the fastest here (ducc0 1.00, fftw 2.00, mkl 3.00, scipy 5.00 ns a"
                                   " point)")
    assert library.choice.costs == {"mkl": 3, "fftw": 2, "scipy": 5, "ducc0": 1}
    assert fft_library("scipy").choice is None


def test_a_machine_is_measured_once(measured, monkeypatch):
    fft_library()
    count = len(measured)
    assert count
    fft_library()
    in_a_new_process(monkeypatch)
    again = fft_library()
    assert len(measured) == count
    assert (again.name, again.choice.costs["fftw"]) == ("ducc0", 2)


@pytest.mark.parametrize("change", [
    lambda record: record["versions"].update(fftw="0.0"), lambda record: record["versions"].pop("mkl"),
    lambda record: record.pop("costs"), lambda record: record.update(costs={}),
    lambda record: record["costs"].update(mkl="fast"),
])
def test_other_versions_and_a_damaged_record_are_measured_again(measured, monkeypatch, change):
    fft_library()
    (path,) = cache.machine_folder().glob("*.json")
    record, count = json.loads(path.read_text()), len(measured)
    change(record)
    path.write_text(json.dumps(record))
    in_a_new_process(monkeypatch)
    assert fft_library().name == "ducc0"
    assert len(measured) == 2 * count
    assert json.loads(path.read_text())["versions"].keys() == set(PREFERENCE)


def test_a_stored_library_that_cannot_be_used_any_more_is_measured_again(measured, monkeypatch):
    fft_library()
    in_a_new_process(monkeypatch)
    monkeypatch.setattr(LIBRARIES["ducc0"], "unavailable", classmethod(lambda cls: "installed but broken: x"))
    taken = fft_library()
    assert taken.name == "fftw"
    assert taken.choice.passed_over == {"ducc0": "installed but broken: x"}
    assert str(taken.choice).endswith("; ducc0 installed but broken: x)")


def test_a_library_that_fails_when_it_is_tried_is_passed_over_with_its_reason(measured, monkeypatch):
    def fail(*_):
        raise metadata.PackageNotFoundError("ducc0")

    monkeypatch.setattr(LIBRARIES["ducc0"], "row_transforms", fail)
    taken = fft_library()
    assert taken.name == "fftw"
    assert taken.choice.passed_over["ducc0"].startswith("installed but broken: ")
    assert "ducc0" in taken.choice.passed_over["ducc0"]


def test_numpy_is_taken_where_nothing_else_works(measured, monkeypatch):
    for name in ("mkl", "fftw", "scipy", "ducc0"):
        monkeypatch.setattr(LIBRARIES[name], "unavailable", classmethod(lambda cls: "not installed: pip"))
    assert fft_library().name == "numpy"
    assert "not installed" not in str(fft_library().choice)


def test_the_environment_pins_the_library(measured, monkeypatch):
    monkeypatch.setenv(choice.PIN, "scipy")
    assert fft_library().name == "scipy"
    assert fft_library().choice == Choice("scipy")
    assert not measured
    monkeypatch.setenv(choice.PIN, "fftq")
    with pytest.raises(InputError, match=r"GEMBENCH_FFT=fftq: FFT library 'fftq' is unknown"):
        fft_library()


def test_a_cache_that_cannot_be_written_costs_time_only(measured, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GEMBENCH_CACHE", str(tmp_path / "file"))
    assert fft_library().name == "ducc0"
    in_a_new_process(monkeypatch)
    assert fft_library().name == "ducc0"


def test_what_is_really_measured_is_a_cost_of_every_library_here():
    taken = choice.measure()
    assert taken.costs.keys() | taken.passed_over.keys() >= {"mkl", "fftw", "scipy", "ducc0"}
    assert all(0 < cost < 1e6 for cost in taken.costs.values())
    assert taken.costs[taken.name] == min(taken.costs.values())


@pytest.mark.skipif(LIBRARIES["mkl"].unavailable() is not None, reason="no MKL")
def test_mkl_is_found_without_its_installers_notes(monkeypatch):
    def files(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(mkl.metadata, "files", files)
    mkl._library.cache_clear()
    try:
        assert mkl._library().DftiComputeForward
    finally:
        mkl._library.cache_clear()


@pytest.mark.skipif(LIBRARIES["mkl"].unavailable() is not None, reason="no MKL")
def test_mkl_whose_runtime_is_nowhere_is_unavailable_with_the_reason(monkeypatch):
    monkeypatch.setattr(mkl, "_runtimes", lambda: iter(["/nowhere/libmkl_rt.so"]))
    for cached in (mkl._library, mkl._problem):
        cached.cache_clear()
    try:
        assert LIBRARIES["mkl"].unavailable().startswith("installed but broken: libmkl_rt")
    finally:
        for cached in (mkl._library, mkl._problem):
            cached.cache_clear()
