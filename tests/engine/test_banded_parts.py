"""What the banded search is made of: coarse grids, interpolation, compressed banks, direct sums."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from gembench.engine.compressed import CompressedGroup, common_box, in_box, make_basis, ring_energies
from gembench.engine.fft import fft_library
from gembench.engine.refine import ABREAST, DirectSums, between, gather_cells, mask_runs
from gembench.engine.resample import (
    RADII,
    CoarseGrid,
    doubled,
    interpolation_loss,
    ring_power,
    rings,
    upsampled,
)
from gembench.engine.templates import TemplateBank, grid_angles


def smooth(seed: int, shape: tuple[int, int], sigma: float) -> np.ndarray:
    return ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), sigma)


def a_bank(box: int = 33) -> TemplateBank:
    mask = np.zeros((box, box), bool)
    mask[box // 4 : -box // 4, box // 3 : -box // 3] = True
    return TemplateBank(smooth(1, (box, box), 3), mask, grid_angles(20))


@pytest.mark.parametrize(("shape", "step"), [((200, 231), 2), ((181, 160), 3), ((240, 150), 5)])
def test_the_coarse_grid_holds_every_step_th_pixel_of_a_band_limited_image(library_name, shape, step):
    image = smooth(0, shape, 1.4 * step)
    library = fft_library(library_name)
    grid = CoarseGrid.over(shape, step)
    coarse = library.irfft2(grid.spectrum(library, image), grid.shape)
    inner = tuple(slice(8, -(-n // step) - 8) for n in shape)  # mirrored edges have a crease
    assert np.abs(coarse[inner] - image[::step, ::step][inner]).max() < 2e-3 * np.abs(image).max()


@pytest.mark.parametrize("step", [2, 3, 6])
def test_coarse_maps_between_their_pixels(step):
    ny, nx = 40, 36
    y, x = np.mgrid[: ny * step, : nx * step] / step
    wave = np.cos(2 * np.pi * (3 * y / ny - 4 * x / nx) + 0.3)
    fine = upsampled(np.ascontiguousarray(wave[::step, ::step]), step, (0, 0), wave.shape)
    np.testing.assert_allclose(fine, wave, atol=1e-3)
    np.testing.assert_array_equal(upsampled(wave[::step, ::step], step, (7, 5), (20, 31)), fine[7:27, 5:36])
    patches = np.empty((1, 2, 36))
    gather_cells(wave[None, ::step, ::step], np.array([0, 17]), np.array([35, 8]), patches)
    cells = (patches[0] @ between(step, np.float64)).reshape(2, step, step)
    np.testing.assert_allclose(cells[0], fine[:step, -step:], atol=1e-12)
    np.testing.assert_allclose(cells[1], fine[17 * step : 18 * step, 8 * step : 9 * step], atol=1e-12)


def test_the_loss_of_interpolation_is_that_of_waves():
    step, periods = 4, 9
    x = np.arange(40 * step) / step
    wave = np.broadcast_to(np.cos(2 * np.pi * periods * x / 40), (160, 160))
    error = upsampled(np.ascontiguousarray(wave[::step, ::step]), step, (0, 0), wave.shape) - wave
    ring = int(periods / 160 * RADII / np.sqrt(0.5))
    measured = (error**2).mean() / (wave**2).mean()
    nearby = interpolation_loss(step)[ring - 1 : ring + 2]
    assert nearby.min() < measured < nearby.max()


def test_white_noise_has_power_one_in_every_ring():
    power = ring_power(np.random.default_rng(0).normal(size=(400, 420)), 100)
    filled = np.bincount(rings(100).ravel(), minlength=RADII) > 30
    np.testing.assert_allclose(power[filled], 1, atol=0.2)
    assert power[filled].mean() == pytest.approx(1, abs=0.02)


def test_the_error_of_a_compressed_bank_is_as_predicted():
    bank, grid, length, tolerance = a_bank(), CoarseGrid.over((400, 420), 2), 48, 0.02
    templates = [bank.rotated(k) for k in range(len(bank))]
    box = common_box(templates)
    images = np.zeros((len(bank), *(span.stop - span.start for span in box)))
    for image, template in zip(images, templates, strict=True):
        in_box(template.weights, template.offset, box, image)
    basis = make_basis(images, box, grid, length, tolerance)
    assert len(basis.spectra) < len(bank)
    noise = smooth(3, (400, 420), 2)
    noise /= noise.std()
    predicted = basis.errors(ring_power(noise, length))
    approximate = np.tensordot(basis.coefficients, np.tensordot(basis.coefficients, images, (0, 0)), (1, 0))
    for k in (0, 5, 11):
        error = ndimage.correlate(noise, approximate[k] - images[k], mode="wrap")
        assert error.std() == pytest.approx(predicted[k], rel=0.25)
    total = (ring_energies(images, length)).sum(1)
    np.testing.assert_allclose(total, (images**2).sum((1, 2)), rtol=1e-6)
    assert doubled(5).sum() == 5
    assert doubled(6).sum() == 6


def test_compressed_scores_are_those_of_the_templates():
    bank, shape, step = a_bank(), (300, 310), 2
    image = smooth(4, shape, 2.5)
    image = (image - image.mean()) / image.std()
    templates = [bank.rotated(k) for k in range(len(bank))]
    windows = np.array([[-t.offset[0], shape[0] - t.mask.shape[0] - t.offset[0],
                         -t.offset[1], shape[1] - t.mask.shape[1] - t.offset[1]] for t in templates])
    grid, library = CoarseGrid.over(shape, step), fft_library("scipy")
    group = CompressedGroup(templates, windows, grid, 48, 1e-4, np.dtype("float64"))
    spectra = [grid.spectrum(library, one) for one in (image, image**2 - 1)]
    maps = group.maps(library, *spectra, lambda do, items: [do(item) for item in items])
    score, index = np.full(grid.shape, -2.0), np.full(grid.shape, -1, np.int32)
    inverse, lowest = np.zeros(grid.shape), np.full(grid.shape, np.inf)
    group.fold(maps, score, index, inverse, lowest, slice(0, grid.shape[0]))
    for y, x in [(60, 80), (100, 200), (244, 36)]:
        exact = np.array([t.score_at(image, y, x) for t in templates])
        assert score[y // step, x // step] == pytest.approx(exact.max(), abs=2e-3)
        assert exact[index[y // step, x // step]] == pytest.approx(exact.max(), abs=4e-3)


def test_runs_of_a_mask():
    mask = np.array([[1, 1, 0, 1], [0, 0, 0, 0], [0, 1, 1, 1]], bool)
    np.testing.assert_array_equal(mask_runs(mask), [[0, 0, 2], [0, 3, 1], [2, 1, 3]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_direct_sums_at_the_edges_too(dtype):
    bank = a_bank()
    image = (smooth(2, (70, 81), 2) * 10).astype(dtype)
    templates = [bank.rotated(k, dtype) for k in range(len(bank))]
    sums = DirectSums(templates)
    windows = np.array([[-t.offset[0], image.shape[0] - t.mask.shape[0] - t.offset[0],
                         -t.offset[1], image.shape[1] - t.mask.shape[1] - t.offset[1]] for t in templates])
    y, x = np.array([30, 12, 60, 40]), np.array([40, 10, 70, 66])
    score, index = np.full((4, ABREAST), -2, dtype), np.full((4, ABREAST), -1, np.int32)
    everyone = np.tile(np.arange(len(bank)), 4)
    sums.scores(image, (0.0, 1e-12), windows, y, x, np.arange(5) * len(bank), everyone, score, index)
    for row, column, scores, indices in zip(y, x, score, index, strict=True):
        for j in range(ABREAST):
            each = [t.score_at(image, row, column + j) for t in templates]
            possible = [one for one in each if one is not None]
            assert scores[j] == pytest.approx(max(possible, default=-2), abs=2e-5)
            assert (indices[j] >= 0) == bool(possible)
            if possible:
                assert each[indices[j]] == pytest.approx(max(possible), abs=2e-5)
