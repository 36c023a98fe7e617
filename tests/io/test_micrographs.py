"""Micrographs of every format read back to the exact pixels that were planted."""

from __future__ import annotations

import bz2
import gzip
import logging
import tracemalloc
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
import tifffile
from PIL import Image

from gembench.errors import InputError
from gembench.io.images.micrographs import find_micrographs, read_micrograph, read_shape

SHAPE = (5, 7)


def ramp(dtype: Any) -> np.ndarray:
    """Asymmetric pixels that every dtype holds exactly, its range used where it is an integer."""
    pixels = np.arange(35).reshape(SHAPE).astype(dtype)
    if np.issubdtype(dtype, np.integer):
        pixels[0, 1], pixels[4, 2] = np.iinfo(dtype).min, min(np.iinfo(dtype).max, 2**24)
    else:
        pixels[2, 3] = -0.5
    return pixels


def write_mrc(path: Path, data: np.ndarray, pixel_size: float | None = 2.2) -> Path:
    with mrcfile.new(path, data, overwrite=True) as mrc:
        mrc.voxel_size = pixel_size or 0.0
    return path


def patched(path: Path, **fields: bytes | int) -> Path:
    """The file with header bytes replaced: at=<offset>, put=<bytes>."""
    content = bytearray(path.read_bytes())
    at, put = int(fields["at"]), bytes(fields["put"])  # type: ignore[call-overload]
    content[at:at + len(put)] = put
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("mode", "dtype"), [(0, np.int8), (1, np.int16), (2, np.float32), (6, np.uint16),
                                             (12, np.float16)])
@pytest.mark.parametrize("compress", [None, gzip.compress, bz2.compress])
def test_mrc_modes_plain_and_compressed(tmp_path: Path, mode: int, dtype: Any, compress: Any) -> None:
    path = write_mrc(tmp_path / "a.mrc", ramp(dtype))
    assert mrcfile.open(path, header_only=True).header.mode == mode
    if compress:
        ending = ".gz" if compress is gzip.compress else ".bz2"
        path = path.with_name("a.mrc" + ending)
        path.write_bytes(compress((tmp_path / "a.mrc").read_bytes()))
    micrograph = read_micrograph(path)
    assert micrograph.data.dtype == np.float32
    np.testing.assert_array_equal(micrograph.data, ramp(dtype).astype(np.float32))
    assert micrograph.name == path.name
    assert micrograph.path == path
    assert micrograph.pixel_size == 2.2
    assert micrograph.shape == read_shape(path) == SHAPE


def test_unsigned_bytes_of_imod(tmp_path: Path) -> None:
    pixels = np.arange(200, 235, dtype=np.uint8).reshape(SHAPE)
    path = write_mrc(tmp_path / "a.mrc", pixels.view(np.int8))
    assert read_micrograph(path).data.max() < 0
    patched(path, at=152, put=(1146047817).to_bytes(4, "little") + (0).to_bytes(4, "little"))
    np.testing.assert_array_equal(read_micrograph(path).data, pixels)
    patched(path, at=156, put=(1).to_bytes(4, "little"))
    np.testing.assert_array_equal(read_micrograph(path).data, pixels.view(np.int8))


def test_big_endian_mrc(tmp_path: Path) -> None:
    path = write_mrc(tmp_path / "a.mrc", ramp(np.float32).astype(">f4"))
    np.testing.assert_array_equal(read_micrograph(path).data, ramp(np.float32))


@pytest.mark.parametrize("order", ["<", ">"])
def test_mrc_from_before_the_standard(tmp_path: Path, caplog: pytest.LogCaptureFixture, order: str) -> None:
    path = write_mrc(tmp_path / "a.mrc", ramp(np.int16).astype(order + "i2"))
    patched(path, at=208, put=bytes(8))  # neither identifier nor machine stamp
    with caplog.at_level(logging.WARNING, "gembench"):
        np.testing.assert_array_equal(read_micrograph(path).data, ramp(np.int16))
    assert "Map ID" in caplog.text
    assert read_shape(path) == SHAPE


def test_one_section_of_a_stack_is_a_micrograph(tmp_path: Path) -> None:
    path = write_mrc(tmp_path / "a.mrc", ramp(np.float32)[np.newaxis])
    assert read_micrograph(path).shape == read_shape(path) == SHAPE


def test_longer_mrc_is_read_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_mrc(tmp_path / "a.mrc", ramp(np.float32))
    path.write_bytes(path.read_bytes() + b"more")
    np.testing.assert_array_equal(read_micrograph(path).data, ramp(np.float32))
    assert "4 bytes larger than expected" in caplog.text


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.float32,
                                   np.float64])
