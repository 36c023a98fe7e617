"""The error model: what it allows is what errors are, wherever the noise is strong or weak."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import fft, ndimage

from gembench.engine.banded import search as banded
from gembench.engine.banded.errors import DEVIATIONS, ErrorModel
from gembench.engine.bank import TemplateBank, grid_angles

SHAPE, BOX = (181, 204), 34
LOUD = 6.0  # of the noise in a place that is loud


def smooth(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> np.ndarray:
    image = ndimage.gaussian_filter(rng.normal(size=shape), sigma)
    return image / image.std()


def a_micrograph(kind: str) -> np.ndarray:
    """Noise as strong everywhere, weak in one half, or strong in one place."""
    strength = np.ones(SHAPE)
    if kind == "quiet half":
        strength[:, SHAPE[1] // 2 :] = 0.15
    elif kind == "loud place":
        strength[80:110, 90:120] = LOUD
    noise = smooth(np.random.default_rng(1), SHAPE, 2.0) * ndimage.gaussian_filter(strength, 2)
    return ndimage.gaussian_filter(noise, 2.0).astype(np.float32)


def coarse_of(micrograph, bank, monkeypatch):
    """What the coarse grid tells of a micrograph, and the templates it was searched with."""
    seen = []

    def spy(*arguments):
        seen.append(search_coarse(*arguments))
        return seen[-1]

    search_coarse = banded.search_coarse
    monkeypatch.setattr(banded, "search_coarse", spy)
    with banded.BandedSearch(bank, library="scipy") as search:
        search.run(micrograph)
    return seen[-1], [bank.rotated(k, np.float32) for k in range(len(bank))]


def correlated(image: np.ndarray, cut: np.ndarray) -> np.ndarray:
    """The sums of cut(x) image(x + v) for all v at which the cut lies inside, in float64."""
    spectrum = fft.rfft2(image.astype(float)) * fft.rfft2(cut.astype(float), image.shape).conj()
    whole = fft.irfft2(spectrum, image.shape)
    return whole[: image.shape[0] - cut.shape[0] + 1, : image.shape[1] - cut.shape[1] + 1]


def standard_errors(micrograph, coarse, templates) -> np.ndarray:
    """(2, n): by how many of their standard errors coarse numerators, and means of T^2, are off."""
    T = (micrograph - micrograph.mean(dtype=float)) / micrograph.std(dtype=float)
    step, (group,), (maps,) = coarse.grid.step, coarse.groups, coarse.maps
    rank, masks = len(group.weights.spectra), len(group.masks.spectra)
    numerators = np.tensordot(group.weights.coefficients, maps[:rank], 1)
    moments = np.tensordot(group.masks.coefficients, maps[rank + masks :], 1)
    deviations = []
    for k, template in enumerate(templates):
        exact = (correlated(T, template.weights),
                 correlated(T**2 - 1, template.mask / template.mask.sum()))
        y, x = (np.arange(-(-offset // step) * step + (0 if offset <= 0 else step), 10**4, step)
                for offset in (-template.offset[0], -template.offset[1]))
        y, x = y[y + template.offset[0] < exact[0].shape[0]], x[x + template.offset[1] < exact[0].shape[1]]
        at = np.ix_(y + template.offset[0], x + template.offset[1])
        on_grid = np.ix_(y // step, x // step)
        model = coarse.errors
        deviations.append([
            ((approximate[on_grid] - true[at]) / (rms[k] * strength[on_grid])).ravel()
            for approximate, true, rms, strength in zip(
                (numerators[k], moments[group.mask_of[k]]), exact, (model.numerator, model.moment),
                model.strength, strict=True)
        ])
    return np.abs(np.concatenate(deviations, axis=1))


@pytest.mark.parametrize("kind", ["even", "quiet half", "loud place"])
def test_coarse_values_are_within_their_standard_errors(kind, monkeypatch):
    rng = np.random.default_rng(2)
    y, x = np.ogrid[:BOX, :BOX]
    mask = (abs(y - BOX // 2) <= 13) & (abs(x - BOX // 2) <= 8)
    bank = TemplateBank(smooth(rng, (BOX, BOX), 2.5), mask, grid_angles(30))
    micrograph = a_micrograph(kind)
    coarse, templates = coarse_of(micrograph, bank, monkeypatch)
    errors = standard_errors(micrograph, coarse, templates)
    assert errors.max() < DEVIATIONS
    assert np.sqrt((errors**2).mean(1)).min() > 0.02  # they are not allowed for nothing
    if kind == "loud place":  # what is told of the whole micrograph would not do there
        assert coarse.errors.strength.max() > 2


def a_model(numerator: float = 0.0, moment: float = 0.0, missing: float = 0.0) -> ErrorModel:
    return ErrorModel(*(np.array([value]) for value in (numerator, moment, missing)),
                      np.ones((2, 1, 1)), (0.0, 0.0))


@pytest.mark.parametrize("variance", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("sign", [-1, 1])
def test_slack_is_how_far_errors_move_a_score(variance, sign):
    """Score = numerator / sigma; small errors of either, at the end of what is allowed, move it so far."""
    numerator, small = 0.4, 1e-5
    inverse, index = np.array([variance**-0.5]), np.array([0])
    score, strength = numerator * inverse, np.ones((2, 1))
    moved = (numerator + sign * DEVIATIONS * small) * inverse
    assert a_model(numerator=small).slack(score, index, inverse, strength) == pytest.approx(
        abs(moved - score), rel=1e-3)
    moved = numerator / np.sqrt(variance + sign * DEVIATIONS * small)
    assert a_model(moment=small).slack(score, index, inverse, strength) == pytest.approx(
        abs(moved - score), rel=1e-3)
    assert a_model(missing=0.1).slack(score, index, inverse, strength) == pytest.approx(0.1 * score)


@pytest.mark.parametrize("errors", [{"numerator": 0.01}, {"moment": 0.02}])
def test_a_template_beside_the_best_is_allowed_half_of_its_slack(errors):
    model, inverse, strength = a_model(**errors), np.array([1.7]), np.array([[1.3], [0.8]])
    score = np.array([0.6])
    numerator, moment, of_numerator, of_moment = model.margins(inverse, strength)
    margin = numerator * of_numerator + moment * of_moment * score
    assert margin == pytest.approx(model.slack(score, np.array([0]), inverse, strength) / 2)
