"""What programs are told and what they write: small texts and files made here, and stand-ins on PATH."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import numpy as np
import pytest

from gembench.data.workload import egg_bank
from gembench.engine.bank import TemplateBank, grid_angles
from gembench.errors import InputError
from gembench.io.images.mrc import write_mrc
from gembench.peers import PEERS, findem, gempicker, relion
from gembench.peers.program import enlarged, nearest


def spider(path: Path, pixels: np.ndarray) -> None:
    """Write a SPIDER image: a header of 4-byte floats, whole records long, and the pixels."""
    height, width = pixels.shape
    records = -(-1024 // (4 * width))
    header = np.zeros(records * width, np.float32)
    header[[0, 1, 4, 11, 12, 21, 22]] = (1, height, 1, width, records, 4 * records * width, 4 * width)
    path.write_bytes(header.tobytes() + pixels.astype(np.float32).tobytes())


def stand_in(folder: Path, name: str, code: str) -> None:
    """A program of that name in `folder`, written in Python."""
    program = folder / name
    program.write_text(f"#!{sys.executable}\n{code}")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


@pytest.fixture(name="path")
def _path(tmp_path, monkeypatch):
    """An empty folder that is all of PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_relion_is_told_size_filter_and_mask():
    full = relion.arguments("all", 4.0, 2.2, 158, 0.0, 0.05)
    text = " ".join(full)
    assert "--lowpass -1 --shrink 1 --skip_optimise_scale" in text
    assert "--ang 4 " in text
    assert "--particle_diameter 347.6 --shrink_particle_mask 0" in text
    assert "--lowpass 20 --shrink 0" in " ".join(relion.arguments("all", 4.0, 2.2, 158, 20.0, 0.05))


def test_relion_maps_of_two_references_become_one(tmp_path):
    bank = TemplateBank(np.random.default_rng(0).random((2, 8, 8)), None, grid_angles(90))
    first, second = np.zeros((6, 6)), np.zeros((6, 6))
    first[1, 2], second[4, 3] = 5, 7
    turns = np.zeros((6, 6))
    turns[1, 2], turns[4, 3] = 270, 90
    for view, score in enumerate((first, second)):
        stem = f"micrograph_autopick_ref{view:06d}._best"
        spider(tmp_path / f"{stem}CCF.spi", score)
        spider(tmp_path / f"{stem}PSI.spi", turns)
    maps = relion.read_maps(tmp_path, bank, (6, 6))
    assert (maps.score[1, 2], maps.index[1, 2]) == (5, 3)
    assert (maps.score[4, 3], maps.index[4, 3]) == (7, 5)
    assert maps.index[0, 0] == 0
    larger = relion.read_maps(tmp_path, bank, (12, 12))
    assert np.unravel_index(larger.score.argmax(), (12, 12)) == (8, 6)
    assert larger.index[8, 6] == 5


def test_a_missing_or_broken_map_names_the_file(tmp_path):
    (tmp_path / "broken.spi").write_bytes(b"not an image")
    for name in ("broken.spi", "missing.spi"):
        with pytest.raises(InputError, match=rf"{name}: not a readable SPIDER image"):
            relion.read_spider(tmp_path / name)


def test_no_picks_at_all_are_an_empty_file(tmp_path):
    (tmp_path / "m.star").touch()
    assert len(relion.read_picks(tmp_path / "m.star")) == 0


def test_relion_coordinates_are_read(tmp_path):
    (tmp_path / "m_autopick.star").write_text(
        "\n# version 30001\n\ndata_\n\nloop_ \n_rlnCoordinateX #1 \n_rlnCoordinateY #2 \n"
        "_rlnClassNumber #3 \n_rlnAutopickFigureOfMerit #4 \n_rlnAnglePsi #5 \n"
        "  585.000000   262.000000            1     7.134105   240.000000 \n"
        "   61.500000   310.250000            2     0.250000    15.000000 \n \n"
    )
    picks = relion.read_picks(tmp_path / "m_autopick.star")
    assert picks.xy.tolist() == [[585, 262], [61.5, 310.25]]
    assert picks.view.tolist() == [0, 1]
    assert picks.score.tolist() == [7.134105, 0.25]
    assert (picks.psi % 360).tolist() == [240, 15]


def test_relion_version(path):
    stand_in(path, "relion_autopick", "print('RELION version: 3.1.3 \\nPrecision: BASE=double')")
    assert PEERS["relion"].version() == "3.1.3"
    stand_in(path, "relion_autopick", "print('hello')")
    assert PEERS["relion"].version() == "unknown"


