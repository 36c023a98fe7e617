"""Bad input to `gembench pick` and `gembench score`: one line, exit code 2, nothing half-written."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from gembench.cli import main
from gembench.engine.exact.producer import CPUSearch
from gembench.engine.fft import LIBRARIES
from gembench.io.coordinates import read_coordinates
from gembench.io.images.mrc import write_mrc, write_stack

SHAPE, BOX, CENTRE = (72, 80), 16, (50, 30)  # x, y


def template():
    """A dark L."""
    image = np.zeros((BOX, BOX))
    image[3:13, 4:7] = image[10:13, 4:12] = -1
    return image


def micrograph(seed=0):
    """Noise and one particle at CENTRE."""
    image = np.random.default_rng(seed).normal(40, 1, SHAPE)
    x, y = CENTRE
    image[y - BOX // 2 : y + BOX // 2, x - BOX // 2 : x + BOX // 2] += 8 * template()
    return image


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder: a.mrc, templates.mrcs, masks.mrcs."""
    monkeypatch.chdir(tmp_path)
    write_mrc("a.mrc", micrograph(), 2.0)
    write_stack("templates.mrcs", template()[None], 2.0)
    write_stack("masks.mrcs", np.ones((1, BOX, BOX)), 2.0)


OPTIONS = {"--templates": "templates.mrcs", "--pixel-size": "2", "--angle-step": "90", "--average": "1",
           "--clip": "0", "--threads": "1", "--fft": "scipy", "-o": "out", "--threshold": "0.7"}


def pick(*micrographs, **changed):
    """Exit code of `gembench pick`; options are changed by name, underscores for hyphens."""
    options = OPTIONS | {f"--{name.replace('_', '-')}": str(value) for name, value in changed.items()}
    words = ["pick", *(micrographs or ["a.mrc"]), *(word for pair in options.items() for word in pair)]
    return main([*words, "--quiet"])


