"""Every format reads back what it wrote; folders, flips and names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.io.coordinates import FORMATS, micrograph_key, read_coordinates, write_coordinates

SHAPE = (300, 500)
FOO = Picks("foo.001.mrc", [100.25, 17, 450.5], [40.125, 250, 3], [0.75, 0.1 + 0.2, np.float32(0.3)],
            [181, 0, 93], [1, 0, 1], [33.7, 350.1, 0], ["side", "unsure", ""], 2.2)
BAR = Picks("bar.mrc", [7], [8], [0.5], [2], [0], [123.456], ["top"], 1.1)
SHAPED = {"cryosparc"}  # fractions in float32
KEPT = {
    "cbox": ("x", "y", "score"),
    "xmipp": ("x", "y", "score"),
    "topaz": ("x", "y", "score"),
    "eman": ("x", "y", "score", "label"),
    "cryosparc": ("score", "view"),
    "star": ("x", "y", "score", "template", "view", "psi", "label"),
    "csv": ("x", "y", "score", "template", "view", "psi", "label"),
    "tsv": ("x", "y", "score", "template", "view", "psi", "label"),
    "plain": ("x", "y", "score"),
    "gempicker": ("x", "y", "score", "view", "psi"),
    "box": ("x", "y"),
}
NAMES_IN_FILE = ("star", "csv", "tsv", "cryosparc")
STEMS_IN_FILE = ("topaz",)


def assert_same(read: Picks, written: Picks, form: str) -> None:
    for column in KEPT[form]:
        np.testing.assert_array_equal(getattr(read, column), getattr(written, column), err_msg=column)
    if form in NAMES_IN_FILE:
        assert read.micrograph == written.micrograph
        np.testing.assert_allclose(read.xy, written.xy, atol=1e-3)
        assert read.pixel_size == written.pixel_size
    else:
        assert read.micrograph == micrograph_key(written.micrograph)


def rounded(picks: Picks, form: str) -> Picks:
    """The picks as the format holds them."""
    if form == "box" or FORMATS[form].decimals == 0:
        picks = replace(picks, x=np.floor(picks.x + 0.5), y=np.floor(picks.y + 0.5))
    if form in ("star", "cbox", "xmipp"):
        picks = replace(picks, score=np.round(picks.score, 6), psi=np.round(picks.psi, 6))
    return replace(picks, score=picks.score.astype(np.float32)) if form == "cryosparc" else picks


@pytest.mark.parametrize("flip_y", [False, True])
@pytest.mark.parametrize("form", FORMATS)
def test_folder_round_trip(tmp_path: Path, form: str, flip_y: bool) -> None:
    written = [rounded(BAR, form), rounded(FOO, form)]
    shapes = {"bar": (64, 96), "foo.001": SHAPE}
    options = {"shape": lambda name: shapes[micrograph_key(name)], "flip_y": flip_y}
    files = write_coordinates(tmp_path / "out", written, format=form, box_size=33, **options)
    assert [file.name for file in files] == [name + FORMATS[form].suffix for name in ("bar", "foo.001")]
    for read, planted in zip(read_coordinates(tmp_path / "out", **options), written, strict=True):
        assert_same(read, planted, form)


@pytest.mark.parametrize("style", ["3.0", "3.1"])
@pytest.mark.parametrize("name", ["a.star", "a.csv", "a.tsv"])
def test_one_file_of_several_micrographs(tmp_path: Path, name: str, style: str) -> None:
    assert write_coordinates(tmp_path / name, [FOO, BAR], style=style) == [tmp_path / name]
    for read, planted in zip(read_coordinates(tmp_path / name), [FOO, BAR], strict=True):
        assert_same(read, rounded(planted, name[2:]), name[2:])


@pytest.mark.parametrize("name", ["a.star", "a.csv", "a.tsv", "foo.txt"])
def test_unknown_values_stay_unknown(tmp_path: Path, name: str) -> None:
    bare = Picks("foo", [1.5, 2], [3, 4])
    write_coordinates(tmp_path / name, [bare])
    (read,) = read_coordinates(tmp_path / name)
    assert_same(read, bare, "csv")
    mixed = Picks("foo", [1.5, 2], [3, 4], [np.nan, 0.5], [-1, 3], [-1, 1], [np.nan, 45], ["", "side"])
    write_coordinates(tmp_path / name, [mixed])
    (read,) = read_coordinates(tmp_path / name)
    assert_same(read, mixed, "plain" if name == "foo.txt" else "csv")


@pytest.mark.parametrize(("form", "flip_y", "text"), [
    ("box", False, "90\t244\t20\t20\n"),
    ("box", True, "90\t35\t20\t20\n"),
    ("plain", False, "# x y score, pixels\n100.0 254.0 0.5\n"),
    ("plain", True, "# x y score, pixels\n100.0 45.0 0.5\n"),
    ("gempicker", False, "1\n1 0.5 254.0 400.0 20 2 327.0\n"),
    ("gempicker", True, "1\n1 0.5 45.0 400.0 20 2 327.0\n"),
])
def test_text_as_it_stands_and_flipped(tmp_path: Path, form: str, flip_y: bool, text: str) -> None:
    # Row 254 of 300 from the top is row 45 from the bottom; a box of 20 begins 10 px before its centre.
    picks = Picks("foo", [100], [254], [0.5], view=[1], psi=[33])
    options = {"shape": SHAPE, "flip_y": flip_y}
    path = tmp_path / f"foo{FORMATS[form].suffix}"
    write_coordinates(path, [picks], format=form, box_size=20, **options)
    assert path.read_text() == text
    (read,) = read_coordinates(path, **options)
    assert read.xy.tolist() == [[100, 254]]


@pytest.mark.parametrize("form", FORMATS)
def test_micrograph_without_picks_in_a_folder(tmp_path: Path, form: str) -> None:
    nothing = Picks("foo.mrc", np.empty(0), np.empty(0))
    write_coordinates(tmp_path / "out", [nothing], format=form, box_size=20, shape=SHAPE)
    (read,) = read_coordinates(tmp_path / "out", shape=SHAPE)
    assert (read.micrograph, len(read)) == ("foo", 0)


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_without_picks_asked_for_its_micrograph(tmp_path: Path, form: str) -> None:
    nothing = Picks("foo.mrc", np.empty(0), np.empty(0))
    (path,) = write_coordinates(tmp_path / "out", [nothing], format=form, box_size=20, shape=SHAPE)
    (read,) = read_coordinates(path, micrograph="foo.mrc", shape=SHAPE)
    assert (read.micrograph, len(read)) == ("foo.mrc", 0)


@pytest.mark.parametrize("name", ["a.star", "a.csv"])
def test_nothing_at_all(tmp_path: Path, name: str) -> None:
    write_coordinates(tmp_path / name, [])
    assert read_coordinates(tmp_path / name) == []


def test_folder_skips_what_is_not_coordinates(tmp_path: Path) -> None:
    (tmp_path / "foo.txt").write_text("1 2\n")
    (tmp_path / "foo.mrc").write_text("not read")
    (tmp_path / ".foo.star").write_text("not read")
    assert [picks.micrograph for picks in read_coordinates(tmp_path)] == ["foo"]


def test_picks_star_that_repeats_the_others_is_left_out(tmp_path: Path) -> None:
    nothing = Picks("none.mrc", np.empty(0), np.empty(0))
    write_coordinates(tmp_path / "picks.star", [BAR, FOO])
    for read, planted in zip(read_coordinates(tmp_path), [BAR, FOO], strict=True):
        assert_same(read, rounded(planted, "star"), "star")
    write_coordinates(tmp_path, [BAR, FOO, nothing], format="star")
    bar, foo, none = read_coordinates(tmp_path)
    assert_same(bar, BAR, "star")
    assert_same(foo, rounded(FOO, "star"), "star")
    assert (none.micrograph, len(none)) == ("none", 0)


def test_picks_star_that_holds_something_else_is_read(tmp_path: Path) -> None:
    write_coordinates(tmp_path / "picks.star", [FOO])
    write_coordinates(tmp_path / "bar.csv", [BAR])
    assert [part.micrograph for part in read_coordinates(tmp_path)] == ["bar.mrc", "foo.001.mrc"]
    write_coordinates(tmp_path / "truth.csv", [FOO.shifted(1, 0)])
    with pytest.raises(InputError, match="are picks of one micrograph"):
        read_coordinates(tmp_path)


def test_two_files_for_one_micrograph(tmp_path: Path) -> None:
    (tmp_path / "foo.txt").write_text("1 2\n")
    (tmp_path / "foo_picks.box").write_text("1 2 3 3\n")
    with pytest.raises(InputError, match="are picks of one micrograph, foo"):
        read_coordinates(tmp_path)


def test_read_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.star: no such file"):
        read_coordinates(tmp_path / "a.star")
    with pytest.raises(InputError, match="no coordinate files in this folder"):
        read_coordinates(tmp_path)
    (tmp_path / "a.xml").touch()
    with pytest.raises(InputError, match=r"unknown extension '\.xml'"):
        read_coordinates(tmp_path / "a.xml")
    (tmp_path / "foo.txt").write_text("1 2\n")
    with pytest.raises(InputError, match="the shape of micrograph foo is needed"):
        read_coordinates(tmp_path / "foo.txt", flip_y=True)


def test_write_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown extension '\.xml'"):
        write_coordinates(tmp_path / "a.xml", [FOO])
    with pytest.raises(InputError, match="unknown format 'xml'"):
        write_coordinates(tmp_path / "a.star", [FOO], format="xml")
    with pytest.raises(InputError, match="say in which format"):
        write_coordinates(tmp_path, [FOO])
    with pytest.raises(InputError, match="box files hold one micrograph, not 2"):
        write_coordinates(tmp_path / "a.box", [FOO, BAR], box_size=20)
    with pytest.raises(InputError, match="are picks of one micrograph, bar"):
        write_coordinates(tmp_path / "a.star", [BAR, replace(BAR, micrograph="bar.tif")])
    with pytest.raises(InputError, match="folder does not exist"):
        write_coordinates(tmp_path / "missing" / "a.star", [FOO])
    assert list(tmp_path.iterdir()) == []


finite = st.floats(-1e5, 1e5, allow_nan=False)
rows = st.lists(st.tuples(finite, finite, st.floats(-1, 1) | st.just(float("nan")), st.integers(-1, 10**6),
                          st.integers(-1, 99), st.integers(0, 359999),
                          st.sampled_from(["", "side", "1", "a b"])), min_size=1, max_size=5)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=rows, name=st.sampled_from(["a.star", "a.csv", "a.tsv"]), style=st.sampled_from(["3.0", "3.1"]),
       pixel_size=st.none() | st.floats(0.1, 50), flip_y=st.booleans())
def test_whatever_is_written_is_read_back(tmp_path: Path, rows: list[tuple[float, ...]], name: str,
                                          style: str, pixel_size: float | None, flip_y: bool) -> None:
    x, y, score, template, view, psi, label = zip(*rows, strict=True)
    if flip_y:
        y = np.round(y)  # whole pixels, for which H - 1 - y is exact
    planted = Picks("01nov26b.001.jpg", x, y, score, template, view, np.array(psi) / 1000, label, pixel_size)
    if name == "a.star":  # six decimals
        planted = replace(planted, x=np.round(x, 6), y=np.round(y, 6), score=np.round(score, 6),
                          pixel_size=pixel_size and round(pixel_size, 6))
    options = {"shape": SHAPE, "flip_y": flip_y}
    write_coordinates(tmp_path / name, [planted], style=style, **options)
    (read,) = read_coordinates(tmp_path / name, **options)
    assert_same(read, planted, "csv")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(corners=st.lists(st.tuples(st.integers(-50, 5000), st.integers(-50, 5000)), min_size=1, max_size=5),
       box_size=st.integers(1, 300), rows=st.integers(1, 6000), flip_y=st.booleans())
def test_box_text_survives_reading_and_writing(tmp_path: Path, corners: list[tuple[int, int]], box_size: int,
                                               rows: int, flip_y: bool) -> None:
    text = "".join(f"{x}\t{y}\t{box_size}\t{box_size}\n" for x, y in corners)
    (tmp_path / "a.box").write_text(text)
    picks = read_coordinates(tmp_path / "a.box", shape=(rows, 10), flip_y=flip_y)
    write_coordinates(tmp_path / "b.box", picks, box_size=box_size, shape=(rows, 10), flip_y=flip_y)
    assert (tmp_path / "b.box").read_text() == text
    (tmp_path / "b.box").unlink()
