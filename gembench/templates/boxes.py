"""Boxes about particles: cut from micrographs, binned, levelled, turned, and brought to a size."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.filters import lowpass_sigma
from gembench.errors import InputError

Array = NDArray[Any]


def fits(shape: tuple[int, int], xy: Array, box: int) -> Array:
    """Which boxes of `box` pixels about the points lie within a micrograph of `shape`; bool, (n,).

    xy: (n, 2) of x and y in pixels; a box's centre pixel, box // 2, is the one nearest to the point
    """
    start = np.rint(xy).astype(int) - box // 2
    size = np.array(shape[::-1])
    return np.asarray(((start >= 0) & (start + box <= size)).all(axis=1))


def binned(micrograph: Array, k: int) -> Array:
    """The means of blocks of k x k pixels, float32; rows and columns that fill no block are dropped.

    The point (x, y) of the micrograph becomes ((x - (k - 1) / 2) / k, the same of y).
    """
    h, w = (n // k for n in micrograph.shape)
    blocks = micrograph[: h * k, : w * k].reshape(h, k, w, k)
    means: Array = blocks.mean(axis=(1, 3), dtype=np.float64).astype(np.float32)
    return means


def cut(micrograph: Array, xy: Array, box: int) -> tuple[Array, Array]:
    """Boxes about points, (n, box, box), what lies beyond the micrograph taken from its nearest pixel.

    xy: (n, 2) of x and y in pixels. Returns also, (n, 2), where in its box each point is: (y, x) in pixels
    from the centre pixel box // 2, within one half.
    """
    centre = np.rint(xy).astype(int)
    along = np.arange(box) - box // 2
    rows = np.clip(centre[:, 1, None] + along, 0, micrograph.shape[0] - 1)
    columns = np.clip(centre[:, 0, None] + along, 0, micrograph.shape[1] - 1)
    return micrograph[rows[:, :, None], columns[:, None, :]], (xy - centre)[:, ::-1]


def normalised(image: Array) -> Array:
    """An image (h, w) less its plane of best fit, at variance 1; float32."""
    wide = image - image.mean(dtype=np.float64)
    for index in np.indices(image.shape):
        ramp = index - index.mean()
        wide -= ramp * ((ramp * wide).sum() / (ramp**2).sum())
    level: Array = (wide / max(wide.std(), 1e-12)).astype(np.float32)
    return level


def resampled(image: Array, psi: float, centre: Array, box: int, *, prefiltered: bool = False) -> Array:
    """What of an image lies about `centre`, (y, x) in pixels, turned back by psi degrees: (box, box).

    psi is counter-clockwise as displayed with y down. Linear; with `prefiltered`, `image` holds the
    coefficients of a cubic spline. Beyond the image its nearest pixel is taken.
    """
    from scipy.ndimage import affine_transform

    angle = np.deg2rad(psi)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    offset = np.asarray(centre) - matrix @ np.full(2, box // 2)
    return np.asarray(affine_transform(image, matrix, offset, (box, box), order=3 if prefiltered else 1,
                                       mode="nearest", prefilter=False))


def in_box(image: Array, box: int, scale: float = 1.0) -> Array:
    """An image (n, n) magnified by `scale`, cropped or filled with 0 to (box, box); centre pixels coincide.

    Exact where scale is 1, a cubic spline elsewhere; low-pass filter before you scale down.
    """
    from scipy.ndimage import affine_transform

    offset = image.shape[0] // 2 - (box // 2) / scale
    return np.asarray(affine_transform(image, np.full(2, 1 / scale), offset, (box, box),
                                       order=1 if scale == 1 else 3, mode="constant"))


def low_pass(image: Array, resolution: float, pixel_size: float) -> Array:
    """An image (h, w) through a Gaussian low-pass filter that halves the amplitude at `resolution`.

    resolution in A, pixel_size in A/px. Beyond the image its nearest pixels are taken. Raises InputError
    as `check_resolution` does, and for a resolution of more than the image.
    """
    from scipy.ndimage import gaussian_filter

    check_resolution(resolution, pixel_size)
    if resolution > pixel_size * max(image.shape):
        raise InputError(f"low-pass of {resolution:g} A: nothing is left of an image of"
                         f" {pixel_size * max(image.shape):g} A; give a smaller value or leave it out")
    return np.asarray(gaussian_filter(image, lowpass_sigma(resolution, pixel_size), mode="nearest"))


def check_resolution(resolution: float, pixel_size: float) -> None:
    """Raise InputError if a resolution in A is finer than two pixels, the finest that an image holds."""
    if not 2 * pixel_size <= resolution < np.inf:
        raise InputError(f"low-pass of {resolution:g} A: {pixel_size:g} A/px hold nothing finer than"
                         f" {2 * pixel_size:g} A; give a larger value or leave it out")
