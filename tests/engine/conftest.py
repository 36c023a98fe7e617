"""What the engine's tests share: the independent reference score, and the FFT libraries."""

from __future__ import annotations

import numpy as np
import pytest

from gembench.engine.fft import LIBRARIES
from gembench.engine.ncc import ncc


def _usable(name: str):
    reason = LIBRARIES[name].unavailable()
    return pytest.param(name, marks=[] if reason is None else pytest.mark.skip(reason=reason))


@pytest.fixture(params=[_usable(name) for name in LIBRARIES])
def library_name(request):
    """Every FFT library in turn; those that cannot be used here are skipped with the reason."""
    return request.param


def direct_scores(micrograph, image, mask, rows, columns):
    """`engine.ncc` at some places: NCC of one turned template, (n,).

    image, mask: (h, w), the whole box, centre pixel (h // 2, w // 2); rows, columns: (n,) centres.
    NaN where the mask leaves the micrograph, 0 where the micrograph is flat under the mask.
    """
    T, M = np.asarray(micrograph, np.float64), np.asarray(mask, bool)
    dy, dx = np.nonzero(M)
    top, left = dy.min(), dx.min()
    cut = np.s_[top : dy.max() + 1, left : dx.max() + 1]
    S, M = np.asarray(image, np.float64)[cut], M[cut]
    scores = np.full(len(rows), np.nan)
    for i, (row, column) in enumerate(zip(rows, columns, strict=True)):
        y, x = row + top - mask.shape[0] // 2, column + left - mask.shape[1] // 2
        if min(y, x) < 0 or y + S.shape[0] > T.shape[0] or x + S.shape[1] > T.shape[1]:
            continue
        scores[i] = ncc(S, M, T[y : y + S.shape[0], x : x + S.shape[1]])[0, 0]
    return scores


@pytest.fixture(name="direct_scores", scope="session")
def _direct_scores():
    return direct_scores


def score_rounding(micrograph, mask, rows, columns):
    """How far rounding may put a score of transforms in float32 from the direct sum, (n,); 0 where none is.

    Rounding leaves in sigma^2 up to 10 epsilons of the local mean of T^2 and 3 of the rms of T^2 - 1 (see
    `normalise.LOCAL_FLOOR`), and in the numerator some of T's own standard deviation, 1. A few pixels that
    happen to be alike make sigma^2 small, and the quotient is so much the worse.
    """
    epsilon = np.finfo(np.float32).eps
    T = np.asarray(micrograph, np.float64)
    T = (T - T.mean()) / T.std()
    spread = (T**2 - 1).std()
    dy, dx = np.nonzero(mask)
    bound = np.zeros(len(rows))
    for i, (row, column) in enumerate(zip(rows, columns, strict=True)):
        y, x = row + dy - mask.shape[0] // 2, column + dx - mask.shape[1] // 2
        if min(y.min(), x.min()) < 0 or y.max() >= T.shape[0] or x.max() >= T.shape[1]:
            continue
        square, variance = (T[y, x] ** 2).mean(), T[y, x].var()
        bound[i] = epsilon * ((10 * square + 3 * spread) / (2 * variance) + 3 / np.sqrt(variance))
    return 2 * bound


@pytest.fixture(scope="session")
def best_rounding():
    """A function like `score_rounding` of a list of (image, mask): the largest of all masks."""
    def largest(micrograph, turned, rows, columns):
        return np.max([score_rounding(micrograph, mask, rows, columns) for _, mask in turned], axis=0)

    return largest


@pytest.fixture(scope="session")
def best_scores():
    """A function like `direct_scores` of a list of (image, mask): the maximum, its index and its lead.

    The index is the lowest of equals; where no mask lies inside, score 0, index -1 and an infinite lead.
    """
    def best(micrograph, turned, rows, columns):
        scores = np.array([direct_scores(micrograph, *template, rows, columns) for template in turned])
        scored = np.isfinite(scores).any(0)
        scores = np.where(np.isnan(scores), -np.inf, scores)
        lead = np.full(len(rows), np.inf)
        if len(scores) > 1:
            second, first = np.sort(scores, axis=0)[-2:]
            lead[scored] = (first - np.maximum(second, -9))[scored]
        return (np.where(scored, scores.max(0), 0), np.where(scored, scores.argmax(0), -1), lead)

    return best
