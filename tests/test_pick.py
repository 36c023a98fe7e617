"""`gembench pick` from micrographs with planted particles to STAR files, maps, pictures and run.json."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from gembench import __version__
from gembench.cli import main
from gembench.commands.numbers import size as bytes_of
from gembench.engine.turning import disc_mask, rotate
from gembench.io.coordinates import read_coordinates
from gembench.io.images.micrographs import read_micrograph
from gembench.io.images.mrc import read_volume, write_mrc, write_stack

BOX, STEP, PIXEL_SIZE, THRESHOLD = 32, 30, 3.0, "0.65"
ANGLES = 360 // STEP
SHAPE = (200, 256)
PLANTED = {  # micrograph: x, y, view, psi
    "a.mrc": [(40, 60, 0, 0), (120, 50, 0, 210), (200, 140, 1, 60)],
    "b.mrc": [(60, 150, 1, 330), (180, 44, 0, 90)],
    "c.mrc": [],
}


def views():
    """Two dark particles without any symmetry, an F and a hook, (2, BOX, BOX)."""
    images = np.zeros((2, BOX, BOX))
    images[0, 6:27, 11:15] = images[0, 6:10, 11:23] = images[0, 14:18, 11:19] = -1
    images[1, 8:12, 8:24] = images[1, 8:26, 20:24] = images[1, 18:22, 14:24] = -1
    return np.stack([gaussian_filter(image, 1) for image in images])


def planted(particles, templates, seed, noise=0.15):
    """A micrograph with turned templates added to noise, each centred on its pixel."""
    image = np.random.default_rng(seed).normal(20, noise, SHAPE)
    for x, y, view, psi in particles:
        top, left = y - BOX // 2, x - BOX // 2
        image[top : top + BOX, left : left + BOX] += rotate(templates[view], psi, outside="constant")
    return image


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with mics/ and templates.mrcs."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "mics").mkdir()
    for seed, (name, particles) in enumerate(PLANTED.items()):
        write_mrc(folder / "mics" / name, planted(particles, views(), seed), PIXEL_SIZE)
    write_stack(folder / "templates.mrcs", views(), PIXEL_SIZE)
    return folder


def command(data, out, *options, micrographs=("mics",), templates="templates.mrcs"):
    return ["pick", *(str(data / name) for name in micrographs), "--templates", str(data / templates),
            "--pixel-size", str(PIXEL_SIZE), "--angle-step", str(STEP), "--threshold", THRESHOLD,
            "--threads", "1", "--fft", "scipy", "-o", str(out), *map(str, options)]


@pytest.fixture
def pick(data, tmp_path):
    """A function that picks into tmp_path / 'out' and returns the picks by micrograph."""
    def run(*options, **inputs):
        out = tmp_path / "out"
        assert main(command(data, out, *options, **inputs)) == 0
        return {part.micrograph: part for part in read_coordinates(out / "picks.star")}

    return run


@pytest.fixture(scope="module")
def default(data, tmp_path_factory):
    """The folder that the default settings write."""
    out = tmp_path_factory.mktemp("default") / "out"
    assert main(command(data, out)) == 0
    return out


def assert_planted(picks, within=0.5, micrographs=PLANTED):
    """The picks are what was planted, and nothing else."""
    for name in micrographs:
        if not PLANTED[name]:
            assert name not in picks
            continue
        part = picks[name]
        order = np.argsort(part.x)
        x, y, view, psi = np.array(sorted(PLANTED[name])).T
        assert len(part) == len(x)
        assert np.hypot(part.x[order] - x, part.y[order] - y).max() < within
        assert part.view[order].tolist() == view.tolist()
        assert part.psi[order].tolist() == psi.tolist()
        assert part.template[order].tolist() == (view * ANGLES + psi // STEP).tolist()


def test_planted_particles_come_out_with_their_view_and_angle(default):
    """In picks.star, and the same in the file of each micrograph, best first, with the pixel size."""
    picks = {part.micrograph: part for part in read_coordinates(default / "picks.star")}
    assert_planted(picks)
    for name in PLANTED:
        own = read_coordinates((default / name).with_suffix(".star"), micrograph=name)[0]
        assert len(own) == len(PLANTED[name])
        if len(own):
            assert own.pixel_size == PIXEL_SIZE
            assert (own.score > 0.75).all()
            assert (np.diff(own.score) <= 0).all()
            for column in ("x", "y", "score", "view", "template", "psi"):
                np.testing.assert_array_equal(getattr(own, column), getattr(picks[name], column))
    assert {path.name for path in default.iterdir()} == {"a.star", "autopick.star", "b.star", "c.star",
                                                         "picks.star", "run.json"}


def test_run_json_holds_settings_versions_and_times(default, data):
    record = json.loads((default / "run.json").read_text())
    assert set(record) == {"settings", "runs", "micrographs"}
    settings = record["settings"]
    assert {name: settings[name] for name in ("angle_step", "pixel_size", "contrast", "average", "exclude")} \
        == {"angle_step": STEP, "pixel_size": PIXEL_SIZE, "contrast": "dark", "average": 4, "exclude": None}
    assert settings["peaks"]["threshold"] == float(THRESHOLD)
    assert settings["peaks"]["distance"] == round(0.75 * np.sqrt(disc_mask((BOX, BOX)).sum()))
    assert len(settings["templates"]) == 64
    (run,) = record["runs"]
    assert set(run) == {"start", "argv", "threads", "fft", "fft_version", "fft_choice", "machine",
                        "libraries", "process", "end", "seconds", "stage_seconds", "beside_seconds"}
    assert (run["threads"], run["fft"]) == (1, "scipy")
    assert run["argv"] == ["gembench", *command(data, default)]
    assert run["libraries"]["gembench"] == __version__
    assert {key: facts["picks"] for key, facts in record["micrographs"].items()} == {"a": 3, "b": 2, "c": 0}
    for key, facts in record["micrographs"].items():
        file = data / "mics" / f"{key}.mrc"
        assert (facts["file"], facts["bytes"]) == (file.name, file.stat().st_size)
        assert facts["changed"] == file.stat().st_mtime_ns
        assert facts["seconds"] >= facts["search_seconds"] > 0
        # 2 of the micrograph, 1 of the disc, 1 for each pair of opposite turns of the two views
        assert facts["transforms"] == {"forward": 3 + ANGLES, "inverse": 2 + 2 * ANGLES}


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_no_averaging_filter_moves_the_picks(pick, k):
    assert_planted(pick("--average", k), within=0.25 if k > 1 else 0.5)


@pytest.mark.parametrize("options", [
    ("--method", "paper"), ("--precision", "float64"), ("--interpolation", "cubic"), ("--peaks", "gempicker"),
    ("--edges", "box"), ("--edges", "reflect"), ("--lowpass", 4 * PIXEL_SIZE), ("--fft", "auto"),
    ("--fft", "numpy"), ("--average", 1, "--clip", 0), ("--high-threshold", 0.99), ("--distance", 60),
], ids=lambda options: " ".join(map(str, options)))
def test_planted_particles_come_out_with_other_settings(pick, options):
    assert_planted(pick(*options))


def test_paper_and_exact_pick_the_same(pick, default):
    paper = pick("--method", "paper")
    for exact in read_coordinates(default / "picks.star"):
        other = paper[exact.micrograph]
        assert other.template.tolist() == exact.template.tolist()
        np.testing.assert_allclose(other.xy, exact.xy, atol=1e-3)
        np.testing.assert_allclose(other.score, exact.score, atol=1e-5)


@pytest.fixture(scope="module")
def bright(data):
    """The micrographs with bright particles, in data / 'bright'."""
    (data / "bright").mkdir()
    for name in PLANTED:
        image = read_micrograph(data / "mics" / name).data
        write_mrc(data / "bright" / name, 40 - image, PIXEL_SIZE)
    return ("bright",)


def test_templates_of_the_other_contrast_are_inverted_and_named(pick, bright, capsys):
    picks = pick("--contrast", "bright", micrographs=bright)
    assert_planted(picks)
    assert "inverted to match bright particles: template 0, 1\n" in capsys.readouterr().out


def test_bright_templates_for_dark_particles(data, pick, capsys):
    write_stack(data / "bright.mrcs", views() * np.array([1, -1])[:, None, None], PIXEL_SIZE)
    assert_planted(pick(templates="bright.mrcs"))
    assert "inverted to match dark particles: template 1\n" in capsys.readouterr().out


def test_the_templates_contrast_can_be_said(data, pick, capsys):
    """Said wrongly, templates are inverted, and the planted particles are not found."""
    assert pick("--template-contrast", "bright", "--average", 1) == {}
    assert "inverted to match dark particles: template 0, 1\n" in capsys.readouterr().out


def test_a_file_that_says_its_contrast_is_not_guessed_about(data, pick, capsys):
    """Between dark neighbours in the corners, a dark particle looks bright under the default disc."""
    halo = views() - 2.0 * ~disc_mask((BOX, BOX), 18)
    write_stack(data / "silent.mrcs", halo, PIXEL_SIZE)
    write_stack(data / "saying.mrcs", halo, PIXEL_SIZE, "dark")
    assert pick("--average", 1, templates="silent.mrcs") == {}
    silent = capsys.readouterr()
    assert "inverted to match dark particles: template 0, 1\n" in silent.out
    assert "silent.mrcs: template 0 is inverted, its particle seems not dark by" in silent.err
    assert_planted(pick("--average", 1, "--overwrite", templates="saying.mrcs"))
    saying = capsys.readouterr()
    assert "inverted" not in saying.out + saying.err


def test_nothing_is_inverted_without_need(pick, capsys):
    pick()
    out = capsys.readouterr().out
    assert "inverted to" not in out
    assert "24 templates: 2 views x 12 angles, box 32 x 32 px; method exact, scipy, 1 thread" in out
    assert "5 picks on 3 micrographs: " in out


def test_templates_and_masks_from_folders_of_images(data, pick):
    """PNG holds no pixel size, and masks are 0 and 255."""
    discs = 255 * np.stack([disc_mask((BOX, BOX))] * 2)
    for name, images in (("refs", 128 + 100 * views()), ("shapes", discs)):
        (data / name).mkdir()
        for view, image in enumerate(images):
            Image.fromarray(image.astype(np.uint8)).save(data / name / f"{view}.png")
    assert_planted(pick("--masks", data / "shapes", templates="refs"))


def test_one_mask_for_all_views(data, pick):
    mask = np.zeros((1, BOX, BOX))
    mask[0, 4:29, 6:26] = 1
    write_stack(data / "one_mask.mrcs", mask, PIXEL_SIZE)
    assert_planted(pick("--masks", data / "one_mask.mrcs"))


def test_symmetry_spares_equal_turns(data, pick):
    """A bar that looks the same after half a turn is turned half as often, and found as well."""
    bar = np.zeros((1, BOX, BOX))
    bar[0, 5:28, 13:20] = -1
    bar = gaussian_filter(bar, (0, 1, 1))
    write_mrc(data / "bars.mrc", planted([(60, 70, 0, 60), (150, 120, 0, 150)], bar, 7), PIXEL_SIZE)
    write_stack(data / "bar.mrcs", bar, PIXEL_SIZE)
    picks = pick("--symmetry", "2", "--average", 1, micrographs=("bars.mrc",), templates="bar.mrcs")
    picks = picks["bars.mrc"]
    order = np.argsort(picks.x)
    np.testing.assert_allclose(picks.xy[order], [(60, 70), (150, 120)], atol=0.5)
    assert picks.psi[order].tolist() == [60, 150]
    assert picks.template[order].tolist() == [2, 5]


def test_max_picks_keeps_the_best(pick, default):
    best = {part.micrograph: part[:1] for part in read_coordinates(default / "picks.star")}
    for name, rows in pick("--max-picks", 1).items():
        assert len(rows) == 1
        np.testing.assert_array_equal(rows.xy, best[name].xy)


def test_border_is_kept_from_the_edges(pick):
    """45 px leave out (180, 44) and (40, 60), and nothing else that was planted."""
    picks = pick("--border", 45)
    xy = np.concatenate([part.xy for part in picks.values()])
    room = np.column_stack([xy, np.array(SHAPE[::-1]) - 1 - xy]).min(1)
    assert room.min() > 45 - 1  # half a pixel is the refinement's, half the averaging filter's
    places = {(name, x, y) for name, part in picks.items() for x, y in np.rint(part.xy)}
    assert {("a.mrc", 120, 50), ("a.mrc", 200, 140), ("b.mrc", 60, 150)} <= places
    assert not {("a.mrc", 40, 60), ("b.mrc", 180, 44)} & places


def test_gempickers_border_is_that_of_the_box(pick):
    """32 px from an edge to the box of 32 px leave out (180, 44) and (40, 60)."""
    picks = pick("--peaks", "gempicker", "--border", 32)
    assert {name: sorted(np.rint(part.x).tolist()) for name, part in picks.items()} == {
        "a.mrc": [120, 200], "b.mrc": [60]}


def test_thresholds_are_those_of_the_scores(pick, default):
    scores = sorted(np.concatenate([part.score for part in read_coordinates(default / "picks.star")]))
    low, high = np.mean(scores[:2]), np.mean(scores[-2:])
    picks = pick("--threshold", low, "--high-threshold", high)
    assert sorted(np.concatenate([part.score for part in picks.values()])) == scores[1:-1]


def test_nothing_is_picked_in_excluded_areas(data, pick):
    """An image of the micrograph's name, whatever its format; other micrographs are searched whole."""
    (data / "carbon").mkdir()
    carbon = np.zeros(SHAPE, np.uint8)
    carbon[30:80, 100:140] = 1
    Image.fromarray(carbon).save(data / "carbon" / "a.png")
    picks = pick("--exclude", data / "carbon")
    assert sorted(np.rint(picks["a.mrc"].x).tolist()) == [40, 200]
    assert_planted(picks, micrographs=["b.mrc"])


