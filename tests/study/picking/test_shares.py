"""Which micrographs are searched with which templates."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gembench.data.annotated import Annotated
from gembench.engine.picks import Picks
from gembench.io.images.mrc import write_stack
from gembench.picking.settings import PickSettings
from gembench.study.picking import shares
from gembench.study.picking.shares import against_exact, open_inputs
from gembench.templates import halves
from gembench.templates.halves import Half

BOX = 16


def stack(path: Path, value: float) -> Path:
    """Two templates that differ between stacks: a dark bar, so many pixels wide."""
    image = np.zeros((2, BOX, BOX), np.float32)
    image[:, :, BOX // 2 - int(value) : BOX // 2 + int(value)] = -1
    write_stack(path, image, 2.2)
    return path


@pytest.fixture
def whole(tmp_path, monkeypatch):
    """Four micrographs, of which a case may take fewer; their templates by halves are planted."""
    paths = [tmp_path / f"m{number}.mrc" for number in range(4)]
    truth = [Picks(path.name, [5.0], [5.0], label=["side"]) for path in paths]
    masks = tmp_path / "masks.mrcs"
    write_stack(masks, np.ones((2, BOX, BOX), np.float32), 2.2)
    whole = Annotated("klh", paths, truth, stack(tmp_path / "templates.mrcs", 2), masks, 2.2)
    made = [Half(frozenset({"m0", "m2"}), stack(tmp_path / "a.mrcs", 3), (7, 5)),
            Half(frozenset({"m1", "m3"}), stack(tmp_path / "b.mrcs", 4), (8, 6))]
    requests = []
    monkeypatch.setattr(shares, "annotated", lambda name, count: whole.first(count))
    monkeypatch.setattr(shares, "annotated_set", lambda name: whole)
    monkeypatch.setattr(halves, "templates_by_halves", lambda *options: requests.append(options) or made)
    return requests


def width(share):
    return int((share.bank.templates[0, BOX // 2] < -0.5).sum())


def test_each_micrograph_is_searched_with_the_templates_of_the_other_half(whole):
    inputs = open_inputs("klh", 3, "halves", angle_step=90)
    assert [([path.stem for path in share.paths], width(share)) for share in inputs.shares] == [
        (["m0", "m2"], 6), (["m1"], 8)]
    assert inputs.made.startswith("averages of 7 side and 5 top views and 8 side and 6 top views")
    (data, views, settings, _), = whole
    assert len(data.micrographs) == 4  # of all that are annotated, however few are picked
    assert views == ("side", "top")
    assert (settings[0].symmetry.fold, settings[1].rotational) == (2, True)
    assert len(open_inputs("klh", 1, "halves", angle_step=90).shares) == 1


def test_templates_without_symmetry_are_asked_for_by_name(whole):
    open_inputs("klh", 4, "unsymmetrised", angle_step=90)
    ((_, _, settings, _),) = whole
    assert (settings[0].symmetry.fold, settings[1].rotational) == (1, False)


def test_the_sets_own_templates_are_for_all_micrographs_and_said_to_hold_them(whole):
    (share,) = open_inputs("klh", 4, "given", angle_step=90, symmetry=(2, 0)).shares
    assert (len(share.paths), width(share), len(share.bank)) == (4, 4, 3)
    assert "all particles" in open_inputs("klh", 4, "given", angle_step=90).made
    assert not whole


def test_picks_of_banded_are_compared_with_those_of_exact_as_far_as_asked():
    exact = [Picks("a.mrc", [5.0, 20.0], [5.0, 20.0]), Picks("b.mrc", [7.0], [7.0])]
    banded = [Picks("a.mrc", [5.5, 40.0], [5.0, 40.0]), Picks("b.mrc", [7.0], [7.0])]

    def picked(settings):
        assert settings.peaks.threshold == 0.25
        return (SimpleNamespace(picks=picks) for picks in (banded if settings.method == "banded" else exact))

    planted = SimpleNamespace(settings=PickSettings(2.0), picked=picked)
    assert against_exact(planted, 0.25) == {
        "compared_with_exact": 3, "missed_of_exact": 1, "not_of_exact": 1, "furthest_from_exact_px": 0.5}
    assert against_exact(planted, 0.25, 1)["compared_with_exact"] == 2
