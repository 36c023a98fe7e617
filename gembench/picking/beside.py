"""Beside: how well what surrounds a pick correlates with the pick's own template at its own angle.

What is part of something longer, a decamer of a tube, correlates about as well one particle further on. No
annotation is needed to see it; where particles crowd, as in a crystal, neighbours look like that too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.bank import TemplateBank
from gembench.engine.picks import FloatArray, Picks
from gembench.engine.turning import rotate, rotate_mask

Array = NDArray[Any]
ACROSS = 40  # binned pixels across a mask, were it square, at least
NEAR, FAR = 0.5, 0.75  # of the distance between picks: the ring that is looked at
SEEN = 0.75  # of a mask that must lie inside the micrograph, for a place at its edges to count


def beside_scores(image: Array, bank: TemplateBank, picks: Picks, distance: float) -> FloatArray:
    """For each pick the highest score of its template, at its angle, in a ring around it; -1 if none can be.

    image: (H, W) as it was searched; picks: in its pixels, with the bank's templates
    distance: pixels that picks keep from each other; the ring is from a half to three quarters of that

    The scores are of image and template binned so that the mask stays `ACROSS` pixels wide.
    """
    return np.array([
        _highest(image, bank, int(index), int(np.rint(y)), int(np.rint(x)), distance)
        for index, y, x in zip(picks.template, picks.y, picks.x, strict=True)
    ], np.float64)


def _highest(image: Array, bank: TemplateBank, index: int, y: int, x: int, distance: float) -> float:
    assert bank.masks is not None
    view, psi = int(bank.view(index)), float(bank.psi(index))
    mask = bank.masks[view]
    step = max(1, int(np.sqrt(mask.sum()) / ACROSS))
    reach = int(np.ceil(FAR * distance / step))  # from here on in binned pixels
    half = max(mask.shape) // (2 * step) + 1
    template = rotate(_binned(bank.templates[view], *_centre(mask), step, half), psi)
    mask = rotate_mask(_binned(mask, *_centre(mask), step, half) > 0.5, psi)
    around = _binned(image, y, x, step, reach + half)
    inside = _binned(np.broadcast_to(1.0, image.shape), y, x, step, reach + half) == 1
    away = np.hypot(*(np.indices((2 * reach + 1,) * 2) - reach))
    ring = (away >= NEAR * distance / step) & (away <= FAR * distance / step)
    scores, seen = _partial_ncc(template, mask, around, inside)
    return float(scores[ring & (seen >= SEEN * mask.sum())].max(initial=-1.0))


def _centre(box: Array) -> tuple[int, int]:
    return box.shape[0] // 2, box.shape[1] // 2


def _binned(image: Array, y: int, x: int, step: int, half: int) -> Array:
    """The means of step x step pixels around pixel (y, x), (2 half + 1,) * 2, with 0 outside the image."""
    side = (2 * half + 1) * step
    window = np.zeros((side, side))
    top, left = (at - half * step - step // 2 for at in (y, x))
    rows, columns = (
        slice(max(start, 0), max(min(start + side, size), 0))
        for start, size in zip((top, left), image.shape, strict=True)
    )
    window[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = \
        image[rows, columns]
    return np.asarray(window.reshape(2 * half + 1, step, 2 * half + 1, step).mean(axis=(1, 3)))


def _partial_ncc(template: Array, mask: Array, image: Array, inside: Array) -> tuple[Array, Array]:
    """The NCC under that part of the mask that lies inside, and how many pixels that is, at each shift.

    template, mask: (t, t); image, inside: (n, n), whose pixels that are not inside are left out
    Returns (n - t + 1, n - t + 1) each; -1 where template or image is constant there.
    """
    from scipy import fft

    size = fft.next_fast_len(len(image), real=True)
    template = np.where(mask, template - template[mask].mean(), 0)
    image = np.where(inside, image - image[inside].mean(), 0)
    places = len(image) - len(mask) + 1
    spectra = [fft.rfft2(part, (size, size)) for part in (inside, image, image**2)]
    kernels = [np.conj(fft.rfft2(part, (size, size))) for part in (mask, template, template**2)]

    def summed(part: int, kernel: int) -> Array:
        product = fft.irfft2(spectra[part] * kernels[kernel], (size, size))
        return np.asarray(product[:places, :places])

    seen = np.rint(summed(0, 0))
    count = np.maximum(seen, 1)
    image_sum, template_sum = summed(1, 0), summed(0, 1)
    covariance = summed(1, 1) - image_sum * template_sum / count
    image_square = summed(2, 0) - image_sum**2 / count
    template_square = summed(0, 2) - template_sum**2 / count
    rounding = 1e-9 * np.array([(image**2).sum(), (template**2).sum()])
    usable = (image_square > rounding[0]) & (template_square > rounding[1])
    variances = np.where(usable, image_square * template_square, 1)
    scores: Array = np.where(usable, covariance / np.sqrt(variances), -1.0)
    return scores, seen
