"""Figures, tables, the list of gaps, the report and the commands, from stored rows alone."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gembench.cli import main
from gembench.errors import InputError
from gembench.study.declare.cases import Case
from gembench.study.declare.experiment import Experiment, grid, load_all, load_experiment
from gembench.study.measure.runner import Settings, run_experiment
from gembench.study.measure.store import Row
from gembench.study.tell.history import load_history, load_measurements
from gembench.study.tell.missing import gaps, selectors
from gembench.study.tell.page.inline import inline_svg
from gembench.study.tell.report import render
from gembench.study.tell.tables import speed_up, stability_warning, table_of

Toy = Callable[..., Path]
MakeRow = Callable[..., Row]
CLAIMS = '''
[[claim]]
id = "{id}"
where = "Fig. 9"
statement = "Sums <are> sums."
paper = "45"
experiment = "toy"
expression = 'max(total, n=10, arm=["slow", "fast"])'
reproduced = [45, 45]
partly = [40, 50]
why = "A sum is right or wrong."
holds = [{{ n = 10, arm = "slow", total = 45 }}]
fails = [{{ n = 10, arm = "slow", total = 4 }}]
'''


@pytest.fixture
def measured(toy: Toy, tmp_path: Path) -> Path:
    """A folder with a measured toy experiment and a claim about it."""
    folder = toy('grid(arm=["slow", "fast", "gpu", "wrong"], n=[10, 20])')
    (folder / "claims.toml").write_text(CLAIMS.format(id="sums"))
    experiment = load_experiment(folder / "toy.py")
    run_experiment(experiment, tmp_path / "results", Settings(), tell=lambda line: None)
    return folder


def command(folder: Path, *words: str) -> int:
    return main([*words, "--experiments", str(folder), "--results", str(folder.parent / "results")])


class Links(HTMLParser):
    """Collects what a page would load, its ids and its references within the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.ids: list[str] = []
        self.anchors: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "data", "action", "srcset"):
                (self.anchors if str(value).startswith("#") else self.loads).append(str(value))
            if name == "id":
                self.ids.append(str(value))


def test_the_report_is_one_file_and_the_same_bytes_twice(measured: Path, tmp_path: Path) -> None:
    texts = [render(load_all(measured), tmp_path / "results", measured / "claims.toml") for _ in range(2)]
    assert texts[0] == texts[1]
    page = Links(texts[0])
    assert page.loads == []
    assert len(page.ids) == len(set(page.ids))
    assert {anchor[1:] for anchor in page.anchors} <= set(page.ids)
    assert "@import" not in texts[0]
    assert not re.search(r"https?:", texts[0])


def test_the_report_tells_what_was_found_and_what_was_not(measured: Path, tmp_path: Path) -> None:
    text = render(load_all(measured), tmp_path / "results", measured / "claims.toml")
    assert "<svg" in text
    assert "Sums &lt;are&gt; sums." in text
    assert 'class="badge reproduced">reproduced, measured</span><span class="value">45</span>' in text
    assert "skipped: no CUDA device" in text
    assert "<code>gembench run &#39;toy[arm=gpu]&#39;</code>" in text
    assert "<code>gembench run &#39;toy[arm=wrong,n=10]&#39; --fresh</code>" in text
    assert "failed: check: AssertionError: sum is 46" in text
    assert "gembench run &#39;toy[n=99]&#39; --grid paper" in text
    assert "speed-up over slow, &gt; 1 is faster" in text
    assert "Of the paper&#39;s 1 statements on planned: 1 reproduced (1 measured)." in text


def test_an_empty_store_gives_a_report_that_says_so(toy: Toy, tmp_path: Path) -> None:
    text = render(load_all(toy()), tmp_path / "results", tmp_path / "none.toml")
    assert "Nothing has been measured yet" in text
    assert "the default grid was not run" in text


def test_a_quick_result_never_appears_in_the_full_report(toy: Toy, tmp_path: Path) -> None:
    folder, results = toy('grid(arm=["slow", "fast"], n=3)'), tmp_path / "results"
    experiment = load_experiment(folder / "toy.py")
    run_experiment(experiment, results, Settings(grid="quick"), tell=lambda line: None)
    full = render({"toy": experiment}, results, folder / "claims.toml")
    assert "Nothing has been measured yet" in full
    assert "<svg" not in full
    quick = render({"toy": experiment}, results, folder / "claims.toml", "quick")
    assert "Quick grid." in quick
    assert "<svg" in quick