def test_maps_hold_the_scores_and_indices_of_the_picks(pick, tmp_path):
    picks = pick("--save-maps", "--average", 1)
    assert {path.name for path in (tmp_path / "out" / "maps").iterdir()} == {
        f"{stem}_{what}.mrc" for stem in "abc" for what in ("score", "index")}
    for name, part in picks.items():
        score, index = (read_micrograph(tmp_path / "out" / "maps" / name.replace(".", f"_{what}."))
                        for what in ("score", "index"))
        assert (score.shape, score.pixel_size) == (SHAPE, PIXEL_SIZE)
        y, x = np.rint(part.y).astype(int), np.rint(part.x).astype(int)
        np.testing.assert_allclose(score.data[y, x], part.score, atol=1e-6)  # STAR keeps six decimals
        np.testing.assert_array_equal(index.data[y, x], part.template)


@pytest.mark.parametrize(("edges", "unscored"), [("box", BOX // 2), ("mask", 15), ("reflect", 0)])
def test_edges_decide_where_scores_are(pick, tmp_path, edges, unscored):
    pick("--edges", edges, "--save-maps", micrographs=("mics/c.mrc",))
    index = read_micrograph(tmp_path / "out" / "maps" / "c_index.mrc").data
    expected = np.zeros(SHAPE, bool)
    last = unscored - 1 if edges == "box" else unscored  # the centre pixel of an even box lies right of it
    expected[unscored : SHAPE[0] - last, unscored : SHAPE[1] - last] = True
    np.testing.assert_array_equal(index >= 0, expected)


def test_plots_show_each_micrograph(pick, tmp_path):
    pick("--plots", micrographs=("mics/a.mrc", "mics/c.mrc"))
    plots = sorted((tmp_path / "out" / "plots").iterdir())
    assert [path.name for path in plots] == ["a.png", "c.png"]
    with Image.open(plots[0]) as shown, Image.open(plots[1]) as empty:
        assert shown.width > 600
        coloured = [np.ptp(np.asarray(image.convert("RGB")), axis=2).max() for image in (shown, empty)]
    assert coloured[0] > 100  # circles in colour
    assert coloured[1] == 0


def test_outliers_are_limited_and_counted(data, pick, tmp_path, capsys):
    image = planted(PLANTED["a.mrc"], views(), 0)
    image[[20, 90, 150], [200, 60, 30]] = 1e5
    (data / "hot").mkdir()
    write_mrc(data / "hot" / "a.mrc", image, PIXEL_SIZE)
    assert_planted(pick(micrographs=("hot",)), micrographs=["a.mrc"])
    assert json.loads((tmp_path / "out" / "run.json").read_text())["micrographs"]["a"]["limited_pixels"] == 3
    assert capsys.readouterr().err.splitlines()[-1] == (
        "gembench: warning: outlier pixels were limited in 1 micrographs; run.json counts them")


def test_quiet_is_silent(pick, capsys):
    pick("--quiet", "--plots", "--save-maps", micrographs=("mics/b.mrc",))
    assert capsys.readouterr() == ("", "")


def test_progress_is_plain_lines_where_there_is_no_terminal(pick, capsys):
    pick()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" micrographs")[0] for line in lines] == [f"Picking: {n} of 3" for n in (1, 2, 3)]


def test_maps_are_images_not_volumes(pick, tmp_path):
    pick("--save-maps", micrographs=("mics/c.mrc",))
    with pytest.raises(ValueError, match="single section"):
        read_volume(tmp_path / "out" / "maps" / "c_score.mrc")


def test_micrographs_of_several_sizes_and_formats(data, pick):
    """Each is planned for itself; a TIFF holds no pixel size, the given one is used."""
    (data / "mixed").mkdir()
    image = planted(PLANTED["a.mrc"], views(), 0)
    Image.fromarray(image.astype(np.float32)).save(data / "mixed" / "a.tif")
    write_mrc(data / "mixed" / "b.mrc", planted(PLANTED["b.mrc"], views(), 1)[:190, :240], PIXEL_SIZE)
    picks = pick(micrographs=("mixed",))
    picks["a.mrc"] = picks.pop("a.tif")
    assert_planted(picks)


def test_the_method_banded_picks_the_same_particles(data, tmp_path):
    stars = []
    for method in ("exact", "banded"):
        out = tmp_path / method
        assert main([*command(data, out), "--lowpass", "25", "--method", method]) == 0
        stars.append([read_coordinates(star)[0] for star in sorted(out.glob("?.star"))])
    for exact, banded in zip(*stars, strict=True):
        np.testing.assert_array_equal(banded.template, exact.template)
        np.testing.assert_allclose(banded.xy, exact.xy, atol=1e-3)
        np.testing.assert_allclose(banded.score, exact.score, atol=1e-5)


@pytest.mark.parametrize(("text", "size"), [
    ("1", 1), ("800M", 800 * 2**20), ("4g", 4 * 2**30), ("1.5GiB", 3 * 2**29), ("2 kb", 2048),
])
def test_sizes_of_memory(text, size):
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "0", "much", "4X", "1,5G"])
def test_sizes_of_memory_that_are_none(text, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["pick", "a.mrc", "--templates", "t.mrcs", "--pixel-size", "2", "--angle-step", "9", "-o", "p",
              "--memory", text])
    assert stop.value.code == 2
    assert f"'{text}' is not a size such as 800M or 4G" in capsys.readouterr().err


