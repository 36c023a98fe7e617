"""An emulated CuPy that other processes import too, with as much of cuFFT as one template takes."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

EMULATED = Path(__file__).parents[2] / "engine" / "gpu" / "emulated_cupy.py"
CUPY = """
import importlib.util, os, sys
from pathlib import Path
import numpy as np

spec = importlib.util.spec_from_file_location("emulated_cupy", {emulated!r})
emulated = importlib.util.module_from_spec(spec)
spec.loader.exec_module(emulated)
emulated.WORLD.cache = Path({cache!r})
emulated.WORLD.memory = 512 << 20
emulated.WORLD.devices = int(os.environ.get("EMULATED_GPUS", "1"))
cupy = emulated.module()
cupy.arange = lambda n, dtype: emulated.asarray(np.arange(n, dtype=dtype))
cupy.empty_like = lambda a: emulated.empty(a.shape, a.dtype)
cupy.copyto = np.copyto
sys.modules["cupy"] = cupy
"""
FFT = """
import cupy
import numpy as np

def rfft2(x):
    return cupy.asarray(np.fft.rfft2(x.get()))

def irfft2(x, s, norm, overwrite_x):
    assert norm == "forward" and overwrite_x
    result = np.fft.irfft2(x.get(), s=s, norm=norm)
    x.fill(np.nan)  # a destroyed input must not be used again
    return cupy.asarray(result)
"""


@pytest.fixture(scope="session")
def emulated_site(tmp_path_factory, request) -> Path:
    """A folder that holds the modules cupy and cupyx.scipy.fft; kernels are compiled once, and kept."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed: kernels cannot be emulated")
    folder = tmp_path_factory.mktemp("site")
    (folder / "cupyx" / "scipy").mkdir(parents=True)
    kernels = request.config.cache.mkdir("gpu-kernels")
    (folder / "cupy.py").write_text(CUPY.format(emulated=str(EMULATED), cache=str(kernels)))
    for package in ("cupyx", "cupyx/scipy"):
        (folder / package / "__init__.py").touch()
    (folder / "cupyx/scipy/fft.py").write_text(FFT)
    return folder


@pytest.fixture
def emulated(emulated_site, monkeypatch) -> Path:
    """The emulated CuPy is found here and by processes started from here."""
    for name in [name for name in sys.modules if name.split(".")[0] in ("cupy", "cupyx")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(emulated_site))
    monkeypatch.setenv("PYTHONPATH", str(emulated_site))
    yield emulated_site
    for name in [name for name in sys.modules if name.split(".")[0] in ("cupy", "cupyx")]:
        del sys.modules[name]


@pytest.fixture
def no_cupy(monkeypatch) -> None:
    """CuPy is not found here, wherever the tests run."""
    monkeypatch.setitem(sys.modules, "cupy", None)
