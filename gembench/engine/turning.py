"""Turning templates and masks in the plane, and masks that turn into themselves."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gembench.engine.kernel import kernel

Array = NDArray[Any]
Interpolation = Literal["bilinear", "cubic"]
SPLINE_ORDER = {"bilinear": 1, "cubic": 3}


def rotate(
    image: Array, psi: float, interpolation: Interpolation = "bilinear", *, outside: str = "nearest"
) -> Array:
    """Turn `image` (h, w) by `psi` degrees about its centre pixel (h // 2, w // 2).

    psi is counter-clockwise as displayed with y down (row 0 on top); right angles are exact.
    Beyond the box the nearest pixel is taken, or 0 with outside='constant'.
    """
    cosine, sine = exact_cos_sin(psi)
    if interpolation == "bilinear":
        turned = np.empty(image.shape)
        turn_bilinear(np.asarray(image, np.float64), cosine, sine, outside == "constant", turned)
        return turned
    from scipy.ndimage import affine_transform

    matrix = np.array([[cosine, sine], [-sine, cosine]])  # output (y, x) to input (y, x)
    centre = np.array([image.shape[0] // 2, image.shape[1] // 2])
    return np.asarray(affine_transform(
        image, matrix, centre - matrix @ centre, order=SPLINE_ORDER[interpolation], mode=outside
    ))


@kernel
def turn_bilinear(image: Array, cosine: float, sine: float, empty: bool, out: Array) -> None:
    """`image` (h, w) float64, turned about its centre pixel into `out`, by bilinear interpolation.

    empty: whether what lies beyond the box is 0, and not the nearest pixel; scipy's affine_transform does the
    same in 2 to 6 ms a template, which is more than some searches take for it
    """
    height, width = image.shape
    for v in range(height):
        for u in range(width):
            dy, dx = v - height // 2, u - width // 2
            y = height // 2 + cosine * dy + sine * dx
            x = width // 2 - sine * dy + cosine * dx
            inside = 0 <= y <= height - 1 and 0 <= x <= width - 1
            y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
            top, left = int(y), int(x)
            below, right = min(top + 1, height - 1), min(left + 1, width - 1)
            y, x = y - top, x - left
            upper = image[top, left] * (1 - x) + image[top, right] * x
            lower = image[below, left] * (1 - x) + image[below, right] * x
            out[v, u] = 0.0 if empty and not inside else upper * (1 - y) + lower * y


def rotate_mask(mask: Array, psi: float) -> Array:
    """Turn a boolean mask bilinearly about its centre pixel and threshold it again at one half."""
    return rotate(mask.astype(np.float64), psi, outside="constant") > 0.5


def is_disc(mask: Array) -> bool:
    """Whether `mask` is a disc about the centre pixel or the middle of its box, to within half a pixel.

    Turning such a mask changes edge pixels only, by rounding; a bank keeps it, and every angle shares its
    sigma map.
    """
    if mask.all() or not mask.any():
        return False
    y, x = np.indices(mask.shape)
    size = np.array(mask.shape)
    radii = (np.hypot(y - centre[0], x - centre[1]) for centre in (size // 2, (size - 1) / 2))
    return any(bool(radius[mask].max() < radius[~mask].min() + 0.5) for radius in radii)


def disc_mask(shape: tuple[int, int], radius: float | None = None) -> Array:
    """A boolean disc about the centre pixel; by default the largest that fits the box, less a pixel."""
    if radius is None:
        radius = (min(shape) - 1) // 2
    y, x = np.ogrid[: shape[0], : shape[1]]
    inside: Array = (y - shape[0] // 2) ** 2 + (x - shape[1] // 2) ** 2 <= radius**2
    return inside


def exact_cos_sin(psi: float) -> tuple[float, float]:
    """Cosine and sine of an angle in degrees, exact at right angles."""
    quarter, rest = divmod(round(psi, 9), 90.0)
    cosine, sine = np.cos(np.deg2rad(rest)), np.sin(np.deg2rad(rest))
    for _ in range(int(quarter) % 4):
        cosine, sine = -sine, cosine
    return float(cosine), float(sine)
