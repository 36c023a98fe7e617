"""Stored rows say whether the code that measured them is still the code."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gembench.cli import main
from gembench.study.declare.experiment import load_experiment
from gembench.study.measure.runner import Settings, run_experiment
from gembench.study.measure.sources import source_hash
from gembench.study.measure.store import Row, load_rows
from gembench.study.tell.code import Code, machine_sentences
from gembench.study.tell.report import section_of
from gembench.study.tell.tables import provenance_sentence

Toy = Callable[..., Path]
MakeRow = Callable[..., Row]


def of(row: Row, **changes: Any) -> Row:
    return replace(row, run={**row.run, **changes})


def test_a_row_is_of_this_code_until_a_source_changes(toy: Toy, row: MakeRow) -> None:
    folder = toy()
    experiment = load_experiment(folder / "toy.py")
    measured = of(row([1.0], n=3), source_hash=source_hash(experiment.file), commit="0" * 40)
    code = Code.of(experiment)
    assert code.is_current(measured)
    assert code.text(measured) == "as of this code"
    toy(pause=0.5)
    later = Code.of(experiment)
    assert not later.is_current(measured)
    assert later.text(measured) == f"as of commit {'0' * 10}, code changed since"
    assert later.text(of(measured, dirty=True)) == (
        f"as of commit {'0' * 10} with uncommitted changes, code changed since")
    bare = of(measured, commit=None, source_hash="feed")
    assert later.text(bare) == "as of sources feed, code changed since"


def test_another_commit_with_the_same_sources_is_this_code(toy: Toy, row: MakeRow) -> None:
    experiment = load_experiment(toy() / "toy.py")
    code = Code.of(experiment)
    assert code.is_current(of(row([1.0], n=3), source_hash=code.sources, commit="fedcba9876543210"))


def test_an_experiment_without_a_file_has_no_current_rows(toy: Toy, row: MakeRow) -> None:
    experiment = replace(load_experiment(toy() / "toy.py"), file=Path())
    assert not Code.of(experiment).is_current(of(row([1.0], n=3), source_hash=""))


def test_the_provenance_counts_what_is_of_which_code(row: MakeRow) -> None:
    code = Code("now")
    old = [of(row([1.0], n=n), commit="d" * 40, source_hash="old") for n in (1, 2)]
    new = [of(row([1.0], n=3), source_hash="now")]
    assert provenance_sentence(new, code).endswith(" Measured as of this code.")
    assert provenance_sentence(old, code).endswith(" Measured as of commit dddddddddd, code changed since.")
    assert provenance_sentence([*old, *new], code).endswith(
        " Of 3 cases: 1 as of this code; 2 as of commit dddddddddd, code changed since.")
    assert code.sentence([]) == ""


def test_a_machines_rows_are_counted_over_all_studies(toy: Toy, row: MakeRow) -> None:
    experiment = load_experiment(toy() / "toy.py")
    old = [of(row([1.0], n=n, machine=machine), commit="d" * 40, source_hash="old")
           for n, machine in ((1, "a"), (2, "a"), (1, "b"))]
    new = [of(row([1.0], n=3, machine="a"), source_hash=source_hash(experiment.file))]
    other = [*old, of(row([1.0], n=4, machine="a"), commit="e" * 40, source_hash="older")]
    experiments = {"toy": experiment, "other": experiment}
    assert machine_sentences({"toy": new, "other": other, "none": []}, experiments) == {
        "a": "Of 4 cases: 1 as of this code; 2 as of commit dddddddddd; 1 as of commit eeeeeeeeee, code"
             " changed since.",
        "b": "Measured as of commit dddddddddd, code changed since.",
    }


def test_the_report_and_the_list_say_it_of_a_real_run(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, results = toy('grid(arm="slow", n=[10, 99])'), tmp_path / "results"
    experiment = load_experiment(folder / "toy.py")
    run_experiment(experiment, results, Settings(), tell=lambda line: None)

    (folder / "claims.toml").write_text("# none\n")

    def said() -> tuple[str, str]:
        rows = load_rows(results, "toy")
        for words in (["list", "toy"], ["claims"]):
            assert main([*words, "--experiments", str(folder), "--results", str(results)]) == 0
        section = section_of(experiment, rows, ["planned"], "default", Code.of(experiment), [], [], [])
        note = section.parts[0].notes[0]
        return note, capsys.readouterr().out

    note, listed = said()
    assert note.endswith("Measured as of this code.")
    assert listed.count("ok on planned as of this code") == 2
    assert listed.endswith("\nplanned: Measured as of this code.\n")
    toy('grid(arm="slow", n=[10, 99])', pause=0.001)
    note, listed = said()
    assert re.search(r"Measured as of (commit|sources) \w+.*, code changed since\.$", note)
    assert len(re.findall(r"ok on planned as of (?:commit|sources) .*, code changed since\n", listed)) == 2
