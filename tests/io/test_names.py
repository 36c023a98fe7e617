"""The key that joins a micrograph to its coordinate files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gembench.io.names import extension, is_compressed, micrograph_key


@pytest.mark.parametrize("name", [
    "foo", "foo.mrc", "foo.MRC", "foo.mrc.gz", "foo.mrc.bz2", "foo.jpg", "foo.star", "foo.box", "foo.mrcs",
    "foo_autopick.star", "foo_manualpick.star", "foo_picks.csv", "foo_pick.txt", "foo_coords.txt",
    "Picks/job007/foo_autopick.star", "foo_picks", "foo.mrc.star",
])  # fmt: skip
def test_one_key_for_all_files_of_a_micrograph(name: str) -> None:
    assert micrograph_key(name) == "foo"


@pytest.mark.parametrize("name", ["01nov26b.001.002.001.jpg", "01nov26b.001.002.001.star",
                                  "01nov26b.001.002.001", "01nov26b.001.002.001_autopick.star"])
def test_dots_within_a_name_stay(name: str) -> None:
    assert micrograph_key(name) == "01nov26b.001.002.001"


def test_names_of_nothing_but_an_ending_stay() -> None:
    assert micrograph_key("_picks.star") == "_picks"
    assert micrograph_key(".mrc") == ".mrc"


@given(st.text("ab._", max_size=6).flatmap(
    lambda stem: st.lists(st.sampled_from([".mrc", ".star", "_picks", ".gz", ".001"]), max_size=4)
    .map(lambda endings: stem + "".join(endings))))
def test_the_key_of_a_key_is_itself(name: str) -> None:
    assert micrograph_key(micrograph_key(name)) == micrograph_key(name)


def test_extension_looks_below_compression() -> None:
    assert extension("a/b.MRC.GZ") == ".mrc"
    assert extension("b.002.tif") == ".tif"
    assert extension("b") == ""
    assert is_compressed("b.mrc.BZ2")
    assert not is_compressed("b.mrc")
