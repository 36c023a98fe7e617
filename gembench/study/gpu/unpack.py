"""gembench on a machine with a GPU and no network: studies, tests and a profile, all in this one file.

    python3 gembench-gpu-bundle.py [--results DIR] [--data DIR] [--minutes 8.5] [--no-tests] [--grid quick]

Needs Python 3.11 with numpy, scipy, numba, scikit-learn and matplotlib, and CuPy to use a GPU. What is
measured is stored in DIR/<machine>/<study>/*.jsonl as it is measured; copy DIR/<machine> into the results of
a checkout, where `gembench figures` and `gembench report` know it.
"""

from __future__ import annotations

import base64
import importlib
import importlib.util
import io
import os
import sys
import tarfile
import tempfile
from pathlib import Path

COMMIT = ""  # filled in by gembench.study.gpu.bundle, as is TREE: a .tar.xz in base64
TREE = ""
CARRIED = ("mrcfile",)  # packages that the tree holds for machines without them


def unpack(folder: Path) -> None:
    """Put the tree into `folder`, and on the path of this process and of those it starts."""
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(TREE)), mode="r:xz") as tree:
        tree.extractall(folder, filter="data")
    carried = [str(folder / "carried" / name) for name in CARRIED if importlib.util.find_spec(name) is None]
    paths = [str(folder), *carried]
    sys.path[:0] = paths
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [*paths, os.environ.get("PYTHONPATH")]))
    os.environ["GEMBENCH_EXPERIMENTS"] = str(folder / "experiments")
    os.environ["GEMBENCH_COMMIT"] = COMMIT


def main() -> int:
    """Unpack, do everything, clean up."""
    with tempfile.TemporaryDirectory(prefix="gembench-", ignore_cleanup_errors=True) as folder:
        unpack(Path(folder))
        visit = importlib.import_module("gembench.study.gpu.visit")
        return int(visit.main(sys.argv[1:]))


if __name__ == "__main__":
    sys.exit(main())
