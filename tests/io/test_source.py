"""What a file claims is checked before it is believed: its kind, its size, its format."""

from __future__ import annotations

import bz2
import gzip
import os
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from gembench.errors import InputError
from gembench.io import source
from gembench.io.coordinates import read_coordinates
from gembench.io.images import mrcload
from gembench.io.images.micrographs import read_micrograph, read_pixels, read_shape
from gembench.io.images.mrc import write_mrc
from gembench.io.source import free_memory, require_file, require_memory

PIXELS = np.arange(48.0).reshape(6, 8)


def header(nx: int, ny: int, nz: int = 1, mode: int = 2, extended: int = 0) -> bytes:
    """The first 1024 bytes of an MRC file."""
    content = bytearray(1024)
    struct.pack_into("<4i", content, 0, nx, ny, nz, mode)
    struct.pack_into("<i", content, 92, extended)
    content[208:216] = b"MAP \x44\x44\0\0"
    return bytes(content)


@pytest.mark.parametrize("name", ["a.mrc", "a.star", "a.png", "a.tif", "a.csv", "a.mrc.gz"])
def test_a_pipe_or_device_is_no_file(tmp_path: Path, name: str) -> None:
    """Opening a pipe would wait for ever, and /dev/zero never ends."""
    read: Callable[[Path], object] = read_coordinates if name in ("a.star", "a.csv") else read_pixels
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match=f"{name}: is a pipe where a file is needed"):
        read(tmp_path / name)
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(InputError, match=f"{name}: is a device where a file is needed"):
        read(tmp_path / name)


def test_a_name_that_no_file_has() -> None:
    with pytest.raises(InputError, match="is no file name"):
        require_file(Path("a\0b.mrc"))


