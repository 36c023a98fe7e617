"""Euler angles from text and STAR files."""

from __future__ import annotations

import pytest

from gembench.errors import InputError
from gembench.io.euler import read_euler

STAR = """\
data_optics

loop_
_rlnOpticsGroup #1
1

data_particles

loop_
_rlnAnglePsi #1
_rlnImageName #2
_rlnAngleRot #3
_rlnAngleTilt #4
-90 1@a.mrcs 10.5 90
30 "2@b c.mrcs" 0 1e1
"""


def test_text_with_comments_and_commas(tmp_path):
    file = tmp_path / "angles.txt"
    file.write_text("# rot tilt psi\n0 90 -90\n\n1.5, 2, 3e1  # a comment\n")
    assert read_euler(file) == [(0, 90, -90), (1.5, 2, 30)]


def test_star_columns_in_any_order_and_block(tmp_path):
    file = tmp_path / "angles.star"
    file.write_text(STAR)
    assert read_euler(file) == [(10.5, 90, -90), (0, 10, 30)]


@pytest.mark.parametrize(("name", "text", "expected"), [
    ("a.txt", "0 0 0\n0 90\n", ":2: '0 90' is not three angles"),
    ("a.txt", "0 0 0 0\n", ":1: '0 0 0 0' is not three angles"),
    ("a.txt", "# none\n0 x 0\n", ":2: '0 x 0' is not three angles"),
    ("a.txt", "0 nan 0\n", ":1: '0 nan 0' holds a number that is not finite"),
    ("a.txt", "# none\n", ": holds no Euler angles"),
    ("a.star", STAR.replace("0 1e1", "0 steep"), ":15: rlnAngleTilt is 'steep', not a number"),
    ("a.star", STAR.replace(" 1e1", ""), ":15: "),
    ("a.star", STAR.replace("rlnAngleTilt", "rlnTilt"), ": no loop with rlnAngleRot"),
    ("a.star", "0 0 0\n", ": has no data_ block"),
])
def test_malformed_files_are_named_with_the_line(tmp_path, name, text, expected):
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(InputError) as error:
        read_euler(file)
    assert str(error.value).startswith(f"{file}{expected}")
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"angles\.txt: no such file"):
        read_euler(tmp_path / "angles.txt")
