"""Devices for the tests: an emulated one everywhere, and a real one where there is one."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from gembench.engine.gpu import device


def _emulation():
    file = Path(__file__).with_name("emulated_cupy.py")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


EMULATION = _emulation()


@pytest.fixture
def world(request, monkeypatch):
    """An emulated machine with one device, as CuPy shows it; its kernels are compiled by g++ and kept."""
    if EMULATION.GXX is None:
        pytest.skip("no g++ to compile the kernels for the host")
    fresh = EMULATION.World(request.config.cache.mkdir("gpu-kernels"))
    monkeypatch.setattr(EMULATION, "WORLD", fresh)
    monkeypatch.setitem(sys.modules, "cupy", EMULATION.module())
    return fresh


@pytest.fixture(params=["emulated", pytest.param("device", marks=pytest.mark.gpu)])
def cupy(request):
    """CuPy: emulated, and the real one on a machine with a device."""
    if request.param == "emulated":
        request.getfixturevalue("world")
    elif device.unavailable():
        pytest.skip(device.unavailable())
    return device.load_cupy()
