""".box, tables, plain and gEMpicker's text: planted files read to exact numbers, and each one's errors."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.io.coordinates import read_coordinates, write_coordinates

SHAPE = (300, 500)  # rows, columns


def file(tmp_path: Path, name: str, text: str) -> Path:
    (tmp_path / name).write_text(text)
    return tmp_path / name


# .box

def test_box_centres(tmp_path: Path) -> None:
    path = file(tmp_path, "foo.box", "100\t40\t32\t32\t-3\n-4 7 9 5\n\n10.0 20.0 31.0 31.0\n")
    (foo,) = read_coordinates(path)
    assert foo.micrograph == "foo"
    assert foo.xy.tolist() == [[116, 56], [0, 9], [25, 35]]


@pytest.mark.parametrize(("size", "y"), [(32, 243), (31, 244)])
def test_box_from_the_bottom(tmp_path: Path, size: int, y: float) -> None:
    # The centre is row 40 + size // 2 from the bottom, which is row 299 - that from the top.
    path = file(tmp_path, "foo.box", f"100 40 {size} {size}\n")
    (foo,) = read_coordinates(path, shape=SHAPE, flip_y=True)
    assert foo.xy.tolist() == [[100 + size // 2, y]]
    write_coordinates(tmp_path / "bar.box", [foo], box_size=size, shape=SHAPE, flip_y=True)
    assert (tmp_path / "bar.box").read_text() == f"100\t40\t{size}\t{size}\n"


def test_box_writes_whole_corners(tmp_path: Path) -> None:
    write_coordinates(tmp_path / "foo.box", [Picks("foo.mrc", [100.5, 3.49], [56.2, 1.5])], box_size=32)
    assert (tmp_path / "foo.box").read_text() == "85\t40\t32\t32\n-13\t-14\t32\t32\n"


def test_box_without_picks(tmp_path: Path) -> None:
    write_coordinates(tmp_path / "foo.box", [Picks("foo.mrc", np.empty(0), np.empty(0))], box_size=32)
    (foo,) = read_coordinates(tmp_path / "foo.box")
    assert len(foo) == 0


@pytest.mark.parametrize(("text", "message"), [
    ("1 2 3 3\n1 2\n", r"foo\.box:2: '1 2' is not a \.box row 'x y width height'"),
    ("1 two 3 3\n", r"foo\.box:1: '1 two 3 3' is not a \.box row"),
    ("1 2 0 0\n", "with a positive size"),
    ("1 nan 3 3\n", r"foo\.box:1: '1 nan 3 3' holds a number that is not finite"),
    ("", "the file is empty"),
])
def test_box_errors(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_coordinates(file(tmp_path, "foo.box", text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [None, 0, -4])
@pytest.mark.parametrize(("name", "form"), [("a.box", "box"), ("a.txt", "gempicker")])
def test_box_size_is_needed(tmp_path: Path, size: int | None, name: str, form: str) -> None:
    with pytest.raises(InputError, match=f"holds? a box size and {size} was given"):
        write_coordinates(tmp_path / name, [Picks("a", [1], [2])], format=form, box_size=size, shape=SHAPE)


# tables

def test_annotations_with_labels(tmp_path: Path) -> None:
    path = file(tmp_path, "annotations.csv", "micrograph,x,y,label,source\n"
                "b.001.jpg,750,1910,side,candidate\na.jpg,3.5,4,unsure,by eye\nb.001.jpg,1,2,,x\n")
    b, a = read_coordinates(path)
    assert (b.micrograph, a.micrograph) == ("b.001.jpg", "a.jpg")
    assert b.xy.tolist() == [[750, 1910], [1, 2]]
    assert b.label.tolist() == ["side", ""]
    assert a.label.tolist() == ["unsure"]


@pytest.mark.parametrize("heading", [
    "x,y", "X-Coordinate,Y-Coordinate", "x_coord,y_coord", "center_x,center_y", "X_CENTRE,Y_CENTRE",
    "rlnCoordinateX,rlnCoordinateY", "_rlnCoordinateX,_rlnCoordinateY", "\ufeffx,y",
])
@pytest.mark.parametrize(("name", "delimiter"), [("a.csv", ","), ("a.csv", ";"), ("a.tsv", "\t")])
def test_headings_of_others(tmp_path: Path, heading: str, name: str, delimiter: str) -> None:
    path = file(tmp_path, name, f"{heading},Diameter\r\n10,2.5,80\r\n".replace(",", delimiter))
    (a,) = read_coordinates(path)
    assert (a.micrograph, a.xy.tolist()) == ("a", [[10, 2.5]])


def test_relion_headings_are_in_its_convention(tmp_path: Path) -> None:
    path = file(tmp_path, "a.csv", "rlnCoordinateX,rlnCoordinateY,rlnMicrographName,rlnClassNumber,"
                "rlnAnglePsi,rlnAutopickFigureOfMerit\n1,2,Mics/foo.mrc,3,-33.5,0.5\n1,2,Mics/foo.mrc,,,\n")
    (foo,) = read_coordinates(path)
    assert foo.micrograph == "foo.mrc"
    assert foo.view.tolist() == [2, -1]
    assert foo.psi.tolist()[0] == -33.5
    assert np.isnan([foo.psi[1], foo.score[1]]).all()
    assert foo.score[0] == 0.5


def test_quoted_names(tmp_path: Path) -> None:
    picks = Picks('a "b", c.mrc', [1], [2], label=["ring, cut"])
    write_coordinates(tmp_path / "a.csv", [picks])
    (read,) = read_coordinates(tmp_path / "a.csv")
    assert (read.micrograph, read.label.tolist()) == ('a "b", c.mrc', ["ring, cut"])


@pytest.mark.parametrize(("text", "message"), [
    ("micrograph,x,label\na,1,b\n", r"no column y among 'micrograph, x, label'"),
    ("1,2\n3,4\n", "no column x and y among '1, 2'"),
    ("x,y,center_x\n1,2,3\n", "columns 'x' and 'center_x' could both be x"),
    ("x,y\n1,2\n3\n", r"a\.csv:3: '3' is not a row of at least 2 columns"),
    ("x,y\n1,two\n", r"a\.csv:2: '1 two' is not a row with a number for y"),
    ("x,y\n1,\n", r"a\.csv:2: '1 ' is not a row with a number for y"),
    ("x,y\n1,2\n\n1,inf\n", r"a\.csv:4: '1 inf' holds a number that is not finite"),
    ("x,y,psi\n1,2,left\n", r"a\.csv:2: '1 2 left' is not a row with a number for psi"),
    ("x,y,micrograph\n1,2,\n", "a row has no micrograph name"),
    ("x,y,pixel_size\n1,2,3\n1,2,4\n", "rows of 3 and 4 A/px"),
    ("", "the file is empty"),
    ("\n\n", "no column x and y"),
    ("x,y\n" + "1" * 200_000 + ",2\n", r"'1{160}\.\.\.' holds a number that is not finite"),
])
def test_table_errors(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_coordinates(file(tmp_path, "a.csv", text))
    assert "\n" not in str(caught.value)


def test_table_without_rows(tmp_path: Path) -> None:
    (a,) = read_coordinates(file(tmp_path, "a_picks.csv", "x,y\n"))
    assert (a.micrograph, len(a)) == ("a", 0)
    assert read_coordinates(file(tmp_path, "b.csv", "micrograph,x,y\n")) == []


# plain

def test_plain(tmp_path: Path) -> None:
    path = file(tmp_path, "foo_coords.txt", "# x y\n\n10.5 20\n3,4 # edge\n5, 6, 0.25\n")
    (foo,) = read_coordinates(path)
    assert foo.micrograph == "foo"
    assert foo.xy.tolist() == [[10.5, 20], [3, 4], [5, 6]]
    assert np.isnan(foo.score[:2]).all()
    assert foo.score[2] == 0.25


@pytest.mark.parametrize(("text", "message"), [
    ("1 2\n3\n", r"a\.txt:2: '3' is not a row 'x y' or 'x y score'"),
    ("1 2 3 4\n", r"a\.txt:1: '1 2 3 4' is not a row"),
    ("x y\nz 2\n", r"a\.txt:2: 'z 2' is not a row"),
    ("1 inf\n", "not finite"),
    ("1 2 high\n", r"a\.txt:1: '1 2 high' is not a row"),
    ("", "the file is empty"),
])
def test_plain_errors(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_coordinates(file(tmp_path, "a.txt", text))


# gEMpicker

GEMPICKER = "2\n1 0.61 40.0 120.0 64 2 33.5\n2 0.35 7 499 64 1 352\n"


def test_gempicker_frame_is_turned(tmp_path: Path) -> None:
    (foo,) = read_coordinates(file(tmp_path, "foo.txt", GEMPICKER), shape=SHAPE)
    assert foo.x.tolist() == [380, 1]  # 500 - column 4
    assert foo.y.tolist() == [40, 7]  # column 3
    assert foo.score.tolist() == [0.61, 0.35]
    assert foo.view.tolist() == [1, 0]
    assert foo.psi.tolist() == [326.5, 8]  # 360 - column 7


def test_gempicker_angle_of_nothing_is_nothing(tmp_path: Path) -> None:
    path = file(tmp_path, "foo.txt", "1\n1 0.61 40.0 120.0 64 2 0.0\n")
    (foo,) = read_coordinates(path, shape=SHAPE)
    assert foo.psi.tolist() == [0]
    write_coordinates(tmp_path / "bar.txt", [foo], format="gempicker", box_size=64, shape=SHAPE)
    assert (tmp_path / "bar.txt").read_text() == path.read_text()


def test_gempicker_without_picks(tmp_path: Path) -> None:
    (foo,) = read_coordinates(file(tmp_path, "foo.txt", "0\n"), shape=SHAPE)
    assert len(foo) == 0


def test_gempicker_needs_the_width(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the shape of micrograph foo is needed"):
        read_coordinates(file(tmp_path, "foo.txt", GEMPICKER))


def test_gempicker_count_that_does_not_fit(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "gembench"):
        (foo,) = read_coordinates(file(tmp_path, "foo.txt", "3" + GEMPICKER[1:]), shape=SHAPE)
    assert len(foo) == 2
    assert "the heading says 3 picks but there are 2" in caplog.text


def test_gempicker_with_a_heading_of_words(tmp_path: Path) -> None:
    text = "name corr X Y box ref angle\nfoo_1 0.61 40.0 120.0 64 2 33.5\n"
    (foo,) = read_coordinates(file(tmp_path, "foo.txt", text), shape=SHAPE)
    assert foo.xy.tolist() == [[380, 40]]


@pytest.mark.parametrize(("row", "message"), [
    ("3 0.5 1 2\n", r"foo\.txt:4: '3 0\.5 1 2' is not a gEMpicker row of 7 columns"),
    ("3 0.5 1 x 64 1 0\n", r"foo\.txt:4: .* is not a gEMpicker row"),
    ("3 0.5 1 nan 64 1 0\n", r"foo\.txt:4: .* not finite"),
])
def test_gempicker_errors(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_coordinates(file(tmp_path, "foo.txt", GEMPICKER + row), shape=SHAPE)
