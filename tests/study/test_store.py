"""The store: what is written is read, a torn end is forgiven, anything else is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gembench.errors import InputError
from gembench.study.measure.store import Row, RunWriter, load_rows, plain, read_run

MakeRow = Callable[..., Row]
Write = Callable[..., Path]


@pytest.fixture
def written(tmp_path: Path, run_record: Callable[..., dict[str, Any]]) -> Write:
    """Writes a run's file of the given rows; keywords change its record."""

    def write(*rows: Row, **changes: object) -> Path:
        with RunWriter(tmp_path, run_record(**changes)) as writer:
            for entry in rows:
                writer.write(entry)
        return writer.path

    return write


def test_rows_come_back_as_they_were_written(tmp_path: Path, written: Write, row: MakeRow) -> None:
    first = replace(row([1.0, 2.0, 4.0], n=3, metrics={"f1": 0.5}), peak_rss=7, warmups=(9.0,), arms=2)
    second = row(status="skipped", reason="no CUDA device", n=4)
    path = written(first, second)
    assert path == tmp_path / "planned" / "toy" / "20260101T000000.000000Z.jsonl"
    read = read_run(path)
    bare = [replace(entry, run={}, path=Path()) for entry in read]
    assert bare == [replace(entry, run={}) for entry in (first, second)]
    assert (read[0].median, read[0].band, read[0]["n"], read[0]["f1"]) == (2.0, (1.0, 4.0), 3, 0.5)
    assert (read[0].name, read[0].machine, read[0].grid) == ("toy[n=3]", "planned", "default")
    with pytest.raises(KeyError):
        read[0]["nothing"]


def test_no_run_writes_into_another_runs_file(written: Write) -> None:
    written()
    with pytest.raises(InputError, match="cannot be created"):
        written()


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_torn_last_line_is_forgiven(written: Write, row: MakeRow, cut: int) -> None:
    path = written(row([1.0], n=1), row([2.0], n=2))
    path.write_bytes(path.read_bytes()[:-1 - cut])
    assert [entry["n"] for entry in read_run(path)] == [1]


def test_a_record_cut_in_its_first_line_holds_nothing(written: Write) -> None:
    path = written()
    path.write_bytes(path.read_bytes()[:30])
    assert read_run(path) == []
    path.write_bytes(b"")
    assert read_run(path) == []


@pytest.mark.parametrize(
    ("line", "text", "reason"),
    [(2, '{"case": {"n"', "not a line of JSON"), (2, "", "not a line of JSON"),
     (2, "[1]", "not a JSON object"),
     (2, '{"case": {}, "status": "fine"}', "whose status is not one of ok, skipped, failed, timeout"),
     (2, '{"status": "ok"}', "a case record without case"),
     (2, "[" * 100_000, "nested too deep"),
     (2, '{"case": {"n": 1' + "0" * 5000 + "}}", "a number of 5001 digits"),
     (2, '{"case": {"n": 1e999}}', "beyond the numbers of 64 bits"), (2, "\0\0\0", "not a line of JSON"),
     (1, '{"schema": 99}', "schema 99, this gembench reads 1"),
     (1, '{"schema": 1}', "without experiment")],
)
def test_any_other_damage_is_refused_with_file_and_line(
    tmp_path: Path, written: Write, row: MakeRow, line: int, text: str, reason: str
) -> None:
    path = written(row([1.0], n=1), row([2.0], n=2))
    lines = path.read_text().splitlines()
    lines[line - 1] = text
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=rf"Z\.jsonl:{line}: .*{reason}"):
        read_run(path)


def test_a_damaged_file_does_not_spoil_the_others(
        tmp_path: Path, written: Write, row: MakeRow, caplog: pytest.LogCaptureFixture) -> None:
    written(row([1.0], n=1))
    path = written(row([2.0], n=2), machine="other")
    path.write_text("[]\n" + path.read_text())
    assert [entry["n"] for entry in load_rows(tmp_path, "toy")] == [1]
    assert f"{path}:1: not a JSON object; restore the file or remove it" in caplog.text


