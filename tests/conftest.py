"""What all tests share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples every time, however slow the machine; `--hypothesis-profile=default` looks further.
settings.register_profile("same", derandomize=True, deadline=None, database=None)
settings.load_profile("same")

# A shell that starts the tests in the background has SIGINT ignored, here and in every child process; the
# tests of Ctrl-C need it as a terminal has it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _machine_cache(tmp_path_factory):
    """What is measured of this machine, plans and the fastest library, goes into a folder of the session.

    'auto' is the library that most of the tests have been run with, whatever else is faster here.
    """
    from gembench.engine.fft import LIBRARIES

    first = next(name for name in ("mkl", "fftw", "scipy") if LIBRARIES[name].unavailable() is None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GEMBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("GEMBENCH_FFT", first)
        yield


@pytest.fixture
def two_micrographs(tmp_path, monkeypatch):
    """A function (image, pixel_size) that writes image(0) and image(1) as mics/a.mrc and mics/b.mrc.

    They are in a folder of the test's own, which is the current one from then on.
    """
    def write(image, pixel_size):
        from gembench.io.images.mrc import write_mrc

        monkeypatch.chdir(tmp_path)
        Path("mics").mkdir()
        for seed, name in enumerate("ab"):
            write_mrc(f"mics/{name}.mrc", image(seed), pixel_size)

    return write


@pytest.fixture(scope="session")
def mpiexec():
    """A function (ranks, *arguments of Python) that runs a program on so many ranks and returns what it did.

    All that it started is ended after `timeout` seconds. Skips where there is no MPI.
    """
    pytest.importorskip("mpi4py")
    launcher = Path(sys.executable).with_name("mpiexec")
    if not launcher.exists():
        pytest.skip(f"no {launcher}")

    def run(ranks, *arguments, timeout=100, **options):
        command = [str(launcher), "-n", str(ranks), sys.executable, *map(str, arguments)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env=environment, start_new_session=True, **options) as process:
            try:
                output = process.communicate(timeout=timeout)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        return subprocess.CompletedProcess(command, process.returncode, *output)

    return run
