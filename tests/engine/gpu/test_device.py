"""Which device a search gets, and what is said where there is none."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

from gembench.cli import main
from gembench.engine.bank import TemplateBank
from gembench.engine.exact.producer import CPUSearch
from gembench.engine.gpu import device
from gembench.engine.gpu.search import GPUSearch
from gembench.engine.search import open_search
from gembench.errors import InputError

BANK = TemplateBank(np.add.outer(np.arange(9.0), np.arange(9.0) ** 2))


def fake(count):
    """A CuPy whose driver answers so, or raises that."""
    class CUDARuntimeError(RuntimeError):
        pass

    def answer():
        if isinstance(count, str):
            raise CUDARuntimeError(count)
        return count

    runtime = types.SimpleNamespace(getDeviceCount=answer)
    return types.SimpleNamespace(cuda=types.SimpleNamespace(runtime=runtime), __version__="fake")


class Broken:
    """An import finder that fails as a package with a missing library does."""

    def __init__(self, error):
        self.error = error

    def find_spec(self, name, path=None, target=None):
        if name == "cupy":
            raise self.error


@pytest.mark.parametrize(("text", "expected"), [
    ("cpu", None), ("gpu", (0,)), ("gpu:0", (0,)), ("gpu:1,0", (1, 0)), ("gpu:12", (12,)), ("all", "all"),
])
def test_devices_are_named_so(text, expected):
    assert device.parse_device(text) == expected


@pytest.mark.parametrize(
    "text", ["", "GPU", "gpu:", "gpu:a", "gpu:-1", "gpu:0,", "cpu:0", "all:1", "cuda", "gpu:²"]
)
def test_no_other_device_is_known(text):
    with pytest.raises(InputError, match=r"is unknown: choose cpu, gpu, gpu:0,1 or all"):
        device.parse_device(text)


@pytest.mark.parametrize(("error", "message"), [
    (ModuleNotFoundError("No module named 'cupy'", name="cupy"),
     r"^no CUDA device: CuPy is not installed: pip install cupy-cuda13x"),
    (ModuleNotFoundError("No module named 'fastrlock'", name="fastrlock"),
     r"^no CUDA device: CuPy is installed but broken: No module named 'fastrlock'"),
    (ImportError("libnvrtc.so.12: cannot open\nshared object file"),
     r"^no CUDA device: CuPy is installed but broken: libnvrtc.so.12: cannot open shared object file;"),
    (RuntimeError("numpy.core.multiarray failed to import"), r"CuPy is installed but broken: numpy.core"),
])
def test_a_missing_or_broken_cupy_is_a_reason(monkeypatch, error, message):
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(error), *sys.meta_path])
    assert device.count() == 0
    for choice in ("gpu", "gpu:1", "all"):
        with pytest.raises(InputError, match=message + r".*use --device cpu$"):
            open_search(BANK, device=choice)


@pytest.mark.parametrize(("count", "message"), [
    ("cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version",
     r"^no CUDA device: cudaErrorInsufficientDriver: .*; use --device cpu$"),
    (0, "^no CUDA device; use --device cpu$"),
])
def test_a_machine_without_a_device_says_so(monkeypatch, count, message):
    monkeypatch.setitem(sys.modules, "cupy", fake(count))
    with pytest.raises(InputError, match=message):
        open_search(BANK, device="gpu")


@pytest.mark.parametrize(("devices", "message"), [
    ((2,), "GPU 2 is not there: this machine has 2, counted from 0"),
    ((0, -1), "GPU -1 is not there"),
    ((1, 1), "GPUs 1, 1: name each device once"),
    ((), "GPUs none: name each device once"),
])
def test_devices_that_are_not_there_are_named(monkeypatch, devices, message):
    monkeypatch.setitem(sys.modules, "cupy", fake(2))
    with pytest.raises(InputError, match=message):
        GPUSearch(BANK, devices=devices)


@pytest.mark.parametrize(("options", "message"), [
    ({"method": "paper"}, "method 'paper' is not made for GPUs"),
    ({"spectra": "quarter"}, "spectra 'quarter' are unknown: choose single or half"),
    ({"spectra": "half", "dtype": "float64"}, "half precision go with float32, not float64"),
    ({"batch": 0}, "batch of 0 templates: give at least 1"),
    ({"share": (2, 2)}, "share 2 of 2"),
])
def test_unknown_choices_are_named(monkeypatch, options, message):
    monkeypatch.setitem(sys.modules, "cupy", fake(1))
    with pytest.raises(InputError, match=message):
        GPUSearch(BANK, **options)


def test_the_cpu_needs_no_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with open_search(BANK, threads=2) as engine:
        assert isinstance(engine, CPUSearch)
        assert engine.threads == 2


def test_all_devices_or_those_named(world):
    world.devices = 3
    for choice, expected in (("gpu", (0,)), ("gpu:2,0", (2, 0)), ("all", (0, 1, 2))):
        with open_search(BANK, device=choice) as engine:
            assert engine.devices == expected
            assert engine.threads == len(expected)


def test_the_command_line_says_why_there_is_no_gpu(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "cupy", fake(0))
    assert main(["simulate", "-o", str(tmp_path / "demo"), "--count", "1", "--size", "400", "--quiet"]) == 0
    demo = tmp_path / "demo"
    done = main(["pick", str(demo), "--templates", str(demo / "templates.mrcs"),
                 "--masks", str(demo / "masks.mrcs"), "--pixel-size", "2.2", "--angle-step", "90",
                 "--device", "gpu", "-o", str(tmp_path / "picks")])
    assert done == 2
    assert capsys.readouterr().err.strip().endswith("no CUDA device; use --device cpu")
    assert not (tmp_path / "picks").exists()
