"""run.json of a pick folder: read with its types checked, its settings compared, its runs that still run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from gembench.errors import InputError
from gembench.io.processes import describe, may_run
from gembench.io.source import require_file

IDENTITY = ("file", "bytes", "changed")  # what tells a micrograph's file from others


def read_record(folder: Path) -> dict[str, Any] | None:
    """The settings, runs and micrographs of run.json; None if it is not there.

    Raises InputError if it is not what a run writes, or others' STAR files are in the folder.
    """
    path = folder / "run.json"
    if not path.exists():
        if folder.is_dir() and any(folder.glob("*.star")):
            raise InputError(f"{folder}: holds STAR files but no run.json: choose another folder")
        return None
    require_file(path)
    with suppress(ValueError, KeyError, TypeError, OSError, RecursionError):
        record = dict(json.loads(path.read_text(encoding="utf-8")))
        micrographs, runs = record["micrographs"], record["runs"]
        if (isinstance(record["settings"], dict) and isinstance(micrographs, dict) and isinstance(runs, list)
                and all(isinstance(run, dict) for run in runs)
                and all(isinstance(facts["file"], str) for facts in micrographs.values())):
            return record
    raise InputError(f"{path}: is damaged, or not of gembench pick: choose another folder")


def running(record: Mapping[str, Any], own: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """A process that picks into the folder and is not the `own` run's; None if there is none."""
    for run in record["runs"]:
        process = run.get("process")
        is_other = own is None or process != own["process"]
        if isinstance(process, dict) and run.get("end") is None and is_other and may_run(process):
            return process
    return None


def require_same(
    folder: Path, record: Mapping[str, Any], settings: Mapping[str, Any], own: Mapping[str, Any] | None = None
) -> None:
    """Raise InputError, naming what differs and who is at work, unless the record is of these settings."""
    changed = "; ".join(f"{name} {_short(a)} became {_short(b)}"
                        for name, a, b in _differences(record["settings"], settings))
    if not changed:
        return
    if process := running(record, own):
        raise InputError(f"{folder}: {describe(process)}, picks into it with other settings ({changed}):"
                         " choose another folder")
    raise InputError(f"{folder}: holds picks made with other settings ({changed}): choose another folder, or"
                     " --overwrite")


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterable[tuple[str, Any, Any]]:
    for name in sorted(old.keys() | new.keys()):
        a, b = old.get(name), new.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            yield from _differences(a, b)
        elif a != b:
            yield name, a, b


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 16 else text[:8] + "..."


def identity(micrograph: Path) -> dict[str, Any]:
    """What tells a micrograph's file from another of its name; without one, its name alone."""
    identity: dict[str, Any] = {"file": micrograph.name}
    with suppress(OSError):
        status = micrograph.stat()
        identity |= {"bytes": status.st_size, "changed": status.st_mtime_ns}
    return identity
