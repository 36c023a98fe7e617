"""Data sets are found by name, imported whole or not at all, and downloaded safely."""

from __future__ import annotations

import functools
import hashlib
import io
import shutil
import tarfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from gembench.cli import main
from gembench.data.acquire import fetch_set, import_set
from gembench.data.sets import ENVIRONMENT, find_set, names_here
from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.io.coordinates import read_coordinates, write_coordinates
from gembench.io.images.mrc import write_mrc


class Quiet(SimpleHTTPRequestHandler):
    """A file server that logs nothing."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path):
    """The address of a local server of the folder `www`, and that folder."""
    folder = tmp_path / "www"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}", folder
        httpd.shutdown()
        thread.join()


def archive(path, members):
    """A .tar.gz of {name: bytes}."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def test_a_set_is_found_through_the_environment_before_the_cache(cache, micrographs, monkeypatch, tmp_path):
    import_set(micrographs, "klh")
    assert find_set("klh").folder == cache / "klh"
    elsewhere = tmp_path / "data" / "klh"
    (elsewhere / "micrographs").mkdir(parents=True)
    shutil.copy(micrographs / "m0.mrc", elsewhere / "micrographs")
    (elsewhere / "annotations.csv").write_text("micrograph,x,y,label\nm0.mrc,3,4,side\n")
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "data"))
    data_set = find_set("klh")
    assert (data_set.name, data_set.folder, data_set.pixel_size) == ("klh", elsewhere, 2.2)
    assert data_set.micrographs == [elsewhere / "micrographs" / "m0.mrc"]
    assert data_set.annotations == elsewhere / "annotations.csv"
    assert data_set.templates is None
    assert data_set.masks is None
    assert find_set("apoferritin") is None


def test_an_environment_that_names_no_folder_is_an_error(cache, monkeypatch, tmp_path):
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="nowhere"):
        find_set("klh")


@pytest.mark.parametrize("name", ["", ".", "..", "sub/mine", "../data/mine", "mine/", ".hidden", "a\0b"])
def test_a_path_is_no_name(cache, micrographs, name):
    import_set(micrographs, "mine")
    for place in (cache, cache / "sub" / "mine", cache / ".hidden"):
        shutil.copytree(cache / "mine" / "micrographs", place / "micrographs")
    assert find_set(name) is None
    assert find_set("mine").name == "mine"
    assert names_here() == ["mine"]


@pytest.mark.parametrize("link", [False, True])
def test_an_imported_set_comes_back(cache, micrographs, tmp_path, link):
    write_coordinates(tmp_path / "a.star", [Picks("m1.png", [3, 20.5], [4, 7.25], label=["side", "top"])])
    data_set = import_set(micrographs, "mine", annotations=tmp_path / "a.star", link=link)
    assert data_set == find_set("mine")
    assert names_here() == ["mine"]
    assert data_set.pixel_size == pytest.approx(2.2)
    for path in data_set.micrographs:
        assert path.is_symlink() == link
        assert path.read_bytes() == (micrographs / path.name).read_bytes()
    (picks,) = read_coordinates(data_set.annotations)
    assert picks.micrograph == "m1.mrc"
    np.testing.assert_array_equal(picks.xy, [[3, 4], [20.5, 7.25]])
    assert picks.label.tolist() == ["side", "top"]


def test_images_without_a_pixel_size_need_one(cache, tmp_path):
    folder = tmp_path / "png"
    folder.mkdir()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(folder / "a.png")
    with pytest.raises(InputError, match=r"a\.png"):
        import_set(folder, "png")
    assert import_set(folder, "png", pixel_size=1.5).pixel_size == 1.5


def test_mixed_pixel_sizes_are_refused(cache, micrographs):
    write_mrc(micrographs / "z.mrc", np.eye(8, dtype=np.float32), 3.0)
    with pytest.raises(InputError, match=r"z\.mrc.*two sets"):
        import_set(micrographs, "mixed")


@pytest.mark.parametrize(("row", "message"), [("other.mrc,3,4", "other"), ("m0.mrc,33,4", r"\(33, 4\)")])
def test_a_failed_import_leaves_nothing(cache, micrographs, tmp_path, row, message):
    (tmp_path / "a.csv").write_text(f"micrograph,x,y\n{row}\n")
    with pytest.raises(InputError, match=message):
        import_set(micrographs, "mine", annotations=tmp_path / "a.csv")
    assert list(cache.iterdir()) == []
    assert find_set("mine") is None


