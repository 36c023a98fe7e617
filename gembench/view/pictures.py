"""Micrographs as pictures that a page can hold."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gembench.io.images.micrographs import read_pixels

if TYPE_CHECKING:
    from PIL.Image import Image

LONGEST = 1536  # pixels of a picture's longest side: 4096 px are binned by 3
THUMBNAIL = 112  # of a thumbnail's
PAGE_BYTES = 20_000_000  # of all pictures before base64, which makes four bytes of three: 27 MB
MOST_BYTES = 700_000  # of a picture, which JPEG rarely needs at 1536 px
QUALITIES = (88, 75, 60, 45)
CLIPPED = (0.5, 99.5)  # percentiles shown as black and white


class Picture(NamedTuple):
    """A micrograph for a page.

    shape: rows and columns of the micrograph
    binning: how many of its pixels, along a side, are one of the picture
    image, thumbnail: data URIs, JPEG
    """

    shape: tuple[int, int]
    binning: int
    image: str
    thumbnail: str


def picture(path: Path, pictures: int) -> Picture:
    """The picture of a micrograph, small enough for a page of so many pictures.

    Raises InputError if the file cannot be read.
    """
    from PIL import Image

    pixels = read_pixels(path)[0]
    budget = min(MOST_BYTES, PAGE_BYTES // max(pictures, 1))
    binning = -(-max(pixels.shape) // LONGEST)
    while True:
        small = _grey(Image.fromarray(pixels).reduce(binning))
        for quality in QUALITIES:
            encoded = _jpeg(small, quality)
            if len(encoded) <= budget:
                height, width = pixels.shape
                little = small.copy()
                little.thumbnail((THUMBNAIL, THUMBNAIL))
                return Picture((height, width), binning, _uri(encoded), _uri(_jpeg(little, QUALITIES[0])))
        binning += 1


def _grey(image: Image) -> Image:
    """A picture of real values in 256 greys, the darkest and brightest half percent clipped."""
    from PIL import Image

    values = np.asarray(image, np.float32)
    low, high = np.percentile(values, CLIPPED)
    scaled = (values - low) * (255 / (high - low or 1))
    return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))


def _jpeg(image: Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()


def _uri(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
