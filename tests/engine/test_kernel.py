"""Compiled kernels live no longer than what they were compiled from."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gembench
from gembench.engine.fft import LIBRARIES
from gembench.engine.kernel import stamp

PLANTED = {
    "caller": "from planted import shared\n"
              "from planted.callee import callee\n"
              "from planted.other import LIMIT as CEILING, MORE, TABLE\n"
              "from gembench.engine.kernel import kernel\n"
              "@kernel\n"
              "def caller(x):\n"
              "    more = max([MORE for _ in range(2)])\n"
              "    return min(later(callee(x)) + shared.offset(x) + TABLE[0], CEILING, more)\n"
              "@kernel\n"
              "def later(x):\n"
              "    return x + 1\n",
    "callee": "from gembench.engine.kernel import kernel\n@kernel\ndef callee(x):\n    return 2 * x\n",
    "other": "import numpy as np\nLIMIT = 100\nMORE = 7\nTABLE = np.arange(3)\nUNUSED = 5\n",
    "shared": "from numba.extending import register_jitable\n@register_jitable\n"
              "def offset(x):\n    return 10\n",
    "bystander": "from gembench.engine.kernel import kernel\n@kernel\ndef stand(x):\n    return x\n",
}


def planted_stamp(folder: Path, file: str = "", old: str = "", new: str = "") -> str:
    """The stamp of `caller` after an edit of a file of its package."""
    (folder / "planted").mkdir(parents=True)
    for name, text in {**PLANTED, "__init__": ""}.items():
        (folder / "planted" / f"{name}.py").write_text(text.replace(old, new) if name == file else text)
    sys.path.insert(0, str(folder))
    try:
        importlib.invalidate_caches()
        kernel = importlib.import_module("planted.caller").caller
        importlib.import_module("planted.bystander")
        return stamp(kernel.py_func)
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.split(".")[0] == "planted"]:
            del sys.modules[name]


@pytest.mark.parametrize(("file", "old", "new", "changed"), [
    ("caller", "x + 1", "x + 2", True), ("callee", "2 * x", "3 * x", True),
    ("other", "LIMIT = 100", "LIMIT = 4", True), ("other", "arange(3)", "arange(3) + 1", True),
    ("other", "MORE = 7", "MORE = 8", True),
    ("shared", "return 10", "return 20", True), ("other", "UNUSED = 5", "UNUSED = 6", False),
    ("bystander", "return x", "return 2 * x", False), ("bystander", "", "", False),
])
def test_a_kernels_stamp_follows_all_that_it_was_compiled_from(
    tmp_path: Path, file: str, old: str, new: str, changed: bool
) -> None:
    before = planted_stamp(tmp_path / "before")
    after = planted_stamp(tmp_path / "after", file, old, new)
    assert (after != before) is changed


SEARCH = """
import json, sys
import numpy as np
from numba import njit
from gembench.data.workload import egg_bank
from gembench.engine.exact.producer import search

image = np.random.default_rng(5).standard_normal((64, 64), np.float32)
maps = {library: search(image, egg_bank(16, 2), library=library) for library in sys.argv[1:]}
scores = {library: map.score[24:40, 24:40].ravel().tolist() for library, map in maps.items()}
kernels = {id(value): value for name, module in list(sys.modules.items()) if name.startswith("gembench.")
           for value in vars(module).values() if hasattr(value, "py_func")}.values()
compiled = sum(sum(kernel.stats.cache_misses.values()) for kernel in kernels)
compiler = "numba.np.linalg" in sys.modules
later = njit(lambda values: np.sqrt(values).sum())(np.full(4, 9.0))
print(json.dumps({"compiled": compiled, "scores": scores, "compiler": compiler, "later": later}))
"""


@pytest.mark.slow
def test_an_edited_score_changes_the_scores_of_every_library(tmp_path: Path) -> None:
    """In new processes, with a warm cache, and a file as old as it was."""
    package = tmp_path / "gembench"
    shutil.copytree(Path(gembench.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    libraries = [name for name in ("mkl", "scipy") if LIBRARIES[name].unavailable() is None]

    def run() -> dict[str, object]:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1",
                       "NUMBA_OPT": "1"}  # compiles in less time
        done = subprocess.run([sys.executable, "-c", SEARCH, *libraries], capture_output=True, text=True,
                              check=True, env=environment, cwd=tmp_path)
        return dict(json.loads(done.stdout))

    first, again = run(), run()
    assert first["compiled"]
    assert first["compiler"]
    assert again == {"compiled": 0, "compiler": False, "scores": first["scores"], "later": 12}
    file, = (path for path in package.rglob("*.py") if re.search(r"^def fold\($", path.read_text(), re.M))
    times = file.stat()
    text, edits = re.subn(r"^( +ncc = )(.+)$", r"\1np.float32(0.5) * (\2)", file.read_text(), flags=re.M)
    assert edits == 1
    file.write_text(text)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    edited = run()
    assert edited["compiled"]
    for name in libraries:
        before, after = (np.array(result["scores"][name]) for result in (first, edited))  # type: ignore[index]
        np.testing.assert_array_equal(after, before / 2)
