"""Provenance: what identifies sources and machines."""

from __future__ import annotations

import json
import re
from pathlib import Path

from gembench.study.measure import provenance


def test_the_record_is_json_and_complete() -> None:
    record = json.loads(json.dumps(provenance.collect(Path(__file__), ["run", "toy"])))
    assert record["argv"] == ["run", "toy"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", record["started"])
    assert {"name", "cpu", "cores", "affinity", "governor", "ram", "gpus"} <= set(record["machine"])
    assert {"python", "numpy", "scipy"} <= set(record["libraries"])
    assert {"commit", "dirty", "source_hash", "thread_environment", "load"} <= set(record)


def test_the_source_hash_follows_the_experiment(tmp_path: Path) -> None:
    file = tmp_path / "toy.py"
    file.write_text("a = 1\n")
    first = provenance.source_hash(file)
    assert provenance.source_hash(file) == first
    file.write_text("a = 2\n")
    assert provenance.source_hash(file) != first


def test_outside_a_checkout_there_is_no_commit(tmp_path: Path) -> None:
    assert provenance.commit(tmp_path) == (None, None)