def refused(capsys, *parts):
    """The one line on stderr, which holds `parts`; stdout is empty."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("gembench: error: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    for part in parts:
        assert part in err
    return err


def with_pixel(value):
    image = micrograph()
    image[3, 4] = value
    return image


def mrc(data, name="bad.mrc", size=2.0):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of NaN
        file = mrcfile.new(name, data)
    with file:
        file.voxel_size = size


def truncated():
    write_mrc("bad.mrc", micrograph(), 2.0)
    Path("bad.mrc").write_bytes(Path("bad.mrc").read_bytes()[:-1000])


MICROGRAPHS = {
    "truncated": (truncated, "is not a whole MRC file"),
    "empty file": (lambda: Path("bad.mrc").touch(), "the file is empty"),
    "not an MRC file": (lambda: Path("bad.mrc").write_text("hello" * 500), "is not a whole MRC file"),
    "three dimensions": (lambda: mrc(np.ones((5, *SHAPE), np.float32)), "holds 5 sections"),
    "NaN": (lambda: mrc(with_pixel(np.nan).astype(np.float32)), "1 of 5760 pixels are NaN or infinite"),
    "infinite": (lambda: mrc(with_pixel(-np.inf).astype(np.float32)), "1 of 5760 pixels are NaN or infinite"),
    "constant": (lambda: mrc(np.full(SHAPE, 7, np.float32)), "all pixels are 7"),
    "complex": (lambda: mrc(np.ones(SHAPE, np.complex64)), "complex numbers"),
    "other pixel size": (lambda: mrc(micrograph().astype(np.float32), size=3), "3 A/px in the header but 2"),
    "smaller than the template": (lambda: mrc(micrograph()[:12].astype(np.float32)),
                                  "box of 16 x 16 px is larger than the micrograph of 80 x 12 px"),
}


@pytest.mark.parametrize("kind", MICROGRAPHS)
def test_a_bad_micrograph_among_good_ones(folder, capsys, kind):
    """One line names it; the good one is picked all the same."""
    make, reason = MICROGRAPHS[kind]
    make()
    assert pick("bad.mrc", "a.mrc") == 1
    refused(capsys, "bad.mrc: ", reason)
    (picks,) = read_coordinates("out/picks.star")
    assert picks.micrograph == "a.mrc"
    assert np.rint(picks.xy).tolist() == [list(CENTRE)]
    assert {path.name for path in Path("out").iterdir()} == {
        "a.star", "autopick.star", "picks.star", "run.json"}
    assert reason in json.loads(Path("out/run.json").read_text())["micrographs"]["bad"]["error"]


@pytest.mark.parametrize("dtype", [np.uint16, np.float16, np.int16, np.int8])
def test_every_real_mode_of_mrc_is_picked(folder, dtype):
    """Modes 6, 12, 1 and 0."""
    mrc(micrograph().astype(dtype))
    assert pick("bad.mrc") == 0
    (picks,) = read_coordinates("out/picks.star")
    assert np.rint(picks.xy).tolist() == [list(CENTRE)]


def test_a_placeholder_of_a_pixel_size_is_warned_of_once(folder, capsys):
    """1.0 in a header is taken for unknown; three micrographs and the templates are one kind of warning."""
    for name in "bcd":
        write_mrc(f"{name}.mrc", micrograph(), 1.0)
    write_stack("templates.mrcs", template()[None], 1.0)
    assert pick("b.mrc", "c.mrc", "d.mrc") == 0
    text = "pixel size 1.0 A/px in the header is taken for a placeholder; the given 2 A/px is used"
    assert capsys.readouterr().err.splitlines() == [
        f"gembench: warning: templates.mrcs: {text}", f"gembench: warning: 3 more: {text}"]
    assert read_coordinates("out/picks.star")[0].pixel_size == 2


def test_a_pixel_size_of_zero_is_unknown(folder, capsys):
    write_mrc("a.mrc", micrograph(), None)
    assert pick() == 0
    assert capsys.readouterr().err == ""


def chequered():
    """A template as bright at its edges as within, (1, BOX, BOX)."""
    return np.indices((1, BOX, BOX)).sum(0) % 2 - 0.5


def no_files(name):
    Path(name).mkdir()


def same_names():
    shutil.copy("a.mrc", "a.mrcs")


def damaged_record(text):
    Path("out").mkdir()
    Path("out/run.json").write_text(text)


def others_stars():
    Path("out").mkdir()
    Path("out/mine.star").write_text("data_\n")


PREPARED = {  # what is made, micrographs, options, parts of the line
    "missing micrograph": (None, ["nowhere.mrc"], {}, ["nowhere.mrc: no such file"]),
    "folder without micrographs": (lambda: no_files("empty"), ["empty"], {}, ["empty: no micrographs"]),
    "unknown extension": (lambda: Path("a.dm4").touch(), ["a.dm4"], {}, ["a.dm4: unknown extension '.dm4'"]),
    "duplicate names": (same_names, ["a.mrc", "a.mrcs"], {}, ["a.mrcs: same micrograph name as"]),
    "named as the summary": (lambda: write_mrc("picks.mrc", micrograph(), 2.0), ["picks.mrc"], {},
                             ["picks.mrc: ", "rename it"]),
    "missing templates": (None, [], {"templates": "nowhere.mrcs"}, ["nowhere.mrcs: no such file"]),
    "templates of other pixel size": (lambda: write_stack("t.mrcs", template()[None], 3.0), [],
                                      {"templates": "t.mrcs"}, ["t.mrcs: pixel size is 3 A/px"]),
    "masks of other pixel size": (lambda: write_stack("m.mrcs", np.ones((1, BOX, BOX)), 3.0), [],
                                  {"masks": "m.mrcs"}, ["m.mrcs: pixel size is 3 A/px"]),
    "templates that are a volume": (lambda: write_mrc("v.mrc", np.ones((BOX,) * 3), 2.0), [],
                                    {"templates": "v.mrc"}, ["v.mrc: is flagged as a volume"]),
    "NaN in a template": (lambda: mrc(np.full((1, BOX, BOX), np.nan, np.float32), "t.mrcs"), [],
                          {"templates": "t.mrcs"}, ["t.mrcs: 256 of 256 pixels are NaN"]),
    "constant template": (lambda: write_stack("t.mrcs", np.ones((1, BOX, BOX)), 2.0), [],
                          {"templates": "t.mrcs"}, ["t.mrcs", "every template has one value"]),
    "empty mask": (lambda: write_stack("m.mrcs", np.zeros((1, BOX, BOX)), 2.0), [], {"masks": "m.mrcs"},
                   ["m.mrcs", "mask 0 is empty"]),
    "mask of another shape": (lambda: write_stack("m.mrcs", np.ones((1, BOX, BOX + 2)), 2.0), [],
                              {"masks": "m.mrcs"}, ["m.mrcs", "(1, 16, 18)", "(1, 16, 16)"]),
    "masks of another number": (lambda: write_stack("m.mrcs", np.ones((3, BOX, BOX)), 2.0), [],
                                {"masks": "m.mrcs"}, ["m.mrcs", "give one a template, or one"]),
    "contrast that cannot be seen": (lambda: write_stack("t.mrcs", chequered(), 2.0), [],
                                     {"templates": "t.mrcs", "masks": "masks.mrcs"},
                                     ["t.mrcs: template 0 does not show", "--template-contrast"]),
    "missing excluded areas": (None, [], {"exclude": "nowhere"}, ["nowhere: no such file or folder"]),
    "excluded areas of no micrograph": (lambda: (no_files("x"), shutil.copy("a.mrc", "x/b.mrc")), [],
                                        {"exclude": "x"}, ["x: no image here is named as a micrograph"]),
    "damaged run.json": (lambda: damaged_record('{"settings": '), [], {}, ["out/run.json: is damaged"]),
    "run.json of something else": (lambda: damaged_record('{"settings": 1, "runs": 2, "micrographs": 3}'), [],
                                   {}, ["out/run.json: is damaged"]),
    "a list for run.json": (lambda: damaged_record("[]"), [], {}, ["out/run.json: is damaged"]),
    "others' STAR files": (others_stars, [], {}, ["out: holds STAR files but no run.json"]),
}


@pytest.mark.parametrize("kind", PREPARED)
def test_unusable_files_are_named_before_anything_is_written(folder, capsys, kind):
    make, micrographs, options, parts = PREPARED[kind]
    if make is not None:
        make()
    before = {path: path.read_bytes() for path in Path("out").rglob("*")}
    assert pick(*micrographs, **options) == 2
    refused(capsys, *parts)
    assert {path: path.read_bytes() for path in Path("out").rglob("*")} == before


@pytest.mark.parametrize(("options", "parts"), [
    ({"pixel_size": 0}, ["0.0 A/px"]), ({"pixel_size": -2}, ["-2.0 A/px"]),
    ({"threads": 0}, ["0 threads: give at least 1"]), ({"threads": -3}, ["-3 threads: give at least 1"]),
    ({"angle_step": 0}, ["angle step 0.0 degrees", "choose a step"]),
    ({"angle_step": -4}, ["angle step -4.0 degrees"]), ({"angle_step": 361}, ["angle step 361.0 degrees"]),
    ({"symmetry": "1,2"}, ["symmetry (1, 2), 1 views"]), ({"symmetry": -2}, ["symmetry (-2,)"]),
    ({"threshold": 1.5}, ["threshold 1.5"]), ({"threshold": -2}, ["threshold -2.0"]),
    ({"high_threshold": 0.1}, ["high threshold 0.1"]),
    ({"distance": -1}, ["distance -1.0: give at least 0"]),
    ({"max_picks": 0}, ["max picks 0: give at least 1"]),
    ({"average": 0}, ["averaging filter of 0 px"]), ({"average": 500}, ["a.mrc: averaging filter of 500 px"]),
    ({"lowpass": -1}, ["low-pass filter at -1.0 A"]),
    ({"clip": -1}, ["clip -1.0"]),
    ({"fft": "fftpack"}, ["FFT library 'fftpack' is unknown: choose from auto, "]),
], ids=str)
def test_values_out_of_range_are_named(folder, capsys, options, parts):
    assert pick(**options) == 2
    refused(capsys, *parts)
    assert not list(Path().glob("out/*.star"))


@pytest.mark.parametrize(("options", "parts"), [
    ({"angle_step": "four"}, ["--angle-step", "'four'"]), ({"symmetry": "C2"}, ["--symmetry", "'C2'", "2,0"]),
    ({"symmetry": "2,"}, ["--symmetry", "'2,'"]), ({"threads": 1.5}, ["--threads", "'1.5'"]),
    ({"peaks": "best"}, ["--peaks", "'best'"]), ({"contrast": "grey"}, ["--contrast", "'grey'"]),
    ({"method": "quick"}, ["--method", "'quick'"]), ({"colour": "red"}, ["--colour red"]),
    *(({name: value}, [f"--{name.replace('_', '-')}", f"'{value}' is not a finite number"])
      for name in ("pixel_size", "angle_step", "threshold", "high_threshold", "distance", "border", "lowpass",
                   "clip")
      for value in ("nan", "inf", "1e400")),
], ids=str)
def test_words_that_are_not_understood_are_named(folder, capsys, options, parts):
    with pytest.raises(SystemExit) as ending:
        pick(**options)
    assert ending.value.code == 2
    refused(capsys, *parts, "; see gembench ", " --help")


def test_an_fft_library_that_cannot_be_used_is_named_with_the_remedy(folder, capsys, monkeypatch):
    reason = "not installed: pip install 'gembench[mkl]'"
    monkeypatch.setattr(LIBRARIES["mkl"], "unavailable", classmethod(lambda cls: reason))
    assert pick(fft="mkl") == 2
    refused(capsys, f"FFT library 'mkl' cannot be used: {reason}")


def test_an_excluded_area_of_another_shape_is_the_micrographs_error(folder, capsys):
    Path("areas").mkdir()
    write_mrc("areas/a.mrc", np.zeros((5, 6)), None)
    assert pick(exclude="areas") == 2
    refused(capsys, "a.mrc: the excluded area has shape (5, 6)")


@pytest.mark.parametrize("out", ["a.mrc", "a.mrc/out", "/proc/gembench/out"])
def test_a_folder_that_cannot_be_made_is_named(folder, capsys, out):
    before = sorted(Path().rglob("*"))
    options = {"-o": out}
    words = [word for pair in (OPTIONS | options).items() for word in pair]
    assert main(["pick", "a.mrc", *words]) == 2
    assert f"{out}: the folder cannot be created: " in refused(capsys)
    assert sorted(Path().rglob("*")) == before


@pytest.fixture
def no_space():
    """A function that limits the size of new files, as a full device would."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_no_space_for_the_picks_ends_the_run(folder, capsys, no_space):
    """Writing fails for one micrograph as for all; what was there before stays whole."""
    assert pick() == 0
    before = {path: path.read_bytes() for path in Path("out").iterdir()}
    write_mrc("b.mrc", micrograph(1), 2.0)
    no_space(100)
    try:
        assert pick("a.mrc", "b.mrc") == 2
    finally:
        no_space(resource.RLIM_INFINITY)
    refused(capsys, "out/run.json: cannot be written: ")
    del before[Path("out/autopick.star")]
    del before[Path("out/picks.star")]  # it would not hold what is being picked
    assert {path: path.read_bytes() for path in Path("out").iterdir()} == before


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # mrcfile leaves its file open
def test_no_space_for_the_maps_leaves_no_part_of_them(folder, capsys, no_space):
    assert pick() == 0
    no_space(8000)
    try:
        assert main(["pick", "a.mrc", *(word for pair in OPTIONS.items() for word in pair), "--quiet",
                     "--save-maps"]) == 2
    finally:
        no_space(resource.RLIM_INFINITY)
    refused(capsys, "out/maps/a_score.mrc: cannot be written: ")
    assert {path.name for path in Path("out").rglob("*") if path.is_file()} == {"run.json"}


