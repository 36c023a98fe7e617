"""The names of `gembench` that a notebook needs, on planted particles."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import gembench
from gembench.cli import main
from gembench.io.images.mrc import write_mrc, write_stack

PLACES = [(30.0, 40.0), (90.0, 61.0)]  # x, y


@pytest.fixture(scope="module")
def planted():
    """A micrograph (120, 140) with two dark particles, and their template (24, 24)."""
    rng = np.random.default_rng(4)
    template = gaussian_filter(rng.normal(size=(24, 24)), 2)
    image = rng.normal(0, 0.1 * template.std(), (120, 140))
    for x, y in PLACES:
        image[int(y) - 12 : int(y) + 12, int(x) - 12 : int(x) + 12] += template
    return image.astype(np.float32), template.astype(np.float32)


SETTINGS = gembench.PickSettings(2.2, 90, template_contrast="dark", average=1,
                                 peaks=gembench.PeakSettings(threshold=0.8, distance=20))


def test_all_names_are_there_and_no_other():
    assert set(gembench.__all__) <= set(dir(gembench))
    for name in gembench.__all__:
        assert callable(getattr(gembench, name))
    with pytest.raises(AttributeError, match="no attribute 'picks'"):
        gembench.picks  # noqa: B018


def test_an_array_is_picked_as_the_command_picks_its_file(planted, tmp_path, monkeypatch):
    image, template = planted
    picks = gembench.pick(image, template, SETTINGS)
    assert sorted(map(tuple, np.round(picks.xy).tolist())) == PLACES
    monkeypatch.chdir(tmp_path)
    write_mrc(tmp_path / "a.mrc", image, 2.2)
    write_stack(tmp_path / "t.mrcs", template[None], 2.2)
    read = gembench.read_micrograph("a.mrc")
    from_files = gembench.pick(read, "t.mrcs", SETTINGS)
    assert from_files.xy.tolist() == picks.xy.tolist()
    assert main(["pick", "a.mrc", "--templates", "t.mrcs", "--pixel-size", "2.2", "--angle-step", "90",
                 "--template-contrast", "dark", "--average", "1", "--threshold", "0.8", "--distance", "20",
                 "-o", "out", "--quiet"]) == 0
    (stored,) = gembench.read_picks("out/picks.star")
    np.testing.assert_allclose(stored.xy, from_files.xy, atol=1e-6)
    gembench.write_picks("again.csv", [stored])
    (again,) = gembench.read_picks("again.csv")
    assert again.xy.tolist() == stored.xy.tolist()


def test_picks_are_a_table(planted):
    picks = gembench.pick(*planted, SETTINGS)
    rows = gembench.table([picks, picks])
    assert rows.dtype.names == ("micrograph", "x", "y", "score", "psi", "view", "template", "label")
    assert rows["x"].tolist() == [*picks.x, *picks.x]
    assert rows["micrograph"].tolist() == ["array"] * 4
    assert len(rows[rows["score"] > 2]) == 0
    assert len(gembench.table([])) == 0


def test_picks_are_judged_and_drawn(planted):
    import matplotlib.pyplot as plt

    picks = gembench.pick(*planted, SETTINGS)
    x, y = zip(*PLACES, (110.0, 20.0), strict=True)
    truth = gembench.Picks("array", x, y)
    judged = gembench.score(picks, truth, radius=5)
    assert (judged.precision, judged.recall) == (1, pytest.approx(2 / 3))
    ax = gembench.draw(planted[0], picks, size=24)
    circles = [patch.center for patch in ax.patches]
    assert sorted(circles) == sorted(map(tuple, picks.xy.tolist()))
    assert {patch.radius for patch in ax.patches} == {12}
    assert ax.get_title(loc="left") == "array: 2 picks"
    assert gembench.draw(planted[0], ax=ax) is ax
    plt.close("all")


@pytest.mark.parametrize(("image", "options", "message"), [
    (np.zeros((2, 30, 30)), {}, "give one micrograph"),
    (np.full((60, 60), np.nan), {}, "NaN or infinite"),
    (np.zeros((60, 60)), {"masks": "m.mrcs"}, "m.mrcs: masks are a file and templates an array"),
])
def test_what_cannot_be_picked_is_said(planted, image, options, message):
    with pytest.raises(gembench.InputError, match=message):
        gembench.pick(image, planted[1], SETTINGS, **options)


def test_importing_gembench_and_listing_its_names_imports_no_library():
    code = "import sys, gembench; dir(gembench); print('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
