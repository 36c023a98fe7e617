"""README and the manual: every block of commands and of Python runs, on small images and with few angles.

What cannot run here is listed below with the reason; gembench's commands in it are parsed all the same.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gembench.cli import build_parser, main
from gembench.commands.guide import ORDER, page
from gembench.io.images.mrc import write_mrc

ROOT = Path(__file__).parents[2]
PAGES = {"README": (ROOT / "README.md").read_text(encoding="utf-8"), **{name: page(name) for name in ORDER}}
MAKEFILE = (ROOT / "Makefile").read_text()
SMALLER = {  # of what runs, so that all pages take seconds
    r"--size 1024 --seed 1": "--size 700 --seed 4",  # which has five side views
    r"--box 272": "--box 90",
    r"--distance 120 --threshold 0.53": "--distance 50 --threshold 0 --max-picks 32",  # a dozen false
    r"--angle-step \d+": "--angle-step 90",
    r"angle_step=\d+": "angle_step=90",
    r"\(4096, 4096\)": "(1024, 1024)",
    r"(run 'fft_libraries\[)n=1024(.*?')": r"\1n=256,library=scipy\2 --grid quick --rounds 1",
    r"NR % 8": "NR % 2",
    r"(gembench tune .*)": r"\1 --lowpass 70 --edges mask --angle-step 90 --no-decoys --resamples 0",
}
NOT_RUN = {  # how a line starts, and why it does not run here
    "pip install ": "changes the environment that the tests run in",
    "make ": "whole suites, hours of measurement; the targets are looked up",
    "GEMBENCH_DATA=/path/to/sets make ": "the same, with real micrographs",
    "gembench data fetch ": "needs the network",
    "gembench run 'picking[data=mine]'": "minutes; test_sets runs it on less",
    "sudo ": "needs root, and installs a package",
    "module load ": "a command of clusters",
    "MPI4PY_BUILD_MPICC=": "builds mpi4py",
    "python3 gembench-gpu-bundle.py ": "a file that `make gpu-bundle` writes; needs a GPU",
    "cp -r found/MACHINE ": "copies what a GPU elsewhere has measured",
}
NO_GPU = "--device gpu"  # in a command that needs one
ELSEWHERE = {"class DoubleFFT": "test_readme", "Experiment(": "test_readme"}  # Python that another test runs
PICKS = "picks"  # that a page reads before it makes any


def blocks(name: str) -> list[tuple[str, str]]:
    """The language and the text of every block of a page, smaller."""
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", PAGES[name], re.DOTALL | re.MULTILINE)
    assert 2 * len(fences) == PAGES[name].count("```")
    for pattern, smaller in SMALLER.items():
        fences = [(language, re.sub(pattern, smaller, code)) for language, code in fences]
    return fences


def lines_of(code: str) -> list[str]:
    """The commands of a block, continuation lines joined, comments left out."""
    lines = re.sub(r"(^|\s)#.*$", "", code.replace("\\\n", " "), flags=re.MULTILINE).splitlines()
    return [line.strip() for line in lines if line.strip()]


def commands_in(line: str) -> Iterator[list[str]]:
    """The words of each gembench command in a line, also in what it gives another shell."""
    words = shlex.split(line)
    for word in words:
        if " gembench " in word or "/gembench " in word:
            yield from commands_in(word)
    parts = " ".join("\n" if word == "&&" else shlex.quote(word) for word in words).split("\n")
    for part in map(shlex.split, parts):
        for at, word in enumerate(part):
            if Path(word).name == "gembench":
                yield part[at + 1 :]
                break


def reason_not_to_run(line: str) -> str | None:
    """The entry of the list by which a line does not run here."""
    if NO_GPU in line:
        return NO_GPU
    return next((start for start in NOT_RUN if line.startswith(start)), None)


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the pages' commands read."""
    folder = tmp_path_factory.mktemp("inputs")
    demo, klh = folder / "demo", folder / "klh"
    assert main(["simulate", "-o", str(demo), "--count", "2", "--size", "700", "--seed", "4",
                 "--quiet"]) == 0
    klh.mkdir()
    for place in (folder, klh):
        (place / "micrographs").mkdir()
        for path in demo.glob("sim_*.mrc"):
            shutil.copy(path, place / "micrographs")
        for name in ("templates.mrcs", "masks.mrcs"):
            shutil.copy(demo / name, place)
        assert main(["convert", str(demo / "truth.star"), str(place / "annotations.csv"), "--quiet"]) == 0
    assert main(["pick", str(folder / "micrographs"), "--templates", str(folder / "templates.mrcs"),
                 "--pixel-size", "2.2", "--angle-step", "90", "--quiet", "-o", str(folder / PICKS)]) == 0
    z, y, x = np.indices((32, 32, 32)) - 16.0
    write_mrc(folder / "map.mrc", (x**2 + y**2 + (z / 1.5) ** 2 < 64).astype(np.float32), 2.2)
    (folder / "my_micrographs").mkdir()
    write_mrc(folder / "my_micrographs" / "m.mrc", np.random.default_rng(0).normal(size=(30, 40)), 1.1)
    (folder / "picks.csv").write_text("micrograph,x,y\nm,12,13\n")
    shutil.copytree(ROOT / "results" / "intel-xeon-2c" / "threads", folder / "results/intel-xeon-2c/threads")
    return folder


