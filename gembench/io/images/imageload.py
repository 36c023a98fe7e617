"""TIFF, PNG and JPEG images as stored."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.errors import InputError
from gembench.io.checks import require_file
from gembench.io.names import extension

# What the libraries raise on files that are cut or are something else.
_BROKEN = (OSError, ValueError, KeyError, IndexError, EOFError, SyntaxError, struct.error, zlib.error)


def load_image(path: Path) -> NDArray[Any]:
    """The grey image of a TIFF, PNG or JPEG file, (H, W), in its own dtype.

    Colour images are taken if their channels are equal in every pixel, that is grey stored as colour;
    an alpha channel must be the same everywhere. Resolution tags and EXIF orientation are not looked at.

    Raises InputError if the file is missing, empty, broken, coloured, or holds more than one image.
    """
    require_file(path)
    is_tiff = extension(path) in (".tif", ".tiff")
    try:
        pixels = _tiff_pixels(path) if is_tiff else _pillow_pixels(path)
    except InputError:
        raise
    except _BROKEN as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{path}: is not a readable image ({reason}); write or copy it again") from error
    return _grey(path, pixels)


def image_shape(path: Path) -> tuple[int, int]:
    """Rows and columns of a TIFF, PNG or JPEG file, without reading its pixels.

    Raises InputError if the file is missing, empty or not an image.
    """
    from PIL import Image

    require_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                _require_one_frame(path, image)
                return image.height, image.width
    except InputError:
        raise
    except _BROKEN as error:
        if extension(path) in (".tif", ".tiff"):  # Pillow knows fewer sample types than tifffile
            return load_image(path).shape
        raise InputError(f"{path}: is not a readable image; write or copy it again") from error


def _tiff_pixels(path: Path) -> NDArray[Any]:
    """The pixels of a TIFF file with one page, colour samples last."""
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        series = tiff.series[0]
        sections = int(np.prod([n for n, axis in zip(series.shape, series.axes, strict=True)
                                if axis not in "YXS"])) * len(tiff.series)
        if sections != 1:
            raise InputError(f"{path}: holds {sections} sections where one image is needed; split it")
        try:
            pixels = series.asarray()
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            return _pillow_pixels(path)  # LZW and its like, which Pillow decodes by itself
        axes = series.axes
    if "S" in axes:
        pixels = np.moveaxis(pixels, axes.index("S"), -1)
        return pixels.reshape(*_yx(series), -1)
    return pixels.reshape(_yx(series))


def _yx(series: Any) -> tuple[int, int]:
    """Rows and columns of a TIFF series."""
    size = dict(zip(series.axes, series.shape, strict=True))
    return size["Y"], size["X"]


def _pillow_pixels(path: Path) -> NDArray[Any]:
    """The pixels of an image that Pillow reads, colour samples last."""
    from PIL import Image

    with warnings.catch_warnings():
        # Super-resolution micrographs pass Pillow's first limit against decompression bombs.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            image = Image.open(path)
        except Image.DecompressionBombError as error:
            raise InputError(f"{path}: the image is too large for this format; convert it to MRC") from error
    with image:
        _require_one_frame(path, image)
        if image.mode.startswith("RGB") and ";16" in str(image.tile[:1]):  # Pillow would halve the depth
            raise InputError(f"{path}: 16-bit colour image; convert it to 16-bit grey")
        if image.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
            raise InputError(f"{path}: colour image ({image.mode}); convert it to grey")
        if image.mode == "1":
            return np.asarray(image.convert("L"))
        if image.mode in ("P", "PA"):
            return np.asarray(image.convert("RGBA"))
        return np.asarray(image)


def _require_one_frame(path: Path, image: Any) -> None:
    """Raise InputError if a Pillow image holds several frames or pages."""
    frames = getattr(image, "n_frames", 1)
    if frames != 1:
        raise InputError(f"{path}: holds {frames} sections where one image is needed; split it")


def _grey(path: Path, pixels: NDArray[Any]) -> NDArray[Any]:
    """The one channel of an image that is grey; raises InputError if it is coloured."""
    if pixels.ndim == 2:
        return pixels
    channels = pixels.shape[-1]
    if channels in (2, 4) and np.ptp(pixels[..., -1]) != 0:
        raise InputError(f"{path}: the image is partly transparent; convert it to grey without alpha")
    colours = pixels[..., : 3 if channels >= 3 else 1]
    if channels > 4 or np.any(colours != colours[..., :1]):
        raise InputError(f"{path}: colour image, its channels differ; convert it to grey")
    return np.ascontiguousarray(pixels[..., 0])
