"""What a stored measurement rests on: its sources, all of them and no others."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from gembench import errors
from gembench.commands import pick
from gembench.data import scene
from gembench.engine import kernel
from gembench.engine.banded import map as banded_map
from gembench.engine.exact import kernels
from gembench.engine.fft import fftw, mkl
from gembench.engine.mpi.reductions import chain
from gembench.peers import relion
from gembench.study.clusters import netns, prefork, rank_reduction, rank_search
from gembench.study.clusters.model import machines
from gembench.study.declare import cases
from gembench.study.declare.experiment import experiment_files
from gembench.study.measure import runner, sources, store, worker
from gembench.study.tell import report

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENTS = ROOT / "experiments"
EVERY = sorted(experiment_files(EXPERIMENTS))


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package."""
    folder = tmp_path_factory.mktemp("copied")
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(sources.PACKAGE, folder / "gembench", ignore=ignored))


def changed(study: str, package: Path, file: Path) -> bool:
    """Whether an edit of a file of the package changes the study's hash."""
    experiment, text = EXPERIMENTS / f"{study}.py", file.read_bytes()
    before = sources.source_hash(experiment, package)
    try:
        file.write_bytes(text.replace(b"\n", b"\n# edited\n", 1))
        return sources.source_hash(experiment, package) != before
    finally:
        file.write_bytes(text)


def file_of(module: ModuleType, package: Path) -> Path:
    assert module.__file__
    return package / Path(module.__file__).relative_to(sources.PACKAGE)


@pytest.mark.parametrize(("study", "module", "expected"), [
    *((study, worker, True) for study in EVERY), *((study, cases, True) for study in EVERY),
    *((study, kernel, True) for study in EVERY), *((study, errors, True) for study in EVERY),
    *((study, module, False) for study in EVERY for module in (runner, store, report, pick)),
    ("fft_libraries", mkl, True), ("fft_libraries", fftw, True), ("fft_libraries", kernels, True),
    ("fft_libraries", relion, False), ("fft_libraries", machines, False),
    ("peers", relion, True), ("peers", banded_map, True),
    *((study, machines, True) for study in ("cluster", "distribution", "reduction")),
    *((study, module, True) for study in ("cluster", "reduction") for module in (netns, prefork, chain)),
    ("cluster", rank_search, True), ("reduction", rank_reduction, True), ("reduction", rank_search, False),
    ("reduction", relion, False), ("picking", scene, True), ("picking", relion, False),
    ("methods", banded_map, True),
])
def test_the_sources_are_what_a_study_imports_and_nothing_else(
    study: str, module: ModuleType, expected: bool
) -> None:
    files = sources.sources(EXPERIMENTS / f"{study}.py").values()
    assert (Path(str(module.__file__)) in files) is expected


def test_no_drawing_is_a_source() -> None:
    names = {name for study in EVERY for name in sources.sources(EXPERIMENTS / f"{study}.py")}
    assert "padding.py" in names
    assert not [name for name in names if name.removesuffix(".py").endswith(("figure", "figures"))]


def test_a_hash_follows_the_sources(copied: Path) -> None:
    """One of each folder: all are hashed alike."""
    files = [file for file in sources.sources(EXPERIMENTS / "padding.py", copied).values()
             if file.stat().st_size and file.is_relative_to(copied)]
    of_folder = {file.parent: file for file in files}
    assert len(of_folder) > 8
    assert all(changed("padding", copied, file) for file in of_folder.values())
    assert not changed("padding", copied, file_of(relion, copied))


def test_a_hash_follows_the_data_beside_what_is_imported(copied: Path) -> None:
    kernels = sorted(copied.rglob("*.cu"))
    assert kernels
    assert all(changed("gpus", copied, file) for file in kernels if file.stem != "one_template")
    assert all(changed("fft_libraries", copied, file) for file in kernels)
    assert not any(changed("reduction", copied, file) for file in kernels)


