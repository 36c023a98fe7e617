"""RELION STAR files: planted text read to exact numbers, and everything written is read back."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import starfile

from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.io.coordinates import read_coordinates, write_coordinates
from gembench.io.coordinates.star.optics import optics_of
from gembench.io.coordinates.star.write import write_star

STYLE_3_0 = """
data_

loop_
_rlnMicrographName #1
_rlnCoordinateX #2
_rlnCoordinateY #3
_rlnAutopickFigureOfMerit #4
_rlnClassNumber #5
_rlnAnglePsi #6
_rlnMagnification #7
_rlnDetectorPixelSize #8
MotionCorr/job002/foo.mrc   100.5  40 0.75  2  -33.0  50000.0  11.0
MotionCorr/job002/bar.mrc   7      8  0.5   1   90.0  50000.0  11.0
MotionCorr/job002/foo.mrc   12   200  0.25  1  180.0  50000.0  11.0

"""

STYLE_3_1 = """
# version 30001

data_optics

loop_
_rlnOpticsGroupName #1
_rlnOpticsGroup #2
_rlnMicrographPixelSize #3
opticsGroup1            1     2.200000
opticsGroup2            2     1.100000


# version 30001

data_particles

loop_
_rlnCoordinateX #1
_rlnCoordinateY #2
_rlnMicrographName #3
_rlnOpticsGroup #4
  100.5   40   foo.mrc 1
    7      8   bar.mrc 2

"""

AUTOPICK = """
# version 30001

data_

loop_
_rlnCoordinateX #1
_rlnCoordinateY #2
_rlnAutopickFigureOfMerit #3
_rlnClassNumber #4
_rlnAnglePsi #5
  1200.000000   34.000000     0.432100            3    12.500000
"""

PARTICLES = """
data_optics

loop_
_rlnOpticsGroup #1
_rlnImagePixelSize #2
1 8.8

data_particles

