"""Plug-ins: files and packages of the user's that commands find, and what is said of broken ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gembench.cli import main
from gembench.engine.fft import LIBRARIES, fft_library
from gembench.errors import InputError
from gembench.plugins import load_plugins
from gembench.study.declare.experiment import studies_of
from gembench.study.measure.runner import Settings, kept_rows
from gembench.study.tell.code import Code

LIBRARY = """
from gembench.engine.fft.pocketfft import NumpyFFT

class Renamed(NumpyFFT):
    name = "renamed"
"""


@pytest.fixture(autouse=True)
def nothing_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No plug-in is loaded, and what a test loads is gone after it."""
    monkeypatch.setattr("gembench.plugins._modules", {})
    monkeypatch.setenv("GEMBENCH_PLUGINS", "")
    fft_library("numpy")
    monkeypatch.setattr("gembench.engine.fft.library.LIBRARIES", dict(LIBRARIES))


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def package(folder: Path, text: str, point: str = "thing = user_package.fft") -> None:
    """An installed package with an entry point."""
    inside = folder / "user_package"
    inside.mkdir()
    write(inside / "__init__.py", "")
    write(inside / "fft.py", text)
    about = folder / "user_package-1.dist-info"
    about.mkdir()
    write(about / "METADATA", "Metadata-Version: 2.1\nName: user-package\nVersion: 1\n")
    write(about / "entry_points.txt", f"[gembench.plugins]\n{point}\n")


def test_a_file_is_imported_once_and_handed_on_to_processes(tmp_path):
    counted = f"{LIBRARY}\nwith open({str(tmp_path / 'log')!r}, 'a') as log:\n    log.write('x')\n"
    file = write(tmp_path / "own.py", counted)
    load_plugins([file])
    load_plugins([file])
    assert fft_library("renamed").name == "renamed"
    assert (tmp_path / "log").read_text() == "x"
    assert os.environ["GEMBENCH_PLUGINS"] == str(file)
    code = "from gembench.engine.fft import fft_library; print(fft_library('renamed').name)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "renamed\n"


def test_an_installed_package_is_found_by_its_entry_point(tmp_path):
    package(tmp_path, LIBRARY)
    code = "from gembench.engine.fft import fft_library; print(fft_library('renamed').name)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert done.stdout == "renamed\n"


def test_a_broken_package_is_named(tmp_path):
    package(tmp_path, "raise RuntimeError('of old')")
    done = subprocess.run([sys.executable, "-m", "gembench", "list"], capture_output=True, text=True,
                          check=False, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert done.returncode == 2
    assert "thing = user_package.fft: cannot be imported: RuntimeError: of old" in done.stderr


@pytest.mark.parametrize(("text", "said"), [
    (None, "no such plug-in"), ("1 +", "SyntaxError"), ("import no_such_thing", "ModuleNotFoundError"),
])
def test_a_bad_file_is_one_clear_line(tmp_path, capsys, text, said):
    file = tmp_path / "own.py"
    if text:
        file.write_text(text)
    assert main(["list", "--plugin", str(file)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"{file}: " in error
    assert said in error


def test_an_unknown_library_says_how_a_plug_in_is_named():
    with pytest.raises(InputError, match="--plugin FILE"):
        fft_library("renamed")


def test_a_study_may_not_take_the_name_of_another(tmp_path, toy):
    folder = toy().resolve()
    (tmp_path / "own").mkdir()
    other = write(tmp_path / "own" / "toy.py", (folder / "toy.py").read_text())
    load_plugins([other])
    with pytest.raises(InputError, match="has an experiment toy already"):
        studies_of(folder)


def test_a_plug_ins_study_is_listed(tmp_path, toy, capsys):
    folder = toy()
    file = write(tmp_path / "own.py", (folder / "toy.py").read_text().replace('"toy"', '"own"'))
    assert main(["list", "own", "--plugin", str(file), "--experiments", str(folder)]) == 0
    assert "own[arm=slow,n=10]" in capsys.readouterr().out


def test_a_study_of_the_folder_named_as_a_plug_in_is_itself(toy):
    file = toy().resolve() / "toy.py"
    load_plugins([file])
    assert studies_of(file.parent) == {"toy": file}


def test_what_a_plug_in_measured_is_kept_while_it_reads_the_same(tmp_path, toy, monkeypatch):
    from gembench.study.declare.experiment import load_experiment
    from gembench.study.measure.runner import run_experiment

    file = write(tmp_path / "own.py", LIBRARY)
    load_plugins([file])
    experiment = load_experiment(toy() / "toy.py")
    run_experiment(experiment, tmp_path / "results", Settings("quick", rounds=1), tell=lambda line: None)
    assert len(kept_rows(tmp_path / "results", experiment, Settings("quick"))) == 2
    stored = next(iter(kept_rows(tmp_path / "results", experiment, Settings("quick")).values()))
    assert Code.of(experiment).is_current(stored)
    file.write_text(LIBRARY + "\n# another\n")
    assert not kept_rows(tmp_path / "results", experiment, Settings("quick"))
    assert not Code.of(experiment).is_current(stored)
    monkeypatch.setattr("gembench.plugins._modules", {})  # not loaded, it is nobody's concern
    assert len(kept_rows(tmp_path / "results", experiment, Settings("quick"))) == 2
