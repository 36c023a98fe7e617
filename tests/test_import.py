"""What importing gembench brings with it, by the names of the modules."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    "numpy", "scipy", "numba", "matplotlib", "pandas", "sklearn", "starfile", "mrcfile", "tifffile", "PIL",
    "rich", "jinja2", "pooch", "psutil", "threadpoolctl", "ducc0", "pyfftw", "mkl", "mkl_fft", "cupy",
    "mpi4py",
}


def loaded(code: str) -> set[str]:
    """The packages that a fresh interpreter holds after `code`."""
    script = f"{code}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}}, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


@pytest.mark.parametrize("code", [
    "import gembench",
    "from gembench.cli import build_parser; build_parser()",
    "from gembench.cli import build_parser\ntry: build_parser().parse_args(['pick', '--help'])\n"
    "except SystemExit: pass",
    "from gembench.cli import main; main([])",
    "import gembench.__main__",
], ids=["package", "parser", "help", "no arguments", "module"])
def test_nothing_heavy_is_imported(code: str) -> None:
    assert not loaded(code) & HEAVY


def test_heavy_modules_would_be_seen() -> None:
    assert {"numpy", "numba"} <= loaded("import gembench.engine.exact.kernels")


def test_picking_draws_nothing_unless_asked() -> None:
    """No plotting library comes along with the engine and its input and output."""
    code = "import gembench.picking.picker, gembench.picking.folder, gembench.commands.pick"
    assert not loaded(code) & {"matplotlib", "sklearn", "rich", "jinja2", "pooch"}
