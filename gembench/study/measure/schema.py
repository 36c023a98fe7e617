"""What a stored run and a stored case hold: the fields that readers rely on, and of which kind each is."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from gembench.io.typed import COUNT, FLAG, LIST, NULL, NUMBER, REQUIRED, TABLE, TEXT, Kind, list_of

SCHEMA = 1
STATUSES = ("ok", "skipped", "failed", "timeout")


def is_time(value: Any) -> bool:
    """Whether a value is a date with a time, as ISO 8601 writes it."""
    if isinstance(value, str):
        with suppress(ValueError):
            return datetime.fromisoformat(value) is not None
    return False


SECONDS = Kind("a time in seconds", lambda value: NUMBER.fits(value) and value >= 0)
RUN_FIELDS: dict[str, tuple[Kind, Any]] = {
    "experiment": (TEXT, REQUIRED), "grid": (TEXT, REQUIRED), "machine": (TABLE, REQUIRED),
    "started": (Kind("a time such as 2026-11-27T06:40:00+00:00", lambda value: is_time(value)), REQUIRED),
    "planned": (list_of(TEXT), REQUIRED), "resumed_from": (list_of(TEXT), []), "argv": (list_of(TEXT), []),
    "commit": (TEXT | NULL, None), "dirty": (FLAG | NULL, None), "source_hash": (TEXT, ""),
    "libraries": (TABLE, {}), "plugins": (TABLE, {}), "thread_environment": (TABLE, {}),
    "load": (list_of(NUMBER) | NULL, None),
}
MACHINE_FIELDS: dict[str, tuple[Kind, Any]] = {
    "name": (Kind("a name", lambda value: TEXT.fits(value) and value.strip() != ""), REQUIRED),
    "cpu": (TEXT, "unknown CPU"), "cores": (COUNT | NULL, None), "physical_cores": (COUNT | NULL, None),
    "affinity": (LIST | NULL, None), "governor": (TEXT | NULL, None), "ram": (COUNT, 0),
    "gpus": (list_of(TABLE), []), "system": (TEXT, ""),
}
CASE_FIELDS: dict[str, tuple[Kind, Any]] = {
    "case": (TABLE, REQUIRED),
    "status": (Kind(f"one of {', '.join(STATUSES)}", lambda value: value in STATUSES), REQUIRED),
    "reason": (TEXT, REQUIRED), "samples": (list_of(SECONDS), REQUIRED),
    "warmups": (list_of(SECONDS), REQUIRED),
    "metrics": (TABLE, REQUIRED), "peak_rss": (COUNT | NULL, REQUIRED), "threads": (COUNT, REQUIRED),
    "clock": (TEXT, REQUIRED), "arms": (COUNT, REQUIRED),
    "arrays_file": (Kind("a file's name", lambda value: TEXT.fits(value) and value == Path(value).name),
                    REQUIRED),
}
