"""Averages of planted particles: aligned, centred, upright, symmetric."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from gembench.engine.turning import disc_mask, rotate
from gembench.errors import InputError
from gembench.templates.averages import MIRROR_LIKE, AverageSettings, ParticleAverage
from gembench.templates.boxes import binned, cut, fits, in_box, low_pass, normalised, resampled
from gembench.templates.symmetry import Symmetry, mirror_axis, rotational_average, symmetry_centre

BOX = 48
CENTRE = BOX // 2
DISC = disc_mask((BOX, BOX), 20)


def strokes(*cuts, sigma=1.5):
    image = np.zeros((BOX, BOX))
    for rows, columns in cuts:
        image[slice(*rows), slice(*columns)] = -1
    return gaussian_filter(image, sigma)


def f_shape():
    """A dark F, upright: no symmetry."""
    return strokes(((10, 39), (18, 23)), ((10, 15), (18, 34)), ((21, 26), (18, 29)))


def s_shape():
    """Dark, upright, two-fold about the centre pixel, and no mirror."""
    return strokes(((10, 39), (22, 27)), ((10, 14), (25, 36)), ((35, 39), (13, 24)))


def micrographs(particle, count, seed=0, noise=0.0, shift=3.0, grid=3):
    """Micrographs with turned copies of a particle, and picks that miss them by up to `shift` pixels."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        pitch = int(1.6 * BOX)
        image = np.zeros((grid * pitch, grid * pitch))
        xy = []
        for row, column in np.ndindex(grid, grid):
            at = np.array([row, column]) * pitch + pitch // 2
            turned = rotate(particle, rng.uniform(0, 360), "cubic", outside="constant")
            image[at[0] - CENTRE : at[0] - CENTRE + BOX, at[1] - CENTRE : at[1] - CENTRE + BOX] += turned
            xy.append(at[::-1] + rng.uniform(-shift, shift, 2))
        image += np.linspace(0, 0.5, image.shape[1])  # uneven ice
        made.append((image + rng.normal(0, noise, image.shape), np.array(xy)))
    return made


def averaged(made, **settings):
    view = ParticleAverage(AverageSettings(BOX, 5, **settings))
    for image, xy in made:
        view.gather(image, xy)
    view.correlation = view.align()
    for image, xy in made:
        view.add(image, xy)
    return view


def correlation(image, truth):
    return np.corrcoef(image[DISC], truth[DISC])[0, 1]


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_an_asymmetric_particle_comes_back(noise):
    view = averaged(micrographs(f_shape(), 2, noise=noise))
    assert (view.used, view.skipped) == (18, 0)
    average = view.result()
    fits = [correlation(rotate(average, psi), f_shape()) for psi in range(0, 360, 2)]
    assert max(fits) > 0.95
    assert view.correlation > (0.9 if noise == 0 else 0.3)


def test_a_two_fold_particle_comes_back_centred_and_symmetric():
    average = averaged(micrographs(s_shape(), 2, noise=0.5), symmetry=Symmetry(2)).result()
    np.testing.assert_allclose(rotate(average, 180)[1:, 1:], average[1:, 1:], atol=1e-5)
    fits = [correlation(rotate(average, psi), s_shape()) for psi in range(-20, 21, 2)]
    assert max(fits) > 0.95  # no shift is tried: the centre is right; and the long axis is near vertical


def test_the_long_axis_stands_upright():
    bar = strokes(((8, 41), (20, 29)))
    average = averaged(micrographs(bar, 2), symmetry=Symmetry(2, True)).result()
    assert correlation(average, bar) > 0.97
    np.testing.assert_allclose(average[:, 1:], average[:, :0:-1], atol=1e-5)


def test_a_ring_is_averaged_over_all_turns():
    y, x = np.indices((BOX, BOX)) - CENTRE
    ring = gaussian_filter(-(abs(np.hypot(y, x) - 12) < 3).astype(float), 1)
    view = averaged(micrographs(ring, 2, noise=0.3), rotational=True)
    average = view.result()
    assert correlation(average, ring) > 0.97
    np.testing.assert_allclose(rotate(average, 90)[1:, 1:], average[1:, 1:], atol=1e-5)


def test_the_bin_of_large_boxes_keeps_positions():
    large = np.kron(f_shape(), np.ones((3, 3)))  # 144 px: aligned in bins of 2
    rng = np.random.default_rng(3)
    settings = AverageSettings(144, 8)
    assert settings.bin == 2
    view = ParticleAverage(settings)
    xy = np.array([[100.0, 90.0]])
    made = []
    for psi in rng.uniform(0, 360, 12):
        image = np.zeros((190, 200))
        image[90 - 72 : 90 + 72, 100 - 72 : 100 + 72] = rotate(large, psi, outside="constant")
        made.append((image + rng.normal(0, 0.2, image.shape), xy + rng.uniform(-3, 3, 2)))
    for image, at in made:
        view.gather(image, at)
    view.align()
    for image, at in made:
        view.add(image, at)
    disc = disc_mask((144, 144), 60)
    turned = (rotate(view.result(), psi)[disc] for psi in range(0, 360, 2))
    assert max(np.corrcoef(average, large[disc])[0, 1] for average in turned) > 0.95


def test_boxes_that_leave_the_micrograph_are_skipped_and_counted():
    (image, xy), *_ = micrographs(f_shape(), 1)
    outside = np.array([[CENTRE - 1.0, 60], [60, image.shape[0] - CENTRE + 1.0]])
    view = ParticleAverage(AverageSettings(BOX, 5))
    view.gather(image, np.concatenate([outside, xy]))
    assert (view.used, view.skipped) == (9, 2)