@pytest.fixture
def folder(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it that is the current folder, without picks; a cache and the studies of this checkout."""
    for path in inputs.iterdir():
        if path.name != PICKS:
            (shutil.copytree if path.is_dir() else shutil.copy)(path, tmp_path / path.name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEMBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GEMBENCH_EXPERIMENTS", str(ROOT / "experiments"))
    monkeypatch.delenv("GEMBENCH_DATA", raising=False)
    for module in ("sets", "acquire"):
        monkeypatch.setattr(f"gembench.data.{module}.cache_folder", lambda: tmp_path / "data")
    return tmp_path


@pytest.mark.parametrize("name", PAGES)
def test_every_block_runs(
    name: str, inputs: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if name == "judging":
        shutil.copytree(inputs / PICKS, folder / PICKS)
    if " -o demo" in PAGES[name]:
        shutil.rmtree(folder / "demo")
    for language, code in blocks(name):
        if language == "python" and not any(word in code for word in ELSEWHERE):
            exec(code, {})
        elif language == "sh" and not code.startswith("#!"):
            for line in lines_of(code):
                run(line)
        else:
            assert language in ("sh", "python", "text"), code
    out, err = capsys.readouterr()
    if name in ("README", "start"):  # a page with the picks, and their numbers, without a warning on the way
        assert "warning" not in err
        assert re.search(r"sim_000[12]", Path("page.html").read_text(encoding="utf-8"))
    if name == "README":  # from Python the same as by the command
        assert Path("picks/picks.star").read_bytes() == Path("picked/picks.star").read_bytes()
    if name == "start":
        assert re.search(r"\d+ picks: \d+ true, \d+ false", out)
        assert {path.name for path in Path("better").glob("*.star")} >= {"picks.star", "sim_0001.star"}
    if name == "memory":  # both find the same picks
        assert Path("picks/picks.star").read_bytes() == Path("bounded/picks.star").read_bytes()


def run(line: str) -> None:
    """Run a command in this process, without a launcher; what is on the list is parsed."""
    if reason_not_to_run(line):
        for words in commands_in(line):
            assert callable(build_parser().parse_args(words).run)
        return
    (words,) = commands_in(line)
    assert line.startswith(("gembench ", "mpiexec -n 4 gembench ")), line
    if "--memory" in words:  # of which this process has taken its part for other tests
        subprocess.run([sys.executable, "-m", "gembench", *words], check=True)
    else:
        assert main(words) == 0, line


def scripts() -> list[str]:
    shell = [code for name in PAGES for language, code in blocks(name) if language == "sh"]
    return [code for code in shell if code.startswith("#!")]


@pytest.mark.parametrize("script", scripts())
def test_a_script_of_a_cluster_picks(script: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell runs it as one, or as two jobs of an array; launchers hand the command on to this process."""
    tools = folder / "bin"
    tools.mkdir()
    for tool in ("gembench", "srun", "mpiexec"):
        (tools / tool).write_text(f'#!/bin/sh\nprintf "%s\\n" {tool} "$@" > words\n')
        (tools / tool).chmod(0o755)
    (folder / "pick.sh").write_text(script)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    monkeypatch.setenv("SLURM_NTASKS", "1")
    is_array = "--array" in script
    for job in range(1 + is_array):
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", str(job))
        subprocess.run(["sh", "-eu", "pick.sh"], check=True)
        words = Path("words").read_text().splitlines()
        assert main(words[words.index("gembench") + 1 :]) == 0
        assert len(list(Path("picks").glob("sim_*.star"))) == (1 + job if is_array else 2)
    rows = Path("picks/picks.star").read_text()
    assert "sim_0001" in rows
    assert "sim_0002" in rows


def test_the_list_of_what_does_not_run_is_needed() -> None:
    lines = [line for name in PAGES for language, code in blocks(name) if language == "sh"
             for line in lines_of(code)]
    python = [code for name in PAGES for language, code in blocks(name) if language == "python"]
    assert {reason_not_to_run(line) for line in lines} == {None, NO_GPU, *NOT_RUN}
    for word in ELSEWHERE:
        assert sum(word in code for code in python) == 1


@pytest.mark.parametrize("name", PAGES)
def test_make_targets_exist(name: str) -> None:
    code = "\n".join([*(code for _, code in blocks(name)), *re.findall(r"`([^`\n]+)`", PAGES[name])])
    for target in re.findall(r"\bmake ([a-z-]+)", code):
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target


@pytest.mark.parametrize("name", PAGES)
def test_commands_within_lines_have_their_options(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = re.sub(r"^```.*?^```$", "", PAGES[name], flags=re.DOTALL | re.MULTILINE)
    for inline in re.findall(r"`gembench ([^`]+)`", text):
        verb, *words = inline.split()
        if verb == "COMMAND":
            continue
        with pytest.raises(SystemExit):
            main([verb, "--help"])
        usage = capsys.readouterr().out
        for option in [word for word in words if word.startswith("--")]:
            assert option in usage, inline
