"""Inputs that broke something once, each small and by its reason."""

from __future__ import annotations

import io
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gembench.cli import main
from gembench.data import acquire
from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.io.atomic import part_of, remove_parts
from gembench.io.coordinates import read_coordinates, write_coordinates
from gembench.io.coordinates.star.scan import scan_loops
from gembench.io.images.find import find_micrographs
from gembench.io.images.micrographs import Micrograph
from gembench.picking.plots import draw_picks
from gembench.plugins import load_module
from gembench.study.declare.cases import Case, parse_value
from gembench.study.measure.store import Row
from gembench.study.measure.worker import HookError, hook
from gembench.study.tell.page.gallery import load_figures
from gembench.study.tell.tables import speed_up

FIGURE = '[[figure]]\nname = "Fig. 2"\nsays = "x"\nexperiment = "x"\ndrawings = [""]\nlead = "x"\n'


def refused(read, *arguments):
    """What it says of bad input, in one printable line."""
    with pytest.raises(InputError) as raised:
        read(*arguments)
    assert str(raised.value).isprintable()
    return str(raised.value)


def test_control_characters_of_a_file_do_not_reach_the_terminal(tmp_path):
    (tmp_path / "a.csv").write_text("a\x1b[31mred,b\n1,2\n")
    assert "\x1b" not in refused(read_coordinates, tmp_path / "a.csv")
    assert str(InputError("a\x1b[2J\nb\tc")) == "a?[2J b?c"


def test_a_list_of_a_name_that_no_file_system_holds(tmp_path):
    (tmp_path / "list.txt").write_text("x" * 5000 + ".mrc\n")
    assert "none of the 1 micrographs" in refused(find_micrographs, [tmp_path / "list.txt"])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "x,y,template\n1,2,99999999999\n"),
        ("a.csv", "x,y,view\n1,2,-99999999999\n"),
        ("a.star", "data_\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n_rlnClassNumber\n1 2 99999999999\n"),
        ("a.txt", "1\n1 0.5 3 4 8 99999999999 0\n"),
    ],
)
def test_a_template_beyond_32_bits(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=r"1e\+11 is beyond a number of 32 bits"):
        read_coordinates(tmp_path / name, shape=(10, 10))


def cs(path, kind, header=None):
    """A .cs file whose x is of another kind."""
    np.save(
        path.with_suffix(".npy"),
        np.zeros(2, [("location/center_x_frac", kind), ("location/center_y_frac", "<f4")]),
    )
    content = path.with_suffix(".npy").read_bytes()
    path.write_bytes(content if header is None else content.replace(*header))
    return path


@pytest.mark.parametrize("kind", ["S4", "(2,)<f4", "V3"])
def test_a_field_that_holds_no_number(tmp_path, kind):
    assert "holds no number a row" in refused(
        lambda: read_coordinates(cs(tmp_path / "a.cs", kind), shape=(10, 10))
    )


def test_a_header_that_ends_within_a_bracket(tmp_path):
    path = cs(tmp_path / "a.cs", "<f4", (b"), }", b", } "))
    assert "is not a whole .cs file" in refused(lambda: read_coordinates(path, shape=(10, 10)))


def test_optics_without_any_pixel_size(tmp_path):
    (tmp_path / "a.star").write_text(
        "data_optics\nloop_\n_rlnOpticsGroup\n_rlnImagePixelSize\n1 nan\n2 nan\n\ndata_particles\nloop_\n"
        "_rlnCoordinateX\n_rlnCoordinateY\n1 2\n"
    )
    assert len(scan_loops(tmp_path / "a.star")) == 2
    (picks,) = read_coordinates(tmp_path / "a.star")
    assert picks.pixel_size is None


@pytest.mark.parametrize("content", [b"no archive", b"PK\x03\x04" + bytes(60)])
def test_stored_arrays_that_are_none(tmp_path, content):
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "a.npz").write_bytes(content)
    row = Row(Case(n=1), "ok", arrays_file="a.npz", path=tmp_path / "rows.jsonl")
    assert "is not a file of arrays" in refused(lambda: row.arrays)
    (tmp_path / "rows" / "a.npz").unlink()
    assert "no such file" in refused(lambda: row.arrays)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (FIGURE.replace('"Fig. 2"', "9" * 5000), "not TOML"),
        (FIGURE.replace('[""]', "5"), "drawings is not a list"),
        (FIGURE.replace('"Fig. 2"', "5"), "name is not text"),
        ("figure = 5", "other than"),
        ("x = 1", "other than"),
        ("x = " + "[" * 5000, "nested too deep"),
    ],
    ids=list("abcdef"),
)
def test_figures_of_other_types(tmp_path, text, reason):
    (tmp_path / "figures.toml").write_text(text)
    assert reason in refused(load_figures, tmp_path / "figures.toml")


