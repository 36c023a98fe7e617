"""The engine's speed over the stages of its history."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from gembench.errors import InputError
from gembench.study.tell.history import Series
from gembench.study.tell.report import render
from gembench.study.tell.stages import NOW, PANELS, Stage, by_stage, figure, load_stages

FILE = Path(__file__).resolve().parents[2] / "experiments" / "stages.toml"
STAGES = [Stage("aaaaaaa", "first"), Stage("bbbbbbbbbb", "second"), Stage("ccccccc", "never measured")]
MKL = "correlate.Correlate.time_search('exact', 'mkl', 1024)"
COMMITS = ("aaaaaaaa", "bbbbbbbb", "dddddddd")
BANDED = "correlate.Banded.time_search"


def series(benchmark: str, values: Sequence[float], machine: str = "box") -> Series:
    return Series(benchmark, machine, "seconds", tuple(zip(COMMITS, values, strict=False)))


def test_the_stages_are_commits_each_with_a_name_of_its_own() -> None:
    stages = load_stages(FILE)
    assert len(stages) >= 8
    assert all(re.fullmatch(r"[0-9a-f]{7,40}", stage.commit) for stage in stages)
    assert len({stage.commit for stage in stages}) == len({stage.name for stage in stages}) == len(stages)


def test_values_are_those_of_the_stages_and_the_last_of_none_of_them_is_todays() -> None:
    assert by_stage(series(MKL, (3.0, 2.0, 1.0)), STAGES) == {"first": 3.0, "second": 2.0, NOW: 1.0}


def test_what_is_measured_before_the_last_stage_is_not_todays() -> None:
    points = (("dddddddd", 5.0), ("bbbbbbbb", 2.0))
    assert by_stage(Series(MKL, "box", "seconds", points), STAGES) == {"second": 2.0}


def test_the_figure_shows_milliseconds_a_template_at_the_stages_that_were_measured() -> None:
    history = [series(MKL, (0.4, 0.2, 0.1)), series(BANDED, (0.9, 0.45)), series(MKL, (9.0, 9.0), "other")]
    drawn = figure(history, STAGES, "box")
    assert drawn is not None
    left, right = drawn.axes
    assert [label.get_text() for label in left.get_xticklabels()] == ["first", "second", NOW]
    by_label = {line.get_label(): line.get_ydata().tolist() for ax in (left, right) for line in ax.lines}
    assert by_label["exact, MKL"] == pytest.approx([100, 50, 25])
    assert by_label["banded, low-passed"] == pytest.approx([10, 5])
    assert by_label["exact, FFTW"] == []
    assert figure(history, STAGES, "third") is None
    assert figure([series(MKL, (0.4,))], STAGES, "box") is None


@pytest.mark.parametrize(("text", "message"), [
    ("stage = 5", "something other than"), ("x = 1", "something other than"),
    ('[[stage]]\ncommit = "abc"', "stage 1: its keys must be commit, name"),
    ('[[stage]]\ncommit = ""\nname = "x"', "stage 1: a commit's hash has 7 letters or more"),
    ('[[stage]]\ncommit = 5\nname = "x"', "stage 1: "),
])
def test_a_broken_file_of_stages_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "stages.toml").write_text(text)
    with pytest.raises(InputError, match=message):
        load_stages(tmp_path / "stages.toml")
    assert load_stages(tmp_path / "none.toml") == []


def test_the_report_draws_it_for_every_machine_that_measured_it(tmp_path: Path) -> None:
    for number, commit in enumerate(("aaaaaaaa", "bbbbbbbb")):
        for machine in ("box", "other"):
            path = tmp_path / "results" / "asv" / machine / f"{commit}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({
                "commit_hash": commit, "date": number, "result_columns": ["result"],
                "results": {BANDED: [[0.9 / (1 + number)]]}}))
    (tmp_path / "stages.toml").write_text("".join(
        f'[[stage]]\ncommit = "{stage.commit}"\nname = "{stage.name}"\n' for stage in STAGES))
    text = render({}, tmp_path / "results", tmp_path / "claims.toml", here="other")
    assert [text.index(f"over its stages on {machine}") for machine in ("other", "box")] == sorted(
        text.index(f"over its stages on {machine}") for machine in ("other", "box"))
    assert "<details><summary>All benchmarks" in text
    (tmp_path / "stages.toml").unlink()
    text = render({}, tmp_path / "results", tmp_path / "claims.toml", here="other")
    assert "over its stages" not in text
    assert "<details open><summary>All benchmarks" in text


def test_every_line_of_the_figure_is_a_benchmark_of_the_suite() -> None:
    suite = (FILE.parent / "asv" / "correlate.py").read_text()
    for benchmark in (name for panel in PANELS.values() for name in panel):
        module, owner, function = benchmark.partition("(")[0].split(".")
        assert module == "correlate"
        assert re.search(rf"class {owner}\b.*?def {function}\b", suite, re.DOTALL)
