"""Folders and micrographs as programs and cameras leave them: what is picked, what is left out, and why."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import tifffile
from PIL import Image

from gembench.cli import main
from gembench.engine.turning import disc_mask
from gembench.io.coordinates import read_coordinates
from gembench.io.images.micrographs import read_micrograph, read_shape
from gembench.io.images.mrc import write_mrc, write_stack

SHAPE, BOX, CENTRE = (64, 72), 16, (46, 28)  # x, y
TEMPLATE = np.zeros((BOX, BOX))
TEMPLATE[3:13, 4:7] = TEMPLATE[10:13, 4:12] = -1
PLANTED = np.random.default_rng(0).normal(0, 0.1, SHAPE)
PLANTED[20:36, 38:54] += TEMPLATE
NOISE = np.random.default_rng(1).normal(0, 1, SHAPE)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_stack("t.mrcs", TEMPLATE[None], 2.0)
    return tmp_path


def put(name: str, image: np.ndarray = PLANTED, pixel_size: float | None = 2.0) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".mrc":
        write_mrc(path, image, pixel_size)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, image.astype(np.float32))
    else:
        Image.fromarray(np.clip(image * 40 + 128, 0, 255).astype(np.uint8)).save(path)
    return path


def pick(*words: str, code: int = 0, templates: str = "t.mrcs", pixel_size: str = "2") -> list[str]:
    """The micrographs that are picked, all of which show the particle at its place."""
    assert main(["pick", *words, "--templates", templates, "--pixel-size", pixel_size, "--angle-step", "90",
                 "--average", "1", "--clip", "0", "--threads", "1", "--fft", "scipy", "--threshold", "0.7",
                 "--quiet", "--overwrite", "-o", "out"]) == code
    if not Path("out/picks.star").exists():
        return []
    lists = read_coordinates("out/picks.star")
    assert all(np.rint(picks.xy).tolist() == [list(CENTRE)] for picks in lists)
    return [picks.micrograph for picks in lists]


# Folders

def test_what_epu_leaves_beside_a_micrograph(capsys: pytest.CaptureFixture[str]) -> None:
    put("mics/FoilHole_1_Data_2_3.mrc")
    put("mics/FoilHole_1_Data_2_3.jpg", NOISE)
    Path("mics/FoilHole_1_Data_2_3.xml").write_text("<MicroscopeImage/>")
    assert pick("mics") == ["FoilHole_1_Data_2_3.mrc"]
    err = capsys.readouterr().err
    assert "left out, the same names in another image format: FoilHole_1_Data_2_3.jpg" in err
    assert err.count("\n") == 1


def motion_corrected(*endings: str) -> None:
    for ending in ("", *endings):
        put(f"mics/Foil_1{ending}.mrc", NOISE if ending in ("_PS", "_CTF") else PLANTED)
    Path("mics/Foil_1.star").write_text("data_general\n\n_rlnImageSizeX 72\n")


def test_what_motion_correction_leaves_beside_a_micrograph(capsys: pytest.CaptureFixture[str]) -> None:
    motion_corrected("_PS", "_noDW")
    assert pick("mics") == ["Foil_1.mrc"]
    err = capsys.readouterr().err
    assert "left out, power spectra, gain references and the like: Foil_1_PS.mrc" in err
    assert "left out, sums without dose weighting beside those with it: Foil_1_noDW.mrc" in err


@pytest.mark.parametrize(("options", "taken"), [
    (("--include", "*_noDW*"), ["Foil_1_noDW.mrc"]),
    (("--include", "*_noDW*", "--include", "Foil_2.mrc"), ["Foil_1_noDW.mrc", "Foil_2.mrc"]),
    (("--leave-out", "Foil_1.mrc"), ["Foil_1_noDW.mrc", "Foil_2.mrc"]),
    (("--leave-out", "Foil_1*"), ["Foil_2.mrc"]),
    (("--leave-out", "*_1.mrc", "--leave-out", "mics/*_2.mrc"), ["Foil_1_noDW.mrc"]),
])
def test_include_and_leave_out(options: tuple[str, ...], taken: list[str]) -> None:
    motion_corrected("_PS", "_noDW")
    put("mics/Foil_2.mrc")
    assert pick("mics", *options) == taken


def test_patterns_that_leave_nothing_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    motion_corrected()
    assert pick("mics", "--leave-out", "*", code=2) == []
    err = capsys.readouterr().err.splitlines()
    assert err[-1].startswith("gembench: error: mics: no micrographs in this folder but what is left out")
    assert pick("mics", "--include", "*.tif", code=2) == []


@pytest.mark.parametrize("name", ["a'b", 'a"b', "a#b", "data_1", "_a", "été", "a b"])
def test_a_name_that_star_files_quote_is_picked_like_any_other(name: str) -> None:
    for each in (name, "b", "c"):
        put(f"mics/{each}.mrc")
    assert sorted(pick("mics")) == sorted([f"{name}.mrc", "b.mrc", "c.mrc"])
    assert len(read_coordinates("out/autopick.star")) == 3


# Micrographs

def frames(count: int = 24) -> np.ndarray:
    return np.stack([PLANTED] * count).astype(np.float32)


def mrc_movie(path: Path) -> None:
    with mrcfile.new(path, frames()) as movie:
        movie.set_image_stack()


MOVIES: dict[str, Callable[[Path], object]] = {
    "movie.tif": lambda path: tifffile.imwrite(path, frames()),
    "pages.tif": lambda path: [tifffile.imwrite(path, frame, append=True) for frame in frames()],
    "lzw.tif": lambda path: Image.fromarray(frames()[0]).save(
        path, save_all=True, append_images=[Image.fromarray(frame) for frame in frames()[1:]],
        compression="tiff_lzw"),
    "movie.mrc": mrc_movie, "movie.mrcs": mrc_movie,
}


@pytest.mark.parametrize("name", MOVIES)
def test_a_movie_is_called_a_movie_and_the_others_are_picked(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    MOVIES[name](Path(name))
    assert pick(name, str(put("b.mrc")), code=1) == ["b.mrc"]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"gembench: error: {name}: holds 24 sections where one image is needed: a movie"
                           " wants motion correction first, or the average of its frames")


def test_unusable_micrographs_and_names_are_listed_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    mrc_movie(Path("movie.mrc"))
    put("zeros.mrc", np.zeros(SHAPE))
    files = {"empty.mrc": b"", "text.mrc": b"text", "bad\nname.mrc": put("b.mrc").read_bytes(),
             "cut.mrc": put("b.mrc").read_bytes()[:2000]}
    for name, content in files.items():
        Path(name).write_bytes(content)
    bad = ["movie.mrc", "zeros.mrc", *files]
    assert pick(bad[0], "b.mrc", *bad[1:], code=1) == ["b.mrc"]
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == ("gembench: error: not picked: movie.mrc, zeros.mrc, empty.mrc, text.mrc,"
                         " bad?name.mrc, cut.mrc (6 of 7 micrographs)")
    assert len(lines) == 7
    assert all(line.startswith("gembench: error: ") for line in lines)
    assert pick(*bad, code=2) == []


def with_header(path: str, **fields: tuple[int, int]) -> Path:
    """A micrograph whose header has other whole numbers at these places."""
    data = bytearray(put(path).read_bytes())
    for at, value in fields.values():
        data[at:at + 4] = value.to_bytes(4, "little", signed=True)
    Path(path).write_bytes(data)
    return Path(path)


@pytest.mark.parametrize("space_group", [0, 1, 401, 402])
def test_one_section_is_a_micrograph_whatever_its_space_group(space_group: int) -> None:
    """401 is a stack of volumes, here of one with one section."""
    path = with_header("a.mrc", ispg=(88, space_group))
    np.testing.assert_array_equal(read_micrograph(path).data, PLANTED.astype(np.float32))


def test_volumes_of_no_sections_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with_header("a.mrc", ispg=(88, 401), mz=(36, 0))
    assert pick("a.mrc", code=2) == []
    assert "a.mrc: the MRC header speaks of volumes (ispg 401) of 0 sections (mz)" in capsys.readouterr().err


@pytest.mark.parametrize(("size", "message"), [
    (10**8, "its header speaks of 100019456 bytes, 100000000 of them in an extended header (nsymbt), and it"
            " has 19456"),
    (-5, "the MRC header speaks of -5 bytes of extended header (nsymbt)"),
])
def test_an_extended_header_that_is_not_there_is_named(size: int, message: str,
                                                       capsys: pytest.CaptureFixture[str]) -> None:
    with_header("a.mrc", nsymbt=(92, size))
    assert pick("a.mrc", code=2) == []
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("size", [80, 1024, 131072])
def test_extended_headers_are_passed_over(size: int) -> None:
    """Symmetry records, and what SerialEM and FEI write."""
    data = with_header("a.mrc", nsymbt=(92, size)).read_bytes()
    Path("a.mrc").write_bytes(data[:1024] + bytes(size) + data[1024:])
    np.testing.assert_array_equal(read_micrograph("a.mrc").data, PLANTED.astype(np.float32))


def test_a_header_in_nanometres_is_taken_for_that(capsys: pytest.CaptureFixture[str]) -> None:
    put("a.mrc", pixel_size=0.2)
    assert pick("a.mrc") == ["a.mrc"]
    assert "pixel size 0.2 A/px in the header is taken for nm; the given 2 A/px is used" in (
        capsys.readouterr().err)
    assert read_coordinates("out/picks.star")[0].pixel_size == 2


def test_the_pixel_size_can_be_insisted_on(capsys: pytest.CaptureFixture[str]) -> None:
    put("a.mrc", pixel_size=7.0)
    assert pick("a.mrc", code=2) == []
    assert "7 A/px in the header but 2 A/px was given" in (err := capsys.readouterr().err)
    assert "--ignore-header" in err
    assert pick("a.mrc", "--ignore-header") == ["a.mrc"]
    assert read_coordinates("out/picks.star")[0].pixel_size == 2
    assert json.loads(Path("out/run.json").read_text())["settings"]["pixel_size"] == 2
    assert pick("a.mrc", "--ignore-header", templates="t.mrcs", pixel_size="3") == ["a.mrc"]


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.jpg"])
def test_pixels_beyond_pillows_limit_are_no_alarm(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera's 11,520 x 8,184 pixels are; a warning is an error here."""
    image = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    image.save(name, **({"compression": "tiff_lzw"} if name == "a.tif" else {}))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60)
    assert read_micrograph(name, pixel_size=1).shape == read_shape(name) == (8, 8)