RUN = {
    "experiment": [5, None], "grid": [5], "machine": ["box", {}, {"name": 5}, {"name": " "}, {
        "name": "box", "gpus": [1]}, {"name": "box", "ram": "much"}], "started": [5, "yesterday", None],
    "planned": ["toy", [1]], "argv": ["x"], "commit": [5], "dirty": ["no"], "source_hash": [None],
    "libraries": [[]], "load": ["high", ["1"]], "resumed_from": [None],
}
CASE = {
    "case": [5, [1]], "status": [None, []], "reason": [None, "\ud800"],
    "samples": [None, ["1"], [-1.0], [True], 5],
    "warmups": [None, {}], "metrics": [[], None, 5], "peak_rss": ["7", 1.5, -1], "threads": [None, "2", 1.5],
    "clock": [5], "arms": [None], "arrays_file": ["../0.npz", 5, "a/b.npz"],
}


@pytest.mark.parametrize(("line", "name", "value"), [
    (line, name, value) for line, fields in ((1, RUN), (2, CASE)) for name, values in fields.items()
    for value in values])
def test_every_field_is_of_its_kind(
        written: Write, row: MakeRow, line: int, name: str, value: object) -> None:
    path = written(row([1.0], n=1))
    lines = path.read_text().splitlines()
    lines[line - 1] = json.dumps(json.loads(lines[line - 1]) | {name: value})
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=rf"Z\.jsonl:{line}: .*(whose {name} is|of a run record)"):
        read_run(path)


@pytest.mark.parametrize("name", ["commit", "dirty", "source_hash", "libraries", "load", "argv"])
def test_what_a_run_does_not_say_is_unknown(written: Write, row: MakeRow, name: str) -> None:
    path = written(row([1.0], n=1))
    lines = path.read_text().splitlines()
    record = json.loads(lines[0])
    record.pop(name, None)
    record["machine"] = {"name": record["machine"]["name"]}
    path.write_text("\n".join([json.dumps(record), *lines[1:]]) + "\n")
    (read,) = read_run(path)
    assert not read.run[name]
    assert read.run["machine"]["gpus"] == []


def test_the_latest_record_per_machine_class_and_case_wins(
    tmp_path: Path, written: Write, row: MakeRow
) -> None:
    for day, grid, seconds in [(3, "quick", 3.0), (2, "paper", 2.0), (1, "default", 1.0)]:
        written(row([seconds], n=1), started=f"2026-01-0{day}T00:00:00.000000+00:00", grid=grid)
    written(row([9.0], n=1), machine="other")
    latest = [(entry.machine, entry.median) for entry in load_rows(tmp_path, "toy")]
    assert latest == [("other", 9.0), ("planned", 2.0)]
    assert [entry.median for entry in load_rows(tmp_path, "toy", grid="quick")] == [3.0]
    assert [entry.median for entry in load_rows(tmp_path, "toy", machine="other")] == [9.0]
    assert load_rows(tmp_path, "unknown") == []


def test_numpy_values_and_what_json_lacks_are_stored_plainly() -> None:
    values = {"a": np.float32(0.5), "b": np.arange(2), "c": float("nan"), "d": (np.int64(1), True)}
    assert plain(values) == {"a": 0.5, "b": [0, 1], "c": None, "d": [1, True]}
    json.dumps(plain(values), allow_nan=False)


def test_missing_arrays_are_an_error_that_names_the_file(written: Write, row: MakeRow) -> None:
    path = written(replace(row([1.0], n=1), arrays_file="0.npz"))
    (entry,) = read_run(path)
    with pytest.raises(InputError, match=r"0\.npz: cannot be read"):
        _ = entry.arrays
    assert row([1.0]).arrays == {}


def test_rows_of_a_studys_former_name_are_its_own(tmp_path: Path, written: Write, row: MakeRow) -> None:
    written(row([1.0], n=1), row([2.0], n=2), experiment="klh")
    written(row([3.0], n=2), experiment="picking", started="2026-01-02T00:00:00+00:00")
    rows = load_rows(tmp_path, "picking")
    assert [(stored.name, stored.median) for stored in rows] == [("picking[n=1]", 1.0), ("picking[n=2]", 3.0)]
    assert not load_rows(tmp_path, "klh")[0].name.startswith("picking")
