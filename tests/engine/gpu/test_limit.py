"""Tests on a device end: one that takes too long fails, and one that cannot be interrupted ends the run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CONFTEST = Path(__file__).with_name("conftest.py")
TESTS = """
import signal, time
import pytest

@pytest.mark.gpu
@pytest.mark.limit(0.2)
def test_python():
    time.sleep(20)

@pytest.mark.gpu
def test_next():
    pass

@pytest.mark.gpu
@pytest.mark.limit(0.2)
def test_driver():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})  # as a driver that waits for its device
    time.sleep(20)
"""


def test_a_test_that_hangs_fails_and_one_that_cannot_fail_ends_the_run(tmp_path):
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text().replace("GRACE = 15", "GRACE = 1"))
    for name in ("emulated_cupy.py", "device.h"):
        (tmp_path / name).write_text(CONFTEST.with_name(name).read_text())
    (tmp_path / "test_hanging.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  gpu\n  limit\n")
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run([sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", str(tmp_path)],
                          capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert "test_python FAILED" in done.stdout
    assert "test_next PASSED" in done.stdout
    assert "Timeout (0:00:01.2" in done.stderr
    assert "in test_driver" in done.stderr
    assert done.returncode == 1
