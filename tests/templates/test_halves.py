"""Templates by halves: no particle of a half is in the templates that are judged on it."""

from __future__ import annotations

import numpy as np
import pytest

from gembench.data.annotated import Annotated
from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.io.images.mrc import read_stack, write_mrc, write_stack
from gembench.templates import halves
from gembench.templates.averages import AverageSettings
from gembench.templates.halves import templates_by_halves

BOX = 32
PLACES = np.array([(x, y) for x in (40, 110, 180, 250) for y in (40, 110, 180)])
ROUND = PLACES + 35


def particle(height, width):
    y, x = np.indices((BOX, BOX)) - BOX // 2
    return -((abs(y) <= height / 2) & (abs(x) <= width / 2)).astype(np.float32)


def dot():
    y, x = np.indices((BOX, BOX)) - BOX // 2
    return -np.exp(-((np.hypot(y, x) - 7) ** 2) / 4).astype(np.float32)


SHAPES = {"a": particle(20, 8), "b": particle(12, 12)}


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Four micrographs, annotated bars on a1 and a2, squares on b1 and b2; rings that nobody annotated."""
    monkeypatch.setattr(halves, "cache_folder", lambda: tmp_path / "cache")
    rng = np.random.default_rng(5)
    paths, truth = [], []
    for name in ("a1", "a2", "b1", "b2"):
        image = 0.2 * rng.standard_normal((240, 320)).astype(np.float32)
        for shape, places in ((SHAPES[name[0]], PLACES), (dot(), ROUND)):
            for x, y in places:
                image[y - BOX // 2 : y + BOX // 2, x - BOX // 2 : x + BOX // 2] += shape
        paths.append(tmp_path / f"{name}.mrc")
        write_mrc(paths[-1], image, 2.2)
        truth.append(Picks(paths[-1].name, *PLACES.T, label=["side"] * len(PLACES)))
    stack = np.stack([particle(20, 8), dot()])
    write_stack(tmp_path / "templates.mrcs", stack, 2.2)
    write_stack(tmp_path / "masks.mrcs", np.ones_like(stack), 2.2)
    return Annotated("planted", paths, truth, tmp_path / "templates.mrcs", tmp_path / "masks.mrcs", 2.2)


@pytest.fixture
def split(monkeypatch):
    monkeypatch.setattr(halves, "split_halves", lambda names: (
        [name for name in names if name[0] == "a"], [name for name in names if name[0] == "b"]))


SETTINGS = (AverageSettings(BOX, 4, iterations=2), AverageSettings(BOX, 4, iterations=2, rotational=True))


def likeness(template, shape):
    return np.corrcoef(template.ravel(), shape.ravel())[0, 1]


def test_each_half_is_searched_with_averages_of_the_other(data, split, monkeypatch):
    first, second = templates_by_halves(data, ("side", "top"), SETTINGS, 30)
    assert (first.names, second.names) == ({"a1", "a2"}, {"b1", "b2"})
    for half, own, other in ((first, "a", "b"), (second, "b", "a")):
        side, top = read_stack(half.templates)[0]
        assert likeness(side, SHAPES[other]) > 0.9
        assert likeness(side, SHAPES[other]) > likeness(side, SHAPES[own])
        assert likeness(top, dot()) > 0.9
        assert half.particles[0] == 24
        assert 12 <= half.particles[1] <= 24  # the best of the places where the set's own top view fits
    monkeypatch.setattr(halves, "_write", None)  # made once, and found again
    assert templates_by_halves(data, ("side", "top"), SETTINGS, 30) == [first, second]
    with pytest.raises(TypeError):  # other settings are other templates
        templates_by_halves(data, ("side", "top"), SETTINGS[::-1], 30)


def test_a_view_that_nobody_annotated_is_not_looked_for_on_annotated_particles(data):
    ring = [read_stack(data.templates)[0][1], read_stack(data.masks)[0][1]]
    assert ring[0].shape == (BOX, BOX)
    images = [np.zeros((240, 320), np.float32)]
    y, x = 100, 100
    images[0][y - BOX // 2 : y + BOX // 2, x - BOX // 2 : x + BOX // 2] = dot()
    images[0] += 0.01 * np.random.default_rng(1).standard_normal((240, 320)).astype(np.float32)
    far = [Picks("m", [200.0], [100.0], label=["side"])]
    near = [Picks("m", [110.0], [100.0], label=["side"])]
    (placed,) = halves.places_of_view(data, 1, images, far, 30)
    assert np.hypot(*(placed - (x, y)).T).min() < 2
    assert all(np.hypot(*(places - (110, 100)).T).min() >= 30
               for places in halves.places_of_view(data, 1, images, near, 30) if len(places))


def test_one_micrograph_has_no_other_half(data):
    single = data.first(1)
    with pytest.raises(InputError, match="1 micrograph cannot be halved"):
        templates_by_halves(single, ("side", "top"), SETTINGS, 30)
