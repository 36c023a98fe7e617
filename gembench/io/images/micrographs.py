"""Micrographs: MRC, TIFF, PNG or JPEG in, float32 with a pixel size out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gembench.errors import InputError
from gembench.io.checks import FloatImage, as_float32, require_one_section, settle_pixel_size
from gembench.io.images.find import find_micrographs
from gembench.io.images.imageload import image_shape, load_image
from gembench.io.images.mrcload import load_mrc, mrc_shape
from gembench.io.names import IMAGE_EXTENSIONS, MRC_EXTENSIONS, extension, require_known

__all__ = ["Micrograph", "find_micrographs", "read_micrograph", "read_pixels", "read_shape"]


@dataclass(frozen=True, eq=False)
class Micrograph:
    """One micrograph.

    name: file name without its folder
    data: (H, W) float32, row 0 is the first stored row
    pixel_size: A/px; None if unknown, which `read_micrograph` never returns
    path: where it was read from
    """

    name: str
    data: FloatImage
    pixel_size: float | None
    path: Path

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.data.shape[0], self.data.shape[1]


def read_micrograph(path: str | Path, *, pixel_size: float | None = None) -> Micrograph:
    """Read one micrograph, its pixels checked and its pixel size settled.

    path: MRC of modes 0, 1, 2, 6 or 12 (plain, .gz or .bz2), TIFF, PNG or JPEG; grey, one section
    pixel_size: A/px; must agree with an MRC header that knows better than 1.0; needed for files that hold
        none (resolution tags of image formats are not looked at)

    Raises InputError if the file cannot be read whole, is not one grey image, has NaN, infinite or only
    equal pixels, or if the pixel size is unknown or contradicted.
    """
    path = Path(path)
    data, header = read_pixels(path)
    if data.min() == data.max():
        raise InputError(f"{path}: all pixels are {data.flat[0]:g}; give a micrograph that shows something")
    return Micrograph(path.name, data, settle_pixel_size(path, header, pixel_size), path)


def read_pixels(path: Path) -> tuple[FloatImage, float | None]:
    """The finite pixels of one image file, (H, W) float32, and the A/px of its header (None if not said).

    Raises InputError as `read_micrograph` does, except for constant images and pixel sizes.
    """
    require_known(path)
    if extension(path) in MRC_EXTENSIONS:
        content = load_mrc(path)
        require_one_section(path, content.data.shape[0] if content.data.ndim != 2 else 1)
        return as_float32(path, content.data), content.pixel_size
    return as_float32(path, load_image(path)), None


def read_shape(path: str | Path) -> tuple[int, int]:
    """Rows and columns of a micrograph, from its header alone where the format allows.

    Raises InputError if the file is missing, empty, not an image or has more than one section.
    """
    path = Path(path)
    require_known(path)
    if extension(path) in IMAGE_EXTENSIONS:
        return image_shape(path)
    sections, rows, columns = mrc_shape(path)
    require_one_section(path, sections)
    return rows, columns
