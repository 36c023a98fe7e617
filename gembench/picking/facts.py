"""What run.json says of a micrograph that was picked, and of the time that a run took."""

from __future__ import annotations

from typing import Any

from gembench.engine.search import Search
from gembench.picking.picker import Picked


def pace_of(seconds: float, on_devices: float, search: Search) -> dict[str, Any]:
    """What run.json says of a run's time: of it all, and the share of it that its GPUs worked."""
    facts: dict[str, Any] = {"seconds": round(seconds, 4)}
    if on_devices:
        devices = len(getattr(search, "devices", (0,)))
        facts["device_busy"] = round(on_devices / (devices * seconds), 4)
    return facts


def facts_of(picked: Picked, seconds: dict[str, float]) -> dict[str, Any]:
    """What run.json says of one micrograph; seconds: of each stage, which may overlap other micrographs'."""
    statistics = picked.statistics
    on_devices = {"device_seconds": round(statistics.device_seconds, 4)} if statistics.device_seconds else {}
    return on_devices | {
        "picks": len(picked.picks), "seconds": round(sum(seconds.values()), 4),
        "search_seconds": round(statistics.seconds, 4),
        "stage_seconds": {stage: round(taken, 4) for stage, taken in seconds.items()},
        "limited_pixels": picked.limited,
        "transforms": {"forward": statistics.counts.forward, "inverse": statistics.counts.inverse},
        "producer_wait": round(statistics.producer_wait, 4),
        "consumer_wait": round(statistics.consumer_wait, 4),
    }