def test_a_broken_micrograph_is_not_imported(cache, micrographs):
    whole = (micrographs / "m1.mrc").read_bytes()
    (micrographs / "m1.mrc").write_bytes(whole[:-100])
    with pytest.raises(InputError, match=r"m1\.mrc"):
        import_set(micrographs, "mine")
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden"])
def test_a_name_stays_inside_the_cache(cache, micrographs, name):
    with pytest.raises(InputError, match="--name"):
        import_set(micrographs, name)


def test_a_name_in_use_is_refused(cache, micrographs):
    import_set(micrographs, "mine")
    with pytest.raises(InputError, match="already"):
        import_set(micrographs, "mine")


def test_a_set_that_would_be_hidden_is_not_imported(cache, micrographs, tmp_path, monkeypatch):
    (tmp_path / "lab" / "mine").mkdir(parents=True)
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "lab"))
    with pytest.raises(InputError, match=f"{tmp_path}/lab/mine: the set is there already"):
        import_set(micrographs, "mine")
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="nowhere: no such folder"):
        import_set(micrographs, "mine")
    assert not cache.exists()


def test_fetch_downloads_and_unpacks(cache, micrographs, server):
    address, folder = server
    archive(folder / "set.tar.gz", {"exposure2/m0.mrc": (micrographs / "m0.mrc").read_bytes(),
                                    "exposure2/readme.txt": b"not a micrograph"})
    data_set, digest = fetch_set("klh", f"{address}/set.tar.gz")
    assert digest == hashlib.sha256((folder / "set.tar.gz").read_bytes()).hexdigest()
    assert [p.name for p in data_set.micrographs] == ["m0.mrc"]
    assert data_set.micrographs[0].read_bytes() == (micrographs / "m0.mrc").read_bytes()
    assert data_set.pixel_size == 2.2
    assert [p.name for p in cache.iterdir()] == ["klh"]


@pytest.mark.parametrize(("members", "message"), [
    ({"../../evil.mrc": b"x"}, r"unsafe member '\.\./\.\./evil\.mrc'"),
    ({"/tmp/evil.mrc": b"x"}, "unsafe member"),
    ({"a/m.mrc": b"x", "b/m.mrc": b"y"}, r"two files called m\.mrc"),
    ({"readme.txt": b"x"}, "no micrographs"),
    ({"m.mrc": b"too short"}, r"m\.mrc"),
])
def test_a_bad_archive_leaves_nothing(cache, server, members, message, tmp_path):
    address, folder = server
    archive(folder / "set.tar.gz", members)
    with pytest.raises(InputError, match=message):
        fetch_set("klh", f"{address}/set.tar.gz")
    assert list(cache.iterdir()) == []
    assert not list(tmp_path.rglob("evil.mrc"))


def test_links_in_an_archive_are_refused(cache, server):
    address, folder = server
    with tarfile.open(folder / "set.tar", "w") as tar:
        info = tarfile.TarInfo("m.mrc")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(info)
    with pytest.raises(InputError, match="unsafe member"):
        fetch_set("klh", f"{address}/set.tar")


def test_a_cut_archive_is_refused(cache, micrographs, server):
    address, folder = server
    noise = np.random.default_rng(0).bytes(200_000)
    archive(folder / "set.tar.gz", {"m0.mrc": (micrographs / "m0.mrc").read_bytes(), "more.mrc": noise})
    whole = (folder / "set.tar.gz").read_bytes()
    (folder / "set.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="whole tar archive"):
        fetch_set("klh", f"{address}/set.tar.gz")
    assert list(cache.iterdir()) == []


def test_the_command_line_says_in_one_line_what_is_wrong(cache, server, capsys, tmp_path):
    address, _ = server
    for arguments, words in ((["fetch", "klh", "--url", f"{address}/missing.tar.gz"], "404"),
                             (["fetch", "nothing"], "klh, apoferritin"),
                             (["fetch", "apoferritin"], "gembench data import"),
                             (["fetch", "klh", "--url", "http://127.0.0.1:9/x.tar.gz"], "check the network"),
                             (["import", str(tmp_path / "none"), "--name", "x"], "not a folder")):
        assert main(["data", *arguments]) == 2
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1


def test_list_import_and_list_again(cache, micrographs, capsys):
    assert main(["data", "list"]) == 0
    assert "gembench data fetch klh" in capsys.readouterr().out
    assert main(["data", "import", str(micrographs), "--name", "klh"]) == 0
    assert "2 micrographs, 2.2 A/px" in capsys.readouterr().out
    assert main(["data", "list"]) == 0
    out = capsys.readouterr().out
    assert str(cache / "klh") in out
    assert "fetch klh" not in out
    assert main(["data", "fetch", "klh"]) == 0
    assert "here already" in capsys.readouterr().out
