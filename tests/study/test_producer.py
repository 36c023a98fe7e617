"""What the producer is measured for: memory that the queue bounds, and files that one thread reads."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from gembench.engine.bank import TemplateBank
from gembench.study.speed import producer


def test_more_templates_fill_no_memory() -> None:
    assert producer.memory_growth()["memory_of_more_templates"] < 0.35


def test_turned_templates_that_stay_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    turn, stay = TemplateBank.rotated, []

    def turn_and_keep(*arguments: Any) -> Any:
        stay.append(turn(*arguments))
        return stay[-1]

    monkeypatch.setattr(TemplateBank, "rotated", turn_and_keep)
    assert producer.memory_growth()["memory_of_more_templates"] > 0.5


def test_every_file_is_read_by_one_thread_and_by_several(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[str, int]] = []
    monkeypatch.setattr(producer.np, "fromfile", lambda file, dtype: (
        read.append((file.name, threading.get_ident())), time.sleep(0.002)))
    metrics = producer.readers(count=8, box=4, rounds=1)
    names = {f"{number}.raw" for number in range(8)}
    assert {name for name, _ in read[:8]} == {name for name, _ in read[8:]} == names
    assert len({thread for _, thread in read[:8]}) == 1 < len({thread for _, thread in read[8:]})
    assert metrics["one_reader_gain_interval"] == [metrics["one_reader_gain"]] * 2
    assert metrics["files_per_second"] > 0


def test_contention_shows_as_a_gain_of_one_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {1: 1.0, producer.READERS: 3.0}
    monkeypatch.setattr(producer, "reading_seconds_of", lambda files, threads: seconds[threads])
    metrics = producer.readers(count=6, box=4)
    assert (metrics["one_reader_gain"], metrics["files_per_second"]) == (3.0, 6.0)


def test_the_files_are_dropped_from_the_cache_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dropped: list[Path] = []
    monkeypatch.setattr(producer, "drop_from_cache", dropped.append)
    file = tmp_path / "a.raw"
    file.write_bytes(bytes(8))
    producer.reading_seconds_of([file], 2)
    assert dropped == [file]
