"""The equation: Roseman's local normalised cross-correlation, and the best of many templates.

The score is that of Roseman 2003, Ultramicroscopy 94:225, the best that of gEMpicker 2013, eq. 1 and 2.
Written to be read, and to test what is fast against: sums over pixels in float64, no transforms. S is a
template, M its mask of P pixels, T a micrograph; v counts from the first pixel of S, and x runs over the
pixels of S.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[Any]
FLAT = 1e-12  # of the largest |T - its mean|: a sigma_MT that is rounding


def ncc(S: Array, M: Array, T: Array) -> Array:
    """NCC(v) = (1/P) sum_x S(x) M(x) T(x + v) / sigma_MT(v), wherever S lies inside T.

    S, M: (h, w), M of 0 and 1, S of any mean and variance; T: (H, W). Returns (H - h + 1, W - w + 1), 0 where
    T is constant under the mask.
    """
    M = M.astype(np.float64)
    P = M.sum()
    S = S - (S * M).sum() / P  # mean 0 under the mask
    S = S / np.sqrt((S**2 * M).sum() / P)  # variance 1
    T = T - T.mean(dtype=np.float64)  # which changes no score, and keeps digits
    at_v = sliding_window_view(T, S.shape)  # at_v[v] is T(x + v)
    numerator = np.einsum("uvyx,yx->uv", at_v, S * M) / P
    mean = np.einsum("uvyx,yx->uv", at_v, M) / P
    moment = np.einsum("uvyx,uvyx,yx->uv", at_v, at_v, M) / P
    sigma_MT = np.sqrt(np.maximum(sigma_squared(mean, moment), 0))
    scored = sigma_MT > FLAT * np.abs(T).max()
    return np.where(scored, numerator / np.where(scored, sigma_MT, 1), 0)


def sigma_squared(mean: Any, moment: Any) -> Any:
    """sigma_MT^2 = (1/P) sum M T^2 - ((1/P) sum M T)^2, of the mean of T and that of T^2 under the mask."""
    return moment - mean * mean


def best(templates: Sequence[tuple[Array, Array]], T: Array) -> tuple[Array, Array]:
    """NCC = max_k NCC_k, eq. 1, and IND = argmax_k NCC_k, eq. 2, the lowest k of equals.

    templates: (S, M) of one shape. Returns both maps, see `ncc`.
    """
    scores = np.stack([ncc(S, M, T) for S, M in templates])
    return scores.max(axis=0), scores.argmax(axis=0)