# Templates

def classes(*views: np.ndarray) -> None:
    write_stack("classes.mrcs", np.stack(views), 2.0)


OTHER = np.rot90(TEMPLATE).copy()
OTHER[5, 9] = -3
EMPTY = np.zeros_like(TEMPLATE)


def test_an_empty_class_is_left_out_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    classes(OTHER, EMPTY, TEMPLATE)
    assert pick(str(put("a.mrc")), templates="classes.mrcs") == ["a.mrc"]
    assert ("classes.mrcs: templates without any contrast are left out, as empty classes are: 1 (1 of 3)"
            in capsys.readouterr().err)
    assert read_coordinates("out/picks.star")[0].view.tolist() == [2]  # numbered as in the file


def test_what_goes_with_an_empty_class_goes_too() -> None:
    classes(OTHER, EMPTY, TEMPLATE)
    masks = np.ones((3, BOX, BOX))
    masks[2, :, 14:] = 0
    write_stack("masks.mrcs", masks, 2.0)
    put("a.mrc")
    pick("a.mrc", "--masks", "masks.mrcs", "--symmetry", "4,2,1", "--template-contrast", "dark",
         templates="classes.mrcs")
    assert read_coordinates("out/picks.star")[0].view.tolist() == [2]
    pick("a.mrc", "--symmetry", "1,1,1", templates="classes.mrcs")


