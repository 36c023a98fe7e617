"""TIFF, PNG and JPEG images as stored."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.errors import InputError
from gembench.io.checks import require_one_section
from gembench.io.names import extension
from gembench.io.source import parsing, require_file, require_memory

# Nothing else is decoded, whatever a file contains: Pillow would run Ghostscript on PostScript.
FORMATS = ("PNG", "JPEG", "TIFF")
COPIES = 3  # of an image in float32, or less, beside the pixels as stored


def load_image(path: Path) -> NDArray[Any]:
    """The grey image of a TIFF, PNG or JPEG file, (H, W), in its own dtype.

    Colour images are taken if their channels are equal in every pixel, that is grey stored as colour;
    an alpha channel must be the same everywhere. Resolution tags and EXIF orientation are not looked at.

    Raises InputError if the file is missing, empty, broken, coloured, or holds more than one image.
    """
    require_file(path)
    is_tiff = extension(path) in (".tif", ".tiff")
    with parsing(path, "a readable image"):
        pixels = _tiff_pixels(path) if is_tiff else _pillow_pixels(path)
        if not pixels.size:
            raise InputError(f"{path}: the image has no pixels; write or copy it again")
    return _grey(path, pixels)


def image_shape(path: Path) -> tuple[int, int]:
    """Rows and columns of a TIFF, PNG or JPEG file, without reading its pixels.

    Raises InputError if the file is missing, empty or not an image.
    """
    require_file(path)
    if extension(path) not in (".tif", ".tiff"):
        with parsing(path, "a readable image"), _opened(path) as image:
            return int(image.height), int(image.width)
    with parsing(path, "a readable image"), _tifffile().TiffFile(path) as tiff:
        return _yx(_only_series(path, tiff))


def _tiff_pixels(path: Path) -> NDArray[Any]:
    """The pixels of a TIFF file with one page, colour samples last."""
    with _tifffile().TiffFile(path) as tiff:
        series = _only_series(path, tiff)
        _require_memory(path, *_yx(series), int(series.dtype.itemsize) * series.size)
        try:
            pixels: NDArray[Any] = series.asarray()
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            return _pillow_pixels(path)  # LZW and its like, which Pillow decodes by itself
        axes = series.axes
    if "S" in axes:
        pixels = np.moveaxis(pixels, axes.index("S"), -1)
        return pixels.reshape(*_yx(series), -1)
    return pixels.reshape(_yx(series))


def _tifffile() -> Any:
    """The library, which says on stderr what it finds damaged: we say so once, in our words."""
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    return tifffile


def _only_series(path: Path, tiff: Any) -> Any:
    """The one image of a TIFF file; raises InputError if it holds several."""
    _require_end(path, tiff)
    if not tiff.series:
        raise InputError(f"{path}: the file holds no image; write or copy it again")
    series = tiff.series[0]
    sections = int(np.prod([n for n, axis in zip(series.shape, series.axes, strict=True)
                            if axis not in "YXS"])) * len(tiff.series)
    require_one_section(path, sections)
    return series


def _require_end(path: Path, tiff: Any) -> None:
    """Raise InputError if the pages, each of which says where the next one is, lead back to one of them."""
    offsets = set[int]()
    for page in tiff.pages:
        if page.offset in offsets:
            raise InputError(f"{path}: its pages go round in a circle; write or copy it again")
        offsets.add(page.offset)


def _require_memory(path: Path, rows: int, columns: int, stored: int) -> None:
    require_memory(path, stored + COPIES * 4 * rows * columns, f"{columns} x {rows} pixels")


def _yx(series: Any) -> tuple[int, int]:
    """Rows and columns of a TIFF series."""
    size = dict(zip(series.axes, series.shape, strict=True))
    return int(size["Y"]), int(size["X"])


def _pillow_pixels(path: Path) -> NDArray[Any]:
    """The pixels of an image that Pillow reads, colour samples last."""
    with _opened(path) as image:
        _require_memory(path, image.height, image.width, 4 * image.height * image.width)
        if image.mode.startswith("RGB") and ";16" in str(image.tile[:1]):  # Pillow would halve the depth
            raise InputError(f"{path}: 16-bit colour image; convert it to 16-bit grey")
        if image.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
            raise InputError(f"{path}: colour image ({image.mode}); convert it to grey")
        if image.mode == "1":
            return np.asarray(image.convert("L"))
        if image.mode in ("P", "PA"):
            return np.asarray(image.convert("RGBA"))
        return np.asarray(image)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The image as Pillow opens it, one frame of a promised format; its pixels are not read yet."""
    from PIL import Image, UnidentifiedImageError

    with warnings.catch_warnings():
        # Super-resolution micrographs pass Pillow's first limit against bombs; of damage we tell ourselves.
        warnings.simplefilter("ignore")
        try:
            image = Image.open(path, formats=FORMATS)
        except Image.DecompressionBombError as error:
            raise InputError(f"{path}: the image is too large for this format; convert it to MRC") from error
        except UnidentifiedImageError as error:
            raise InputError(f"{path}: is not a readable image (no PNG, JPEG or TIFF inside); write or copy"
                             " it again") from error
        with image:
            require_one_section(path, getattr(image, "n_frames", 1))
            yield image


def _grey(path: Path, pixels: NDArray[Any]) -> NDArray[Any]:
    """The one channel of an image that is grey; raises InputError if it is coloured."""
    if pixels.ndim == 2:
        return pixels
    channels = pixels.shape[-1]
    if channels in (2, 4) and np.any(pixels[..., -1] != pixels[0, 0, -1]):
        raise InputError(f"{path}: the image is partly transparent; convert it to grey without alpha")
    colours = pixels[..., : 3 if channels >= 3 else 1]
    if channels > 4 or np.any(colours != colours[..., :1]):
        raise InputError(f"{path}: colour image, its channels differ; convert it to grey")
    return np.ascontiguousarray(pixels[..., 0])