def test_only_promised_formats_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name ending in .png may hold PostScript, for which Pillow would start another program."""
    monkeypatch.setattr(subprocess, "check_call", lambda *_, **__: pytest.fail("a program was started"))
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\nshowpage\n%%EOF\n")
    Image.fromarray(PIXELS.astype(np.uint8)).save(tmp_path / "b.png", format="BMP")
    Image.fromarray(PIXELS.astype(np.uint8)).save(tmp_path / "c.jpg", format="GIF")
    for name in ("a.png", "b.png", "c.jpg"):
        for read in (read_pixels, read_shape):
            with pytest.raises(InputError, match=rf"{name}: is not a readable image \(no PNG, JPEG or TIFF"):
                read(tmp_path / name)
    Image.fromarray(PIXELS.astype(np.uint8)).save(tmp_path / "d.jpg", format="PNG")
    assert read_pixels(tmp_path / "d.jpg")[0].tolist() == PIXELS.tolist()


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_an_image_larger_than_memory_is_refused_before_it_is_read(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    if name == "a.tif":
        tifffile.imwrite(tmp_path / name, PIXELS.astype(np.float32))
    else:
        Image.fromarray(PIXELS.astype(np.uint8)).save(tmp_path / name)
    need = (4 + 3 * 4) * PIXELS.size  # as stored (4 bytes at the most), and three copies in float32
    monkeypatch.setattr(source, "free_memory", lambda: need)
    assert read_pixels(tmp_path / name)[0].shape == (6, 8)
    monkeypatch.setattr(source, "free_memory", lambda: need - 1)
    with pytest.raises(InputError, match=rf"{name}: 8 x 6 pixels need .* GiB are free"):
        read_pixels(tmp_path / name)


def test_a_tiff_that_claims_200000_by_200000_pixels(tmp_path: Path) -> None:
    """Its tiles are missing; nothing is allocated for them."""
    entries = [(256, 4, 200_000), (257, 4, 200_000), (258, 3, 32), (259, 3, 1), (262, 3, 1), (273, 4, 8),
               (277, 3, 1), (278, 4, 200_000), (279, 4, 16), (339, 3, 3)]
    directory = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries) + b"\0\0\0\0"
    (tmp_path / "a.tif").write_bytes(b"II*\0" + struct.pack("<I", 8) + directory)
    with pytest.raises(InputError, match=r"a\.tif: 200000 x 200000 pixels need 596 GiB"):
        read_pixels(tmp_path / "a.tif")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_no_more_is_unpacked_than_the_header_speaks_of(
        tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
        pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / f"a.mrc.{'gz' if pack is gzip.compress else 'bz2'}"
    image = PIXELS.astype("<f4").tobytes()
    path.write_bytes(pack(header(8, 6) + image + bytes(50_000_000)))
    sizes = []
    interpreted = mrcload._interpreted
    monkeypatch.setattr(mrcload, "_interpreted", lambda content, **options: (
        sizes.append(len(content)), interpreted(content, **options))[1])
    assert read_pixels(path)[0].tolist() == PIXELS.tolist()
    assert sizes == [1024 + 192]
    assert "holds more than the 1216 bytes" in caplog.text
    assert read_shape(path) == (6, 8)
    assert sizes[1:] == [1024]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
@pytest.mark.parametrize(("claim", "message"), [
    (header(200_000, 200_000), "a whole MRC file|149 GiB|447 GiB"),
    (header(8, 6, extended=2**31 - 1), "a whole MRC file|GiB are free"),
    (header(8, 6, 2**30), "a whole MRC file|GiB are free"),
    (header(-8, 6), "a whole MRC file|gives -8 x 6 x 1"),
])
def test_an_mrc_header_that_claims_too_much_costs_no_memory(
        tmp_path: Path, pack: Callable[[bytes], bytes], claim: bytes, message: str) -> None:
    path = tmp_path / ("a.mrc" if pack is bytes else "a.mrc.gz")
    path.write_bytes(pack(claim + bytes(192)))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=message) as refused:
            read_pixels(path)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()
    assert str(path) in str(refused.value)


def test_cut_archives_at_every_length(tmp_path: Path) -> None:
    write_mrc(tmp_path / "a.mrc", PIXELS, 2.0)
    for pack in (gzip.compress, bz2.compress):
        packed = pack((tmp_path / "a.mrc").read_bytes())
        for size in range(1, len(packed) - 8, 7):
            (tmp_path / "b.mrc.gz").write_bytes(packed[:size])
            with pytest.raises(InputError, match=r"b\.mrc\.gz: "):
                read_pixels(tmp_path / "b.mrc.gz")


def test_out_of_memory_is_no_broken_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mrc(tmp_path / "a.mrc", PIXELS, 2.0)

    def refuse(*_: object, **__: object) -> None:
        raise MemoryError("Unable to allocate 1 GiB")

    monkeypatch.setattr(mrcload, "_interpreted", refuse)
    with pytest.raises(InputError, match=r"a\.mrc: out of memory while it was read \(Unable to allocate"):
        read_pixels(tmp_path / "a.mrc")


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.jpg", "a.mrc", "b.mrc.gz"])
def test_damaged_images_are_one_line(tmp_path: Path, name: str) -> None:
    """Files with some bytes changed are an image or an InputError, and nothing else."""
    path, rng = tmp_path / name, np.random.default_rng(3)
    image = np.tile(PIXELS, (4, 4))
    if name.endswith(".tif"):
        tifffile.imwrite(path, image.astype(np.float32), compression="zlib")
    elif ".mrc" in name:
        write_mrc(tmp_path / "a.mrc", image, 2.0)
        path.write_bytes(gzip.compress((tmp_path / "a.mrc").read_bytes()) if name == "b.mrc.gz"
                         else (tmp_path / "a.mrc").read_bytes())
    else:
        Image.fromarray(image.astype(np.uint8)).save(path)
    whole = path.read_bytes()
    head = min(len(whole), 400)
    for _ in range(200):
        content = bytearray(whole)
        for at in rng.integers(0, head, rng.integers(1, 5)):
            content[at] = rng.choice([0, 1, 255, int(rng.integers(256))])
        path.write_bytes(content)
        with suppress(InputError):
            read_micrograph(path, pixel_size=2.0)
            read_shape(path)


def test_memory_that_is_free_is_bounded_by_what_is_allowed() -> None:
    code = ("import resource; from gembench.io.source import free_memory\n"
            "before = free_memory(); resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))\n"
            "assert 0 < free_memory() < min(before + 2**28, 2**31)")
    subprocess.run([sys.executable, "-c", code], check=True)
    require_memory(Path("a"), 0, "0 pixels")
    with pytest.raises(InputError, match=r"a: 5 pixels need"):
        require_memory(Path("a"), free_memory() + 2**40, "5 pixels")
