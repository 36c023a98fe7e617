"""Decoys: views that compete at every place, and whose picks are none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from gembench.cli import main
from gembench.engine.bank import TemplateBank, grid_angles
from gembench.engine.peaks import PeakSettings, find_picks, picks_and_decoys
from gembench.engine.picks import Picks
from gembench.engine.search import open_search
from gembench.engine.turning import rotate
from gembench.errors import InputError
from gembench.io.coordinates import read_coordinates, write_coordinates
from gembench.io.images.mrc import read_stack, write_mrc, write_stack
from gembench.picking.prepare import load_bank
from gembench.picking.settings import PickSettings
from gembench.templates.decoys import require_enough

BOX, STEP = 32, 30
PARTICLES, TUBES = [(40, 60), (120, 50), (200, 140)], [(60, 150), (180, 44), (130, 130)]  # x, y


def particle():
    """A dark bar, 21 px long."""
    image = np.zeros((BOX, BOX))
    image[6:27, 13:19] = -1
    image[6:10, 13:24] = -1
    return gaussian_filter(image, 1)


def tube():
    """The same bar, going on beyond the box at one end."""
    image = np.zeros((BOX, BOX))
    image[6:, 13:19] = image[6:10, 13:24] = -1
    return gaussian_filter(image, 1)


def micrograph(seed, noise=0.3, particles=PARTICLES, tubes=TUBES):
    image = np.random.default_rng(seed).normal(20, noise, (200, 256))
    for shape, places in ((particle(), particles), (tube(), tubes)):
        for number, (x, y) in enumerate(places):
            turned = rotate(shape, 2 * STEP * number, outside="constant")
            image[y - 16 : y + 16, x - 16 : x + 16] += turned
    return image.astype(np.float32)


def bank(decoys):
    return TemplateBank(np.stack([particle(), tube()]), None, grid_angles(STEP), decoys=decoys)


@pytest.mark.parametrize("rule", ["nms", "gempicker"])
@pytest.mark.parametrize("method", ["exact", "banded"])
def test_a_decoy_wins_as_every_view_does_and_is_no_pick(rule, method):
    image = gaussian_filter(micrograph(0), 1.5)  # so that banded has a band
    everything = PeakSettings(rule, 0.75, distance=16)
    for settings in (everything, replace(everything, max_picks=2)):
        with open_search(bank(1), method=method, peaks=settings, library="scipy") as search:
            picks, decoys = picks_and_decoys(search.run(image), bank(1), settings)
        with open_search(bank(0), method="exact", library="scipy") as search:
            both = find_picks(search.run(image), bank(0), everything)
        expected = both[both.view == 0][: settings.max_picks]
        assert set(both.view.tolist()) == {0, 1}
        assert picks.xy == pytest.approx(expected.xy, abs=1e-3)
        assert picks.template.tolist() == expected.template.tolist()
        assert settings.max_picks is not None or decoys == (both.view == 1).sum()


def test_a_bank_is_not_of_decoys_alone():
    with pytest.raises(InputError, match="at least one template"):
        bank(2)


@pytest.fixture
def folder(two_micrographs):
    """mics/a.mrc and b.mrc, one template, its mask, a decoy."""
    two_micrographs(micrograph, 3.0)
    write_stack("templates.mrcs", particle()[None], 3.0, "dark")
    write_stack("masks.mrcs", np.pad(np.ones((1, 28, 22)), ((0, 0), (2, 2), (5, 5))), 3.0)
    write_stack("decoys.mrcs", tube()[None], 3.0, "dark")


COMMAND = ("pick", "mics", "--templates", "templates.mrcs", "--masks", "masks.mrcs", "--pixel-size", "3",
           "--angle-step", str(STEP), "--threshold", "0.5", "--distance", "16", "--average", "1",
           "--threads", "1", "--fft", "scipy")


def positions(path):
    return {picks.micrograph: sorted((int(x), int(y)) for x, y in np.round(picks.xy))
            for picks in read_coordinates(path) if len(picks)}


def test_tubes_are_picked_without_a_decoy_and_not_with_one(folder, capsys):
    assert main([*COMMAND, "-o", "without"]) == 0
    assert "decoy" not in capsys.readouterr().out
    assert main([*COMMAND, "--decoys", "decoys.mrcs", "-o", "with"]) == 0
    out = capsys.readouterr().out
    assert "24 templates: 1 views and 1 decoys x 12 angles" in out
    assert "decoys won at 6 places, which are no picks" in out
    near = {(x, y) for x, y in PARTICLES}
    assert positions("with/picks.star") == {"a.mrc": sorted(near), "b.mrc": sorted(near)}
    assert len(positions("without/picks.star")["a.mrc"]) == 6
    facts = json.loads(Path("with/run.json").read_text())
    assert [facts["micrographs"][name]["decoys"] for name in "ab"] == [3, 3]
    assert facts["settings"]["decoys"] != facts["settings"]["templates"]
    assert "decoys" not in json.loads(Path("without/run.json").read_text())["micrographs"]["a"]


def test_a_folder_of_picks_is_bound_to_its_decoys(folder, capsys):
    assert main([*COMMAND, "--decoys", "decoys.mrcs", "-o", "out", "--quiet"]) == 0
    assert main([*COMMAND, "-o", "out"]) == 2
    assert "decoys" in capsys.readouterr().err
    assert main([*COMMAND, "--decoys", "decoys.mrcs", "-o", "out"]) == 0
    assert "2 of 2 micrographs are finished" in capsys.readouterr().out


def test_decoys_are_masked_as_the_first_template_unless_they_have_masks(folder):
    settings = PickSettings(3.0, angle_step=STEP, symmetry=(2,))
    bank, _ = load_bank("templates.mrcs", "masks.mrcs", settings, "decoys.mrcs")
    assert (bank.decoys, bank.symmetry) == (1, (2, 1))
    assert np.array_equal(bank.masks[1], bank.masks[0])
    write_stack("own.mrcs", np.ones((1, BOX, BOX)), 3.0)
    bank, _ = load_bank("templates.mrcs", "masks.mrcs", settings, "decoys.mrcs", "own.mrcs")
    assert (bank.masks[1].all(), bank.masks[0].all()) == (True, False)
    bright = PickSettings(3.0, contrast="bright")
    assert load_bank("templates.mrcs", "masks.mrcs", bright, "decoys.mrcs")[1] == [0, 1]


def test_decoys_that_do_not_fit_are_refused_in_a_line(folder, capsys):
    write_stack("large.mrcs", np.pad(tube(), 2)[None], 3.0, "dark")
    for options, text in ((("--decoys", "large.mrcs"), "36 x 36 px"),
                          (("--decoy-masks", "masks.mrcs"), "give --decoys")):
        assert main([*COMMAND, *options, "-o", "out"]) == 2
        error = capsys.readouterr().err
        assert text in error
        assert error.count("\n") == 1
        assert not Path("out").exists()


def test_too_few_false_picks_are_said_so(caplog):
    picks = Picks("a.mrc", np.arange(25.0), np.zeros(25))
    assert require_enough([picks], None) == 25
    assert require_enough([picks[:7], picks[:5]], 40.0) == 12
    assert not caplog.records
    require_enough([picks[:24]], None)
    assert "24 false picks are few for a decoy" in caplog.text
    with pytest.raises(InputError, match="11 false picks: a decoy needs at least 12"):
        require_enough([picks[:11]], 40.0)


def test_every_rank_has_the_decoys(folder, mpiexec):
    assert main([*COMMAND, "--decoys", "decoys.mrcs", "-o", "alone", "--quiet"]) == 0
    ran = mpiexec(2, "-m", "gembench", *COMMAND, "--decoys", "decoys.mrcs", "-o", "out", "--distribute",
                  "templates")
    assert ran.returncode == 0, ran.stderr
    assert positions("out/picks.star") == positions("alone/picks.star")
    assert "decoys won at 6 places" in ran.stdout


def test_false_picks_become_a_decoy(folder, capsys):
    """Those on annotations, sure or not, are left out; the average is the tube's end."""
    places = [(x, y) for x in (24, 64, 104, 144, 184, 224) for y in (24, 64, 104, 144)]
    Path("picks").mkdir()
    Path("truth").mkdir()
    for seed, name in enumerate("ab"):
        write_mrc(f"mics/{name}.mrc", micrograph(seed, 0.2, places[:12], places[12:]), 3.0)
        picks = Picks(f"{name}.mrc", *np.array(places).T, score=np.linspace(0.9, 0.4, 24))
        marks = Picks(f"{name}.mrc", *(np.array(places[:13]).T + 2), label=["side"] * 12 + ["unsure"])
        write_coordinates(f"picks/{name}.star", [picks])
        write_coordinates(f"truth/{name}.csv", [marks])
    command = ("templates", "--from-false", "picks", "--truth", "truth", "--micrographs", "mics",
               "--pixel-size", "3", "--box", str(BOX), "-o", "made.mrcs", "--lowpass", "8")
    assert main([*command]) == 0
    out = capsys.readouterr().out
    assert "false picks" in out
    assert " 22 " in out
    made, _ = read_stack("made.mrcs")
    turned = [np.corrcoef(rotate(made[0], psi)[4:-4, 4:-4].ravel(), tube()[4:-4, 4:-4].ravel())[0, 1]
              for psi in range(0, 360, 5)]
    assert max(turned) > 0.9
    assert main([*command, "--threshold", "0.6"]) == 2
    assert "a decoy needs at least 12" in capsys.readouterr().err
    assert main([*command, "--label", "side"]) == 2
    assert "--label goes with --from-picks" in capsys.readouterr().err
