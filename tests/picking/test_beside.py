"""Beside: picks whose surroundings look like them are part of something longer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates, zoom

from gembench.cli import main
from gembench.engine.bank import TemplateBank, grid_angles
from gembench.engine.peaks import PeakSettings
from gembench.engine.picks import Picks
from gembench.engine.turning import rotate
from gembench.errors import InputError
from gembench.io.coordinates import read_coordinates
from gembench.io.images.mrc import write_stack
from gembench.picking.beside import beside_scores
from gembench.picking.picker import Picker
from gembench.picking.settings import PickSettings

BOX, DISTANCE = 32, 24
PARTICLES, TUBE = [(40, 50), (200, 40), (60, 160)], (150, 110)  # x, y


def shape(length, box):
    """A dark bar of bands across it, every 6 px."""
    image = np.zeros((box, box))
    middle, half = box // 2, length // 2
    image[middle - half : middle + half + 1, middle - 4 : middle + 5] = -1
    image[middle % 6 :: 6] *= 3
    return gaussian_filter(image, 0.7)


def micrograph(seed=0, noise=0.1):
    image = np.random.default_rng(seed).normal(0, noise, (200, 256))
    for number, (x, y) in enumerate(PARTICLES):
        image[y - 16 : y + 16, x - 16 : x + 16] += rotate(shape(19, BOX), 45 * number, outside="constant")
    x, y = TUBE
    image[y - 48 : y + 48, x - 48 : x + 48] += rotate(shape(85, 96), 45, outside="constant")
    return image.astype(np.float32)


def bank():
    mask = np.zeros((BOX, BOX))
    mask[5:28, 10:23] = 1
    return TemplateBank(shape(19, BOX)[None], mask[None], grid_angles(45), symmetry=(2,))


def ring_by_hand(image, bank, index, y, x, distance=DISTANCE, step=1):
    """The best score in the ring by direct sums, wholly inside the micrograph, at every step-th pixel."""
    template = bank.rotated(index)
    reach = range(-3 * distance // 4, 3 * distance // 4 + 1, step)
    return max(template.score_at(image, y + dy, x + dx) for dy in reach for dx in reach
               if distance / 2 <= np.hypot(dy, dx) <= 3 * distance / 4)


def test_scores_beside_are_those_of_direct_sums_and_high_on_a_tube_only():
    image = gaussian_filter(micrograph(), 1)
    places = [*PARTICLES, TUBE]
    picks = Picks("a.mrc", *np.array(places, float).T, template=[0, 1, 2, 1])
    scores = beside_scores(image.astype(np.float64) + 1e5, bank(), picks, DISTANCE)
    expected = [ring_by_hand(image, bank(), index, y, x)
              for index, (x, y) in zip(picks.template.tolist(), places, strict=True)]
    assert scores == pytest.approx(expected, abs=1e-6)
    assert scores[3] > 0.7 > 0.5 > max(scores[:3])


def test_coarse_pixels_change_little():
    """A mask of 78 x 138 px is binned by 2; direct sums look at every third pixel of the ring."""
    image = zoom(gaussian_filter(micrograph(), 1), 6, order=1)
    size, middle = 6 * BOX, BOX // 2
    places = np.meshgrid(*[(np.arange(size) - size // 2) / 6 + middle] * 2, indexing="ij")
    template, mask = (map_coordinates(part, places, order=1, mode="nearest")
                      for part in (shape(19, BOX), bank().masks[0] * 1.0))
    large = TemplateBank(template[None], mask[None], grid_angles(45), symmetry=(2,))
    x, y = (round(at * (6 * side - 1) / (side - 1)) for at, side in zip(TUBE, (256, 200), strict=True))
    beside = beside_scores(image, large, Picks("a", [x], [y], template=[1]), 6 * DISTANCE)
    assert beside == pytest.approx(ring_by_hand(image, large, 1, y, x, 6 * DISTANCE, 3), abs=0.02)


def test_beyond_the_frame_is_nothing_that_could_score():
    """A tube that the frame cuts is one still; of a micrograph as small as the mask no place is left."""
    image = micrograph(noise=0.01)
    x, y = TUBE
    cut = image[:, : x + 8]
    pick = Picks("a.mrc", [x], [y], template=[1])
    assert beside_scores(cut, bank(), pick, DISTANCE)[0] > 0.7
    small = image[y - 16 : y + 16, x - 16 : x + 16]
    assert beside_scores(small, bank(), Picks("a.mrc", [16], [16], template=[1]), 64).tolist() == [-1]
    assert beside_scores(np.ones((99, 99)), bank(), Picks("a", [50], [50], template=[1]), 24).tolist() == [-1]


@pytest.fixture
def folder(two_micrographs):
    two_micrographs(micrograph, 3.0)
    write_stack("templates.mrcs", bank().templates, 3.0, "dark")
    write_stack("masks.mrcs", bank().masks, 3.0)


COMMAND = ("pick", "mics", "--templates", "templates.mrcs", "--masks", "masks.mrcs", "--pixel-size", "3",
           "--angle-step", "45", "--symmetry", "2", "--threshold", "0.6", "--distance", str(DISTANCE),
           "--lowpass", "8", "--threads", "1", "--fft", "scipy")


def near(path, places):
    """How many picks of a.mrc lie at one of the places, and how many elsewhere."""
    rows = next(picks for picks in read_coordinates(path) if picks.micrograph == "a.mrc").xy
    gaps = np.linalg.norm(rows[:, None] - np.array(places), axis=2).min(axis=1)
    return int((gaps < 3).sum()), int((gaps >= 3).sum())


@pytest.mark.parametrize("options", [("--average", "1"), ("--average", "4"),
                                     ("--average", "1", "--method", "banded")])
def test_what_is_part_of_a_tube_is_dropped_and_counted(folder, capsys, options):
    assert main([*COMMAND, *options, "-o", "all"]) == 0
    assert "were dropped" not in capsys.readouterr().out
    single, others = near("all/picks.star", PARTICLES)
    assert (single, others > 1) == (3, True)
    assert main([*COMMAND, *options, "--beside", "0.6", "-o", "out"]) == 0
    facts = json.loads(Path("out/run.json").read_text())
    dropped = sum(facts["micrographs"][name]["beside"] for name in "ab")
    assert f"{dropped} picks were dropped: their template reaches more than 0.6" in capsys.readouterr().out
    assert near("out/picks.star", PARTICLES) == (3, others - facts["micrographs"]["a"]["beside"])
    assert near("out/picks.star", [TUBE])[0] == 0
    assert facts["settings"]["beside"] == 0.6
    before = json.loads(Path("all/run.json").read_text())
    assert "beside" not in before["settings"]
    assert "beside" not in before["micrographs"]["a"]


@pytest.mark.parametrize("method", ["exact", "banded"])
def test_the_best_so_many_are_those_of_what_is_left(folder, method):
    command = [*COMMAND, "--average", "1", "--method", method, "--beside", "0.6"]
    assert main([*command, "-o", "all", "--quiet"]) == 0
    assert main([*command, "--max-picks", "2", "-o", "two", "--quiet"]) == 0
    every, two = (read_coordinates(f"{name}/a.star")[0] for name in ("all", "two"))
    assert two.xy == pytest.approx(every.xy[:2], abs=1e-3)


def test_values_that_mean_nothing_are_refused(folder, capsys):
    for value in ("0", "-1", "1.2"):
        assert main([*COMMAND, "--beside", value, "-o", "out"]) == 2
        assert "such as 0.5" in capsys.readouterr().err
        assert not Path("out").exists()
    settings = PickSettings(3.0, peaks=PeakSettings(), beside=0.5)
    with pytest.raises(InputError, match="needs a distance between picks above 0"):
        Picker(bank(), settings)


def test_a_folder_is_bound_to_it(folder, capsys):
    assert main([*COMMAND, "--beside", "0.6", "-o", "out", "--quiet"]) == 0
    assert main([*COMMAND, "-o", "out"]) == 2
    assert "beside" in capsys.readouterr().err


def test_what_is_beside_is_a_column_that_filter_goes_by(folder, capsys):
    """The picks that are kept are those that pick keeps, and a table holds the column as well."""
    command = [*COMMAND, "--average", "1", "--quiet"]
    assert main([*command, "-o", "plain"]) == 0
    assert main([*command, "--beside-column", "-o", "all"]) == 0
    assert main([*command, "--beside", "0.6", "-o", "wanted"]) == 0
    (plain, *_), (every, *_), (expected, *_) = (read_coordinates(f"{name}/a.star")
                                              for name in ("plain", "all", "wanted"))
    assert every.xy.tolist() == plain.xy.tolist()
    assert np.isnan(plain.beside).all()
    assert "gembenchBeside" not in Path("plain/a.star").read_text()
    assert every.alone(0.6).sum() == len(expected) < len(every)
    assert expected.beside.tolist() == every.beside[every.alone(0.6)].tolist()
    assert json.loads(Path("all/run.json").read_text())["settings"]["beside_column"] is True
    assert "beside_column" not in json.loads(Path("wanted/run.json").read_text())["settings"]
    assert main(["convert", "all/picks.star", "all.csv", "--quiet"]) == 0
    for source in ("all", "all.csv"):
        output = f"kept-{source}-"
        assert main(["filter", source, "--beside", "0.6", "-o", output, "--quiet"]) == 0
        kept = next(part for part in read_coordinates(f"{output}/picks.star") if part.micrograph == "a.mrc")
        assert kept.xy.tolist() == expected.xy.tolist()
        assert kept.beside.tolist() == expected.beside.tolist()
    assert main(["filter", "plain", "--beside", "0.6", "-o", "none"]) == 2
    assert "--beside-column" in capsys.readouterr().err
    assert main(["filter", "all", "--beside", "1.5", "-o", "none"]) == 2
    assert "such as 0.5" in capsys.readouterr().err
    assert not Path("none").exists()


def test_the_best_so_many_are_taken_after_what_is_beside(folder):
    command = [*COMMAND, "--average", "1", "--quiet"]
    assert main([*command, "--beside-column", "-o", "all"]) == 0
    assert main(["filter", "all", "--beside", "0.6", "--max-picks", "2", "-o", "two", "--quiet"]) == 0
    every, two = (read_coordinates(f"{name}/a.star")[0] for name in ("all", "two"))
    assert two.score.tolist() == every.score[every.alone(0.6)][:2].tolist()
    assert main([*command, "--beside-column", "--distance", "0", "-o", "none"]) == 2
