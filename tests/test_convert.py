"""`gembench convert`: every format into every other, and what its options change."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gembench.cli import main
from gembench.commands.convert import NAMES
from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.io.coordinates import FORMATS, read_coordinates, write_coordinates
from gembench.io.images.mrc import write_mrc
from gembench.io.names import micrograph_key

SHAPE = (512, 1024)
PLANTED = [Picks("m1.mrc", [120, 400, 777], [340, 12, 88], [0.75, 0.5, 0.25], view=[1, 0, 2],
                 psi=[33, 270, 5]),
           Picks("m2.mrc", [7], [500], [0.125], view=[0], psi=[0])]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("mics").mkdir()
    for name in ("m1", "m2"):
        write_mrc(f"mics/{name}.mrc", np.arange(SHAPE[0] * SHAPE[1], dtype=np.float32).reshape(SHAPE), 2.0)
    return tmp_path


def convert(*options: str) -> list[Picks]:
    assert main(["convert", *options, "--micrographs", "mics", "--box-size", "40", "--quiet"]) == 0
    return sorted(read_coordinates(options[1], shape=SHAPE), key=lambda picks: picks.micrograph)


@pytest.mark.parametrize("last", NAMES)
@pytest.mark.parametrize("first", NAMES)
def test_every_pair_of_formats_keeps_positions_and_what_both_hold(first: str, last: str) -> None:
    write_coordinates("picks.csv", PLANTED)
    convert("picks.csv", "a", "--to", first)
    for read, planted in zip(convert("a", "b", "--to", last), PLANTED, strict=True):
        np.testing.assert_allclose(read.xy, planted.xy, atol=1e-3)
        forms = [FORMATS[name.partition("-")[0]] for name in (first, last)]
        for column in ("score", "view", "psi"):
            if all(column in form.holds for form in forms):
                np.testing.assert_allclose(getattr(read, column), getattr(planted, column), atol=1e-6)


def test_options(capsys: pytest.CaptureFixture[str]) -> None:
    write_coordinates("picks.csv", [replace(PLANTED[0], label=["side", "top", "side"], pixel_size=2.0)])
    (read,) = convert("picks.csv", "a.star", "--flip-y")
    assert read.y.tolist() == [171, 499, 423]
    (read,) = convert("picks.csv", "b.star", "--scale", "0.5", "--threshold", "0.3", "--labels", "side")
    assert (read.xy.tolist(), read.pixel_size) == ([[60, 170]], 4)
    text = Path("b.star").read_text()
    assert main(["convert", "picks.csv", "c.star", "--voltage", "300", "--cs", "2.7", "--amplitude-contrast",
                 "0.1", "--quiet"]) == 0
    assert "_rlnVoltage" not in text
    assert "opticsGroup1 1 300.000000 2.700000 0.100000 2.000000 2.000000" in Path("c.star").read_text()
    assert main(["convert", "c.star", "d.star"]) == 0
    assert "opticsGroup1 1 300.000000 2.700000 0.100000" in Path("d.star").read_text()
    assert "3 picks on 1 micrographs: d.star" in capsys.readouterr().out


def test_what_a_format_cannot_hold_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    write_coordinates("m1.csv", [replace(PLANTED[0], x=[0.5, 1, 2])])
    assert main(["convert", "m1.csv", "m1.box", "--box-size", "10"]) == 0
    err = capsys.readouterr().err
    assert "box files cannot hold score, view, psi: left out" in err
    assert "box files hold whole pixels: 1 of 3 positions are rounded" in err


@pytest.mark.parametrize(("options", "message"), [
    (["a.csv", "b.box"], "holds a box size and None was given"),
    (["a.csv", "b.cs"], "give --micrographs"),
    (["a.csv", "b.star", "--flip-y"], "--flip-y: needs the height"),
    (["a.csv", "b.xml"], "unknown extension"),
    (["a.csv", "b.star", "--scale", "0"], "--scale 0"), (["none.csv", "b.star"], "no such file"),
])
def test_bad_input_is_one_line(capsys: pytest.CaptureFixture[str], options: list[str], message: str) -> None:
    write_coordinates("a.csv", PLANTED[:1])
    assert main(["convert", *options]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not Path(options[1]).exists()


number = st.floats(allow_nan=False, allow_infinity=False)
picked = st.lists(st.tuples(number, number, st.none() | number), max_size=3)
names = st.text(st.characters(categories=["L"]), min_size=1, max_size=12)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=picked, name=names)
@example(rows=[(0.1, 0.2, 1e-7), (1 / 3, -999.0, -999.0), (-0.5, 1e17, None)], name="é")
@example(rows=[(1e300, -1e300, 1e300), (1e39, 2.0**63, -1e39)], name="ﬁ")
@pytest.mark.parametrize("form", FORMATS)
def test_any_picks_come_back_or_a_line_says_what_does_not(
    caplog: pytest.LogCaptureFixture, form: str, rows: list[tuple[float, ...]], name: str
) -> None:
    caplog.clear()
    x, y = (np.array([row[n] for row in rows], np.float64) for n in (0, 1))
    score = np.array([np.nan if row[2] is None else row[2] for row in rows])
    folder = Path(tempfile.mkdtemp(dir="."))

    def write() -> None:
        write_coordinates(folder, [Picks(name + ".mrc", x, y, score)], format=form, box_size=10, shape=SHAPE,
                          say_lost=True)

    if form == "cryosparc" and max(np.abs([*x, *y]), default=0) > 1e38:
        with pytest.raises(InputError, match="hold positions of 32 bits"):
            write()
        assert not list(folder.iterdir())
        return
    write()
    said = caplog.text
    (read,) = read_coordinates(folder, shape=SHAPE)
    assert micrograph_key(read.micrograph) == micrograph_key(name)  # a normal form of Unicode
    assert np.allclose(read.xy, np.column_stack([x, y]), rtol=1e-8, atol=1e-8) or "positions" in said
    if not np.allclose(read.score, score, rtol=1e-8, atol=1e-8, equal_nan=True):
        assert "score" in said
        assert form not in ("csv", "tsv", "plain", "eman") or -999 in score


@pytest.mark.parametrize(("form", "lines"), [
    ("csv", ["cannot hold 1 of 4 scores, which are read as none (as -999 is)"]),
    ("star", ["hold 6 decimals: 1 of 4 positions and 1 of 4 scores are rounded",
              "cannot hold 1 of 4 scores"]),
    ("xmipp", ["hold whole pixels: 2 of 4 positions and 1 of 4 scores are rounded",
               "hold a score for every pick: 1 of 4 are unknown and written as 0", "cannot hold 1 of 4"]),
    ("gempicker", ["hold a score for every pick: 1 of 4 are unknown and written as 0"]),
    ("cryosparc", ["hold 32-bit fractions: 1 of 4 positions and 1 of 4 scores are rounded"]),
    ("box", ["cannot hold score: left out", "hold whole pixels: 2 of 4 positions are rounded"]),
])
def test_what_changes_is_counted(caplog: pytest.LogCaptureFixture, form: str, lines: list[str]) -> None:
    picks = Picks("m1.mrc", [0.5, 1 / 3, 64, 128], [16, 32, 64, 128], [1.0, 1e-7 + 0.5, np.nan, -999])
    write_coordinates(Path("out"), [picks], format=form, box_size=10, shape=SHAPE, say_lost=True)
    for line in lines:
        assert line in caplog.text
