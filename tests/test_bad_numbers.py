"""A hundred bad inputs to all commands: one line that says why, exit code 2, nothing written."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from gembench.cli import main
from gembench.io.images.mrc import write_mrc, write_stack

PICK = "pick a.mrc --templates t.mrcs --pixel-size 2 --angle-step 90 --threads 1 -o out --quiet"
SCORE = "score --picks p.csv --truth p.csv --radius 5"
VOLUME = "templates --volume v.mrc --views top -o out.mrcs"
SIMULATE = "simulate -o out --count 1 --size 128"
HUGE = "9" * 400

# A command, and words that stand for its last options or are added to them: what its line must hold.
BAD = {
    PICK: {
        "--threads 100000": "is above", "--threads 1e3": "not a whole number",
        f"--threads {HUGE}": "is above",
        f"--threads {'9' * 5000}": "not a whole number", "--threads ²": "not a whole number",
        "--angle-step 1e-6": "a finer turn moves no pixel", "--angle-step 1e-300": "a finer turn",
        "--angle-step 0": "angle step", "--angle-step 1e400": "not a finite number",
        "--lowpass 1e7": "nothing is left", "--lowpass 1e300": "nothing is left", "--lowpass -1": "low-pass",
        "--memory 1e400": "not a size", f"--memory {HUGE}": "not a size", "--memory 0": "not a size",
        "--memory -5G": "expected one argument", "--memory 10M": "allow more", "--memory x": "not a size",
        "--symmetry 99999999": "is above 360", "--symmetry 1,2,3": "symmetry", "--symmetry x": "not a number",
        "--average 0": "averaging", "--average 99999": "is above", "--average 500": "averaging",
        "--border 1e400": "not a finite number", "--border 1e9": "leaves nothing", "--border -1": "border",
        "--clip -1": "clip", "--clip inf": "not a finite number", "--threshold 2": "threshold",
        "--high-threshold -2": "threshold", "--distance -1": "distance", "--max-picks 0": "max picks",
        "--max-picks 1e9": "not a whole number", "--max-picks 99999999999": "is above",
        "--pixel-size 0": "A/px", "--pixel-size 1e-300": "A/px", "--pixel-size 3": "A/px",
        "--method best": "invalid choice", "--device gpu:x": "gpu:x", "--fft nothing": "nothing",
        "--stall-limit nan": "not a finite number", "--reduce tree": "--reduce", "--colour red": "--colour",
        "--templates pipe.mrcs": "is a pipe", "--templates zero.mrcs": "is a device",
        "--templates nowhere.mrcs": "no such file", "--templates empty.mrcs": "empty",
        "--masks text.mrcs": "not a whole MRC", "--masks a.mrc": "", "--exclude nowhere": "no such",
        "--exclude folder": "no images in this folder", "--output": "expected one argument",
    },
    PICK.replace("a.mrc", "pipe.mrc"): {"": "is a pipe"},
    PICK.replace("a.mrc", "zero.mrc"): {"": "is a device"},
    PICK.replace("a.mrc", "eps.png"): {"": "no PNG, JPEG"},
    PICK.replace("a.mrc", "text.mrc"): {"": "not a whole"},
    "pick nowhere.mrc --templates t.mrcs --pixel-size 2 --angle-step 90 -o out": {"": "no such file"},
    "pick p.csv --templates t.mrcs --pixel-size 2 --angle-step 90 -o out": {"": "unknown extension"},
    SCORE: {
        "--seed -1": "is below 0", f"--seed {HUGE}": "is above", "--seed x": "not a whole number",
        "--resamples 1e8": "not a whole number", "--resamples 100000000": "10,000 settle",
        "--resamples -5": "below", "--views 99999999999": "32 bits", "--views x": "not a whole number",
        "--views -1": "is below 0", "--radius -1": "radius", "--radius nan": "not a finite number",
        "--radius 1e400": "not a finite number", "--threshold inf": "not a finite number",
        "--picks pipe.csv": "is a pipe", "--picks zero.star": "is a device", "--picks nowhere.csv": "no such",
        "--picks empty.csv": "empty", "--picks a.mrc": "extension", "--truth folder": "no coordinate files",
        "--truth binary.csv": "", "--flip-y picks": "micrographs", "--flip-y x": "invalid choice",
        "--method x": "invalid choice", "--micrographs nowhere": "no such",
    },
    VOLUME: {
        "--to-pixel-size 0.001": "give a larger pixel size", "--to-pixel-size 1e-300": "",
        "--to-pixel-size 0": "",
        "--to-pixel-size nan": "not a finite number", "--lowpass 1e300": "nothing is left",
        "--lowpass 1e-3": "hold nothing finer", "--box 99999999": "is above",
        "--box 0": "box", "--box -3": "",
        "--views nowhere": "", "--volume a.mrc": "single section", "--volume pipe.mrc": "is a pipe",
        "--volume nowhere.mrc": "no such", "--margin inf": "not a finite number", "--symmetry 2": "",
        "--pixel-size 1e400": "not a finite number",
    },
    "templates --from-picks p.csv --micrographs . -o out.mrcs --pixel-size 2 --box 16": {
        "--symmetry 99999999": "at most 360", "--iterations 99999999": "is above",
        "--iterations 0": "iterations",
        "--max-shift 1e9": "shift", "--label nobody": "", "--micrographs nowhere": "no such",
    },
    SIMULATE: {
        "--size 60000": "no camera has more pixels", "--size 0": "", "--size 1": "", "--count 0": "",
        f"--count {HUGE}": "is above", "--seed -1": "is below 0", "--seed 1.5": "not a whole number",
    },
    "simulate --count 1 --size 128": {"": "required"},
    "run nothing": {
        "": "no such folder", "--time-limit 100000000000000000000": "four months",
        "--time-limit 0": "below 1",
        "--rounds 99999999": "is above", "--rounds x": "not a whole number",
    },
    "data import folder --name klh": {"": "no micrographs", "--pixel-size nan": "not a finite number"},
    "data import nowhere --name klh": {"": "not a folder"},
    "data import folder --name ../x": {"": "name"},
    "data fetch nothing": {"": "nothing"},
    "report": {"--grid x": "invalid choice"},
    "nonsense": {"": "invalid choice"},
}
CASES = [(command, words, part) for command, options in BAD.items() for words, part in options.items()]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of good and bad files."""
    folder = tmp_path_factory.mktemp("inputs")
    rng = np.random.default_rng(0)
    write_mrc(folder / "a.mrc", rng.normal(size=(64, 64)), 2.0)
    template = np.zeros((16, 16))
    template[3:13, 4:7] = template[10:13, 4:12] = -1
    write_stack(folder / "t.mrcs", template[None], 2.0)
    import mrcfile

    with mrcfile.new(folder / "v.mrc", rng.normal(size=(12, 12, 12)).astype(np.float32)) as volume:
        volume.set_volume()
        volume.voxel_size = 2.0
    (folder / "p.csv").write_text("micrograph,x,y,score\na.mrc,20,20,0.5\n")
    (folder / "folder").mkdir()
    for name in ("pipe.mrc", "pipe.mrcs", "pipe.csv"):
        os.mkfifo(folder / name)
    for name in ("zero.mrc", "zero.mrcs", "zero.star"):
        (folder / name).symlink_to("/dev/zero")
    for name in ("empty.mrcs", "empty.csv"):
        (folder / name).touch()
    for name in ("text.mrc", "text.mrcs"):
        (folder / name).write_text("hello" * 500)
    (folder / "binary.csv").write_bytes(bytes(range(256)))
    (folder / "eps.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n%%EOF\n")
    return folder