loop_
_rlnCoordinateX #1
_rlnCoordinateY #2
_rlnImageName #3
_rlnOpticsGroup #4
_rlnOriginXAngst #5
15 25 000001@Extract/job9/foo.mrcs 1 4.4
16 26 000001@Extract/job9/bar.mrcs 1 4.4
"""


def star(tmp_path: Path, text: str, name: str = "picks.star") -> Path:
    (tmp_path / name).write_text(text)
    return tmp_path / name


def test_style_3_0(tmp_path: Path) -> None:
    foo, bar = read_coordinates(star(tmp_path, STYLE_3_0))
    assert (foo.micrograph, bar.micrograph) == ("foo.mrc", "bar.mrc")
    assert foo.x.tolist() == [100.5, 12]
    assert foo.y.tolist() == [40, 200]
    assert foo.score.tolist() == [0.75, 0.25]
    assert foo.view.tolist() == [1, 0]
    assert foo.psi.tolist() == [327, 180]
    assert bar.psi.tolist() == [90]
    assert foo.template.tolist() == [-1, -1]
    assert foo.pixel_size == bar.pixel_size == 2.2


def test_style_3_1_with_a_pixel_size_per_group(tmp_path: Path) -> None:
    foo, bar = read_coordinates(star(tmp_path, STYLE_3_1))
    assert (foo.xy.tolist(), bar.xy.tolist()) == ([[100.5, 40]], [[7, 8]])
    assert (foo.pixel_size, bar.pixel_size) == (2.2, 1.1)
    assert np.isnan(foo.score).all()
    assert np.isnan(foo.psi).all()
    assert foo.view.tolist() == [-1]


def test_optics_groups_keep_their_names(tmp_path: Path) -> None:
    """By which RELION finds them; of a group with two pixel sizes one is told apart by a number."""
    text = STYLE_3_1.replace("opticsGroup1 ", "'grid one' ").replace("opticsGroup2 ", "two ")
    source = star(tmp_path, text)
    optics = optics_of([source])
    assert optics.groups == {"foo": "grid one", "bar": "two"}
    assert (optics.group("a/foo.mrc"), optics.group("foo.mrc.gz")) == ("", "grid one")
    write_star(tmp_path / "b.star", read_coordinates(source), optics=optics)
    assert optics_of([tmp_path / "b.star"]) == optics
    again = read_coordinates(tmp_path / "b.star")
    assert [(part.micrograph, part.pixel_size) for part in again] == [("foo.mrc", 2.2), ("bar.mrc", 1.1)]
    same = replace(optics, groups={"foo": "two", "bar": "two"})
    write_star(tmp_path / "c.star", read_coordinates(source), optics=same)
    assert set(optics_of([tmp_path / "c.star"]).groups.values()) == {"two", "two_2"}


def test_optics_groups_of_nobody_are_relions(tmp_path: Path) -> None:
    write_star(tmp_path / "b.star", read_coordinates(star(tmp_path, STYLE_3_1)))
    assert set(optics_of([tmp_path / "b.star"]).groups.values()) == {"opticsGroup1", "opticsGroup2"}


@pytest.mark.parametrize("name", ["foo_autopick.star", "foo_manualpick.star", "foo.star"])
def test_file_of_one_micrograph_is_named_after_it(tmp_path: Path, name: str) -> None:
    (foo,) = read_coordinates(star(tmp_path, AUTOPICK, name))
    assert foo.micrograph == "foo"
    assert foo.xy.tolist() == [[1200, 34]]
    assert foo.score.tolist() == [0.4321]
    assert foo.view.tolist() == [2]
    assert foo.psi.tolist() == [12.5]
    assert foo.pixel_size is None


def test_given_micrograph_names_it(tmp_path: Path) -> None:
    (foo,) = read_coordinates(star(tmp_path, AUTOPICK, "odd.star"), micrograph="foo.mrc")
    assert foo.micrograph == "foo.mrc"


def test_given_micrograph_selects(tmp_path: Path) -> None:
    (bar,) = read_coordinates(star(tmp_path, STYLE_3_0), micrograph="bar.jpg")
    assert bar.micrograph == "bar.mrc"
    with pytest.raises(InputError, match=r"nothing of micrograph baz \(found: foo\.mrc, bar\.mrc\)"):
        read_coordinates(tmp_path / "picks.star", micrograph="baz")


def test_particles_with_image_names_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "gembench"):
        foo, bar = read_coordinates(star(tmp_path, PARTICLES))
    assert (foo.micrograph, bar.micrograph) == ("foo.mrcs", "bar.mrcs")
    assert foo.xy.tolist() == [[15, 25]]
    assert foo.pixel_size is None  # 8.8 A/px is that of the extracted images
    assert "no rlnMicrographName" in caplog.text


@pytest.mark.parametrize("block", ["data_", "data_particles", "data_images"])
def test_any_block_name(tmp_path: Path, block: str) -> None:
    (foo,) = read_coordinates(star(tmp_path, f"{block}\n\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n1 2\n"))
    assert foo.xy.tolist() == [[1, 2]]


@pytest.mark.parametrize("tail", ["", "\n", "\n\n# done\n"])
def test_no_picks(tmp_path: Path, tail: str) -> None:
    text = "data_\n\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2" + tail
    path = star(tmp_path, text, "foo_autopick.star")
    (foo,) = read_coordinates(path)
    assert (foo.micrograph, len(foo)) == ("foo", 0)


def test_comments_quotes_and_numbers_of_any_type(tmp_path: Path) -> None:
    text = ("data_\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n_rlnMicrographName\n"
            "1e2 5 \"a b.mrc\" # first\n\n# between\n.5 +7 0012\n")
    first, second = read_coordinates(star(tmp_path, text))
    assert (first.micrograph, first.xy.tolist()) == ("a b.mrc", [[100, 5]])
    assert (second.micrograph, second.xy.tolist()) == ("0012", [[0.5, 7]])


def test_reading_again_sees_the_new_file(tmp_path: Path) -> None:
    for x in (1, 12345):
        path = star(tmp_path, f"data_\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n{x} 2\n")
        assert read_coordinates(path)[0].x.tolist() == [x]


@pytest.mark.parametrize(("rows", "message"), [
    ("1 2\n3\n", r"picks\.star:6: '3' has 1 values for 2 columns"),
    ("1 2\n\n3 4 5\n", r"picks\.star:7: '3 4 5' has 3 values for 2 columns"),
    ("1 2\n3 four\n", r"picks\.star:6: rlnCoordinateY is 'four', not a number"),
    ("nan 2\n", r"picks\.star:5: rlnCoordinateX is 'nan', not a finite number"),
    ("1 2\n1 inf\n", r"picks\.star:6: rlnCoordinateY is 'inf', not a finite number"),
    ("1 \"2\n", "rlnCoordinateY is '\"2', not a number"),
    ("1 \"2 3\n", r"picks\.star:5: '1 \"2 3' has an open quote"),
    ("1 a#2\n", "rlnCoordinateY is 'a#2', not a number"),
    ("data_1 2 3\n", "begins like a data_ block"),
])
def test_malformed_rows(tmp_path: Path, rows: str, message: str) -> None:
    path = star(tmp_path, "data_\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n" + rows)
    with pytest.raises(InputError, match=message) as caught:
        read_coordinates(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "message"), [
    ("hello\n", "has no data_ block"),
    ("data_\nloop_\n_rlnDefocusU\n_rlnVoltage\n1 2\n", r"found: rlnDefocusU, rlnVoltage"),
    ("data_\n_rlnVoltage 300\n", "found: rlnVoltage"),
    ("", "the file is empty"),
    ("data_\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n_rlnAnglePsi\n1 2 x\n",
     r"picks\.star:6: rlnAnglePsi is 'x', not a number"),
    ("data_\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n_rlnMicrographName\n1 2 f.mrc\n1 2 f.tif\n",
     "are picks of one micrograph, f"),
    ("data_\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n_rlnMicrographPixelSize\n1 2 3\n1 2 4\n",
     "rows of 3 and 4 A/px"),
])
def test_unusable_files(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_coordinates(star(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_binary_is_not_star(tmp_path: Path) -> None:
    (tmp_path / "a.star").write_bytes(b"\x89PNG\r\n\x1a\n\x00")
    with pytest.raises(InputError, match="is not a text file"):
        read_coordinates(tmp_path / "a.star")


@pytest.mark.parametrize("style", ["3.0", "3.1"])
def test_what_relion_reads(tmp_path: Path, style: str) -> None:
    picks = Picks("foo.mrc", [10.5, 3], [20, 4.25], [0.75, 0.5], [181, 2], [1, 0], [33, 270], pixel_size=2.2)
    write_coordinates(tmp_path / "a.star", [picks], style=style)
    blocks = starfile.read(tmp_path / "a.star", always_dict=True)
    rows = blocks["" if style == "3.0" else "particles"]
    assert rows["rlnCoordinateX"].tolist() == [10.5, 3]
    assert rows["rlnCoordinateY"].tolist() == [20, 4.25]
    assert rows["rlnAutopickFigureOfMerit"].tolist() == [0.75, 0.5]
    assert rows["rlnClassNumber"].tolist() == [2, 1]
    assert rows["rlnAnglePsi"].tolist() == [33, 270]
    assert rows["rlnMicrographName"].tolist() == ["foo.mrc", "foo.mrc"]
    assert rows["gembenchTemplate"].tolist() == [181, 2]
    assert "gembenchLabel" not in rows
    if style == "3.0":
        assert (rows["rlnDetectorPixelSize"] * 1e4 / rows["rlnMagnification"]).tolist() == [2.2, 2.2]
    else:
        assert rows["rlnOpticsGroup"].tolist() == [1, 1]
        assert blocks["optics"]["rlnMicrographPixelSize"].tolist() == [2.2]


@pytest.mark.parametrize(("psi", "within"), [(0, 0), (33.7, 33.7), (350.1, 350.1), (-30, 330), (360, 0),
                                             (540, 180), (-1e-14, 0)])
def test_psi_is_within_one_turn(tmp_path: Path, psi: float, within: float) -> None:
    write_coordinates(tmp_path / "a.star", [Picks("foo.mrc", [1], [2], psi=[psi])])
    rows = starfile.read(tmp_path / "a.star")["particles"]
    assert rows["rlnAnglePsi"].tolist() == [within]
    assert read_coordinates(star(tmp_path, f"data_\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n_rlnAnglePsi\n"
                                 f"1 2 {psi!r}\n", "b.star"))[0].psi.tolist() == [within]


def test_positions_are_in_the_first_block(tmp_path: Path) -> None:
    write_coordinates(tmp_path / "a.star", [Picks("foo.mrc", [1], [2], pixel_size=2.2)])
    text = (tmp_path / "a.star").read_text()
    assert 0 < text.index("data_particles") < text.index("data_optics")


@pytest.mark.parametrize("style", ["3.0", "3.1"])
def test_nothing_follows_an_empty_block(tmp_path: Path, style: str) -> None:
    write_coordinates(tmp_path / "a.star", [Picks("foo.mrc", np.empty(0), np.empty(0), pixel_size=2.2)],
                      style=style)
    (block,) = starfile.read(tmp_path / "a.star", always_dict=True).values()
    assert "rlnCoordinateX" in block
    assert len(block) == 0


def test_bytes_do_not_depend_on_the_time(tmp_path: Path) -> None:
    write_coordinates(tmp_path / "a.star", [Picks("foo.mrc", [1], [2])])
    assert (tmp_path / "a.star").read_text() == (
        "# written by gembench\n\ndata_particles\n\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2\n"
        "_rlnMicrographName #3\n_rlnOpticsGroup #4\n1.000000\t2.000000\tfoo.mrc\t1\n\n"
        "\ndata_optics\n\nloop_\n_rlnOpticsGroupName #1\n_rlnOpticsGroup #2\nopticsGroup1 1\n\n")


@pytest.mark.parametrize(("picks", "style", "message"), [
    ([Picks("f\no.mrc", [1], [2])], "3.1", "cannot hold"),
    ([Picks("foo.mrc", [1], [2], label=["a\tb"])], "3.1", "cannot hold"),
    ([Picks("a.mrc", [1], [2], pixel_size=2.2), Picks("b.mrc", [1], [2])], "3.1",
     r"pixel size of b\.mrc is unknown"),
    ([Picks("a.mrc", [1], [2])], "2.0", "STAR style '2.0' is unknown"),
])
def test_write_refuses(tmp_path: Path, picks: list[Picks], style: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        write_coordinates(tmp_path / "a.star", picks, style=style)
    assert list(tmp_path.iterdir()) == []


def test_rows_whose_lengths_even_out_are_malformed(tmp_path: Path) -> None:
    """Rows are split many at a time."""
    head = "data_\n\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n_rlnMicrographName\n"
    (tmp_path / "a.star").write_text(head + "1 2 a\n1 2\n1 2 a a\n")
    with pytest.raises(InputError, match=r"a\.star:8: '1 2' has 2 values for 3 columns"):
        read_coordinates(tmp_path / "a.star")


@pytest.mark.parametrize("odd", ["'a b.mrc'", "c.mrc # by hand"])
def test_many_rows_with_an_odd_one_among_them(tmp_path: Path, odd: str) -> None:
    rows = [f"{n} {n / 8} {'m.mrc' if n != 15_000 else odd}" for n in range(20_001)]
    head = "data_\n\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n_rlnMicrographName\n"
    (tmp_path / "a.star").write_text(head + "\n".join(rows) + "\n")
    first, second = read_coordinates(tmp_path / "a.star")
    assert (second.micrograph, second.xy.tolist()) == (odd.strip("'").split(" #")[0], [[15_000, 1875]])
    assert first.x.tolist() == [n for n in range(20_001) if n != 15_000]
    np.testing.assert_array_equal(first.y, first.x / 8)
