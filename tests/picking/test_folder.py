"""The folder of `gembench pick`, as it stands, is what `gembench score` reads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gembench.cli import main
from gembench.engine.picks import Picks
from gembench.io.coordinates import write_coordinates
from gembench.picking.folder import PickFolder

NOTHING = np.empty(0)


def test_a_micrograph_without_picks_is_scored_with_the_others(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_coordinates("truth.csv", [Picks("a.mrc", [10, 90], [20, 80]), Picks("b.mrc", [50], [50])])
    folder = PickFolder("out", {"threshold": 0.3})
    folder.start({}, [Path("a.mrc"), Path("b.mrc")])
    folder.write(Picks("a.mrc", [11, 300], [20, 300], [0.9, 0.5], [4, 5], [0, 1], [40, 50]))
    folder.write(Picks("b.mrc", NOTHING, NOTHING))
    assert folder.finish() == 2
    assert {path.name for path in Path("out").iterdir()} == {
        "a.star", "autopick.star", "b.star", "picks.star", "run.json"}
    assert main(["score", "--picks", "out", "--truth", "truth.csv", "--radius", "5", "--json", "score.json",
                 "--quiet"]) == 0
    result = json.loads(Path("score.json").read_text())
    assert [result[name] for name in ("true_positives", "false_positives", "missed")] == [1, 1, 2]
    assert result["n_micrographs"] == 2