def test_tiff(tmp_path: Path, dtype: Any) -> None:
    tifffile.imwrite(tmp_path / "a.tif", ramp(dtype))
    micrograph = read_micrograph(tmp_path / "a.tif", pixel_size=1.5)
    np.testing.assert_array_equal(micrograph.data, ramp(dtype).astype(np.float32))
    assert micrograph.pixel_size == 1.5
    assert read_shape(tmp_path / "a.tif") == SHAPE


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_lzw_compressed_tiff(tmp_path: Path, dtype: Any) -> None:
    Image.fromarray(ramp(dtype)).save(tmp_path / "a.tiff", compression="tiff_lzw")
    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.tiff", pixel_size=1).data, ramp(dtype))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png(tmp_path: Path, dtype: Any) -> None:
    Image.fromarray(ramp(dtype)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.png", pixel_size=1).data, ramp(dtype))
    assert read_shape(tmp_path / "a.png") == SHAPE


def test_jpeg_is_the_image_within_its_compression(tmp_path: Path) -> None:
    pixels = np.add.outer(np.arange(16) * 10, np.arange(24) * 4).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=100)
    read = read_micrograph(tmp_path / "a.jpg", pixel_size=2.2).data
    assert read.shape == (16, 24)
    assert np.abs(read - pixels).max() <= 2


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_grey_stored_as_colour(tmp_path: Path, name: str) -> None:
    grey = ramp(np.uint8)
    Image.fromarray(np.stack([grey] * 3, axis=-1)).save(tmp_path / name)
    np.testing.assert_array_equal(read_micrograph(tmp_path / name, pixel_size=1).data, grey)


