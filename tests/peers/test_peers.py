"""Every peer that is here finds a planted, turned template at its pixel and angle; the rest say why not."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from gembench.data.workload import direct_scores, egg_bank, egg_template
from gembench.engine.bank import TemplateBank, grid_angles
from gembench.engine.fft.library import LIBRARIES
from gembench.engine.fft.pocketfft import ScipyFFT
from gembench.engine.turning import disc_mask, rotate
from gembench.errors import InputError
from gembench.peers import PEERS, peer, transforms
from gembench.peers.base import Matched, Peer, even_step, index_of, mask_diameter

SIDE, BOX, STEP = 256, 48, 30.0
PLACE, TURN = (147, 109), 4  # of the planted particle: row and column, and which of the angles
KINDS = [(name, mask) for name, kind in PEERS.items() if kind.finds for mask in kind.masks]


def scene(mask: str) -> tuple[np.ndarray, TemplateBank]:
    """One clear particle, turned, in noise, and the bank that holds it."""
    template, own = egg_template(BOX)
    bank = TemplateBank(template[None], own[None] if mask == "own" else None, grid_angles(STEP))
    image = np.random.default_rng(5).standard_normal((SIDE, SIDE))
    particle, inside = rotate(bank.templates[0], float(bank.psi(TURN))), bank.mask(TURN)
    top, left = PLACE[0] - BOX // 2, PLACE[1] - BOX // 2
    under = particle[inside]
    image[top : top + BOX, left : left + BOX][inside] += 3 * (under - under.mean()) / under.std()
    return image.astype(np.float32), bank


@pytest.fixture(scope="module")
def matched():
    """What a peer makes of the scene, asked for once."""
    matches: dict[tuple[str, str], Matched] = {}

    def get(name: str, mask: str) -> Matched:
        reason = PEERS[name].unavailable()
        if reason is not None:
            pytest.skip(reason)
        if (name, mask) not in matches:
            image, bank = scene(mask)
            matches[name, mask] = PEERS[name](bank, pixel_size=2.2).match(image)
        return matches[name, mask]

    return get


@pytest.mark.filterwarnings("ignore")  # of other people's packages
@pytest.mark.parametrize(("name", "mask"), KINDS)
def test_a_planted_turned_template_is_found_at_its_pixel_and_angle(matched, name, mask):
    result = matched(name, mask)
    assert result.templates == 12
    assert result.seconds >= 0
    maps = result.maps
    if maps is None:  # a program that shows only its picks
        best = result.picks.score.argmax()
        np.testing.assert_allclose(result.picks.xy[best], PLACE[::-1], atol=1)
        return
    assert maps.score.shape == maps.index.shape == (SIDE, SIDE)
    assert np.unravel_index(maps.score.argmax(), maps.score.shape) == PLACE
    if name != "findem":  # which tells no angle
        assert maps.index[PLACE] == TURN


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "mask"), KINDS)
def test_scores_are_those_of_the_direct_sum_within_the_stated_tolerance(matched, name, mask):
    result = matched(name, mask)
    if PEERS[name].tolerance is None:
        pytest.skip(f"{name} scores in another quantity")
    image, bank = scene(mask)
    if name == "gembench-2003":  # whose score is that of one disc, whatever the particle's own mask
        disc = disc_mask(bank.box, mask_diameter(bank) // 2)
        bank = replace(bank, masks=np.stack([disc] * len(bank.templates)))
    places = np.random.default_rng(2).integers(BOX, SIDE - BOX, (30, 2))
    exact = np.max([direct_scores(image, bank, index, places) for index in range(len(bank))], axis=0)
    scores = result.maps.score[places[:, 0], places[:, 1]]
    assert np.abs(scores - exact).max() <= PEERS[name].tolerance


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["opencv", "scikit-image", "gembench"])
def test_threads_change_nothing(matched, name):
    alone = matched(name, "own")
    image, bank = scene("own")
    two = PEERS[name](bank, threads=2, pixel_size=2.2).match(image)
    np.testing.assert_array_equal(alone.maps.index, two.maps.index)
    np.testing.assert_array_equal(alone.maps.score, two.maps.score)


def test_two_views_keep_their_indices(matched):
    matched("relion", "disc")
    image, bank = scene("disc")
    views = np.stack([bank.templates[0][::-1].copy(), bank.templates[0]])
    both = TemplateBank(views, None, bank.angles)
    for name in ("relion", "opencv"):
        if PEERS[name].unavailable() is None:
            maps = PEERS[name](both, pixel_size=2.2).match(image).maps
            assert maps.index[PLACE] == len(bank) + TURN, name


def test_relion_makes_picks_of_its_own(matched):
    picks = matched("relion", "disc").picks
    best = picks[[int(picks.score.argmax())]]
    assert best.xy.tolist() == [[PLACE[1], PLACE[0]]]
    assert best.view.tolist() == [0]
    assert float(best.psi[0]) % 360 == TURN * STEP
    assert matched("relion", "disc").memory > 0


def test_relion_low_passed_is_cropped_and_found_in_the_same_place(matched):
    matched("relion", "disc")
    image, bank = scene("disc")
    maps = PEERS["relion"](bank, pixel_size=2.2, lowpass=20.0).match(image).maps
    place = np.unravel_index(maps.score.argmax(), maps.score.shape)
    assert np.abs(np.subtract(place, PLACE)).max() <= 4  # a pixel of the cropped map
    assert maps.index[place] == TURN


class Counting(ScipyFFT):
    """Counts inverse transforms, and gives something else back once it is `spoilt`."""

    name = "counting"
    spoilt, inverse = 1.0, 0

    def irfft2(self, spectrum, shape):
        self.inverse += 1
        return self.spoilt * super().irfft2(spectrum, shape)


LIBRARIES.pop("counting")  # for this file only


@pytest.mark.parametrize(("mask", "each"), [("own", 3), ("disc", 1)])
def test_the_transforms_alone_are_as_many_as_a_template_takes(monkeypatch, mask, each):
    library = Counting()
    monkeypatch.setattr(transforms, "fastest", lambda image: library)
    image, bank = scene(mask)
    result = PEERS["transforms"](bank).match(image)
    assert library.inverse == 1 + each * len(bank)
    assert (result.templates, result.maps, result.picks) == (len(bank), None, None)
    library.spoilt = 1.01
    with pytest.raises(RuntimeError, match="does not give back"):
        PEERS["transforms"](bank).match(image)


def test_the_fastest_library_is_one_that_is_here():
    library = transforms.fastest(np.ones((64, 48), np.float32))
    assert LIBRARIES[library.name].unavailable() is None


def test_an_unknown_peer_is_an_error_that_names_the_known_ones():
    assert peer("gembench") is PEERS["gembench"]
    with pytest.raises(InputError, match=r"^peer 'findme' is unknown: choose from findem, .*transforms$"):
        peer("findme")


def test_a_program_that_is_not_on_path_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("relion", "gempicker", "findem"):
        assert "is not on PATH" in PEERS[name].unavailable()
    assert PEERS["relion"].unavailable() == "relion_autopick is not on PATH: apt install relion"


def test_a_package_that_is_missing_or_broken_says_so(monkeypatch, tmp_path):
    from gembench.peers.loop import Library

    monkeypatch.setattr("gembench.peers.base.PEERS", {})

    class Missing(Library):
        module, distribution, install = "no_such_package.part", "no-such-package", "pip install it"

    class Broken(Library):
        module, distribution = "broken_package", "broken-package"

    (tmp_path / "broken_package.py").write_text("raise OSError('its library is gone')\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert Missing.unavailable() == "no-such-package is not installed: pip install it"
    assert Broken.unavailable() == "installed but broken: its library is gone"


def test_a_method_or_device_that_is_not_there_is_a_reason(monkeypatch):
    monkeypatch.setitem(sys.modules, "gembench.engine.banded.search", None)
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert PEERS["gembench"].unavailable() is None
    assert PEERS["gembench-banded"].unavailable().startswith("the engine's method 'banded' cannot be used")
    assert PEERS["gembench-gpu"].unavailable().startswith("no CUDA device")


def test_every_peer_says_what_it_is():
    for name, kind in PEERS.items():
        assert issubclass(kind, Peer)
        assert kind.name == name
        assert kind.label
        assert set(kind.masks) <= {"own", "disc"}
        if kind.unavailable() is None:
            assert any(character.isdigit() for character in kind.version())


def test_index_of_takes_the_nearest_angle_and_knows_symmetry():
    views = np.random.default_rng(1).standard_normal((3, 8, 8))
    bank = TemplateBank(views, None, grid_angles(30), symmetry=(1, 2, 0))
    assert len(bank) == 12 + 6 + 1
    assert index_of(bank, 0, np.array([[0.0, 44.0], [359.0, -30.0]])).tolist() == [[0, 1], [0, 11]]
    assert index_of(bank, 1, np.array([0.0, 30, 190, 355])).tolist() == [12, 13, 12, 12]
    assert index_of(bank, 2, np.array([0.0, 77])).tolist() == [18, 18]
    assert index_of(bank, 0, np.array([7.0])).dtype == np.int32


def test_uneven_angles_are_refused_where_a_program_turns_by_steps():
    assert even_step(egg_bank(16, 12)) == 30
    bank = TemplateBank(egg_template(16)[0][None], None, np.array([0.0, 10, 30]))
    with pytest.raises(InputError, match="turns templates in even steps"):
        even_step(bank)


def test_mask_diameter_reaches_as_far_as_any_mask():
    masks = np.zeros((2, 21, 21), bool)
    masks[0, 10 - 7 : 10 + 8, 9:12] = True
    masks[1, 9:12, 10 - 4 : 10 + 5] = True
    assert mask_diameter(TemplateBank(np.random.default_rng(0).random((2, 21, 21)), masks)) == 14
