"""A micrograph whose name, or whose memory, does not do is left out by name; the others are picked."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from gembench.cli import main
from gembench.io.coordinates import read_coordinates
from gembench.io.images.mrc import write_mrc, write_stack
from gembench.picking.picker import Picker

NAMES = {
    "a\nb.mrc": "control character", "a\x1b[31mb.mrc": "control character",
    "n" * 246 + ".mrc": "too long", b"a\xffb.mrc": "not UTF-8",
}


@pytest.fixture(autouse=True)
def _inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    template = np.zeros((16, 16))
    template[3:13, 4:7] = template[10:13, 4:12] = -1
    write_stack("templates.mrcs", template[None], 2.0)
    image = np.random.default_rng(0).normal(0, 0.2, (64, 64))
    image[20:36, 30:46] += template
    Path("mics").mkdir()
    write_mrc("mics/z.mrc", image, 2.0)


def pick() -> int:
    return main(["pick", "mics", "--templates", "templates.mrcs", "--pixel-size", "2", "--angle-step", "90",
                 "--average", "1", "--threshold", "0.7", "--threads", "1", "--fft", "scipy", "-o", "out",
                 "--plots", "--save-maps", "--quiet"])


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_name_ends_nothing(name: str | bytes, capsys: pytest.CaptureFixture[str]) -> None:
    os.link(b"mics/z.mrc", b"mics/" + (name if isinstance(name, bytes) else name.encode()))
    for _ in range(2):
        assert pick() == 1
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert NAMES[name] in err
        assert "\x1b" not in err
        assert [picks.micrograph for picks in read_coordinates("out/picks.star")] == ["z.mrc"]
        files = sorted(str(path.relative_to("out")) for path in Path("out").rglob("*") if path.is_file())
        assert files == ["autopick.star", "maps/z_index.mrc", "maps/z_score.mrc", "picks.star", "plots/z.png",
                         "run.json", "z.star"]


def test_a_micrograph_that_does_not_fit_into_memory_ends_nothing(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    os.link("mics/z.mrc", "mics/a.mrc")
    whole = Picker.prepare

    def prepare(self: Picker, micrograph, *rest):  # type: ignore[no-untyped-def]
        if micrograph.name == "a.mrc":
            raise MemoryError("Unable to allocate 149. GiB")
        return whole(self, micrograph, *rest)

    monkeypatch.setattr(Picker, "prepare", prepare)
    assert pick() == 1
    assert capsys.readouterr().err == (
        "gembench: error: mics/a.mrc: out of memory: Unable to allocate 149. GiB: use fewer threads, or end"
        " other programs\n")
    assert "out of memory" in json.loads(Path("out/run.json").read_text())["micrographs"]["a"]["error"]
    assert len(read_coordinates("out/picks.star")) == 1