def test_a_constant_of_a_cluster_times_1000_is_another_source(copied: Path) -> None:
    file = file_of(machines, copied)
    text = file.read_text()
    before = {study: sources.source_hash(EXPERIMENTS / f"{study}.py", copied) for study in EVERY}
    assert text.count("bandwidth=4e9") == 1
    file.write_text(text.replace("bandwidth=4e9", "bandwidth=4e6"))
    after = {study: sources.source_hash(EXPERIMENTS / f"{study}.py", copied) for study in EVERY}
    file.write_text(text)
    assert {study for study in EVERY if before[study] != after[study]} == {
        "cluster", "distribution", "reduction"}


def test_every_import_of_a_module_and_of_a_file_beside_is_followed(tmp_path: Path) -> None:
    package = tmp_path / "gembench"
    texts = {
        "__init__": "", "errors": "", "typed": "", "seen_by_nobody": "",
        "a/__init__": "import gembench.errors", "a/lazy": "def f():\n    from . import plugin",
        "a/plugin": "start('ranks', plan)", "a/ranks": "import_module('gembench.a.named')", "a/named": "",
        "b/__init__": "from gembench.c.inside import name", "c/__init__": "", "c/inside": "from ..d import e",
        "d/__init__": "", "d/e": "__file__", "cli": "", "commands/__init__": "", "a/curve_figure": "",
    }
    for name, text in texts.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / f"{name}.py").write_text(text)
    (package / "d" / "tables").mkdir()
    for data in ("d/axes.json", "d/tables/one.npz", "c/unread.json"):
        (package / data).write_text("")
    (tmp_path / "beside.py").write_text("")
    (tmp_path / "study_figure.py").write_text("")
    study = tmp_path / "study.py"
    study.write_text("from typing import TYPE_CHECKING\nimport beside, study_figure, numpy\n"
                     "from gembench.a import lazy, curve_figure\nimport gembench.b, gembench.cli\n"
                     "if TYPE_CHECKING:\n    import gembench.typed\nelse:\n    import gembench.commands\n")
    assert list(sources.sources(study, package)) == sorted([
        "study.py", "beside.py", "gembench", "gembench.errors", "gembench.a", "gembench.a.lazy",
        "gembench.a.plugin", "gembench.a.ranks", "gembench.a.named", "gembench.b", "gembench.c",
        "gembench.c.inside", "gembench.d", "gembench.d.e", "gembench/d/axes.json",
        "gembench/d/tables/one.npz",
    ])


LOADED = """
import json, sys
from pathlib import Path
from gembench.study.declare.experiment import load_experiment
from gembench.study.measure.worker import serve

case = next(case for case in load_experiment(Path(sys.argv[1])).grids["quick"]
            if all(str(case.get(axis)) == value for axis, value in json.loads(sys.argv[2]).items()))
asked = [{"file": sys.argv[1], "case": dict(case), "threads": 1}, {"do": "sample"},
         {"do": "close", "arrays": sys.argv[3], "seconds": 1.0}]
answers = [answer["status"] for answer in serve(iter(asked))]
names = [name for name in sys.modules if name.split(".")[0] == "gembench"]
print(json.dumps({"answers": answers, "names": names}))
"""


@pytest.mark.parametrize(("study", "case"), [
    ("fft_libraries", {"library": "scipy"}), ("peers", {"picker": "transforms"}),
    ("reduction", {"evidence": "model"}),
])
def test_what_a_worker_really_loads_is_in_the_hash(study: str, case: dict[str, str], tmp_path: Path) -> None:
    file = EXPERIMENTS / f"{study}.py"
    command = [sys.executable, "-c", LOADED, str(file), json.dumps(case), str(tmp_path / "x.npz")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert loaded["answers"] == ["ready", "sampled", "closed"]
    read_only = tuple(f"gembench.{reader}" for reader in sources.READERS)
    store_reads_by = {"gembench.io.source", "gembench.io.checks"}  # studies of micrographs import them too
    timed = {name for name in loaded["names"] if name not in store_reads_by
             and not name.startswith(read_only) and name.split("_")[-1].split(".")[-1] not in sources.FIGURES}
    assert timed <= sources.sources(file).keys()
    assert len(timed) > 10
