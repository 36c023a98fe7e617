"""What the banded search is made of: coarse grids, interpolation, compressed banks, direct sums."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from scipy import ndimage

from gembench.engine.banded import sums as sums_module
from gembench.engine.banded.basis import common_box, in_box, make_basis, ring_energies
from gembench.engine.banded.grid import (
    RADII,
    CoarseGrid,
    doubled,
    ring_frequencies,
    ring_of,
    ring_power,
    rings,
    upsampled,
)
from gembench.engine.banded.group import CompressedGroup
from gembench.engine.banded.interpolation import of_least_error, polynomial
from gembench.engine.banded.sums import ABREAST, DirectSums, gather_cells, mask_runs
from gembench.engine.banded.workers import Workers
from gembench.engine.bank import TemplateBank, grid_angles
from gembench.engine.fft import fft_library

ALONE = Workers(1).each


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
    coarse = library.irfft2(grid.spectrum(library, image, ALONE), grid.shape)
    inner = tuple(slice(8, -(-n // step) - 8) for n in shape)  # mirrored edges have a crease
    assert np.abs(coarse[inner] - image[::step, ::step][inner]).max() < 2e-3 * np.abs(image).max()


def test_coarse_grids_take_sizes_of_fast_transforms():
    """525, 693 and 264 have fewer points, but their transforms take longer by more than that."""
    sizes = {CoarseGrid.over((n, n), step).shape[0] for n, step in ((2048, 4), (2048, 3), (2048, 8))}
    assert sizes == {540, 720, 270}
    assert CoarseGrid.over((2048, 2048), 6).shape == (350, 350)


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
    cells = (patches[0] @ polynomial(step).weights).reshape(2, step, step)
    np.testing.assert_allclose(cells[0], fine[:step, -step:], atol=1e-12)
    np.testing.assert_allclose(cells[1], fine[17 * step : 18 * step, 8 * step : 9 * step], atol=1e-12)


def in_cells(image, step, weights):
    """An image (h, w) known at every step-th pixel only, read between them; without its rim."""
    coarse = image[::step, ::step]
    y, x = (at.ravel() for at in np.mgrid[2 : coarse.shape[0] - 3, 2 : coarse.shape[1] - 3])
    patches = np.empty((1, len(y), 36))
    gather_cells(np.ascontiguousarray(coarse[None]), y, x, patches)
    cells = (patches[0] @ weights).reshape(coarse.shape[0] - 5, coarse.shape[1] - 5, step, step)
    inner = image[2 * step : -3 * step, 2 * step : -3 * step]
    return cells.transpose(0, 2, 1, 3).reshape(inner.shape), inner


def field(spectrum, size=480, seed=6):
    """Noise (size, size) of an isotropic power `spectrum` (RADII,), of variance 1."""
    ring = rings(size)
    noise = np.fft.rfft2(np.random.default_rng(seed).normal(size=(size, size)))
    image = np.fft.irfft2(noise * np.sqrt(spectrum)[ring], (size, size))
    return image / image.std()


@pytest.mark.parametrize("step", [2, 3, 4, 8])
@pytest.mark.parametrize("of", ["polynomial", "of_least_error"])
def test_interpolation_errs_as_predicted(step, of):
    spectrum = np.exp(-((ring_frequencies() * step / 1.2) ** 2))
    spectrum[ring_of(0.5 / step) :] = 0
    interpolation = polynomial(step) if of == "polynomial" else of_least_error(step, spectrum)
    image = field(spectrum)
    read, inner = in_cells(image, step, interpolation.weights)
    error = (read - inner).reshape(-1, step, inner.shape[1] // step, step)
    number = np.bincount(rings(480).ravel(), np.tile(doubled(480), 480), RADII)
    energies = (number / (number @ spectrum))[None]
    predicted = float(interpolation.errors(energies, spectrum)[0])
    assert np.sqrt((error**2).mean((0, 2)).max()) == pytest.approx(predicted, rel=0.15)
    np.testing.assert_allclose(read[::step, ::step], inner[::step, ::step], atol=2e-3)


@pytest.mark.parametrize("step", [3, 6])
def test_interpolation_of_least_error_errs_least(step):
    spectrum = np.exp(-((ring_frequencies() * step / 0.9) ** 2))
    spectrum[ring_of(0.5 / step) :] = 0
    image, best = field(spectrum), of_least_error(step, spectrum)
    others = [polynomial(step), of_least_error(step, np.sqrt(spectrum)), of_least_error(step, spectrum**2)]
    of_best, *of_others = ((read - inner).std() for read, inner in (
        in_cells(image, step, kernel.weights) for kernel in (best, *others)))
    assert of_best < 0.6 * of_others[0]
    assert all(of_best < other for other in of_others)


@pytest.mark.parametrize("step", [3, 6])
def test_what_is_missing_of_a_peak_between_coarse_pixels(step):
    power = np.exp(-((ring_frequencies() * step / 0.9) ** 2))
    power[ring_of(0.5 / step) :] = 0
    peak = np.fft.irfft2(np.sqrt(power)[rings(240)], (240, 240))
    number = np.bincount(rings(240).ravel(), np.tile(doubled(240), 240), RADII)
    for interpolation in (polynomial(step), of_least_error(step, power)):
        missing = []
        for dy, dx in np.ndindex(step, step):
            image = np.roll(peak, (120 + dy, 120 + dx), (0, 1))
            read, inner = in_cells(image, step, interpolation.weights)
            missing.append(1 - read.ravel()[inner.argmax()] / inner.max())
        predicted = float(interpolation.missing_peak(number[None].astype(float), power)[0])
        assert max(missing) == pytest.approx(predicted, rel=0.25, abs=1e-4)


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
    spectra = [grid.spectrum(library, frame, ALONE) for frame in (image, image**2 - 1)]
    maps = group.maps(library, *spectra, ALONE)
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


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.exhaustive)])
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
    sums.scores(image, (0.0, 1e-12), windows, y, x, np.arange(5) * len(bank), everyone, score, index, ALONE)
    for row, column, scores, indices in zip(y, x, score, index, strict=True):
        for j in range(ABREAST):
            each = [t.score_at(image, row, column + j) for t in templates]
            possible = [value for value in each if value is not None]
            assert scores[j] == pytest.approx(max(possible, default=-2), abs=2e-5)
            assert (indices[j] >= 0) == bool(possible)
            if possible:
                assert each[indices[j]] == pytest.approx(max(possible), abs=2e-5)


def test_patches_are_scored_by_several_threads_at_once(monkeypatch):
    bank = a_bank()
    image = smooth(2, (70, 81), 2) * 10
    templates = [bank.rotated(k) for k in range(len(bank))]
    windows = np.tile([0, 69, 0, 80], (len(bank), 1))
    score, index = np.full((2, ABREAST), -2.0), np.full((2, ABREAST), -1, np.int32)
    together, take_patch = threading.Barrier(2, timeout=20), sums_module.take_patch

    def take_together(*arguments):
        together.wait()  # for ever, if one patch waits for the other
        take_patch(*arguments)

    monkeypatch.setattr(sums_module, "take_patch", take_together)
    workers = Workers(2)
    DirectSums(templates).scores(
        image, (0.0, 1e-12), windows, np.array([20, 50]), np.array([20, 50]), np.array([0, 1, 2]),
        np.array([0, 1], np.int32), score, index, workers.each,
    )
    workers.close()
    assert index[:, 0].tolist() == [0, 1]


def test_an_error_in_a_worker_is_raised_and_results_keep_the_order_of_the_items():
    workers = Workers(3)
    assert workers.each(lambda item: item * item, range(20)) == [item * item for item in range(20)]
    with pytest.raises(ZeroDivisionError):
        workers.each(lambda item: 1 / item, (1, 0, 2))
    workers.close()
