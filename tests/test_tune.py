"""`gembench tune`: the planted best is found, the command does what is announced, bad input is one line."""

from __future__ import annotations

import json
import re
import shlex
import tempfile
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import gembench
from gembench.cli import main
from gembench.engine.bank import TemplateBank, grid_angles
from gembench.engine.picks import Picks
from gembench.engine.turning import rotate
from gembench.errors import InputError
from gembench.io.coordinates import write_coordinates
from gembench.io.images.mrc import read_stack, write_mrc, write_stack
from gembench.picking.settings import PickSettings, Resources, Sources
from gembench.tuning.command import pick_command, threshold_between
from gembench.tuning.decoys import write_decoys
from gembench.tuning.grid import Grid
from gembench.tuning.judging import ByHalves, Judge, Judging
from gembench.tuning.misses import misses, unsearched_border

BOX, WIDTH, PIXEL, STEP, SHAPE = 24, 16, 3.0, 90, (150, 190)
NAMES = ("a", "b", "c", "d")
FIXED = ("--pixel-size", "3", "--threads", "1", "--fft", "scipy", "--angle-step", str(STEP))
QUICK = (*FIXED, "--edges", "reflect", "--border", "0", "--distance", "0.75", "--beside", "", "--no-decoys",
         "--method", "exact", "--lowpass", "0", "--average", "1", "--resamples", "50")


def particle():
    """A dark smooth L, which a strong low-pass filter does not tell from a blob."""
    image = np.zeros((BOX, BOX))
    image[5:19, 6:10] = image[15:19, 6:18] = -1
    return gaussian_filter(image, 0.7)


def blob():
    return gaussian_filter(np.pad(np.full((10, 10), -1.5), 7), 2.5)


def bar(end):
    """A dark bar with a foot in a box of 32 px, down to row 27, or longer."""
    image = np.zeros((32, 32))
    image[6:end, 13:19] = image[6:10, 13:24] = -1
    return gaussian_filter(image, 1)


def places(seed):
    """x, y of 12 places that keep apart, and two half over an edge."""
    rng = np.random.default_rng(seed)
    grid = [(x, y) for y in (30, 75, 120) for x in (25, 70, 115, 160)]
    return np.array(grid) + rng.integers(-6, 7, (12, 2))