def test_findem_is_answered_line_by_line():
    assert findem.answers(2, 4.0, 2.2, 190).splitlines() == [
        "micrograph.mrc", "template2.mrc", "-200.0", "2.2", "418", "002", "0,356,4", "96",
    ]


FINDEM = """
import sys, numpy as np, mrcfile
lines = sys.stdin.read().split()
with mrcfile.open(lines[0]) as image:
    score = np.zeros(image.data.shape, np.float32)
view = int(lines[5])
first, last, step = map(float, lines[6].split(","))
score[10 * view, 20] = view if step < 360 else 0
with mrcfile.new(f"cccmaxmap{view:03d}.mrc", score, overwrite=True):
    pass
"""


def test_findem_runs_for_every_template_and_the_best_wins(path):
    stand_in(path, "findem.exe", FINDEM)
    bank = TemplateBank(np.random.default_rng(0).random((2, 16, 16)), None, grid_angles(45))
    matched = PEERS["findem"](bank, pixel_size=2.0).match(np.random.default_rng(1).random((64, 64)))
    assert (matched.maps.score[10, 20], matched.maps.index[10, 20]) == (1, 0)
    assert (matched.maps.score[20, 20], matched.maps.index[20, 20]) == (2, 8)
    assert matched.templates == 16
    assert matched.memory > 0


def test_a_findem_map_of_another_shape_is_an_error(tmp_path):
    write_mrc(tmp_path / "cccmaxmap001.mrc", np.random.default_rng(0).random((8, 9)), 1.0)
    with pytest.raises(InputError, match=r"cccmaxmap001.mrc: has shape \(8, 9\), the micrograph \(8, 8\)"):
        findem.read_map(tmp_path / "cccmaxmap001.mrc", (8, 8))


GEMPICKER = """
import sys
from pathlib import Path
given = dict(word[2:].split("=") for word in sys.argv[1:])
for folder in ("dirTgt", "dirSch", "dirMskSch", "dirRes"):
    assert Path(given[folder]).is_dir(), folder
assert sorted(p.stem for p in Path(given["dirSch"]).iterdir()) == \\
    sorted(p.stem for p in Path(given["dirMskSch"]).iterdir())
if given["mode"] == "1":
    (Path(given["dirRes"]) / "pik_coord").mkdir()
    (Path(given["dirRes"]) / "pik_coord" / "micrograph.txt").write_text(
        "1\\nfirst 0.75 30 24 16 2 330\\n")
"""


def test_gempicker_gets_its_folders_and_its_picks_are_read(path):
    stand_in(path, "gempicker.exe", GEMPICKER)
    bank = TemplateBank(np.random.default_rng(0).random((2, 16, 16)), None, grid_angles(30))
    matched = PEERS["gempicker"](bank, pixel_size=2.0).match(np.random.default_rng(1).random((64, 80)))
    assert matched.maps is None
    assert matched.picks.xy.tolist() == [[80 - 24, 30]]
    assert matched.picks.score.tolist() == [0.75]
    assert matched.picks.view.tolist() == [1]
    assert matched.picks.psi.tolist() == [30]


def test_gempicker_options():
    options = gempicker.arguments(0, 4, 2, 272, 0.2)
    assert {"--mode=0", "--angle2D=4", "--contrast=1", "--thresh=0.2", "--nCPU=2", "--nGPU=0",
            "--boxSize=272"} <= set(options)


def test_gempicker_takes_whole_degrees_only(path):
    stand_in(path, "gempicker.exe", GEMPICKER)
    bank = egg_bank(16, 16)
    with pytest.raises(InputError, match=r"turns by whole degrees, not 22\.5"):
        PEERS["gempicker"](bank).match(np.zeros((64, 64)))


def test_a_program_that_fails_is_an_error_with_its_last_words(path):
    stand_in(path, "findem.exe", "import sys; print('reading'); sys.exit('no licence today')")
    with pytest.raises(InputError, match=r"findem.exe: exit code 1, it said 'no licence today'"):
        PEERS["findem"](egg_bank(16, 4, "disc")).match(np.random.default_rng(1).random((32, 32)))


def test_maps_of_cropped_micrographs_are_stretched_in_place():
    small = np.arange(12.0).reshape(3, 4)
    large = enlarged(small, (6, 8))
    assert large.shape == (6, 8)
    np.testing.assert_array_equal(large[::2, ::2], small)
    assert large[0, 1] == 0.5
    assert enlarged(small, (3, 4)) is small
    np.testing.assert_array_equal(nearest(small, (6, 8))[::2, ::2], small)
