"""A toy experiment whose cases skip, fail, hang and crash on request, and rows with planted numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gembench.study.declare.cases import Case
from gembench.study.measure.store import Row

TOY = '''
import os, time
from gembench.study.declare.experiment import Experiment, grid

def setup(case):
    return list(range(case.n))

def run(inputs, case):
    time.sleep({pause})
    if case.arm == "hang":
        time.sleep(60)
    if case.arm == "crash":
        os._exit(7)
    if case.arm == "segfault":
        os.kill(os.getpid(), 11)
    with open(os.environ.get("TOY_LOG", os.devnull), "a") as log:
        print(case.arm, case.n, file=log)
    return sum(inputs) + (case.arm == "wrong")

def check(output, inputs, case):
    assert output == case.n * (case.n - 1) // 2, f"sum is {{output}}"

def skip(case):
    return "no CUDA device" if case.arm == "gpu" and "TOY_DEVICE" not in os.environ else ""

def metrics(output, inputs, case):
    return {{"total": output, "nothing": float("nan")}}

def figure(rows):
    from gembench.drawing import style
    drawn, ax = style.figure()
    ax.plot([row["n"] for row in rows], [row.median for row in rows], "o")
    return drawn

experiment = Experiment(
    name="toy", title="A toy", paper="Fig. 9",
    grids={{
        "quick": grid(arm=["slow", "fast"], n=3),
        "default": {cases},
        "paper": grid(arm="slow", n=[10, 99]),
    }},
    compare="arm", setup=setup, run=run, check=check, skip=skip, metrics=metrics, figure=figure,
    rounds={rounds}, time_limit={limit},
)
'''


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes experiments/toy.py with the given default grid; returns its folder and logs runs to `log`."""
    monkeypatch.setenv("GEMBENCH_MACHINE", "planned")
    monkeypatch.setenv("TOY_LOG", str(tmp_path / "log"))

    def write(cases: str = 'grid(arm=["slow", "fast"], n=[10, 20])', rounds: int = 2, limit: float = 30,
              pause: float = 0.0) -> Path:
        folder = tmp_path / "experiments"
        folder.mkdir(exist_ok=True)
        (folder / "toy.py").write_text(TOY.format(cases=cases, rounds=rounds, limit=limit, pause=pause))
        return folder

    return write


def planted_record(
    machine: str = "planned", started: str = "2026-01-01T00:00:00.000000+00:00", **changes: Any
) -> dict[str, Any]:
    return {
        "schema": 1, "experiment": "toy", "grid": "default", "planned": [], "argv": ["run"],
        "started": started,
        "commit": "0123456789abcdef", "dirty": False, "source_hash": "feed", "load": [0.5, 0.4, 0.3],
        "libraries": {"numpy": "2.0"}, "thread_environment": {},
        "machine": {"name": machine, "cpu": "Toy CPU", "cores": 2, "physical_cores": 2, "affinity": [0, 1],
                    "governor": None, "ram": 2**34, "gpus": [], "system": "Linux"},
        **changes,
    }


def planted_row(
    samples: list[float] | None = None, status: str = "ok", reason: str = "", machine: str = "planned",
    metrics: dict[str, Any] | None = None, **case: Any,
) -> Row:
    return Row(Case(case), status, reason, tuple(samples or ()), metrics=metrics or {},
               run=planted_record(machine))


@pytest.fixture
def row() -> Callable[..., Row]:
    """Makes a row with known samples, metrics and case."""
    return planted_row


@pytest.fixture
def run_record() -> Callable[..., dict[str, Any]]:
    """Makes a run record with known provenance."""
    return planted_record