def packed(path, name="m.mrc", content=b"x", kind=tarfile.REGTYPE):
    """A .tar.gz of one member."""
    with tarfile.open(path, "w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size, member.type = len(content), kind
        tar.addfile(member, io.BytesIO(content))
    return path


def test_an_archive_unpacks_to_no_more_than_it_can_hold(tmp_path, monkeypatch):
    monkeypatch.setattr(acquire, "ALLOWANCE", 1000)
    path = packed(tmp_path / "a.tar.gz", content=bytes(10**6))
    message = refused(acquire._unpack, path, "https://x/a.tar.gz", tmp_path / "out")
    assert "unpacks to more than 20 times its size" in message
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../m.mrc", tarfile.REGTYPE),
        ("/m.mrc", tarfile.REGTYPE),
        ("m.mrc", tarfile.SYMTYPE),
        ("m.mrc", tarfile.LNKTYPE),
        ("m.mrc", tarfile.CHRTYPE),
        ("m.mrc", tarfile.FIFOTYPE),
    ],
)
def test_what_an_archive_must_not_hold(tmp_path, name, kind):
    message = refused(
        acquire._unpack, packed(tmp_path / "a.tar.gz", name, kind=kind), "https://x", tmp_path / "out"
    )
    assert "unsafe member" in message


def test_what_an_ended_process_left_is_cleared(tmp_path, monkeypatch):
    own = part_of(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: 2**22 + 1)  # above the largest number of a process
        theirs = part_of(tmp_path)
    for folder in (own, theirs):
        (folder / "set").mkdir(parents=True)
        (folder / "set" / "m.mrc").touch()
    remove_parts(tmp_path)
    assert list(tmp_path.iterdir()) == [own]


@pytest.mark.parametrize("ending", [SystemExit(3), KeyboardInterrupt()])
def test_a_hook_that_ends_its_process_has_failed(ending):
    def end():
        raise ending

    with pytest.raises(HookError, match=f"run: {type(ending).__name__}"):
        hook("run", end)


def test_an_experiment_that_exits_is_broken(tmp_path):
    (tmp_path / "a.py").write_text("raise SystemExit(3)\n")
    assert "a.py: cannot be imported: SystemExit: 3" in refused(load_module, tmp_path / "a.py")


@pytest.mark.parametrize("shape", [(3000, 24), (24, 3000)])
def test_the_picture_of_a_strip_is_bounded(tmp_path, shape):
    image = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
    draw_picks(tmp_path / "a.png", Micrograph("a.mrc", image, 2.0, tmp_path), Picks("a", [5], [5]), (8, 8))
    with Image.open(tmp_path / "a.png") as drawn:
        assert max(drawn.size) < 4 * min(drawn.size) + 2000
        assert max(drawn.size) < 5000


@pytest.mark.parametrize("radius", ["0", "-1", "-0.0"])
def test_a_radius_of_nothing(tmp_path, capsys, radius):
    (tmp_path / "p.csv").write_text("micrograph,x,y\nm,1,2\n")
    path = str(tmp_path / "p.csv")
    assert main(["score", "--picks", path, "--truth", path, "--radius", radius]) == 2
    assert " radius " in capsys.readouterr().err


def test_an_empty_address(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("GEMBENCH_DATA", raising=False)
    assert main(["data", "fetch", "klh", "--url", ""]) == 2
    assert "--url: is empty" in capsys.readouterr().err


def test_a_column_that_a_table_needs_and_lacks(tmp_path):
    (tmp_path / "a.cbox").write_text("data_cryolo\n\nloop_\n_CoordinateX #1\n_CoordinateY #2\n"
                                     "_Confidence #3\n1 2 0.5\n")
    assert "has no column _Width" in refused(read_coordinates, tmp_path / "a.cbox")


def test_an_angle_without_end_is_unknown(tmp_path):
    (tmp_path / "a.star").write_text("data_\n\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2\n"
                                     "_rlnAnglePsi #3\n1 2 inf\n3 4 370\n")
    picks, = read_coordinates(tmp_path / "a.star")
    np.testing.assert_array_equal(picks.psi, [np.nan, 10])


def test_a_nan_of_another_kind_in_a_table_of_cryosparc(tmp_path):
    picks = Picks("a.mrc", [1.0, 2.0], [3.0, 4.0], score=[0.5, 0.6])
    write_coordinates(tmp_path / "a.cs", [picks], shape=(9, 9))
    rows = np.load(tmp_path / "a.cs")
    name, = (name for name in rows.dtype.names if "ncc" in name)
    rows[name].view(np.uint32)[0] = 0x7FA00000  # signals when it is converted
    with (tmp_path / "b.cs").open("wb") as handle:
        np.save(handle, rows)
    picks, = read_coordinates(tmp_path / "b.cs", shape=(9, 9))
    assert np.isnan(picks.score[0])
    assert picks.score[1] == pytest.approx(0.6)


def test_a_stored_time_of_nothing():
    base, nothing = (Row(Case(arm=name), "ok", samples=(seconds,), path=Path(name))
                     for name, seconds in (("a", 1.0), ("b", 0.0)))
    assert speed_up(base, nothing) == (np.inf, np.inf, np.inf)
    assert speed_up(nothing, base) == (0, 0, 0)
    assert speed_up(base, replace(nothing, path=base.path)) == (np.inf, np.inf, np.inf)


def test_a_selector_of_more_digits_than_python_converts():
    assert parse_value("9" * 5000) == np.inf
    assert parse_value("-12") == -12