def test_too_few_particles_and_too_large_boxes_are_errors():
    view = ParticleAverage(AverageSettings(BOX, 5))
    view.gather(f_shape(), np.array([[CENTRE, CENTRE]]))
    with pytest.raises(InputError, match=r"1 of 1 particles .* at least 2"):
        view.align()
    with pytest.raises(InputError, match="box of 48 px is larger than the micrograph of 47 x 60"):
        view.gather(np.zeros((60, 47)), np.zeros((1, 2)))


@pytest.mark.parametrize(("settings", "message"), [
    ({"box": 8, "max_shift": 2}, "box of 8 px"), ({"box": 48, "max_shift": 30}, "largest shift of 30 px"),
    ({"box": 48, "max_shift": 5, "iterations": 0}, "0 iterations"),
])
def test_settings_that_make_no_sense_are_errors(settings, message):
    with pytest.raises(InputError, match=message):
        AverageSettings(**settings)


@pytest.mark.parametrize(("text", "fold", "mirror"), [
    ("1", 1, False), ("2", 2, False), ("5m", 5, True), ("m", 1, True), ("12", 12, False),
])
def test_symmetries_are_read(text, fold, mirror):
    assert Symmetry.parse(text) == Symmetry(fold, mirror)


@pytest.mark.parametrize("text", ["", "0", "x", "m2", "-2", "2 m", "C2"])
def test_unknown_symmetries_are_errors(text):
    with pytest.raises(InputError, match="is unknown"):
        Symmetry.parse(text)


@pytest.mark.parametrize("fold", [2, 3, 5])
@pytest.mark.parametrize(("dy", "dx"), [(0, 0), (2.4, -1.3), (-3, 3)])
def test_the_axis_of_a_symmetry_is_found(fold, dy, dx):
    symmetric = Symmetry(fold).average(f_shape())
    moved = resampled(symmetric, 0, np.array([CENTRE - dy, CENTRE - dx]), BOX)
    assert symmetry_centre(moved, fold, 5) == pytest.approx((dy, dx), abs=0.25)


@pytest.mark.parametrize(("turn", "dx"), [(0, 0), (7, 0), (-12.4, 2)])
def test_the_mirror_axis_is_found(turn, dx):
    mirrored = Symmetry(1, True).average(f_shape())
    moved = rotate(np.roll(mirrored, dx, 1), -turn, "cubic")
    axis, x, fit = mirror_axis(moved, 4)
    assert fit > 0.95
    assert axis == pytest.approx(turn, abs=0.6)
    assert x == pytest.approx(dx, abs=0.3)


def test_what_has_no_mirror_does_not_look_so():
    assert mirror_axis(s_shape(), 4)[2] < MIRROR_LIKE
    assert mirror_axis(f_shape(), 4)[2] < MIRROR_LIKE


def test_a_rotational_average_keeps_what_is_round():
    y, x = np.indices((BOX, BOX)) - CENTRE
    radius = np.hypot(y, x)
    np.testing.assert_allclose(rotational_average(2 - 3 * radius)[DISC], (2 - 3 * radius)[DISC], atol=0.8)
    np.testing.assert_allclose(rotational_average(np.full((BOX, BOX), 4.0)), 4)
    np.testing.assert_allclose(rotational_average(x.astype(float))[DISC], 0, atol=1e-9)


def test_boxes_are_cut_where_they_fit():
    xy = np.array([[2.0, 3.0], [1.4, 3.0], [7.6, 3.0], [5.0, 2.6]])
    assert fits((8, 10), xy, 4).tolist() == [True, False, True, True]
    assert fits((8, 10), xy, 5).tolist() == [True, False, False, True]
    image = np.arange(80.0).reshape(8, 10)
    boxes, marks = cut(image, np.array([[4.25, 3.0], [0.0, 0.0]]), 4)
    np.testing.assert_array_equal(boxes[0], image[1:5, 2:6])
    np.testing.assert_array_equal(boxes[1][:, 0], [0, 0, 0, 10])  # beyond the edge its nearest pixel
    np.testing.assert_allclose(marks, [[0, 0.25], [0, 0]])


def test_binning_averages_blocks_and_drops_the_rest():
    np.testing.assert_array_equal(binned(np.arange(15.0).reshape(3, 5), 2), [[3, 5]])


def test_normalised_takes_off_a_plane():
    y, x = np.indices((20, 24))
    rng = np.random.default_rng(0)
    noise = rng.normal(size=y.shape)
    level = normalised(5 + 3 * y - 2 * x + noise)
    assert level.std() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(level, normalised(noise), atol=1e-4)


def test_in_box_keeps_the_centre_pixel():
    image = np.zeros((8, 8))
    image[4, 4], image[3, 5] = 1, 2
    for box in (5, 6, 9, 12):
        moved = in_box(image, box)
        assert moved[box // 2, box // 2] == 1
        assert moved[box // 2 - 1, box // 2 + 1] == 2
        assert moved.sum() == 3
    blob = gaussian_filter(np.pad([[1.0]], 20), 3)
    double = in_box(blob, 82, 2.0)
    assert np.unravel_index(double.argmax(), double.shape) == (41, 41)
    np.testing.assert_allclose(double[41, 41:61:2], blob[20, 20:30], atol=1e-6)


def test_low_pass_halves_the_wave_at_its_resolution():
    wave = np.cos(2 * np.pi * np.arange(400) / 20)[None].repeat(40, 0)
    filtered = low_pass(wave, 40.0, 2.0)  # a period of 20 px is 40 A
    assert np.ptp(filtered[20, 160:240]) == pytest.approx(1.0, rel=0.01)
    with pytest.raises(InputError, match="low-pass of 3 A"):
        low_pass(wave, 3.0, 2.0)
