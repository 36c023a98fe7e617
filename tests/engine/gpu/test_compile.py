"""Where there is a compiler, sources compile for an A100 and an H100, no word said and nothing spilled."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from gembench.engine.gpu.kernels import OPTIONS, Shape, names, search_source, survey_source
from gembench.engine.gpu.plan import GEOMETRY

NVCC = shutil.which("nvcc")
SOURCES = {
    "survey": survey_source(12),
    "single": search_source(Shape.of(512, "float32"), GEOMETRY, "float32", half=False, pad=0),
    "more held": search_source(Shape.of(512, "float32", 32), GEOMETRY, "float32", half=False, pad=0),
    "half": search_source(Shape.of(512, "float32"), GEOMETRY, "float32", half=True, pad=0),
    "double": search_source(Shape.of(256, "float64"), GEOMETRY, "float64", half=False, pad=12),
}


@pytest.mark.skipif(NVCC is None, reason="no nvcc")
@pytest.mark.parametrize(("name", "arch"), [
    ("single", "sm_90"),
    *(pytest.param(*case, marks=pytest.mark.exhaustive) for case in (
        ("half", "sm_90"), ("double", "sm_90"), ("more held", "sm_90"), ("more held", "sm_80"))),
])
def test_no_warnings_and_no_spills(tmp_path, name, arch):
    (tmp_path / "kernels.cu").write_text(SOURCES[name])
    command = [NVCC, *OPTIONS, f"-arch={arch}", "-cubin", "-Xptxas=-v", "-Werror=all-warnings", "kernels.cu"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    assert set(re.findall(r"Compiling entry function '(\w+)'", done.stderr)) == set(names(SOURCES[name]))
    spilled = [int(number) for number in re.findall(r"(\d+) bytes spill stores", done.stderr)]
    assert max(spilled) <= 8  # bytes a thread: one half-precision kernel spills an address
