"""Volumes and image stacks: read with their pixel size, written as MRC mode 2, byte for byte reproducible."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gembench.engine.filters import Contrast
from gembench.errors import InputError
from gembench.io.atomic import atomic_path
from gembench.io.checks import FloatImage, as_float32, settle_pixel_size
from gembench.io.images.find import images_in
from gembench.io.images.micrographs import read_pixels
from gembench.io.images.mrcload import load_mrc, mrc_labels
from gembench.io.names import MRC_EXTENSIONS, STACK_EXTENSIONS, extension, is_compressed

_LABEL = b"gembench"
_CONTRAST: dict[Contrast, bytes] = {
    "dark": b"gembench: particles are dark", "bright": b"gembench: particles are bright",
}


def read_volume(path: str | Path, *, pixel_size: float | None = None) -> tuple[FloatImage, float]:
    """Read a 3-D map: (D, H, W) float32 and its voxel size in A.

    path: MRC of modes 0, 1, 2, 6 or 12, plain or compressed
    pixel_size: A/px; see `settle_pixel_size` for how it meets the header's

    Raises InputError if it is not one whole, finite volume, or if its voxel size is unknown or contradicted.
    """
    path = Path(path)
    if extension(path) in STACK_EXTENSIONS or extension(path) not in MRC_EXTENSIONS:
        raise InputError(f"{path}: a volume is needed; give an .mrc or .map file")
    content = load_mrc(path)
    if content.data.ndim != 3:
        raise InputError(f"{path}: holds a single section {content.data.shape}; give a 3-D volume")
    size = settle_pixel_size(path, content.pixel_size, pixel_size)
    assert size is not None  # required by default
    return as_float32(path, content.data), size


def read_stack(path: str | Path, *, pixel_size: float | None = None) -> tuple[FloatImage, float | None]:
    """Read images of one size: (n, H, W) float32 and their A/px (None if neither header nor user says).

    path: an .mrcs stack, a single image of any format, or a folder of single images, taken in the order of
        their names
    pixel_size: A/px; see `settle_pixel_size` for how it meets the headers'

    Raises InputError for a volume, an unreadable or non-finite image, and a folder without images or with
    images of several shapes or pixel sizes.
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path, pixel_size)
    if extension(path) not in MRC_EXTENSIONS:
        data, header = read_pixels(path)
    else:
        content = load_mrc(path)
        if content.data.ndim == 3 and content.is_volume and extension(path) not in STACK_EXTENSIONS:
            raise InputError(f"{path}: is flagged as a volume where images are needed; name it .mrcs if it"
                             " is a stack")
        data, header = as_float32(path, content.data), content.pixel_size
    size = settle_pixel_size(path, header, pixel_size, required=False)
    return data.reshape(-1, *data.shape[-2:]), size


def _read_folder(folder: Path, stated: float | None) -> tuple[FloatImage, float | None]:
    """The images of a folder as a stack."""
    images: list[FloatImage] = []
    sizes: list[float | None] = []
    files = images_in(folder)
    for path in files:
        data, header = read_pixels(path)
        size = settle_pixel_size(path, header, stated, required=False)
        if images and data.shape != images[0].shape:
            raise InputError(f"{path}: is {data.shape[0]} x {data.shape[1]} pixels but {files[0].name} is"
                             f" {images[0].shape[0]} x {images[0].shape[1]}; bring them to one size")
        if sizes and size != sizes[0]:
            raise InputError(f"{path}: pixel size is {size or 'unknown'} but that of {files[0].name} is"
                             f" {sizes[0] or 'unknown'}; bring them to one pixel size")
        images.append(data)
        sizes.append(size)
    return np.stack(images), sizes[0]


def write_mrc(path: str | Path, data: NDArray[np.floating], pixel_size: float | None) -> None:
    """Write one image, (H, W), or one volume, (D, H, W), as float32 MRC; pixel_size in A/px, None if unknown.

    Raises InputError if the file cannot be written or pixels are not finite.
    """
    _write(Path(path), data, pixel_size, is_stack=False)


def write_stack(
    path: str | Path, data: NDArray[np.floating], pixel_size: float | None, contrast: Contrast | None = None
) -> None:
    """Write images, (n, H, W), as a float32 MRC image stack; pixel_size in A/px, None if unknown.

    contrast: how particles look in it, which the header's first label then says; see `stack_contrast`

    Raises InputError if the file cannot be written or pixels are not finite.
    """
    if np.ndim(data) != 3:
        raise ValueError(f"a stack has 3 axes (n, H, W), not {np.ndim(data)}")
    _write(Path(path), data, pixel_size, is_stack=True, label=_CONTRAST[contrast] if contrast else _LABEL)


def stack_contrast(path: str | Path) -> Contrast | None:
    """How particles look in an MRC file that gembench wrote and that says so; None for any other file."""
    path = Path(path)
    if path.is_dir() or extension(path) not in MRC_EXTENSIONS:
        return None
    labels = mrc_labels(path)
    return next((contrast for contrast, label in _CONTRAST.items() if label in labels), None)


def _write(path: Path, data: NDArray[np.floating], pixel_size: float | None, *, is_stack: bool,
           label: bytes = _LABEL) -> None:
    """Write MRC mode 2 atomically, the creation time in mrcfile's label replaced."""
    import mrcfile

    if is_compressed(path) or extension(path) not in MRC_EXTENSIONS:
        raise InputError(f"{path}: is written as MRC; name it {'.mrcs' if is_stack else '.mrc'}")
    pixels = as_float32(path, np.asarray(data))
    with atomic_path(path) as temporary, mrcfile.new(temporary, pixels, overwrite=True) as mrc:
        if is_stack:
            mrc.set_image_stack()
        mrc.voxel_size = pixel_size or 0.0
        mrc.header.label[:] = b""
        mrc.header.label[0] = label
        mrc.header.nlabl = 1
