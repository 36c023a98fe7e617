"""`gembench templates` from volumes and picks to stacks, masks, tables and exit codes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from gembench.cli import main
from gembench.engine.picks import Picks
from gembench.engine.turning import disc_mask, rotate, rotate_mask
from gembench.io.coordinates import write_coordinates
from gembench.io.images.mrc import read_stack, write_mrc

D, BOX = 32, 32
C = D // 2


def block(length=25, width=15):
    """A bright upright block with z up: length along z, width along x and y."""
    z, y, x = np.indices((D, D, D)) - C
    solid = (abs(z) <= length // 2) & (np.maximum(abs(x), abs(y)) <= width // 2)
    return gaussian_filter(solid.astype(np.float32), 0.7)


def particle():
    """A dark, upright F."""
    image = np.zeros((BOX, BOX))
    image[6:27, 11:15] = image[6:10, 11:23] = image[14:18, 11:19] = -1
    return gaussian_filter(image, 1)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_mrc("block.mrc", block(), 4.0)
    return tmp_path


@pytest.fixture
def picked(folder):
    """Two micrographs with turned dark particles and rings, and their coordinates."""
    rng = np.random.default_rng(5)
    ring = np.hypot(*(np.indices((BOX, BOX)) - BOX // 2))
    ring = -gaussian_filter((abs(ring - 8) < 2).astype(float), 1)
    Path("mics").mkdir()
    picks = []
    for name in ("a.mrc", "b.mrc"):
        image = rng.normal(5, 0.2, (200, 200))
        xy, labels = [], []
        for number, (row, column) in enumerate(np.ndindex(4, 4)):
            y, x = 25 + 48 * row, 25 + 48 * column
            view = rotate(particle(), rng.uniform(0, 360), outside="constant") if number % 4 else ring
            image[y - 16 : y + 16, x - 16 : x + 16] += view
            xy.append((x, y))
            labels.append("side" if number % 4 else "top")
        xy.append((10, 100))  # its box leaves the micrograph
        labels.append("side")
        picks.append(Picks(name, *np.array(xy, float).T, label=np.array(labels)))
        write_mrc(f"mics/{name}", image, 3.0)
    write_coordinates("picks.csv", picks)
    return picks


def templates(*options):
    return main(["templates", *map(str, options)])


def from_volume(*options, volume="block.mrc", views="side,top"):
    return templates("--volume", volume, "--views", views, "-o", "t.mrcs", *options)


def from_picks(*options, coordinates="picks.csv", box=BOX):
    return templates("--from-picks", coordinates, "--micrographs", "mics", "--box", box, "-o", "t.mrcs",
                     *options)


def test_views_of_a_volume_and_their_masks(folder, capsys):
    assert from_volume("--masks", "m.mrcs", "--margin", 2) == 0
    (side, top), size = read_stack("t.mrcs")
    assert size == pytest.approx(4)
    np.testing.assert_allclose(side, -block().sum(1), atol=1e-3)  # dark, z up
    np.testing.assert_allclose(top, -block().sum(0), atol=1e-4)
    masks, size = read_stack("m.mrcs")
    assert size == pytest.approx(4)
    assert np.unique(masks).tolist() == [0, 1]
    for mask, (height, width) in zip(masks > 0, ((25, 15), (15, 15)), strict=True):
        np.testing.assert_array_equal(rotate_mask(mask, 180), mask)
        assert np.ptp(np.flatnonzero(mask.any(1))) + 1 == pytest.approx(height + 4, abs=2)
        assert np.ptp(np.flatnonzero(mask.any(0))) + 1 == pytest.approx(width + 4, abs=2)
    out = capsys.readouterr().out
    assert "rectangle" in out
    assert "2 templates of 32 x 32 px, 4 A/px, particles dark" in out


def test_blobs_of_a_volume_land_where_the_views_say(folder):
    volume = np.zeros((D, D, D), np.float32)
    volume[C + 6, C + 4, C + 3] = 1  # x 3, y 4, z 6
    write_mrc("blobs.mrc", gaussian_filter(volume, 1), 4.0)
    assert from_volume("--quiet", volume="blobs.mrc") == 0
    side, top = read_stack("t.mrcs")[0]
    assert np.unravel_index(side.argmin(), side.shape) == (C - 6, C - 4)
    assert np.unravel_index(top.argmin(), top.shape) == (C + 4, C + 3)


def test_bright_templates_are_dark_ones_inverted(folder):
    assert from_volume("--quiet") == 0
    dark, _ = read_stack("t.mrcs")
    assert from_volume("--quiet", "--contrast", "bright") == 0
    np.testing.assert_array_equal(read_stack("t.mrcs")[0], -dark)


def test_euler_files_give_the_named_views(folder):
    assert from_volume("--quiet") == 0
    named, _ = read_stack("t.mrcs")
    Path("angles.txt").write_text("# side, top\n0 90 -90\n0 0 0\n")
    assert from_volume("--quiet", views="angles.txt") == 0
    np.testing.assert_array_equal(read_stack("t.mrcs")[0], named)
    columns = "\n".join(("_rlnAngleRot", "_rlnAngleTilt", "_rlnAnglePsi"))
    Path("angles.star").write_text(f"data_\n\nloop_\n{columns}\n0 90 -90\n0 0 0\n")
    assert from_volume("--quiet", views="angles.star") == 0
    np.testing.assert_array_equal(read_stack("t.mrcs")[0], named)


def test_box_pixel_size_and_lowpass(folder):
    assert from_volume("--quiet", "--box", 40) == 0
    wide, _ = read_stack("t.mrcs")
    assert wide.shape == (2, 40, 40)
    assert from_volume("--quiet", "--to-pixel-size", 2) == 0
    fine, size = read_stack("t.mrcs")
    assert (fine.shape, size) == ((2, 64, 64), pytest.approx(2))
    np.testing.assert_allclose(fine[:, 8:56:2, 8:56:2], wide[:, 8:32, 8:32], atol=1e-4)
    assert from_volume("--quiet", "--lowpass", 40) == 0
    soft, _ = read_stack("t.mrcs")
    assert np.abs(np.diff(soft)).max() < 0.6 * np.abs(np.diff(wide)).max()


def test_averages_of_labelled_picks(picked, capsys):
    assert from_picks("--label", "side", "--label", "top", "--rotational", "top", "--masks", "m.mrcs",
                      "--plots", "plots") == 0
    (side, top), size = read_stack("t.mrcs")
    assert size == pytest.approx(3)
    disc = disc_mask((BOX, BOX), 14)
    fits = [np.corrcoef(rotate(side, psi)[disc], particle()[disc])[0, 1] for psi in range(0, 360, 2)]
    assert max(fits) > 0.95
    np.testing.assert_allclose(rotate(top, 90)[1:, 1:], top[1:, 1:], atol=1e-4)
    masks, _ = read_stack("m.mrcs")
    assert [mask[C, C] for mask in masks] == [1, 1]
    out, err = capsys.readouterr()
    rows = {line.split()[0]: line.split()[1:3] for line in out.splitlines() if line.strip()}
    assert rows["side"] == ["24", "2"]
    assert rows["top"] == ["8", "0"]
    assert "aligning side: iteration 5 of 5" in err
    assert sorted(path.name for path in Path("plots").iterdir()) == ["templates.png", "templates.svg"]


def test_without_labels_every_pick_makes_one_view(picked, capsys):
    assert from_picks("--iterations", 1, "--symmetry", "2m") == 0
    average, _ = read_stack("t.mrcs")
    assert average.shape == (1, BOX, BOX)
    np.testing.assert_allclose(average[0, :, 1:], average[0, :, :0:-1], atol=1e-4)
    np.testing.assert_allclose(average[0, 1:, 1:], average[0, :0:-1, 1:], atol=1e-3)
    assert "all picks" in capsys.readouterr().out


def test_the_same_command_gives_the_same_bytes(picked):
    made = []
    for _ in range(2):
        assert from_picks("--quiet", "--label", "top", "--rotational") == 0
        made.append(Path("t.mrcs").read_bytes())
    assert made[0] == made[1]


def refused(capsys, code, expected):
    assert code == 2
    error = capsys.readouterr().err
    assert error.startswith("gembench: error: ")
    assert error.count("\n") == 1
    assert expected in error
    assert not Path("t.mrcs").exists()


@pytest.mark.parametrize(("options", "expected"), [
    ({"volume": "none.mrc"}, "none.mrc: no such file"),
    ({"volume": "flat.mrc"}, "flat.mrc: volume of 8 x 32 x 32 voxels is not a cube"),
    ({"volume": "empty.mrc"}, "empty.mrc: all voxels are 0"),
    ({"views": "side,front"}, "'front' is no view; choose from top, side"),
    ({"views": "angles.txt"}, "angles.txt: no such file"),
    ({"views": "bad.txt"}, "bad.txt:2: '0 90' is not three angles"),
])
def test_bad_volumes_and_views_are_one_line(folder, capsys, options, expected):
    write_mrc("flat.mrc", block()[:8], 4.0)
    write_mrc("empty.mrc", np.zeros((8, 8, 8)), 4.0)
    Path("bad.txt").write_text("0 0 0\n0 90\n")
    refused(capsys, from_volume("--quiet", **options), expected)


@pytest.mark.parametrize(("options", "expected"), [
    (["--label", "side"], "--label goes with --from-picks, not --volume"),
    (["--pixel-size", 2], "block.mrc: pixel size is 4 A/px in the header but 2 A/px was given"),
    (["--to-pixel-size", -1], "--to-pixel-size -1"), (["--box", 0], "box of 0 px"),
    (["--lowpass", 7], "low-pass of 7 A"), (["--margin", -1], "--margin -1"),
    (["--masks", "t.mrcs"], "t.mrcs: is both"), (["--masks", "m.png"], "m.png: is written as an MRC stack"),
    (["--masks", "no/m.mrcs"], "no/m.mrcs: cannot be written: its folder does not exist"),
])
def test_bad_options_are_one_line(folder, capsys, options, expected):
    refused(capsys, from_volume("--quiet", *options), expected)


@pytest.mark.parametrize(("options", "expected"), [
    (["--label", "front"], "picks.csv: no picks with label front; choose from side, top"),
    (["--label", "side", "--label", "side"], "--label side is given twice"),
    (["--views", "side"], "--views goes with --volume, not --from-picks"),
    (["--symmetry", "D5"], "symmetry 'D5' is unknown"),
    (["--symmetry", "front=2"], "--symmetry front: there is no such view"),
    (["--rotational", "front"], "--rotational front: there is no such view"),
    (["--pixel-size", 2], "a.mrc: pixel size is 3 A/px in the header but 2 A/px was given"),
    (["--lowpass", 5], "low-pass of 5 A"), (["--max-shift", 0], "largest shift of 0 px"),
])
def test_bad_options_for_picks_are_one_line(picked, capsys, options, expected):
    refused(capsys, from_picks("--quiet", *options), expected)


def test_boxes_and_micrographs_that_do_not_fit(picked, capsys):
    refused(capsys, from_picks("--quiet", box=220), "a.mrc: box of 220 px is larger than the micrograph")
    write_coordinates("one.csv", [Picks("a.mrc", np.array([25.0, 3]), np.array([25.0, 3]))])
    refused(capsys, from_picks("--quiet", coordinates="one.csv"), "view all picks: 1 of 2 particles")
    write_coordinates("c.csv", [Picks("c.mrc", np.array([25.0]), np.array([25.0]))])
    refused(capsys, from_picks("--quiet", coordinates="c.csv"), "mics: micrograph c.mrc is not in")
    write_mrc("mics/b.mrc", np.random.default_rng(0).normal(size=(200, 200)), 2.0)
    refused(capsys, from_picks("--quiet"), "b.mrc: pixel size is 2 A/px but that of others is 3")


def test_one_source_is_needed(folder, capsys):
    with pytest.raises(SystemExit) as exit_:
        templates("-o", "t.mrcs")
    assert exit_.value.code == 2
    refused_error = capsys.readouterr().err
    assert "one of the arguments --volume --from-picks --from-false is required" in refused_error
    refused(capsys, templates("--volume", "block.mrc", "-o", "t.mrcs"), "--volume needs --views")


@pytest.mark.real
@pytest.mark.skipif("GEMBENCH_DATA" not in os.environ, reason="GEMBENCH_DATA is not set")
def test_klh_side_views_give_the_known_average(folder):
    klh = Path(os.environ["GEMBENCH_DATA"]) / "klh"
    lines = (klh / "annotations.csv").read_text().splitlines()
    few = ["micrograph", *sorted({line.split(",")[0] for line in lines[1:]})[:6]]
    Path("few.csv").write_text("\n".join(line for line in lines if line.split(",")[0] in few))
    assert templates("--from-picks", "few.csv", "--micrographs", klh / "micrographs", "--pixel-size", 2.2,
                     "--box", 272, "--label", "side", "--symmetry", 2, "--quiet", "-o", "t.mrcs") == 0
    average = read_stack("t.mrcs")[0][0]
    template, mask = read_stack(klh / "templates.mrcs")[0][0], read_stack(klh / "masks.mrcs")[0][0] > 0
    assert np.corrcoef(average[mask], template[mask])[0, 1] > 0.9


def test_an_average_of_nothing_warns_and_what_was_skipped_says_why(picked, capsys):
    rng = np.random.default_rng(0)
    write_mrc("mics/a.mrc", rng.normal(0, 1, (200, 200)), 3.0)
    xy = np.stack(np.meshgrid(np.arange(5, 190, 20.0), np.arange(25, 170, 20.0))).reshape(2, -1)
    write_coordinates("picks.csv", [Picks("a.mrc", *xy)])
    assert from_picks("--rotational") == 0
    out, error = capsys.readouterr()
    assert "two halves of the particles" in error
    assert "do not trust it" in error
    assert f"Left out: particles whose box of {BOX} px leaves the micrograph" in out


def test_a_good_average_says_that_its_halves_agree(picked, capsys):
    assert from_picks("--label", "side", box=24) == 0
    out, error = capsys.readouterr()
    assert "Halves" in out
    assert "do not trust it" not in error


def test_symmetry_0_is_rotational(picked):
    both = ("--label", "side", "--label", "top", "--quiet")
    assert from_picks(*both, "--rotational", "top", box=24) == 0
    rotational = read_stack("t.mrcs")[0]
    assert from_picks(*both, "--symmetry", "top=0", box=24) == 0
    np.testing.assert_array_equal(read_stack("t.mrcs")[0], rotational)
