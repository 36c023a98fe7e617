"""What README promises, and the code of the page on contributing; tests/guide runs their commands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from gembench.cli import main
from gembench.commands.guide import ORDER, page
from gembench.engine.exact.producer import CPUSearch
from gembench.errors import InputError
from gembench.io.coordinates import read_coordinates
from gembench.io.images.mrc import write_mrc, write_stack
from gembench.picking.run import pick_folder
from gembench.picking.settings import PickSettings
from gembench.plugins import load_module
from gembench.study.measure.store import load_rows

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
CODE = README + page("contributing")
EXPERIMENTS = Path(__file__).parents[1] / "experiments"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", CODE, re.DOTALL)


def written(folder: Path, word: str, name: str) -> Path:
    """The Python that holds `word`, as a file of the user's own."""
    path = folder / name
    path.write_text(next(text for text in blocks("python") if word in text))
    return path


def gembench(*words: str | Path, cwd: Path) -> str:
    """What a command prints; a process of its own, since what a plug-in registers stays."""
    done = subprocess.run([sys.executable, "-m", "gembench", *map(str, words)], cwd=cwd, text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_study_is_one_short_file_that_runs_at_every_grid(tmp_path: Path) -> None:
    file = written(tmp_path, "Experiment(", "peak_rules.py")
    assert len(file.read_text().splitlines()) <= 40
    study = load_module(file, "study").experiment
    for grid, cases in study.grids.items():
        for case in cases:
            inputs = study.setup(case)
            assert study.check(study.run(inputs, case), inputs, case) is None, (grid, case)


def test_a_study_of_a_users_own_is_measured_and_exported(tmp_path: Path) -> None:
    (tmp_path / "experiments").mkdir()
    options = ("--plugin", written(tmp_path, "Experiment(", "peak_rules.py"), "--results", "results")
    gembench("run", "peak_rules", "--grid", "quick", "--rounds", "1", *options, cwd=tmp_path)
    rows = load_rows(tmp_path / "results", "peak_rules", grid="quick")
    assert [row.status for row in rows] == ["ok", "ok"]
    exported = gembench("export", "peak_rules", "--grid", "quick", *options, cwd=tmp_path)
    assert exported.count("gempicker") == 2


def test_an_fft_library_is_one_class_that_commands_find(tmp_path: Path) -> None:
    """It picks what numpy picks, and the study of libraries measures it beside the others."""
    rng, file = np.random.default_rng(4), written(tmp_path, "FFTLibrary", "double.py")
    template = gaussian_filter(rng.normal(size=(24, 24)), 2)
    image = rng.normal(0, 0.2 * template.std(), (90, 101))
    image[40:64, 50:74] += template
    write_stack(tmp_path / "t.mrcs", template[None], 2.2)
    write_mrc(tmp_path / "a.mrc", image, 2.2)
    picks = {}
    for name in ("numpy", "numpy-double"):
        said = gembench("pick", "a.mrc", "--templates", "t.mrcs", "--pixel-size", "2.2", "--angle-step", "90",
                        "--average", "1", "--fft", name, "--plugin", file, "-o", name, cwd=tmp_path)
        assert f"method exact, {name}," in said
        (picks[name],) = read_coordinates(tmp_path / name / "a.star")
    np.testing.assert_allclose(picks["numpy-double"].xy, picks["numpy"].xy, atol=1e-3)
    case = "fft_libraries[library=numpy-double,n=256,precision=float64]"
    gembench("run", case, "--grid", "quick", "--rounds", "2", "--plugin", file, "--results", "results",
             "--experiments", EXPERIMENTS, cwd=tmp_path)
    (row,) = load_rows(tmp_path / "results", "fft_libraries", grid="quick")
    assert (row.status, row.case.library) == ("ok", "numpy-double")


def test_a_folder_is_picked_from_python(tmp_path, monkeypatch, capsys) -> None:
    """In five lines, with the result of the command line; the second time nothing is searched."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(4)
    template = gaussian_filter(rng.normal(size=(24, 24)), 2)
    Path("demo").mkdir()
    write_stack("demo/templates.mrcs", template[None], 2.2)
    write_stack("demo/masks.mrcs", np.ones((1, 24, 24)), 2.2)
    for name in "ab":
        image = rng.normal(0, 0.2 * template.std(), (120, 140))
        image[40:64, 50:74] += template
        write_mrc(Path("demo", f"{name}.mrc"), image, 2.2)
    code = next(text for text in blocks("python") if "pick_folder" in text)
    assert len([line for line in code.splitlines() if line]) <= 5
    code = code.replace("lowpass=70", "template_contrast='dark'")
    exec(code, {})
    first = capsys.readouterr().out
    assert re.findall(r"^(\w.mrc) \d+ \[(?:61\.9|62\.0)", first, re.MULTILINE) == ["a.mrc", "b.mrc"]
    words = ["pick", "demo", "--templates", "demo/templates.mrcs", "--masks", "demo/masks.mrcs", "--average",
             "1", "--pixel-size", "2.2", "--angle-step", "10", "--template-contrast", "dark", "-o"]
    assert main([*words, "by-command", "--quiet"]) == 0
    for file in ("a.star", "b.star", "picks.star"):
        assert Path("picked", file).read_bytes() == Path("by-command", file).read_bytes()
    assert main([*words, "picked"]) == 0  # by the same settings
    assert "2 of 2 micrographs are finished" in capsys.readouterr().out
    monkeypatch.setattr(CPUSearch, "run", None)
    exec(code, {})
    assert capsys.readouterr().out == first


def test_a_micrograph_that_cannot_be_picked_from_python_is_an_error_at_the_end(tmp_path) -> None:
    write_stack(tmp_path / "templates.mrcs", np.random.default_rng(4).normal(size=(1, 24, 24)), 2.2)
    (tmp_path / "a.mrc").write_bytes(b"broken")
    write_mrc(tmp_path / "b.mrc", np.random.default_rng(5).normal(size=(60, 70)), 2.2)
    settings = PickSettings(2.2, 90, template_contrast="dark")
    files = [tmp_path / "a.mrc", tmp_path / "b.mrc"]
    with pytest.raises(InputError, match=r"a\.mrc"):
        list(pick_folder(files, tmp_path / "templates.mrcs", tmp_path / "picks", settings))
    assert (tmp_path / "picks" / "b.star").is_file()


def test_picks_are_seen_after_four_commands() -> None:
    demo = next(text for text in blocks("sh") if "gembench simulate" in text)
    lines = demo.replace("\\\n", " ").splitlines()
    assert [line.split()[1] for line in lines] == ["install", "simulate", "pick", "view"]


def test_it_is_a_page_that_leads_to_all_others() -> None:
    """A stranger reads it in some minutes; every link leads to a file, and to every page of the manual."""
    assert len(README.splitlines()) <= 130
    root = Path(__file__).parents[1]
    links = re.findall(r"\]\(([^)]+)\)", README)
    for link in links:
        assert (root / link).is_file(), link
    assert "make experiments" in README
    assert "make test" in README
    assert [f"gembench/guide/{topic}.md" for topic in ORDER] == [name for name in links if "/guide/" in name]
