"""Files and folders that no command can use: one line that says why, exit code 2, nothing written."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest

from gembench.cli import build_parser, main
from gembench.commands.numbers import file, folder, readable
from gembench.io.atomic import require_folder
from gembench.io.images.mrc import write_mrc

SCORE = "score --picks p.csv --truth p.csv --radius 5"
VIEW = "view p.csv --micrographs mics"
FILTER = "filter p.csv --threshold 0.6"
TEMPLATES = "templates --volume v.mrc --views top"
STUDY = "--experiments studies --results stored"
PICK = "pick mics/a.mrc --templates t.mrc --pixel-size 2 --angle-step 90 -o out"
EMPTY_FILE, EMPTY_NAME = "is empty: name the file", "is empty: name what to"
IN_A_FILE = "is a file, not a folder"
COMMANDS = ("list", "list toy", "figures", "claims", "claims --json", "report", "export toy")
COORDINATES = {
    "nowhere.csv": "nowhere.csv: no such file", "none": "no coordinate files", "empty.csv": "empty",
    "binary.csv": "not a text file", "half.star": "no block with rlnCoordinateX",
    "mics": "no coordinate files", "''": EMPTY_NAME,
}
MICROGRAPHS = {
    "nowhere": "nowhere: no such", "none": "no micrographs in this folder", "empty.csv": "unknown extension",
    "damaged": "damaged/a.mrc: is not a whole MRC", "''": EMPTY_NAME,
}
FILES = {  # of outputs that are one file
    "nowhere/x": "cannot be written: its folder does not exist", "p.csv/x": IN_A_FILE,
    "none": "it is a folder", "new/": "'new/' is the name of a folder", "''": EMPTY_FILE, "' '": EMPTY_FILE,
}
STACKS = {name.replace("/x", "/x.mrcs"): part for name, part in FILES.items() if name != "none"}
FOLDERS = {"p.csv/x": IN_A_FILE, "''": EMPTY_NAME, "' '": EMPTY_NAME}
EXPERIMENTS = {
    "nowhere": "nowhere: no such folder", "p.csv": "p.csv: is no folder", "none": "experiment",
    "broken": "broken/toy.py: cannot be imported", "''": EMPTY_NAME,
}
RESULTS = {"nowhere": "nowhere: no such folder", "p.csv": "p.csv: is no folder", "''": EMPTY_NAME}

# A command, in which {} stands for what is bad, and what its line must hold for each.
BAD = {
    "guide {}": {"nowhere": "no such topic", "''": "no such topic"},
    "view {} --micrographs mics": COORDINATES,
    VIEW + " --radius 5 --truth {}": COORDINATES,
    "view p.csv --micrographs {}": MICROGRAPHS,
    VIEW + " -o {}": FILES,
    "score --picks {} --truth p.csv --radius 5": COORDINATES,
    "score --picks p.csv --truth {} --radius 5": COORDINATES,
    SCORE + " --flip-y picks --micrographs {}": MICROGRAPHS,
    SCORE + " --json {}": FILES,
    SCORE + " --micrographs mics --page {}": FILES,
    SCORE + " --json new --micrographs mics --page {}": {**FILES, "new": "cannot have one name"},
    SCORE + " --json new --plots {}": {**FOLDERS, "p.csv": "a file of that name is in the way"},
    "filter {} -o new.star": COORDINATES,
    FILTER + " --border 3 -o new.star --micrographs {}": MICROGRAPHS,
    FILTER + " -o {}": {**FOLDERS, "p.csv": "is what is read", "full": "is not empty",
                        "nowhere/new.star": "its folder does not exist"},
    FILTER + " -o new.star --threshold {}": {"nan": "not a finite number", "x": "not a number"},
    "convert {} new.star": COORDINATES,
    "convert p.csv new.star --flip-y --micrographs {}": MICROGRAPHS,
    "convert p.csv {}": {"''": EMPTY_NAME, "none": "is a folder", "new.html": "unknown extension",
                         "nowhere/new.star": "its folder does not exist", "p.csv/new.star": IN_A_FILE},
    "convert p.csv {} --to box --box-size 10": FOLDERS,
    "convert p.csv new.star --scale {}": {"nan": "not a finite number", "0": "positive", "x": "not a number"},
    "templates -o new.mrcs --views top --volume {}": {
        "nowhere.mrc": "no such file", "none": "none: a volume is needed", "empty.mrc": "empty",
        "''": EMPTY_NAME},
    TEMPLATES + " -o {}": STACKS,
    TEMPLATES + " -o new.mrcs --masks {}": {**STACKS, "new.mrcs": "is both --masks and --output"},
    TEMPLATES + " -o new.mrcs --plots {}": FOLDERS,
    PICK + " --page {}": FILES,
    "pick mics/a.mrc --pixel-size 2 --angle-step 90 -o out --templates {}": {"''": EMPTY_NAME},
    "pick {} --templates t.mrc --pixel-size 2 --angle-step 90 -o out": {"''": EMPTY_NAME},
    "simulate --count 1 -o {}": {**FOLDERS, "p.csv": "in the way"},
    "data import {} --name new": {"''": EMPTY_NAME, "nowhere": "nowhere: not a folder",
                                     "none": "no micrographs"},
    **{f"{command} --experiments {{}}": EXPERIMENTS for command in (*COMMANDS, "run toy")},
    **{f"{command} --experiments studies --results {{}}": RESULTS for command in COMMANDS},
    "run toy --experiments studies --results {}": {**FOLDERS, "p.csv": "a file of that name is in the way"},
    "list {} " + STUDY: {"nowhere": "no experiment nowhere; choose from toy", "''": "not a selector"},
    "figures {} " + STUDY: {"nowhere": "no experiment nowhere"},
    "export {} " + STUDY: {"nowhere": "no experiment nowhere"},
    "figures toy --experiments studies --results {}": {"blocked": "blocked/figures: the folder cannot be"},
    "claims --results stored --experiments {}": {"claimed": "claimed/claims.toml: "},
    "report --results stored --experiments {}": {"claimed": "claimed/claims.toml: "},
    "report " + STUDY + " --output {}": FILES,
    "export toy " + STUDY + " --csv {}": FILES,
    "list " + STUDY + " --plugin {}": {"nowhere.py": "nowhere.py", "''": EMPTY_NAME, "none": "none"},
}
CASES = [pytest.param(command, value, part, id=f"{command} {value}")
         for command, values in BAD.items() for value, part in values.items()]
CLAIM = '''
[[claim]]
id = "toy"
where = "Fig. 9"
statement = "One is one."
paper = "1"
experiment = "toy"
expression = "max(total)"
reproduced = [1, 1]
partly = [0, 2]
why = "A number is itself."
holds = [{ n = 1, total = 1 }]
fails = [{ n = 1, total = 5 }]
'''
TOY = """
from gembench.study.declare.experiment import Experiment, grid

