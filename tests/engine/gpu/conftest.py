"""Devices for the tests: an emulated one everywhere, and a real one where there is one."""

from __future__ import annotations

import faulthandler
import importlib.util
import os
import signal
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from gembench.engine.gpu import device
from gembench.engine.gpu.layouts import SIZES, held_points
from gembench.io.images.mrc import write_mrc, write_stack


def _emulation():
    file = Path(__file__).with_name("emulated_cupy.py")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


EMULATION = _emulation()
SITE = """
import atexit, importlib.util, os, sys
from pathlib import Path

spec = importlib.util.spec_from_file_location("emulated_cupy", {emulated!r})
emulated = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = emulated
spec.loader.exec_module(emulated)
world = emulated.WORLD
world.cache = Path({cache!r})
world.devices = int(os.environ.get("EMULATED_GPUS", "1"))
if os.environ.get("SECOND_HANGS"):  # four launches of `moment` a micrograph that is filtered
    world.hangs = lambda name, device: name.startswith("fold") and world.launches.count("moment") > 4
if "DEVICES_USED" in os.environ:
    file = Path(os.environ["DEVICES_USED"]) / str(os.getpid())
    atexit.register(lambda: file.write_text(" ".join(map(str, sorted(world.used)))))
sys.modules["cupy"] = emulated.module()
"""
LIMIT = 60  # seconds that a test may take; the slowest compiles a few kernels and takes ten
GRACE = 15  # seconds more, after which the whole run ends: a thread in the driver cannot be interrupted


# What `make test` compiles: several transforms of a warp, one, and several warps of a transform; exchanges
# within warps and in the block; every number of points a thread; one pair a group and two; both precisions.
LEAN = {
    "float32": {(64, 8), (128, 8), (128, 16), (256, 16), (512, 8), (512, 32), (1024, 16), (2048, 8)},
    "float64": {(64, 8), (2048, 16)},
}


def pytest_generate_tests(metafunc):
    """Tests of `transform`, (size, dtype, held), take every one that there is."""
    if "transform" not in metafunc.fixturenames:
        return
    parameters = []
    for dtype, lean in LEAN.items():
        shapes = [(size, held) for size in SIZES for held in held_points(size, dtype)]
        assert lean.issubset(shapes)
        for size, held in shapes:
            marks = [] if (size, held) in lean else pytest.mark.exhaustive
            parameters.append(pytest.param((size, dtype, held), marks=marks, id=f"{size}-{dtype}-{held}"))
    metafunc.parametrize("transform", parameters)


@pytest.fixture(scope="session")
def terminal(request):
    """The standard error that is not captured: what is captured is lost when a run ends at once."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else nullcontext():
        number = os.dup(2)
    yield number
    os.close(number)


@pytest.fixture(autouse=True)
def limited(request, terminal):
    """A test that takes too long fails, and ends the run with every thread's place if it cannot fail."""
    def stop(*_):
        raise TimeoutError(f"not done after {seconds} s")

    marker = request.node.get_closest_marker("limit")
    seconds = marker.args[0] if marker else LIMIT
    if request.node.get_closest_marker("gpu") is None:  # emulated: on a busy machine anything takes long
        yield
        return
    faulthandler.dump_traceback_later(seconds + GRACE, exit=True, file=terminal)
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def world(request, monkeypatch):
    """An emulated machine with one device, as CuPy shows it; its kernels are compiled by g++ and kept."""
    if EMULATION.GXX is None:
        pytest.skip("no g++ to compile the kernels for the host")
    fresh = EMULATION.World(request.config.cache.mkdir("gpu-kernels"))
    monkeypatch.setattr(EMULATION, "WORLD", fresh)
    monkeypatch.setitem(sys.modules, "cupy", EMULATION.module())
    return fresh


@pytest.fixture
def site(world, tmp_path):
    """The environment of a process that imports the emulated CuPy."""
    folder = tmp_path / "site"
    folder.mkdir()
    emulated = str(Path(__file__).with_name("emulated_cupy.py"))
    (folder / "cupy.py").write_text(SITE.format(emulated=emulated, cache=str(world.cache)))
    return os.environ | {"PYTHONPATH": str(folder)}


@pytest.fixture
def pick(tmp_path):
    """A function (bank, micrograph, options): writes both, and gives Python's arguments to pick with them."""
    def arguments(bank, micrograph, *options):
        folder = tmp_path / "input"
        folder.mkdir(exist_ok=True)
        for name in ("a", "b"):
            write_mrc(folder / f"{name}.mrc", micrograph.astype(np.float32), 2.2)
        write_stack(tmp_path / "templates.mrcs", bank.templates.astype(np.float32), 2.2)
        write_stack(tmp_path / "masks.mrcs", bank.masks.astype(np.float32), 2.2)
        return ["-m", "gembench", "pick", str(folder), "--templates", str(tmp_path / "templates.mrcs"),
                "--masks", str(tmp_path / "masks.mrcs"), "--pixel-size", "2.2", *options]

    return arguments


@pytest.fixture(params=["emulated", pytest.param("device", marks=pytest.mark.gpu)])
def cupy(request):
    """CuPy: emulated, and the real one on a machine with a device."""
    if request.param == "emulated":
        request.getfixturevalue("world")
    elif device.unavailable():
        pytest.skip(device.unavailable())
    return device.load_cupy()