def test_grey_with_opaque_alpha_and_palette(tmp_path: Path) -> None:
    grey = ramp(np.uint8)
    Image.fromarray(np.stack([grey] * 3 + [np.full_like(grey, 255)], axis=-1)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.png", pixel_size=1).data, grey)
    palette = Image.fromarray(grey).convert("P")
    palette.save(tmp_path / "p.png")
    np.testing.assert_array_equal(read_micrograph(tmp_path / "p.png", pixel_size=1).data, grey)


def colour(path: Path) -> None:
    grey = ramp(np.uint8)
    Image.fromarray(np.stack([grey, grey.T.reshape(SHAPE), grey], axis=-1)).save(path)


def transparent(path: Path) -> None:
    Image.fromarray(np.stack([ramp(np.uint8)] * 4, -1)).save(path)


def with_pixel(value: float) -> Any:
    def write(path: Path) -> None:
        pixels = ramp(np.float32)
        pixels[1, 1] = pixels[1, 2] = value
        tifffile.imwrite(path, pixels)
    return write


def transparent_bits(path):
    """A TIFF of two samples of a bit, the second of which is opacity."""
    pixels = np.zeros((*SHAPE, 2), bool)
    pixels[2, 3] = True
    tifffile.imwrite(path, pixels, photometric="minisblack", extrasamples=["unassalpha"])


def circular_tiff(path):
    """A TIFF whose third page says that the second follows it, as a damaged file may."""
    tifffile.imwrite(path, np.arange(105, dtype=np.uint8).reshape(3, *SHAPE), photometric="minisblack")
    with tifffile.TiffFile(path) as tiff:
        second, third = tiff.pages[1].offset, tiff.pages[2].offset
    content = bytearray(path.read_bytes())
    after = third + 2 + 12 * int.from_bytes(content[third : third + 2], "little")
    content[after : after + 4] = second.to_bytes(4, "little")
    path.write_bytes(content)


def signalling_nan(path):
    """A NaN of 64 bits whose conversion to 32 bits processors raise a flag for."""
    pixels = ramp(np.float64)
    pixels.view(np.uint64)[0, 0] = 0x7FF0_0000_0000_0001
    tifffile.imwrite(path, pixels)


def truncated_mrc(path: Path) -> None:
    write_mrc(path, ramp(np.float32)).write_bytes(path.read_bytes()[:-8])


def cut_gzip(path: Path) -> None:
    path.write_bytes(gzip.compress(write_mrc(path.with_name("b.mrc"), ramp(np.float32)).read_bytes())[:-9])


def mode(number: int) -> Any:
    def write(path: Path) -> None:
        patched(write_mrc(path, ramp(np.float32)), at=12, put=number.to_bytes(4, "little"))
    return write


UNUSABLE = {
    "truncated": ("a.mrc", truncated_mrc, "not a whole MRC file"),
    "cut gzip": ("a.mrc.gz", cut_gzip, "not a whole MRC file"),
    "not MRC": ("a.mrc", lambda path: path.write_bytes(b"hello " * 400), "not a whole MRC file"),
    "short": ("a.mrc", lambda path: path.write_bytes(b"hello"), "not a whole MRC file"),
    "zeros": ("a.mrc", lambda path: path.write_bytes(bytes(2048)), "not a whole MRC file"),
    "3 sections": ("a.mrc", lambda path: write_mrc(path, np.arange(60, dtype="f4").reshape(3, 4, 5)),
                   "holds 3 sections where one image is needed"),
    "complex 64": ("a.mrc", lambda path: write_mrc(path, ramp(np.complex64)), r"mode 4 \(complex numbers\)"),
    "complex 32": ("a.mrc", mode(3), r"mode 3 \(complex 16-bit integers\)"),
    "4 bit": ("a.mrc", mode(101), r"mode 101 \(4-bit integers\)"),
    "unknown mode": ("a.mrc", mode(77), "Unrecognised mode"),
    "not square": ("a.mrc", lambda path: patched(write_mrc(path, ramp(np.float32)), at=40,
                                                 put=np.float32(14).tobytes()), "pixels are 2 x 2.2 A"),
    "NaN": ("a.tif", with_pixel(np.nan), "2 of 35 pixels are NaN or infinite"),
    "infinite": ("a.tif", with_pixel(-np.inf), "2 of 35 pixels are NaN or infinite"),
    "beyond float32": ("a.tif", lambda path: tifffile.imwrite(path, ramp(np.float64) * 1e38),
                       "NaN or infinite"),
    "signalling NaN": ("a.tif", signalling_nan, "1 of 35 pixels are NaN or infinite"),
    "circular": ("a.tif", circular_tiff, "its pages go round in a circle"),
    "constant": ("a.png", lambda path: Image.new("L", (7, 5), 9).save(path), "all pixels are 9"),
    "empty MRC": ("a.mrc", lambda path: path.touch(), "the file is empty"),
    "empty PNG": ("a.png", lambda path: path.touch(), "the file is empty"),
    "not PNG": ("a.png", lambda path: path.write_text("hello"), "not a readable image"),
    "not TIFF": ("a.tif", lambda path: path.write_text("hello"), "not a readable image"),
    "cut PNG": ("a.png", lambda path: (Image.fromarray(ramp(np.uint16)).save(path),
                                       path.write_bytes(path.read_bytes()[:60])), "not a readable image"),
    "two pages": ("a.tif", lambda path: tifffile.imwrite(path, np.zeros((2, *SHAPE), np.uint8)),
                  "holds 2 sections"),
    "colour": ("a.png", colour, "colour image, its channels differ"),
    "colour TIFF": ("a.tif", colour, "colour image, its channels differ"),
    "transparent": ("a.png", transparent, "partly transparent"),
    "transparent bits": ("a.tif", transparent_bits, "partly transparent"),
    "CMYK": ("a.jpg", lambda path: Image.new("CMYK", (7, 5)).save(path), r"colour image \(CMYK\)"),
    "extension": ("a.dm4", lambda path: path.write_text("hello"), "unknown extension '.dm4'"),
    "compressed PNG": ("a.png.gz", lambda path: path.write_text("hello"), "unknown extension '.gz'"),
    "missing": ("a.mrc", lambda path: None, "no such file"),
    "folder": ("a.mrc", lambda path: path.mkdir(), "is a folder"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_unusable_files_get_one_line(tmp_path: Path, case: str) -> None:
    name, write, message = UNUSABLE[case]
    write(tmp_path / name)  # type: ignore[no-untyped-call]
    with pytest.raises(InputError, match=message) as caught:
        read_micrograph(tmp_path / name, pixel_size=2.2)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / name))


@pytest.mark.parametrize(
    "start", [b"x" * 2000, bytes(92) + b"\x7f" * 4 + bytes(116) + b"\x11\x11" + bytes(900)]
)
def test_a_header_of_no_image_takes_no_memory(tmp_path: Path, start: bytes) -> None:
    """Its extended header would have 2 GiB."""
    (tmp_path / "a.mrc").write_bytes(start)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="its header holds no size and mode of an image"):
            read_micrograph(tmp_path / "a.mrc", pixel_size=2.2)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("case", ["not MRC", "zeros", "3 sections", "complex 64", "empty PNG", "not PNG",
                                  "not TIFF", "two pages", "circular", "extension", "missing"])
