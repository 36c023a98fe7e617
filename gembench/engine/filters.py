"""What is done to micrographs and templates before they are correlated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gembench.errors import InputError

Array = NDArray[Any]
Contrast = Literal["dark", "bright"]
# A difference smaller than this part of the template's standard deviation says nothing about its contrast.
CLEAR_CONTRAST = 0.02


def centred(micrograph: Array) -> Array:
    """The micrograph (H, W) less its mean, which its search does not see.

    Filters round to the size of the pixels: beside a mean of 1e6 standard deviations they would lose all
    digits of a float32. Near the mean the subtraction itself is exact.
    """
    return np.asarray(micrograph - micrograph.mean(dtype=np.float64).astype(micrograph.dtype))


def average(micrograph: Array, k: int) -> tuple[Array, float]:
    """Convolve with the k x k averaging filter of gEMpicker (2013), mirrored at the edges.

    micrograph: (H, W) float. Returns the filtered micrograph and the shift in pixels, along both axes, that
    the filter gave to every feature: an even filter has no centre pixel, and moves it by half a pixel.
    Raises InputError for k < 1 or k larger than the micrograph.
    """
    from scipy.ndimage import uniform_filter

    check_average(micrograph.shape, k)
    if k == 1:
        return micrograph, 0.0
    return uniform_filter(micrograph, k, mode="reflect"), average_shift(k)


def average_shift(k: int) -> float:
    """The shift in pixels that the k x k averaging filter gives to every feature."""
    return 0.0 if k % 2 else 0.5


def check_average(shape: tuple[int, ...], k: int) -> None:
    """Raise InputError for an averaging filter that images of this shape cannot have."""
    if not 1 <= k <= min(shape):
        raise InputError(f"averaging filter of {k} px: choose 1 (none) to {min(shape)}")


def lowpass(micrograph: Array, resolution: float, pixel_size: float, threads: int = 1) -> Array:
    """Convolve with the Gaussian that halves amplitudes at `resolution` (A), mirrored at the edges.

    micrograph: (H, W) float; pixel_size: A/px. The Gaussian is cut off at four standard deviations. A
    mirrored image is what the cosine transform expands: there the filter is a product, in half the time of
    two passes.
    Raises InputError for a negative resolution, and for one of more than the micrograph.
    """
    from scipy.fft import dctn, idctn

    check_lowpass(micrograph.shape, resolution, pixel_size)
    sigma = lowpass_sigma(resolution, pixel_size)
    if not sigma > 0:
        return micrograph
    mean = micrograph.mean(dtype=np.float64)
    spectrum = dctn(micrograph - mean.astype(micrograph.dtype), overwrite_x=True, workers=threads)
    for n, axis in zip(spectrum.shape, ((-1, 1), (1, -1)), strict=True):
        spectrum *= _gaussian_response(n, sigma).reshape(axis).astype(spectrum.dtype)
    filtered = idctn(spectrum, overwrite_x=True, workers=threads)
    filtered += mean.astype(filtered.dtype)
    return np.asarray(filtered)


def check_lowpass(shape: tuple[int, ...], resolution: float, pixel_size: float) -> None:
    """Raise InputError for a low-pass filter that images of this shape cannot have."""
    if resolution < 0:
        raise InputError(f"low-pass filter at {resolution} A: give a resolution, or 0 for none")
    if resolution > pixel_size * max(shape):
        raise InputError(f"low-pass filter at {resolution:g} A: nothing is left of an image of"
                         f" {pixel_size * max(shape):g} A; give less")


def lowpass_sigma(resolution: float, pixel_size: float) -> float:
    """Standard deviation in pixels of the Gaussian that halves amplitudes at `resolution` (A).

    exp(-2 pi^2 sigma^2 f^2) = 1/2 at f = pixel_size / resolution, with pixel_size in A/px.
    """
    return float(np.sqrt(np.log(2) / 2) / np.pi * resolution / pixel_size)


def _gaussian_response(n: int, sigma: float) -> Array:
    """What a Gaussian kernel of `sigma` pixels leaves of the n cosines of a mirrored line, (n,)."""
    weights = _gaussian(sigma)
    offsets = np.arange(len(weights)) - len(weights) // 2
    cosines = np.cos(np.pi * np.arange(n)[:, None] * offsets[len(offsets) // 2 :] / n)
    return np.asarray(cosines @ (weights[len(weights) // 2 :] * np.where(offsets[len(offsets) // 2 :], 2, 1)))


def _gaussian(sigma: float) -> Array:
    """Weights of a Gaussian of `sigma` pixels, cut off at four of them, (2 r + 1,)."""
    offsets = np.arange(int(4 * sigma + 0.5) + 1)
    half = np.exp(-0.5 * (offsets / sigma) ** 2)
    weights = np.concatenate([half[:0:-1], half])
    return np.asarray(weights / weights.sum())


@dataclass(frozen=True, eq=False)
class LineFilter:
    """`lowpass` and then `average` as one convolution along each axis, of an image mirrored at its edges.

    weights: (n,) float64, of the pixels from `first` on, beside the one that they make
    """

    weights: Array
    first: int

    @classmethod
    def of(
        cls, shape: tuple[int, ...], *, resolution: float, pixel_size: float, k: int
    ) -> LineFilter | None:
        """The filter of images of this shape, None for none; raises InputError as the filters do.

        resolution, pixel_size: of `lowpass`; k: of `average`
        """
        check_lowpass(shape, resolution, pixel_size)
        check_average(shape, k)
        sigma = lowpass_sigma(resolution, pixel_size)
        if k == 1 and not sigma > 0:
            return None
        gaussian = _gaussian(sigma) if sigma > 0 else np.ones(1)
        return cls(np.convolve(gaussian, np.full(k, 1 / k)), -(len(gaussian) // 2) - k // 2)


def limit_outliers(micrograph: Array, deviations: float) -> tuple[Array, int]:
    """Set pixels further than `deviations` robust standard deviations from the median to that limit.

    A single hot pixel otherwise sets the scale of the whole micrograph. The robust standard deviation is
    1.4826 times the median absolute deviation. Returns the micrograph and how many pixels changed.
    """
    median = _median(micrograph)
    spread = 1.4826 * _median(np.abs(micrograph - median))
    if not spread > 0:
        return micrograph, 0
    limited = np.clip(micrograph, median - deviations * spread, median + deviations * spread)
    return limited, int((limited != micrograph).sum())


def _median(values: Array) -> Any:
    """What np.median gives, bit by bit, in half of its time."""
    middle = values.size // 2
    parted = np.partition(values, middle, axis=None)
    if np.isnan(parted[middle:].max()):  # NaN sorts last
        return values.dtype.type(np.nan)
    if values.size % 2:
        return parted[middle]
    return np.mean(np.array([parted[:middle].max(), parted[middle]]))


def template_contrast(template: Array, mask: Array) -> Contrast | None:
    """Whether the particle of `template` (h, w) is darker or brighter than what surrounds its mask.

    Under a mask that fills the box the surroundings are the box's outermost pixels. Returns None where the
    difference is too small to tell.
    """
    margin = contrast_margin(template, mask)
    if abs(margin) <= CLEAR_CONTRAST:
        return None
    return "dark" if margin < 0 else "bright"


def contrast_margin(template: Array, mask: Array) -> float:
    """How much brighter a template (h, w) is under its mask than around it, in its standard deviations.

    A mask that fills the box is compared with the box's outermost pixels.
    """
    inside = mask.astype(bool)
    around = ~inside
    if not around.any():
        around = np.ones_like(inside)
        around[1:-1, 1:-1] = False
    spread = float(template.std())
    return float(template[inside].mean() - template[around].mean()) / spread if spread > 0 else 0.0


def matched_contrast(
    templates: Array, masks: Array, micrograph: Contrast, stated: Contrast | None = None,
    numbers: Sequence[int] | None = None,
) -> tuple[Array, list[int]]:
    """The templates (v, h, w) with the micrograph's contrast, and which of them were inverted for it.

    stated: the templates' contrast; None asks `template_contrast`. Raises InputError where that cannot tell.
    numbers: what the error calls them; None for 0, 1, ...
    """
    matched, inverted = templates.copy(), []
    for view, (template, mask) in enumerate(zip(templates, masks, strict=True)):
        contrast = stated or template_contrast(template, mask)
        if contrast is None:
            raise InputError(
                f"template {numbers[view] if numbers else view} does not show whether its particle is dark or"
                " bright: say so with --template-contrast dark or bright"
            )
        if contrast != micrograph:
            matched[view] = -template
            inverted.append(view)
    return matched, inverted