PROGRAM = """
import sys
from pathlib import Path
from gembench.cli import main
code = main(sys.argv[1:])
lines = Path("/proc/self/status").read_text().splitlines()
print(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024)
sys.exit(code)
"""


def test_a_search_and_its_pictures_keep_within_the_memory_given(tmp_path, capsys):
    rng = np.random.default_rng(3)
    write_mrc(tmp_path / "m.mrc", rng.normal(size=(1536, 1536)).astype(np.float32), pixel_size=PIXEL_SIZE)
    write_stack(tmp_path / "t.mrcs", rng.normal(size=(1, 64, 64)).astype(np.float32), pixel_size=PIXEL_SIZE)
    mask = np.zeros((1, 64, 64), np.float32)
    mask[0, 10:50, 20:38] = 1
    write_stack(tmp_path / "m.mrcs", mask, pixel_size=PIXEL_SIZE)

    def words(name, *options):
        return list(map(str, [
            "pick", tmp_path / "m.mrc", "--templates", tmp_path / "t.mrcs", "--masks", tmp_path / "m.mrcs",
            "--pixel-size", PIXEL_SIZE, "--angle-step", 10, "--threads", 8, "--template-contrast", "dark",
            "-o", tmp_path / name, "--quiet", *options,
        ]))

    def pick(name, *options):
        return subprocess.run([sys.executable, "-c", PROGRAM, *words(name, *options)], capture_output=True,
                              text=True, check=False)

    free = pick("free")
    assert free.returncode == 0, free.stderr
    limit = int(free.stdout) - 300 * 2**20
    bound = pick("bound", "--memory", f"{limit / 2**20:.0f}M")
    assert bound.returncode == 0, bound.stderr
    assert int(bound.stdout) < limit
    stars = [(tmp_path / name / "m.star").read_bytes() for name in ("free", "bound")]
    assert stars[0] == stars[1]
    limit = int(free.stdout) + 100 * 2**20
    drawn = pick("drawn", "--plots", "--memory", f"{limit / 2**20:.0f}M")
    assert drawn.returncode == 0, drawn.stderr
    assert int(drawn.stdout) < limit
    assert main(words("little", "--memory", "300M")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "GiB, " in line or "before it searches" in line
