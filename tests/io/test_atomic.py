"""Outputs appear whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from gembench.errors import InputError
from gembench.io.atomic import atomic_path, atomic_text, make_folder


def test_file_appears_only_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "map.mrc"
    with atomic_path(target) as temporary:
        temporary.write_text("whole")
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".mrc"
        assert not target.exists()
    assert target.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [target]


def test_failure_leaves_the_older_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "picks.star"
    target.write_text("older")

    def write_half() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert target.read_text() == "older"
    assert list(tmp_path.iterdir()) == [target]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        atomic_text(tmp_path / "a.txt", "text")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


def test_text_is_utf8_with_unix_line_ends(tmp_path: Path) -> None:
    atomic_text(tmp_path / "a.txt", "2.2 Å\n")
    assert (tmp_path / "a.txt").read_bytes() == b"2.2 \xc3\x85\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_no_space_left_is_one_line(tmp_path: Path) -> None:
    target = tmp_path / "map.mrc"
    message = r"map\.mrc: cannot be written: no space left"
    with pytest.raises(InputError, match=message), atomic_path(target):
        Path("/dev/full").write_bytes(b"x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.EDQUOT])
def test_refused_write_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(self: Path, *args: object, **kwargs: object) -> None:
        raise OSError(code, os.strerror(code), str(self))

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(InputError, match=r"a\.txt: cannot be written: ") as caught:
        atomic_text(tmp_path / "a.txt", "text")
    assert "\n" not in str(caught.value)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.txt: cannot be written: its folder does not exist"):
        atomic_text(tmp_path / "missing" / "a.txt", "text")


def test_target_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it is a folder"):
        atomic_text(tmp_path, "text")


def test_parent_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file, not a folder"):
        atomic_text(tmp_path / "file" / "a.txt", "text")


def test_an_error_about_another_file_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a.txt"):
        (tmp_path / "other").read_bytes()
    assert list(tmp_path.iterdir()) == []


def test_make_folder(tmp_path: Path) -> None:
    assert make_folder(tmp_path / "a" / "b").is_dir()
    assert make_folder(tmp_path / "a" / "b").is_dir()


def test_make_folder_where_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "inner"):
        with pytest.raises(InputError, match="the folder cannot be created"):
            make_folder(path)