def test_there_are_a_hundred() -> None:
    assert len(CASES) >= 100


@pytest.mark.parametrize(("command", "words", "part"), CASES, ids=lambda value: str(value)[:40])
def test_bad_input_is_one_line(
        inputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path,
        command: str, words: str, part: str) -> None:
    monkeypatch.chdir(inputs)
    monkeypatch.setenv("GEMBENCH_DATA", str(tmp_path))
    before = sorted(inputs.rglob("*"))
    try:
        code = main([*command.split(), *words.split()])
    except SystemExit as ending:
        code = ending.code  # type: ignore[assignment]
    errors = [line for line in capsys.readouterr().err.splitlines() if "warning:" not in line]
    assert code == 2
    assert len(errors) == 1
    assert errors[0].startswith("gembench: error: ")
    assert part in errors[0]
    left = set(inputs.rglob("*")) - set(before)
    assert not [path for path in left if path.suffix in (".star", ".mrcs", ".png", ".part")]
    for path in sorted(left, reverse=True):  # a run that picks nothing still says so in run.json
        path.rmdir() if path.is_dir() else path.unlink()


def test_no_output_is_not_the_current_folder(
        inputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(inputs)
    for command in (PICK, SIMULATE, VOLUME):
        with pytest.raises(SystemExit) as ending:
            main([*command.split(), "-o", ""])
        assert ending.value.code == 2
        assert "is empty: name " in capsys.readouterr().err