def micrograph(seed):
    """Six particles and six blobs in fine noise and on a coarse background."""
    rng = np.random.default_rng(seed)
    background = gaussian_filter(rng.normal(size=SHAPE), 5)
    image = rng.normal(20, 0.35, SHAPE) + 0.3 * background / background.std()
    for number, (x, y) in enumerate(places(seed)):
        shape = blob() if number % 2 else rotate(particle(), STEP * (number // 2))
        image[y - 12 : y + 12, x - 12 : x + 12] += shape
    return image.astype(np.float32)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Five micrographs, four of them annotated, in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    for name in ("mics", "temporary"):
        Path(name).mkdir()
    marks = []
    for seed, name in enumerate((*NAMES, "e")):
        write_mrc(f"mics/{name}.mrc", micrograph(seed), PIXEL)
        marks.append(Picks(f"{name}.mrc", *places(seed)[::2].T.astype(float)))
    write_coordinates("truth.star", marks[:4])
    write_stack("templates.mrcs", particle()[None], PIXEL, "dark")
    mask = np.zeros((BOX, BOX))
    mask[4:20, 4:20] = 1
    write_stack("masks.mrcs", mask[None], PIXEL)
    write_stack("others.mrcs", 0.9 * particle()[None] + 0.1 * blob(), PIXEL, "dark")
    return tmp_path


def tune(*options, micrographs="mics"):
    return main(["tune", micrographs, "--truth", "truth.star", "--templates", "templates.mrcs", "--masks",
                 "masks.mrcs", *options])


def printed_commands(out):
    """The words of the two command lines at the end."""
    lines = [shlex.split(line)[1:] for line in out.splitlines() if line.startswith("gembench ")]
    assert [words[0] for words in lines] == ["pick", "score"]
    return lines


def test_the_better_low_pass_wins_and_its_command_does_what_is_announced(folder, capsys):
    assert tune(*FIXED, "--lowpass", "60,9", "--border", "0,1", "--distance", "0.75", "--edges",
                "reflect,mask", "--beside", "0.9", "--json", "tuning.json", "--average", "1", "--no-decoys",
                "--resamples", "100") == 0
    out = capsys.readouterr().out
    stored = json.loads(Path("tuning.json").read_text())
    assert (stored["best"]["lowpass_A"], stored["best"]["border_px"]) == (9, 0)
    assert stored["best"]["f1"] > 0.95
    assert (stored["micrographs"], stored["unannotated_micrographs"]) == (4, 1)
    assert "1 micrographs without annotation are not judged" in out
    assert "No low-pass filter stronger" not in out
    effects = {effect["option"]: effect for effect in stored["effects"]}
    assert effects["low-pass (A)"]["matters"]
    assert effects["low-pass (A)"]["values"]["60"] < 0.9 < effects["low-pass (A)"]["values"]["9"]
    assert not list(Path("temporary").iterdir())
    pick, score = printed_commands(out)
    assert ["gembench", *pick] == shlex.split(stored["command"])
    assert main([*pick, "--quiet"]) == 0
    assert main(score) == 0
    assert re.search(rf"F1 +{stored['f1']:.1%} ", capsys.readouterr().out)
    judged = gembench.score(gembench.read_picks("picks"), gembench.read_picks("truth.star"), 4)
    assert judged.f1 == pytest.approx(stored["f1"], abs=1e-12)
    assert judged.precision == pytest.approx(stored["precision"], abs=1e-12)
    assert f"F1 {stored['f1']:.1%}, precision {stored['precision']:.1%}" in out


def test_a_best_value_at_the_end_of_what_was_tried_is_said(folder, capsys):
    assert tune(*QUICK, "--lowpass", "0,9", "--lowest", "0.85") == 0
    out = capsys.readouterr().out
    assert ("No low-pass filter stronger than 9 A was tried" in out) == ("--lowpass 9" in out)
    assert "The best threshold is the lowest score that was looked at, 0.85" in out


def test_intermediate_picks_are_kept_and_not_searched_again(folder, capsys, monkeypatch):
    assert tune(*QUICK, "--keep", "kept", "--quiet") == 0
    first = capsys.readouterr().out
    assert first.startswith("gembench pick mics --templates templates.mrcs ")
    assert first.count("\n") == 1
    assert len(list(Path("kept").glob("0A-reflect-90deg-*"))) == 2
    assert len(list(Path("kept").glob("0A-reflect-90deg-best-*/?.star"))) == 4
    monkeypatch.setattr("gembench.engine.exact.producer.CPUSearch.run", None)
    assert tune(*QUICK, "--keep", "kept", "--quiet") == 0
    assert capsys.readouterr().out == first
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    for options in (("--average", "2"), ("--templates", "others.mrcs")):  # other picks
        assert tune(*QUICK, "--keep", "kept", "--quiet", *options) == 0
    assert len(list(Path("kept").iterdir())) == 6


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_nothing_is_left_behind_when_it_ends_early(folder, monkeypatch, error):
    def fail(*_, **__):
        raise error

    before = sorted(Path().rglob("*"))
    monkeypatch.setattr(Judge, "by_halves", fail)
    assert tune(*QUICK, "--quiet") == {KeyboardInterrupt: 130, MemoryError: 2}[error]
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize(("marks", "options", "text"), [
    ([], ("--truth", "none.star"), "none.star: no such file"),
    (["x", "y"], (), "truth.star: annotates none of the 5 micrographs, such as a.mrc; it names x.mrc"),
    (["a"], (), "1 annotated micrograph of one field cannot be halved"),
    (["a", "b"], ("--labels", "side"), "a.mrc, half of the annotated micrographs: truth: no particle"),
    (["a", "b"], ("--templates", "none.mrcs"), "none.mrcs: no such file"),
    (["a", "b"], ("--radius", "0"), "radius 0 px"),
    (["a", "b"], ("--distance", "0"), "distance 0: give parts of the particle's width from 0.1 to 3"),
    (["a", "b"], ("--border", "-1"), "border -1: give parts"),
    (["a", "b"], ("--lowpass", ","), "lowpass: give at least one value"),
    (["a", "b"], ("--json", "none/tuning.json"), "none/tuning.json: cannot be written: its folder does not"),
    (["a", "b"], ("--decoys-to", "decoys.star"), "name it .mrcs"),
    (["a", "b"], ("--lowest", "0.99"), "no pick lies on an annotated particle"),
])
def test_bad_input_is_one_line(folder, capsys, marks, options, text):
    if marks:
        write_coordinates("truth.star", [Picks(f"{name}.mrc", [30.0], [30.0]) for name in marks])
    before = sorted(Path().rglob("*"))
    assert tune(*QUICK, *options, "--quiet") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert text in err
    assert err.count("\n") == 1
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize(("words", "text"), [
    (("--edges", "reflect,round"), "'round' is none of mask, box, reflect"),
    (("--lowpass", "off"), "'off' is not a number"),
])
def test_values_that_mean_nothing_are_refused(folder, capsys, words, text):
    with pytest.raises(SystemExit) as ending:
        tune(*QUICK, *words)
    assert ending.value.code == 2
    assert text in capsys.readouterr().err


def test_decoys_that_are_there_are_not_written_over(folder, capsys):
    Path("decoys.mrcs").write_bytes(b"mine")
    options = [word for word in QUICK if word != "--no-decoys"]
    assert tune(*options, "--quiet") == 2
    assert "decoys.mrcs: is there already" in capsys.readouterr().err
    assert Path("decoys.mrcs").read_bytes() == b"mine"


def test_a_notebook_tunes_likewise(folder):
    result = gembench.tune(
        Sources(["mics"], "templates.mrcs", "masks.mrcs"), Judging(Path("truth.star"), resamples=0),
        PickSettings(PIXEL), Grid((0.0,), ("reflect",), (STEP,), (0.0,), (0.75,), (), False, 1),
        Resources(1, "scipy"))
    assert [trial.settings.lowpass for trial in result.trials] == [0]
    assert result.best is result.trials[0]
    assert (result.intervals, result.width, result.radius) == ([None], 16, 4)
    assert result.f1 >= result.best.f1 > 0.9
    assert result.choice_f1 == result.best.f1


def test_the_best_so_many_of_a_micrograph_are_picked(folder, capsys):
    assert tune(*QUICK, "--max-picks", "3", "--json", "tuning.json", "--quiet") == 0
    assert "--max-picks 3 " in capsys.readouterr().out
    stored = json.loads(Path("tuning.json").read_text())
    assert (stored["recall"], stored["best"]["recall"], stored["precision"]) == (0.5, 0.5, 1)


@pytest.mark.parametrize(("low", "high", "threshold"), [
    (0.2, 0.6, 0.4), (0.412, 0.4134, 0.413), (0.41299, 0.413, 0.413), (0.5, 0.500002, 0.500001),
    (0.3, 0.3, 0.3),
])
def test_a_threshold_is_as_short_as_it_can_be(low, high, threshold):
    assert threshold_between(low, high) == threshold


def test_the_command_of_settings_is_read_as_these_settings():
    from gembench.cli import build_parser
    from gembench.commands.pick import _arguments
    from gembench.engine.peaks import PeakSettings

    settings = PickSettings(2.2, 7.5, "bright", "dark", "cubic", (2, 0), 3, 41.5, 8.0, "banded", "float64",
                            "box", PeakSettings("nms", 0.415, 1.0, 37, 12, 50), "half", False, 0.5)
    sources = Sources(["a b.mrc", "c/"], "t.mrcs", "m.mrcs", "areas", ["*_x*"], ["-y*"], "d.mrcs", "e.mrcs")
    resources = Resources(3, "scipy", "gpu:0", 2**31, 30.0)
    words = pick_command(sources, settings, resources)
    read, _, again, computer = _arguments(build_parser().parse_args(words[1:]))
    assert (again, computer) == (settings, resources)
    assert [str(path) for path in read.micrographs] == ["a b.mrc", "c"]
    for name in ("templates", "masks", "exclude", "decoys", "decoy_masks"):
        assert str(getattr(read, name)) == getattr(sources, name)
    assert (read.include, read.leave_out) == (["*_x*"], ["-y*"])
    plain = PickSettings(2.2, 5.0, peaks=PeakSettings(distance=30))
    assert pick_command(Sources(["m"], "t.mrcs"), plain, Resources()) == [
        "gembench", "pick", "m", "--templates", "t.mrcs", "--pixel-size", "2.2", "--angle-step", "5",
        "--distance", "30", "--threshold", "0.3", "-o", "picks"]


def test_each_half_is_judged_at_the_threshold_of_the_other():
    """The first half (a, c) is best between 0.6 and 0.8, the second (b, d) between 0.3 and 0.5."""
    truth = [Picks(f"{name}.mrc", [10.0, 50], [10.0, 50]) for name in NAMES]
    scores = {"a": (0.9, 0.8, 0.6), "b": (0.7, 0.5, 0.3), "c": (0.9, 0.8, 0.6), "d": (0.7, 0.5, 0.3)}
    picks = [Picks(f"{name}.mrc", [10.0, 50, 90], [10.0, 50, 90], score) for name, score in scores.items()]
    judge = Judge(truth, 5.0, Judging(truth))
    judged = judge.by_halves(picks, 0.2)
    assert judged.thresholds == pytest.approx((0.4, 0.7))
    assert judged.chosen_f1 == (1, 1)
    assert judged.counts.tolist() == [[2, 1, 2, 1], [1, 0, 1, 0], [2, 2, 2, 2]]
    assert judged.precision == pytest.approx(6 / 8)
    assert judged.recall == pytest.approx(6 / 8)
    assert judged.f1 == pytest.approx(2 * 6 / (8 + 8))
    low, high = judge.f1_interval(judged.counts)
    assert low < judged.f1 < high
    assert judge.difference_interval(judged.counts, judged.counts) == (0, 0)
    nothing = judge.by_halves([], 0.2)
    assert nothing.f1 == 0
    assert judge.is_better(judged.counts, nothing.counts)
    assert not judge.is_better(judged.counts, judged.counts)
    other = [Picks(rows.micrograph, rows.x, rows.y, np.array(rows.score)[[2, 0, 1]]) for rows in picks]
    worse = judge.by_halves(other, 0.2)
    assert judge.choice([worse, judged]).tolist() == judged.counts.tolist()
    half = ByHalves((0.1, 0.2), (0.9, 0.3), judged.counts + 1, 0.5)  # best on the second: for a and c
    chosen = judge.choice([ByHalves((0.1, 0.2), (0.8, 0.4), judged.counts, 0.5), half])
    assert (chosen - judged.counts).tolist() == [[1, 0, 1, 0]] * 3


def test_a_gain_of_less_than_a_standard_error_is_none():
    truth = [Picks(f"{name}.mrc", [10.0], [10.0]) for name in NAMES]
    judge = Judge(truth, 5.0, Judging(truth, resamples=200))
    counts = np.array([[8, 8, 8, 8], [2, 2, 2, 2], [10, 10, 10, 10]])
    small, large = counts.copy(), counts.copy()
    small[0] += [2, -1, 1, -1]
    large[0] += [2, 1, 1, 0]
    assert not judge.is_better(small, counts)
    assert judge.is_better(large, counts)
    unsure = Judge(truth, 5.0, Judging(truth, resamples=0))
    assert unsure.is_better(small, counts)
    assert not unsure.is_better(counts, counts)


def test_the_grid_suits_the_particle_and_the_filter():
    assert Grid().filters(163.0, 2.2) == (0, 18, 36, 72)
    assert Grid().filters(40.0, 3.0) == (0, 12, 24)  # 6 A is no filter at 3 A/px
    assert Grid((50.0,)).filters(163.0, 2.2) == (50,)
    base = PickSettings(2.2, 5.0, clip=8.0, beside=0.4)

    def made(lowpass, grid=None, device="cpu"):
        return (grid or Grid()).settings(base, lowpass, "box", 7.0, 100.0, device)

    at = made(44.0)
    assert (at.lowpass, at.average, at.method, at.peaks.threshold) == (44, 1, "banded", 0.3)
    assert (at.edges, at.angle_step, at.clip, at.beside) == ("box", 7, 8, None)
    assert (at.peaks.distance, at.peaks.border, at.mask_distance) == (50, 0, False)
    assert (made(11.0).peaks.threshold, made(22.0).peaks.threshold) == (0.2, 0.3)
    assert made(22.0, device="gpu").method == "exact"
    assert (made(0.0).average, made(0.0).method) == (4, "exact")
    fixed = Grid(average=2, method="paper", lowest=0.1)
    assert (made(22.0, fixed).average, made(22.0, fixed).method, made(22.0, fixed).peaks.threshold) == (
        2, "paper", 0.1)


@pytest.fixture
def lures(folder):
    """Four micrographs with 12 bars and 12 longer ones each; the annotations, and picks of the longer."""
    grid = [(x, y) for y in (24, 64, 104, 144) for x in (24, 64, 104, 144, 184, 224)]
    marks, others = [], []
    for seed, name in enumerate(NAMES):
        rng = np.random.default_rng(seed)
        image = rng.normal(20, 0.7, (170, 250))
        xy = np.array([grid[place] for place in rng.permutation(24)])
        for number, (x, y) in enumerate(xy):
            turned = rotate(bar(27 if number < 12 else 32), STEP * int(rng.integers(4)), outside="constant")
            image[y - 16 : y + 16, x - 16 : x + 16] += turned
        write_mrc(f"mics/{name}.mrc", image.astype(np.float32), PIXEL)
        marks.append(Picks(f"{name}.mrc", *xy[:12].T))
        others.append(Picks(f"{name}.mrc", *xy[12:].T, score=np.linspace(0.9, 0.6, 12), view=[0] * 12))
    Path("mics/e.mrc").unlink()
    write_coordinates("truth.star", marks)
    write_stack("templates.mrcs", bar(27)[None], PIXEL, "dark")
    mask = np.zeros((32, 32))
    mask[3:30, 9:27] = 1
    write_stack("masks.mrcs", mask[None], PIXEL)
    return marks, others


def test_decoys_of_one_half_are_judged_on_the_other(lures, capsys):
    options = [word for word in QUICK if word != "--no-decoys"]
    assert tune(*options, "--lowpass", "12", "--json", "tuning.json", "--keep", "kept") == 0
    out = capsys.readouterr().out
    stored = json.loads(Path("tuning.json").read_text())
    (effect,) = stored["effects"]
    assert (effect["option"], effect["matters"]) == ("decoys", True)
    assert effect["values"]["with"] > effect["values"]["without"] + 0.05
    assert (stored["best"]["decoys"], stored["decoys"]) == (True, "decoys.mrcs")
    for number, names in ((1, "bd"), (2, "ac")):  # the decoy of the first half, a and c, searches the second
        (folder,) = Path("kept").glob(f"12A-reflect-90deg-decoys-{number}-*")
        assert {path.stem for path in folder.glob("?.star")} == set(names)
        assert json.loads((folder / "run.json").read_text())["settings"]["decoys"]
    decoy, _ = read_stack("decoys.mrcs")
    turned = [np.corrcoef(rotate(decoy[0], psi)[4:-4, 4:-4].ravel(), bar(32)[4:-4, 4:-4].ravel())[0, 1]
              for psi in range(0, 360, 5)]
    assert max(turned) > 0.9
    pick, _ = printed_commands(out)
    assert "decoys.mrcs" in pick
    assert main([*pick, "--quiet"]) == 0
    assert "No low-pass filter stronger than 12 A" not in out  # it is the only one
    judged = gembench.score(gembench.read_picks("picks"), gembench.read_picks("truth.star"), 6)
    assert judged.f1 == pytest.approx(stored["f1"], abs=1e-12)


def test_what_is_beside_is_judged_from_stored_picks_as_pick_would_drop_them(lures, capsys, monkeypatch):
    marks, _ = lures
    options = [*QUICK, "--lowpass", "12", "--average", "2", "--beside", "0.7", "--keep", "kept"]
    assert tune(*options, "--json", "tuning.json") == 0
    stored = json.loads(Path("tuning.json").read_text())
    (effect,) = stored["effects"]
    assert (effect["option"], effect["matters"]) == ("beside", True)
    assert stored["best"]["beside"] == 0.7
    (folder,) = Path("kept").glob("*-best-*")
    assert json.loads((folder / "run.json").read_text())["settings"]["beside"] == 0.7
    judged = Judge(marks, 6, Judging(marks)).by_halves(gembench.read_picks(folder / "picks.star"), 0.2)
    assert judged.f1 == pytest.approx(stored["best"]["f1"], abs=1e-12)
    assert judged.thresholds == pytest.approx(stored["best"]["thresholds"], abs=0.01)
    capsys.readouterr()
    monkeypatch.setattr(Judge, "is_better", lambda *_: False)
    assert tune(*options) == 0
    out = capsys.readouterr().out
    assert "beside or decoys are better by less than a standard error" in out
    assert "--beside" not in printed_commands(out)[0]


def test_decoys_are_made_of_the_better_false_picks_of_judged_views(folder, monkeypatch):
    from gembench.templates.views import Views

    averaged = []

    def average(particles, **_):
        averaged[:] = np.concatenate([rows.score for rows in particles.picks]).round(2)
        return Views([""], -blob()[None], PIXEL, [{}], agreements=[0.8 if "c.mrc" in names else 0.6])

    monkeypatch.setattr("gembench.tuning.decoys.averages", average)
    xy = np.arange(14.0) * 10
    picks = [Picks(f"{name}.mrc", xy, xy, np.linspace(0.92, 0.66, 14), view=[0] * 14) for name in NAMES]
    marks = [Picks(f"{name}.mrc", [0.0, 10], [0.0, 10], label=["", "unsure"]) for name in NAMES]
    judge = Judge(marks, 4.0, Judging(marks, views=[0]))
    files = {f"{name}.mrc": Path(f"mics/{name}.mrc") for name in NAMES}
    bank = TemplateBank(particle()[None])

    def made(picks, threshold, lowpass=20):
        settings = PickSettings(PIXEL, lowpass=lowpass)
        count = write_decoys(Path("d.mrcs"), picks, names, judge, files, bank, settings, threshold)
        assert count == len(averaged)
        return min(averaged)

    names = ["a.mrc", "c.mrc"]
    assert (made(picks, 0.8), len(averaged)) == (0.66, 24)
    assert (made(picks, 0.88), len(averaged)) == (0.72, 18)  # 0.704 is 0.8 of it
    assert (made(picks, 1.1), len(averaged)) == (0.78, 12)  # as few as make a decoy
    mixed = [Picks(rows.micrograph, rows.x, rows.y, rows.score, view=[0, 1] * 7) for rows in picks]
    assert (made(mixed, 0.1), len(averaged)) == (0.68, 12)
    Path("d.mrcs").unlink()
    for some, lowpass, text in ((["a.mrc"], 20, "6 false picks, and a decoy needs 12"),
                                (["a.mrc", "b.mrc"], 20, "two halves of them correlate by 0.60 only"),
                                (["a.mrc", "c.mrc"], 0, "12 false picks, and a decoy needs 25")):
        names[:] = some
        with pytest.raises(InputError, match=text):
            made(mixed, 0.1, lowpass)
        assert not Path("d.mrcs").exists()


def test_misses_are_counted_by_their_distance_from_the_edge():
    truth = [Picks("a.mrc", [3.0, 50, 95, 50], [50.0, 50, 50, 12]), Picks("b.mrc", [50.0, 30], [50.0, 30])]
    judge = Judge(truth, 5.0, Judging(truth))
    picks = [Picks("a.mrc", [50.0], [50.0], [0.9])]
    where = misses(picks, judge, {"a.mrc": (101, 101), "b.mrc": (101, 101)}, 20.0, 5.5)
    assert where.edges == (0, 5, 10, 20)
    assert where.annotated == (1, 1, 1, 3)
    assert where.missed == (1, 1, 1, 2)
    assert (where.unsearched, where.within) == (5.5, 2)  # 3 and 100 - 95 px


@pytest.mark.parametrize(("edges", "border", "views", "pixels"), [
    ("reflect", 0, None, 0), ("reflect", 7, None, 7), ("box", 0, None, 8), ("mask", 0, None, 2),
    ("mask", 0, [0], 4), ("mask", 5, None, 5),
])
def test_what_is_not_searched_follows_from_edges_and_border(edges, border, views, pixels):
    from gembench.engine.peaks import PeakSettings

    masks = np.zeros((2, 16, 16))
    masks[0, 2:15, 4:13] = 1  # 6 px up and down, 4 to the sides
    masks[1, 6:11, 3:14] = 1  # 2 and 5
    templates = np.random.default_rng(0).normal(size=(2, 16, 16))
    bank = TemplateBank(templates, masks, grid_angles(90))
    settings = PickSettings(1.0, edges=edges, peaks=PeakSettings(border=border))
    assert unsearched_border(bank, settings, views) == pixels
