"""A share of `make fuzz`: every reader meets damaged files. About five seconds."""

from __future__ import annotations

import importlib.util
import itertools
import logging
import sys
import time
from pathlib import Path

import pytest

FILE = Path(__file__).with_name("fuzz.py")
_spec = importlib.util.spec_from_file_location("fuzz", FILE)
assert _spec is not None
assert _spec.loader is not None
fuzz = importlib.util.module_from_spec(_spec)
sys.modules["fuzz"] = fuzz
_spec.loader.exec_module(fuzz)
CASES = 20  # of each reader


@pytest.fixture
def quiet():
    """The log as it was before: the fuzzer wants none of its warnings."""
    log = logging.getLogger("gembench")
    level = log.level
    yield
    log.setLevel(level)


@pytest.mark.filterwarnings("ignore")  # of libraries on damaged files
@pytest.mark.parametrize("name", fuzz.READERS)
def test_a_damaged_file_is_read_or_refused_in_one_line(name, quiet, tmp_path, monkeypatch):
    monkeypatch.setenv("GEMBENCH_MACHINE", "node7")
    result = fuzz.Attack(fuzz.READERS[name], tmp_path / "attack").run(CASES, 1)
    assert result.cases >= CASES
    assert not {at: what for at, (what, _, _) in result.failures.items()}


def test_what_computes_or_waits_for_ever_is_a_hang() -> None:
    with pytest.raises(fuzz.HangError), fuzz.limited(0.05):
        all(not zero for zero in itertools.repeat(0))
    with pytest.raises(fuzz.HangError), fuzz.limited(0.05):
        time.sleep(60)