def test_no_memory_is_one_line(folder, capsys, monkeypatch):
    def run(search, image, **options):
        raise MemoryError("Unable to allocate 9 TiB")

    monkeypatch.setattr(CPUSearch, "run", run)
    assert pick() == 2
    refused(capsys, "out of memory: Unable to allocate 9 TiB: use fewer threads")
    assert not list(Path("out").glob("*.star"))


def test_kernels_run_where_nothing_can_be_kept(folder, tmp_path):
    """If neither the package's folder nor the user's holds numba's compiled code, memory does."""
    script = ("import numba.core.caching as caching, sys\n"
              "def refuse(self): raise OSError('read-only')\n"
              "for locator in caching._CacheLocator.__subclasses__():\n"
              "    locator.ensure_cache_path = refuse\n"
              "from gembench.engine import score_map\n"
              "score = score_map.np.zeros((2, 2), score_map.np.float32)\n"
              "index = score_map.np.zeros((2, 2), score_map.np.int32)\n"
              "score_map.merge(score, index, score + 1, index + 5)\n"
              "print(index.tolist())\n")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[[5, 5], [5, 5]]\n", "")


@pytest.mark.parametrize(("text", "parts"), [
    ("", ["picks.csv: the file is empty"]), ("micrograph,x\na.mrc,1\n", ["picks.csv", "y"]),
    ("micrograph,x,y\na.mrc,1,left\n", ["picks.csv", "left"]),
    ("micrograph,x,y\na.mrc,1,nan\n", ["picks.csv"]), ("micrograph,x,y\na.mrc,1\n", ["picks.csv"]),
    ("\0\1\2\3", ["picks.csv"]),
], ids=repr)
def test_malformed_coordinates_are_named(folder, capsys, text, parts):
    Path("picks.csv").write_text(text)
    Path("truth.csv").write_text("micrograph,x,y\na.mrc,50,30\n")
    assert main(["score", "--picks", "picks.csv", "--truth", "truth.csv", "--radius", "5"]) == 2
    refused(capsys, *parts)
