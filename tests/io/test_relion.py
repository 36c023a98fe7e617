"""RELION itself, where it is installed: it reads our STAR files, and its positions and angles are ours."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from gembench.cli import main
from gembench.engine.picks import Picks
from gembench.io.coordinates import read_coordinates, write_coordinates
from gembench.io.images.mrc import read_stack, write_mrc, write_stack

pytestmark = pytest.mark.skipif(shutil.which("relion_autopick") is None, reason="RELION is not installed")

BOX, PIXEL = 64, 4.0
C = BOX // 2
PLANTED = Picks("m.mrc", [90, 301, 120, 260], [80, 100, 290, 270], [0.9, 0.8, 0.7, 0.6], [0, 7, 20, 43],
                [0, 0, 0, 0], [0, 35, 100, 215], ["side", "", "top", ""], PIXEL)
MICROGRAPHS = """
# version 30001
data_optics
loop_
_rlnOpticsGroupName
_rlnOpticsGroup
_rlnMicrographPixelSize
_rlnVoltage
_rlnSphericalAberration
_rlnAmplitudeContrast
one 1 4.0 120 2.0 0.1

# version 30001
data_micrographs
loop_
_rlnMicrographName
_rlnOpticsGroup
m.mrc 1
"""


def letter(psi: float) -> np.ndarray:
    """An F with a blob, which no turn or mirror maps onto itself, turned about pixel (C, C)."""
    image = np.zeros((BOX, BOX), np.float32)
    image[12:52, 22:28] = image[12:17, 22:46] = image[29:34, 22:41] = 1
    image[44:50, 38:44] = 2
    image = ndimage.gaussian_filter(image, 1)
    image[1:, 1:] = ndimage.rotate(image[1:, 1:], psi, reshape=False)  # odd size: about its middle pixel
    return image


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one micrograph, m.mrc, on which `PLANTED` lies, and the template."""
    image = np.random.default_rng(3).normal(0, 0.3, (384, 384)).astype(np.float32)
    for x, y, psi in zip(PLANTED.x.astype(int), PLANTED.y.astype(int), PLANTED.psi, strict=True):
        image[y - C:y + C, x - C:x + C] += letter(psi)
    write_mrc(tmp_path / "m.mrc", image, PIXEL)
    write_stack(tmp_path / "refs.mrcs", letter(0)[None], PIXEL)
    (tmp_path / "micrographs.star").write_text(MICROGRAPHS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def relion(program: str, *options: str) -> None:
    """Run a program of RELION in the current folder."""
    done = subprocess.run([f"relion_{program}", *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def extract(suffix: str) -> None:
    """The boxes around the picks in m{suffix}, into out/m.mrcs and out.star."""
    relion("preprocess", "--i", "micrographs.star", "--coord_dir", "./", "--coord_suffix", suffix,
           "--part_dir", "out/", "--part_star", "out.star", "--extract", "--extract_size", str(BOX))


def test_autopick_finds_our_positions_and_angles(project: Path) -> None:
    relion("autopick", "--i", "micrographs.star", "--ref", "refs.mrcs", "--odir", "out/", "--ang", "5",
           "--lowpass", "20", "--angpix", "4", "--particle_diameter", "250", "--min_distance", "200",
           "--threshold", "0.3", "--skip_optimise_scale")
    (picks,) = read_coordinates(project / "out" / "m_autopick.star")
    order = [int(np.hypot(*(picks.xy - at).T).argmin()) for at in PLANTED.xy]
    np.testing.assert_array_equal(picks[order].xy, PLANTED.xy)
    np.testing.assert_array_equal(picks[order].psi, PLANTED.psi)
    assert len(picks) == len(PLANTED)


@pytest.mark.parametrize("style", ["3.0", "3.1"])
def test_our_star_file_is_extracted_and_aligned(project: Path, style: str) -> None:
    write_coordinates(project / "m_picks.star", [PLANTED], style=style)
    extract("_picks.star")
    boxes, _ = read_stack(project / "out" / "m.mrcs")
    for box, psi in zip(boxes, PLANTED.psi, strict=True):
        match = np.fft.ifft2(np.fft.fft2(box) * np.conj(np.fft.fft2(letter(psi)))).real
        assert match.argmax() == 0  # no shift
    relion("stack_create", "--i", "out.star", "--o", "upright", "--apply_transformation")
    disc = np.hypot(*np.mgrid[-C:C, -C:C]) < C - 4
    for box in read_stack(project / "upright.mrcs")[0]:
        assert np.corrcoef(box[disc], letter(0)[disc])[0, 1] > 0.7
    (read,) = read_coordinates(project / "out.star")  # through RELION and back
    np.testing.assert_array_equal(read.xy, PLANTED.xy)
    np.testing.assert_array_equal(read.psi, PLANTED.psi)
    np.testing.assert_array_equal(read.template, PLANTED.template)


@pytest.mark.parametrize("style", ["3.0", "3.1"])
def test_a_file_without_picks_is_read(project: Path, style: str) -> None:
    write_coordinates(project / "m_picks.star", [PLANTED[:0]], style=style)
    extract("_picks.star")
    assert not (project / "out" / "m.mrcs").exists()


def test_our_box_file_is_extracted(project: Path) -> None:
    write_coordinates(project / "m_picks.box", [PLANTED], box_size=50)
    extract("_picks.box")
    boxes, _ = read_stack(project / "out" / "m.mrcs")
    for box, psi in zip(boxes, PLANTED.psi, strict=True):
        match = np.fft.ifft2(np.fft.fft2(box) * np.conj(np.fft.fft2(letter(psi)))).real
        assert match.argmax() == 0


# What `gembench pick` writes

OPTICS = ("--voltage", "120", "--cs", "2.0", "--amplitude-contrast", "0.1")


def planted_file(name: str) -> Path:
    """A micrograph on which the same letter lies, upright, at all places of `PLANTED`."""
    image = np.random.default_rng(5).normal(0, 0.1, (384, 400)).astype(np.float32)
    for x, y in PLANTED.xy.astype(int):
        image[y - C:y + C, x - C:x + C] += letter(0)
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        tifffile.imwrite(path, image)
    else:
        write_mrc(path, image, PIXEL)
    group = "opticsGroup1 1" if path.parent == Path() else "one 1"  # of files that are picked by themselves
    Path("micrographs.star").write_text(MICROGRAPHS.replace("m.mrc", name).replace("one 1", group))
    return path


def average(boxes: np.ndarray, path: Path) -> np.ndarray:
    """The mean of extracted boxes, in our frame: RELION turns TIFF files over, about row C of a box."""
    mean = boxes.mean(axis=0)
    return np.roll(mean[::-1], 1, axis=0) if path.suffix == ".tif" else mean


def off_centre(image: np.ndarray) -> list[int]:
    """How far, x and y, the letter lies from pixel (C, C) of a box."""
    match = np.fft.fftshift(np.fft.ifft2(np.fft.fft2(image) * np.conj(np.fft.fft2(letter(0)))).real)
    y, x = np.unravel_index(match.argmax(), match.shape)
    return [int(x) - C, int(y) - C]


def cut_off(picks: Picks, path: Path) -> list[list[int]]:
    """How far, x and y, particles lie from the pixels that RELION extracts: it cuts its fractions off."""
    rows = 384 - 1 if path.suffix == ".tif" else 0
    y = rows - np.trunc(rows - picks.y) if rows else np.trunc(picks.y)
    pixels = np.stack([np.trunc(picks.x), y], axis=1)
    nearest = [int(np.hypot(*(PLANTED.xy - at).T).argmin()) for at in picks.xy]
    return [[int(n) for n in row] for row in PLANTED.xy[nearest] - pixels]


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("name", ["m.mrc", "m.tif", "MotionCorr/job002/Movies/Foil_1.mrc",
                                  "MotionCorr/job002/Movies/Foil_1.tif"])
def test_what_is_picked_is_what_relion_extracts(project: Path, name: str, again: bool) -> None:
    path = planted_file(name)
    options = ("--templates", "refs.mrcs", "--pixel-size", "4", "--angle-step", "360", "--contrast", "bright",
               "--average", "1", "--threshold", "0.7", "--threads", "1", "--fft", "scipy", "--quiet")
    picked = [name, *OPTICS] if path.parent == Path() else ["micrographs.star"]
    assert main(["pick", *picked, *options, "-o", "out"]) == 0
    inner = path.relative_to("MotionCorr/job002") if path.parts[0] == "MotionCorr" else path
    if again:  # RELION finds the optics groups of our particles by their names
        relion("preprocess", "--i", "micrographs.star", "--reextract_data_star", "out/picks.star",
               "--part_dir", "parts/", "--part_star", "parts.star", "--extract", "--extract_size", str(BOX))
    else:
        relion("preprocess", "--i", "micrographs.star", "--coord_dir", "out/", "--coord_suffix", ".star",
               "--part_dir", "parts/", "--part_star", "parts.star", "--extract", "--extract_size", str(BOX))
    boxes, _ = read_stack(Path("parts") / inner.with_suffix(".mrcs"))
    assert len(boxes) == len(PLANTED)
    (picks,) = read_coordinates("out/picks.star")
    assert np.abs(picks.xy - PLANTED.xy[[int(np.hypot(*(PLANTED.xy - at).T).argmin()) for at in picks.xy]]
                  ).max() < 0.2
    assert [off_centre(average(box[None], path)) for box in boxes] == cut_off(picks, path)
    assert np.abs(off_centre(average(boxes, path))).max() <= 1
    write_coordinates("truth.csv", [replace(PLANTED, micrograph=name)])
    for written in ("out", "out/picks.star", "out/autopick.star"):
        assert main(["score", "--picks", written, "--truth", "truth.csv", "--radius", "1", "--resamples", "0",
                     "--json", "s.json", "--quiet"]) == 0
        assert json.loads(Path("s.json").read_text())["true_positives"] == len(PLANTED)
