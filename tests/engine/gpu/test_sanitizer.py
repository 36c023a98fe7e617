"""NVIDIA's own tool sees no barrier that threads do not share and no access outside of an array."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from gembench.engine.gpu import device

TOOL = shutil.which("compute-sanitizer")
SEARCHES = """
import numpy as np
from gembench.data.workload import egg_bank
from gembench.engine.gpu.layouts import Layout
from gembench.engine.gpu.search import GPUSearch

micrograph = np.random.default_rng(0).normal(size=(61, 75))
for layout in (Layout(64, 8), Layout(128, 16), Layout(64, 8, once=True)):
    for mask in ("own", "disc"):
        with GPUSearch(egg_bank(24, 5, mask), devices=(0,), batch=4, layout=layout) as engine:
            engine.run(micrograph)
"""


@pytest.mark.gpu
@pytest.mark.limit(150)
@pytest.mark.skipif(TOOL is None, reason="no compute-sanitizer")
@pytest.mark.parametrize("tool", ["synccheck", "memcheck"])
def test_the_smallest_searches_pass(tool):
    if device.unavailable():
        pytest.skip(device.unavailable())
    command = [TOOL, "--tool", tool, "--error-exitcode", "9", sys.executable, "-c", SEARCHES]
    done = subprocess.run(command, capture_output=True, text=True, timeout=140, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