cases = grid(n=[1])
experiment = Experiment(name="toy", title="A toy", grids={"quick": cases, "default": cases, "paper": cases},
                        run=lambda inputs, case: 1, check=lambda output, inputs, case: None)
"""


@pytest.fixture
def inputs(tmp_path, monkeypatch):
    """The current folder, with what the commands name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEMBENCH_DATA", str(tmp_path / "sets"))
    for name in ("mics", "damaged", "none", "full", "studies", "stored", "broken", "claimed", "blocked",
                 "sets"):
        Path(name).mkdir()
    image = np.random.default_rng(0).normal(0, 1, (48, 48))
    write_mrc("mics/a.mrc", image, 2.0)
    write_mrc("t.mrc", image[:16, :16], 2.0)
    write_mrc("v.mrc", np.random.default_rng(0).normal(0, 1, (16, 16, 16)), 2.0)
    for name in ("full/x", "blocked/figures", "empty.csv", "empty.mrc"):
        Path(name).touch()
    Path("damaged/a.mrc").write_bytes(b"x" * 2000)
    Path("p.csv").write_text("micrograph,x,y,score\na,10,10,0.5\na,30,30,0.7\n")
    Path("binary.csv").write_bytes(b"\0\1\2\3" * 9)
    Path("half.star").write_text("data_\nloop_\n_rlnCoordinateX\n1\n")
    for name in ("studies", "claimed"):
        Path(name, "toy.py").write_text(TOY)
    Path("claimed/claims.toml").write_text("claim = 5\n")
    Path("broken/toy.py").write_text("import nothing_of_this_name\n")


def contents():
    """Every file of the current folder with what is in it, every folder with None; no compiled Python."""
    return {str(path): None if path.is_dir() else path.read_bytes()
            for path in sorted(Path().rglob("*")) if "__pycache__" not in path.parts}


@pytest.mark.parametrize(("command", "value", "part"), CASES)
def test_what_cannot_be_used(inputs, capsys, command, value, part):
    words = [{"''": "", "' '": " ", "{}": value}.get(word, word) for word in command.split()]
    words = [{"''": "", "' '": " "}.get(word, word) for word in words]
    before = contents()
    try:
        code = main(words)
    except SystemExit as ending:
        code = ending.code
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert err.startswith("gembench: error: ")
    assert err.index("\n") == len(err) - 1
    assert part in err
    assert contents() == before


def arguments(parser=None):
    """Every argument of every command, with the words that lead to it."""
    for action in (parser or build_parser())._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from arguments(below)
        else:
            yield (parser or build_parser()).prog, action


def test_every_path_is_of_a_type_that_refuses_nothing():
    """No argument takes a path as it stands, for an empty one is the current folder."""
    assert [(command, action.dest) for command, action in arguments() if action.type is Path] == []
    assert {action.type for _, action in arguments()} >= {readable, file, folder}


@pytest.mark.parametrize("kind", [readable, file, folder])
@pytest.mark.parametrize("name", ["", " ", "\t", "a\0b"])
def test_what_is_no_name(kind, name):
    with pytest.raises(argparse.ArgumentTypeError) as raised:
        kind(name)
    assert str(raised.value).isprintable()


def test_a_report_without_results(inputs, capsys):
    """Nothing has been measured yet: the report says so."""
    Path("studies/claims.toml").write_text(CLAIM)
    assert main(["report", "--experiments", "studies"]) == 0
    assert capsys.readouterr().out == "results/report.html\n"
    assert "<th>here</th>" in Path("results/report.html").read_text()


def test_a_folder_is_asked_for_and_not_made(inputs):
    require_folder(Path("a/b/c"))
    require_folder(Path("none"))
    require_folder(None)
    assert not Path("a").exists()