def test_shape_of_unusable_files(tmp_path: Path, case: str) -> None:
    name, write, message = UNUSABLE[case]
    write(tmp_path / name)  # type: ignore[no-untyped-call]
    with pytest.raises(InputError, match=message):
        read_shape(tmp_path / name)


def test_16_bit_colour_is_refused_rather_than_halved(tmp_path: Path) -> None:
    import struct
    import zlib

    rows = b"".join(b"\0" + np.stack([row] * 3, -1).astype(">u2").tobytes() for row in ramp(np.uint16))
    header = struct.pack(">IIBBBBB", SHAPE[1], SHAPE[0], 16, 2, 0, 0, 0)
    chunks = b"".join(struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
                      for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    with pytest.raises(InputError, match="16-bit colour image"):
        read_micrograph(tmp_path / "a.png", pixel_size=1)


@pytest.mark.parametrize(("header", "given", "settled", "warns"), [
    (2.2, None, 2.2, False),
    (2.2, 2.2, 2.2, False),
    (2.2, 2.21, 2.21, False),
    (None, 2.2, 2.2, False),
    (1.0, 2.2, 2.2, True),
    (1.0, None, 1.0, True),
    (1.0, 1.0, 1.0, False),
    (1.0, 1.005, 1.005, False),
])
def test_pixel_size_is_settled(tmp_path: Path, caplog: pytest.LogCaptureFixture, header: float | None,
                               given: float | None, settled: float, warns: bool) -> None:
    path = write_mrc(tmp_path / "a.mrc", ramp(np.float32), header)
    assert read_micrograph(path, pixel_size=given).pixel_size == settled
    assert ("pixel size 1.0 A/px in the header" in caplog.text) == warns


@pytest.mark.parametrize(("header", "given", "message"), [
    (None, None, "holds no pixel size; give one"),
    (2.2, 2.3, "2.2 A/px in the header but 2.3 A/px was given"),
    (2.2, 1.0, "2.2 A/px in the header but 1 A/px was given"),
    (2.2, 0.0, "pixel size 0 A/px was given"),
    (2.2, -2.2, "pixel size -2.2 A/px was given"),
    (2.2, float("nan"), "pixel size nan A/px was given"),
])
def test_pixel_size_is_refused(tmp_path: Path, header: float | None, given: float | None,
                               message: str) -> None:
    path = write_mrc(tmp_path / "a.mrc", ramp(np.float32), header)
    with pytest.raises(InputError, match=message):
        read_micrograph(path, pixel_size=given)


def test_resolution_tags_are_not_a_pixel_size(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", ramp(np.uint8), resolution=(1e8, 1e8), resolutionunit="CENTIMETER")
    with pytest.raises(InputError, match="holds no pixel size"):
        read_micrograph(tmp_path / "a.tif")


def test_no_samples_in_the_header_is_no_pixel_size(tmp_path: Path) -> None:
    path = patched(write_mrc(tmp_path / "a.mrc", ramp(np.float32)), at=28, put=bytes(12))
    assert read_micrograph(path, pixel_size=3.0).pixel_size == 3.0


def test_find_micrographs(tmp_path: Path) -> None:
    for name in ("b.mrc", "a.tif", "stack.mrcs", "c.mrc.gz", "d.png.gz", ".hidden.mrc", "notes.txt",
                 "map.map"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).touch()
    (tmp_path / "in" / "sub.mrc").mkdir()
    (tmp_path / "z.jpg").touch()
    files = find_micrographs([tmp_path / "z.jpg", str(tmp_path / "in")])
    assert [path.name for path in files] == ["z.jpg", "a.tif", "b.mrc", "c.mrc.gz"]


def test_find_micrographs_takes_a_named_stack(tmp_path: Path) -> None:
    (tmp_path / "one.mrcs").touch()
    assert find_micrographs([tmp_path / "one.mrcs"]) == [tmp_path / "one.mrcs"]


@pytest.mark.parametrize(("names", "message"), [
    (["a/x.jpg", "a/x.png"], "same micrograph name as .*a/x.jpg"),
    (["a/x.mrc", "a/x.mrc"], "same micrograph name"),
    (["a/x.dm4"], "unknown extension '.dm4'"),
])
def test_find_micrographs_refuses(tmp_path: Path, names: list[str], message: str) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=message):
        find_micrographs([tmp_path / name for name in names])


def test_find_micrographs_needs_something(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no micrographs in this folder"):
        find_micrographs([tmp_path])
    with pytest.raises(InputError, match="no such file or folder"):
        find_micrographs([tmp_path / "missing"])
