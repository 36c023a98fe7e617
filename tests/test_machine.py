"""What this computer is."""

from __future__ import annotations

import pytest

from gembench import machine


def test_the_machines_name_is_a_slug_without_its_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GEMBENCH_MACHINE", raising=False)
    monkeypatch.setattr(machine, "cpu_model", lambda: "AMD Ryzen(TM) 9 5950X 16-Core Processor @ 3.4GHz")
    monkeypatch.setattr("os.cpu_count", lambda: 32)
    assert machine.machine_name() == "amd-ryzen-9-5950x-32c"
    monkeypatch.setenv("GEMBENCH_MACHINE", "Lab Box/1")
    assert machine.machine_name() == "lab-box-1"


def test_every_gpu_is_named_with_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "NVIDIA H100 80GB HBM3, 550.54.15, 81559 MiB"
    monkeypatch.setattr(machine, "output_of", lambda *command: f"{line}\n{line}")
    gpu = {"name": "NVIDIA H100 80GB HBM3", "driver": "550.54.15", "memory": "81559 MiB"}
    assert machine.gpus() == [gpu, gpu]
    monkeypatch.setattr(machine, "output_of", lambda *command: None)
    assert machine.gpus() == []
