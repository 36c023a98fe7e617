"""`gembench convert`: every format into every other, and what its options change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gembench.cli import main
from gembench.commands.convert import NAMES
from gembench.engine.picks import Picks
from gembench.io.coordinates import FORMATS, read_coordinates, write_coordinates
from gembench.io.images.mrc import write_mrc

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


names = st.text(st.characters(categories=["L"]), min_size=1, max_size=12)
scores = st.none() | st.floats(-1e6, 1e6, allow_nan=False).filter(lambda value: value != -999)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5), scores), max_size=4),
       name=names)
@pytest.mark.parametrize("form", FORMATS)
def test_any_picks_come_back(tmp_path: Path, form: str, rows: list[tuple[float, ...]], name: str) -> None:
    kind = FORMATS[form]
    x, y = (np.array([row[n] for row in rows], np.float64) for n in (0, 1))
    if kind.decimals is not None:
        x, y = np.round(x, kind.decimals) + 0.0, np.round(y, kind.decimals) + 0.0
    score = np.array([np.nan if row[2] is None else row[2] for row in rows])
    planted = Picks(name + ".mrc", x, y, score)
    path = tmp_path / f"a{kind.suffix}"
    write_coordinates(path, [planted], format=form, box_size=10, shape=SHAPE)
    read = read_coordinates(path, micrograph=name + ".mrc", shape=SHAPE)[0]
    np.testing.assert_allclose(read.xy, planted.xy, atol=1e-2 if form == "cryosparc" else 1e-6, rtol=1e-6)
    if "score" in kind.holds and form not in ("xmipp", "gempicker"):
        np.testing.assert_allclose(read.score, planted.score, atol=1e-6, rtol=1e-6)