def test_figures_are_drawn_from_the_store_the_same_twice(measured: Path, tmp_path: Path) -> None:
    figures, log = tmp_path / "results" / "figures", (tmp_path / "log").read_text()
    assert command(measured, "figures") == 0
    first = {path.name: path.read_bytes() for path in figures.iterdir()}
    assert command(measured, "figures") == 0
    assert {path.name: path.read_bytes() for path in figures.iterdir()} == first
    assert set(first) == {"toy.png"}
    assert command(measured, "figures", "--svg") == 0
    assert {path.name for path in figures.iterdir()} == {"toy.svg", "toy.png"}
    assert (tmp_path / "log").read_text() == log  # nothing was run


def test_a_figure_that_fails_is_named_and_the_report_goes_on(measured: Path, tmp_path: Path) -> None:
    file = measured / "toy.py"
    file.write_text(file.read_text().replace("drawn, ax =", "raise KeyError('mkl')\n    drawn, ax ="))
    assert command(measured, "figures") == 2
    text = render(load_all(measured), tmp_path / "results", measured / "claims.toml")
    assert "The figure could not be drawn" in text
    assert "KeyError" in text


def test_commands_read_the_store(measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(measured, "report") == 0
    assert (tmp_path / "results" / "report.html").exists()
    assert command(measured, "claims") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Sums <are> sums." in shown
    assert "reproduced, measured: 45" in shown
    assert "Of the paper's 1 statements on planned: 1 reproduced (1 measured)." in shown
    assert command(measured, "claims", "--json") == 0
    ledger = json.loads(capsys.readouterr().out)
    counts = [{"verdict": "reproduced", "evidence": "measured", "statements": 1}]
    assert ledger["machines"] == {"planned": counts}
    assert ledger["claims"][0]["verdicts"][0]["value"] == 45
    assert command(measured, "list") == 0
    assert "A toy" in capsys.readouterr().out
    assert command(measured, "list", "toy") == 0
    assert "toy[arm=slow,n=10]  ok on planned" in capsys.readouterr().out
    assert command(measured, "export", "toy", "--csv", str(tmp_path / "toy.csv")) == 0
    lines = list(csv.DictReader((tmp_path / "toy.csv").read_text().splitlines()))
    assert len(lines) == 2 * 2 * 2 + 4
    assert {line["status"] for line in lines} == {"ok", "skipped", "failed"}
    assert all((float(line["seconds"]) > 0) == (line["status"] == "ok") for line in lines if line["seconds"])


def test_run_takes_printed_names_and_tells_of_failures(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    folder = toy('grid(arm=["slow", "wrong"], n=[10, 20])')
    assert command(folder, "run", "toy[arm=slow,n=10]", "--rounds", "1") == 0
    assert re.search(r"toy\[arm=slow,n=10\]  .* 2 rounds", capsys.readouterr().out)
    assert command(folder, "run", "toy[arm=wrong,n=20]") == 1
    assert command(folder, "run", "toy[arm=best]") == 2
    assert "no case has arm=best; choose from slow, wrong" in capsys.readouterr().err
    assert command(folder, "run", "unknown") == 2
    assert "no experiment unknown; choose from toy" in capsys.readouterr().err


def test_a_missing_folder_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(tmp_path / "nowhere", "list") == 2
    assert capsys.readouterr().err.endswith("run gembench in its checkout, or give --experiments DIR\n")


def test_a_speed_up_is_paired_by_round_and_bold_when_its_band_excludes_one(row: MakeRow) -> None:
    base, fast, same = (row([4.0, 2.0], arm="a"), row([2.0, 1.0], arm="b"), row([2.0, 3.0], arm="c"))
    assert speed_up(base, fast) == (2.0, 2.0, 2.0)
    assert speed_up(base, replace(fast, path=Path("other"))) == (2.0, 1.0, 4.0)
    cases = grid(arm=["a", "b", "c"])
    experiment = Experiment(
        name="toy", title="", compare="arm", run=lambda inputs, case: None,
        check=lambda output, inputs, case: None, grids={"quick": cases, "default": cases, "paper": cases})
    table = table_of(experiment, [base, fast, same], ["planned"])
    shown = [(cells[2].text, cells[2].bold) for _, cells in table.rows]
    assert shown == [("1 (baseline)", False), ("2.00 (2.00..2.00)", True), ("1.33 (0.67..2.00)", False)]
    assert table.columns[2] == "speed-up over a, > 1 is faster"
    assert stability_warning([base, fast]).startswith("Unstable: 2 of 2")
    assert stability_warning([row([1.0, 1.1])]) == ""


def test_missing_cases_have_the_shortest_commands() -> None:
    cases = grid(arm=["a", "b"], n=[1, 2])
    assert selectors(cases, cases) == [{}]
    assert selectors(cases[:2], cases) == [{"arm": "a"}]
    assert selectors([cases[0], cases[3]], cases) == [{"arm": "a", "n": 1}, {"arm": "b", "n": 2}]
    twin = Case({**cases[0], "device": "gpu"})  # which the name of the case without it selects as well
    assert selectors([cases[0]], [*cases, twin]) == [cases[0]]
    assert selectors([twin], [*cases, twin]) == [{"device": "gpu"}]


def test_gaps_are_grouped_by_reason(row: MakeRow) -> None:
    cases = grid(arm=["a", "gpu"], n=[1, 2])
    experiment = Experiment(
        name="toy", title="", run=lambda inputs, case: None, check=lambda output, inputs, case: None,
        grids={"quick": cases, "default": cases, "paper": cases + grid(arm="a", n=9)})
    rows = [row([1.0], arm="a", n=1), row(status="skipped", reason="no device", arm="gpu", n=1),
            row(status="skipped", reason="no device", arm="gpu", n=2)]
    listed = [(gap.cases, gap.reason, gap.commands) for gap in gaps(experiment, rows, ["planned"], "default")]
    assert listed == [
        (1, "the default grid was not run", ("gembench run 'toy[arm=a,n=2]'",)),
        (2, "skipped: no device", ("gembench run 'toy[arm=gpu]'",)),
        (1, "the paper grid was not run", ("gembench run 'toy[n=9]' --grid paper",)),
    ]


def test_inline_svg_keeps_its_ids_to_itself() -> None:
    svg = ('<?xml version="1.0"?><!DOCTYPE svg PUBLIC "x" "http://w3"><svg xmlns="http://w3" xmlns:xlink="http://x">'
           '<metadata>http://y</metadata><path id="a"/><use xlink:href="#a" clip-path="url(#b)"/></svg>')
    assert inline_svg(svg, "fig") == (
        '<svg><path id="fig-a"/><use xlink:href="#fig-a" clip-path="url(#fig-b)"/></svg>')


def test_asv_history_is_read_in_the_order_of_commits(tmp_path: Path) -> None:
    assert load_history(tmp_path) == []
    (tmp_path / "box").mkdir()
    (tmp_path / "benchmarks.json").write_text(json.dumps({"version": 2, "t": {"unit": "seconds"}}))
    for date, value in [(2, 0.5), (1, 1.0), (3, float("nan"))]:
        (tmp_path / "box" / f"{date}.json").write_text(json.dumps({
            "commit_hash": f"{date}" * 10, "date": date, "result_columns": ["result", "params"],
            "results": {"t": [[value, None], [["256", "512"]]]}}))
    (series,) = load_history(tmp_path)
    assert (series.benchmark, series.machine, series.unit, series.change) == ("t(256)", "box", "seconds", 0.5)
    assert series.points == (("11111111", 1.0), ("22222222", 0.5))
    assert series.polyline(10, 10) == "0.0,0.0 10.0,5.0"


ASV = {"commit_hash": "1" * 10, "date": 1, "result_columns": ["result", "params"],
       "results": {"t": [[0.5], [["256"]]]}}


@pytest.mark.parametrize("text", [
    "{", "[" * 100_000, "[]", "\0\0", *(json.dumps({**ASV, **changes}) for changes in (
        {"commit_hash": 5}, {"date": "today"}, {"date": 10**30}, {"results": []}, {"results": {"t": 5}},
        {"results": {"t": [["fast"], [["256"]]]}}, {"results": {"t": [[0.5], 5]}},
        {"result_columns": "result"},
        {"results": {"t": [[0.5, 0.7], [["256"]]]}}, {"results": {"t": [[[]], [[5]]]}})),
])
def test_a_damaged_result_of_asv_does_not_spoil_the_others(
        tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str) -> None:
    (tmp_path / "box").mkdir()
    (tmp_path / "box" / "good.json").write_text(json.dumps(ASV))
    (tmp_path / "box" / "torn.json").write_text(text)
    (series,) = load_history(tmp_path)
    assert series.points == (("11111111", 0.5),)
    assert "torn.json: not a result of asv (" in caplog.text
    with pytest.raises(InputError, match=r"torn\.json: not a result of asv"):
        load_measurements(tmp_path, "box", "1" * 10)