@pytest.mark.parametrize("numbers", [1, 2])
def test_nothing_but_empty_classes_is_one_line(numbers: int, capsys: pytest.CaptureFixture[str]) -> None:
    classes(*[EMPTY] * numbers)
    put("a.mrc")
    assert pick("a.mrc", templates="classes.mrcs", code=2) == []
    assert capsys.readouterr().err == (
        "gembench: error: classes.mrcs: every template has one value throughout; give templates that show"
        " particles\n")


def test_errors_call_templates_by_their_numbers_in_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    unclear, disc = NOISE[:BOX, :BOX].copy(), disc_mask((BOX, BOX))
    unclear -= np.where(disc, unclear[disc].mean(), unclear[~disc].mean())  # neither dark nor bright
    classes(EMPTY, TEMPLATE, unclear)
    put("a.mrc")
    assert pick("a.mrc", templates="classes.mrcs", code=2) == []
    assert "classes.mrcs: template 2 does not show" in capsys.readouterr().err
    classes(EMPTY, TEMPLATE, -TEMPLATE)
    pick("a.mrc", templates="classes.mrcs")
    assert "classes.mrcs: template 2 is inverted" in capsys.readouterr().err
    masks = np.ones((3, BOX, BOX))
    masks[2] = 0
    masks[2, :2] = 1
    write_stack("masks.mrcs", masks, 2.0)
    pick("a.mrc", "--masks", "masks.mrcs", templates="classes.mrcs", code=2)
    assert "template 2 is constant under its mask" in capsys.readouterr().err
