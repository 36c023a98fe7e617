"""Simulated micrographs: the same every time, with truth that is exact."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage, signal

from gembench.data.canvas import Canvas
from gembench.data.optics import Optics, contrast_transfer, wavelength
from gembench.data.scene import PARTICLES, Layout, Placed, particles_of
from gembench.data.simulate import (
    add_object,
    expected_electrons,
    simulate_micrograph,
    truth,
    write_simulated_set,
)
from gembench.data.templates import BOX, simulated_templates
from gembench.errors import InputError
from gembench.io.coordinates import read_coordinates
from gembench.io.images.micrographs import find_micrographs, read_micrograph
from gembench.io.images.mrc import read_stack

SIZE = 512
KIND = {"side": (365.0, 320.0, 90.0), "top": (320.0, 320.0, 0.0)}


def layout_of(*placed: Placed, size: int = SIZE) -> Layout:
    """A layout with exactly these objects."""
    layout = Layout(Canvas(size, 2.2), np.random.default_rng(0))
    layout.placed = list(placed)
    for item in placed:
        layout.count += item.covers(layout.y, layout.x, 2.2)
    return layout


def at(kind: str, x: float, y: float, psi: float = 0.0, **other: float) -> Placed:
    height, width, tilt = KIND.get(kind, (320.0, 320.0, 20.0))
    return Placed(kind, x, y, psi, height, width, tilt=tilt, **other)


@pytest.mark.parametrize("kind", ["side", "top"])
@pytest.mark.parametrize("psi", [0.0, 37.0, 90.0, 251.0])
def test_a_noise_free_particle_peaks_at_the_pixel_of_its_truth(kind, psi):
    layout = layout_of(at(kind, 203, 271, psi))
    add_object(layout.canvas, np.random.default_rng(0), layout.placed[0])
    image = layout.canvas.frame(expected_electrons(layout.canvas, Optics()))
    picks = truth(layout, "one.mrc")
    assert picks.label.tolist() == [kind]
    template = ndimage.rotate(simulated_templates()[0][picks.view[0]][1:, 1:], picks.psi[0], reshape=False)
    match = signal.fftconvolve(image - image.mean(), template[::-1, ::-1], mode="same")
    row, column = np.unravel_index(match.argmax(), match.shape)
    assert (column, row) == (picks.x[0], picks.y[0]) == (203, 271)


def test_psi_turns_counter_clockwise_as_displayed():
    canvas = Canvas(SIZE, 2.2)
    half = Placed("half-side", 256, 256, 30.0, 190.0, 320.0, tilt=90.0)  # its collar is on top
    add_object(canvas, np.random.default_rng(0), half)
    upright = Canvas(SIZE, 2.2)
    add_object(upright, np.random.default_rng(0), Placed("half-side", 256, 256, 0.0, 190.0, 320.0, tilt=90.0))
    window = (slice(106, 407), slice(106, 407))
    turned = ndimage.rotate(upright.frame(upright.phase)[window], 30, reshape=False, order=3)
    np.testing.assert_allclose(canvas.frame(canvas.phase)[window], turned, atol=0.01 * turned.max())


def test_particles_are_dark_with_a_bright_halo():
    layout = layout_of(at("top", 256, 256))
    add_object(layout.canvas, np.random.default_rng(0), layout.placed[0])
    row = layout.canvas.frame(expected_electrons(layout.canvas, Optics()))[256]
    background = row[:100].mean()
    assert row[256 + 60:256 + 70].min() < 0.9 * background
    assert row[256 + 72:256 + 90].max() > 1.01 * background


def test_the_same_seed_and_index_give_the_same_micrograph_and_others_do_not():
    image, picks = simulate_micrograph(3, 5, SIZE)
    again, same = simulate_micrograph(3, 5, SIZE)
    np.testing.assert_array_equal(image, again)
    np.testing.assert_array_equal(picks.xy, same.xy)
    assert image.shape == (SIZE, SIZE)
    assert image.dtype == np.float32
    for seed, index in ((3, 6), (4, 5), (5, 3)):
        assert not np.array_equal(image, simulate_micrograph(seed, index, SIZE)[0])


def test_grey_values_are_those_of_a_dose_of_ten_electrons():
    image, _ = simulate_micrograph(0, 0, SIZE)
    assert 30 < image.mean() < 48.4
    assert 0.05 < image.std() / image.mean() < 0.15  # shot noise of 1/7, blurred by the camera
    assert image.min() > 0


@pytest.mark.parametrize(("item", "why"), [
    (at("side", 60, 256), "cut by the frame"),
    (at("tilted", 256, 256), "tilted"),
    (at("half-top", 256, 256), "half a particle"),
])
def test_what_an_annotator_would_not_call_clear_is_unsure(item, why):
    picks = truth(layout_of(item), "m.mrc")
    assert picks.label.tolist() == ["unsure"], why
    assert picks.view.tolist() == [-1]


def test_particles_that_cover_each_other_are_unsure_and_neighbours_are_not():
    covered = truth(layout_of(at("side", 200, 256), at("top", 260, 256), at("side", 400, 256)), "m.mrc")
    assert covered.label.tolist() == ["unsure", "unsure", "side"]


def test_contamination_on_a_particle_makes_it_unsure_and_is_no_particle():
    picks = truth(layout_of(at("side", 256, 256), Placed("drop", 270, 260, 0.0, 200.0, 200.0)), "m.mrc")
    assert picks.label.tolist() == ["unsure"]


def test_particles_with_their_centre_outside_are_not_listed():
    assert len(truth(layout_of(at("top", -20, 256)), "m.mrc")) == 0


@pytest.mark.parametrize("psi", [0.0, 60.0])
def test_the_decamers_of_a_tube_lie_along_its_axis(psi):
    tube = Placed("tube", 256, 256, psi, 720.0, 320.0, tilt=90.0, decamers=4)
    members = particles_of(tube, 2.2)
    up = np.array([-np.sin(np.radians(psi)), -np.cos(np.radians(psi))])  # the axis, in (x, y)
    along = [(m.x - 256) * up[0] + (m.y - 256) * up[1] for m in members]
    np.testing.assert_allclose(along, np.array([1.5, 0.5, -0.5, -1.5]) * 180 / 2.2, atol=1e-9)
    assert truth(layout_of(tube, size=1024), "m.mrc").label.tolist() == ["unsure"] * 4


def test_numbers_of_particles_are_like_klh():
    labels: list[str] = []
    inside = 0
    for seed in range(12):
        layout = Layout(Canvas(2048, 2.2), np.random.default_rng(seed))
        layout.populate()
        inside += sum(item.kind in PARTICLES for item in layout.placed)
        labels += truth(layout, "m.mrc").label.tolist()
    assert 10 < labels.count("side") / 12 < 17
    assert 4 < labels.count("top") / 12 < 12
    assert 0.5 < labels.count("side") / (labels.count("side") + labels.count("unsure")) * 2 < 1.5
    assert inside >= labels.count("side") + labels.count("top")


def test_templates_and_masks():
    templates, masks = simulated_templates()
    assert templates.shape == masks.shape == (2, BOX, BOX)
    assert templates.dtype == masks.dtype == np.float32
    assert set(np.unique(masks)) == {0, 1}
    np.testing.assert_array_equal(masks[:, 1:, 1:][:, ::-1, ::-1], masks[:, 1:, 1:])
    rows, columns = np.nonzero(masks[0])
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (189, 169)
    for template, mask in zip(templates, masks, strict=True):
        assert template.min() < -0.05  # protein is dark
        assert np.abs(template[mask == 0]).max() < 0.25 * -template.min()
    bands = templates[0, :, 116:157].mean(1)
    assert bands[BOX // 2] > bands[BOX // 2 + 13]  # a light seam between the decamers, a dark tier beside it


def test_the_wavelength_and_first_zero_are_the_textbook_ones():
    assert wavelength(120) == pytest.approx(0.03349, abs=2e-5)
    n, pixel = 1024, 2.2
    transfer = contrast_transfer(n, pixel, Optics(defocus=(25_000, 25_000), amplitude_contrast=0.0))[0]
    zero = np.flatnonzero(np.diff(np.sign(transfer[1:])))[0] + 1
    assert zero / (n * pixel) == pytest.approx(1 / np.sqrt(0.0335 * 25_000), rel=0.02)
    assert (transfer[1:zero] < 0).all()


def test_astigmatism_moves_the_zero_along_the_first_axis_inwards():
    transfer = contrast_transfer(256, 2.2, Optics(defocus=(30_000, 20_000), astigmatism_angle=0))
    along_x, along_y = transfer[0, :128], transfer[:128, 0]
    assert np.argmax(along_x > 0) < np.argmax(along_y > 0)


def test_a_set_on_disk_is_the_same_bytes_and_reads_back(tmp_path):
    for name in ("a", "b"):
        write_simulated_set(tmp_path / name, 2, 7, SIZE)
    names = sorted(p.name for p in (tmp_path / "a").iterdir())
    assert names == ["masks.mrcs", "sim_0001.mrc", "sim_0002.mrc", "templates.mrcs", "truth.star"]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    image, picks = simulate_micrograph(7, 1, SIZE)
    stored = read_micrograph(find_micrographs([tmp_path / "a"])[1])
    np.testing.assert_array_equal(stored.data, image)
    assert stored.pixel_size == pytest.approx(2.2)
    read_back = {part.micrograph: part for part in read_coordinates(tmp_path / "a" / "truth.star")}
    if len(picks):
        np.testing.assert_allclose(read_back["sim_0002.mrc"].xy, picks.xy, atol=1e-3)
    np.testing.assert_array_equal(read_stack(tmp_path / "a" / "masks.mrcs")[0], simulated_templates()[1])


@pytest.mark.parametrize(("count", "seed", "size", "names"), [
    (0, 0, SIZE, "--count 0"), (1, -1, SIZE, "--seed -1"), (1, 0, 200, "--size 200")])
def test_bad_values_are_refused_before_anything_is_written(tmp_path, count, seed, size, names):
    with pytest.raises(InputError, match=names):
        write_simulated_set(tmp_path / "set", count, seed, size)
    assert not (tmp_path / "set").exists()


def test_a_folder_with_other_micrographs_is_refused(tmp_path):
    (tmp_path / "mine.mrc").write_bytes(b"precious")
    with pytest.raises(InputError, match=r"mine\.mrc"):
        write_simulated_set(tmp_path, 1, 0, SIZE)


@pytest.mark.parametrize(("seed", "index", "size", "pixel"), [
    (-1, 0, 512, 2.2), (0, -1, 512, 2.2), (0, 0, 0, 2.2), (0, 0, 512, 0.0), (0, 0, 512, float("nan"))])
def test_arguments_out_of_range_are_refused(seed, index, size, pixel):
    with pytest.raises(InputError):
        simulate_micrograph(seed, index, size, pixel)
