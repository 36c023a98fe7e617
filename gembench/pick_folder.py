"""The folder that `gembench pick` writes: one STAR file a micrograph, all of them in one, and run.json."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.io.atomic import atomic_text, make_folder
from gembench.io.coordinates import read_coordinates, write_coordinates
from gembench.io.names import micrograph_key


class PickFolder:
    """One output folder.

    run.json holds the settings that its picks were made with, and what each micrograph took. A micrograph's
    STAR file is the last thing written for it, so a micrograph that has one is finished.
    """

    def __init__(self, folder: str | Path, settings: dict[str, Any], *, overwrite: bool = False) -> None:
        self.folder = Path(folder)
        self.settings: dict[str, Any] = json.loads(json.dumps(settings))
        self.record: dict[str, Any] = {"settings": self.settings, "runs": [], "micrographs": {}}
        old = self._read_record()
        if old is not None and overwrite:
            for name in old["micrographs"]:
                self.star(name).unlink(missing_ok=True)
            (self.folder / "picks.star").unlink(missing_ok=True)
        elif old is not None:
            self._require_same(old["settings"])
            self.record = old
        make_folder(self.folder)

    def star(self, micrograph: str) -> Path:
        """The STAR file of one micrograph."""
        return self.folder / f"{micrograph_key(micrograph)}.star"

    def is_finished(self, micrograph: Path) -> bool:
        """Whether the micrograph was picked with these settings, and has not changed since."""
        star = self.star(micrograph.name)
        return (
            micrograph.name in self.record["micrographs"]
            and star.is_file()
            and star.stat().st_mtime >= micrograph.stat().st_mtime
        )

    def start(self, run: dict[str, Any], micrographs: Iterable[Path]) -> None:
        """Note a run and what it will pick, before anything is picked."""
        self.record["runs"].append(run)
        for path in micrographs:
            self.record["micrographs"].setdefault(path.name, {})
        self._write_record()

    def add(self, picks: Picks, facts: dict[str, Any]) -> None:
        """Store one micrograph's picks; its facts go into run.json at `finish`."""
        self.record["micrographs"][picks.micrograph] = facts
        write_coordinates(self.star(picks.micrograph), [picks])

    def finish(self) -> int:
        """Write picks.star, from every finished micrograph, and run.json; returns the number of picks."""
        picks = [
            read_coordinates(self.star(name), micrograph=name)[0]
            for name in sorted(self.record["micrographs"]) if self.star(name).is_file()
        ]
        write_coordinates(self.folder / "picks.star", picks)
        self._write_record()
        return sum(len(one) for one in picks)

    def _read_record(self) -> dict[str, Any] | None:
        path = self.folder / "run.json"
        if not path.exists():
            if self.folder.is_dir() and any(self.folder.glob("*.star")):
                raise InputError(f"{self.folder}: holds STAR files but no run.json: choose another folder")
            return None
        try:
            record = json.loads(path.read_text())
            record["settings"], record["micrographs"], record["runs"]
        except (ValueError, KeyError, TypeError, OSError):
            raise InputError(f"{path}: cannot be read: remove it, or choose another folder") from None
        return dict(record)

    def _require_same(self, old: dict[str, Any]) -> None:
        new = self.settings
        if old == new:
            return
        changed = [
            f"{name} {_short(a)} became {_short(b)}" for name, a, b in _differences(old, new)
        ]
        raise InputError(
            f"{self.folder}: holds picks made with other settings ({'; '.join(changed)}):"
            " choose another folder, or --overwrite"
        )

    def _write_record(self) -> None:
        atomic_text(self.folder / "run.json", json.dumps(self.record, indent=1, sort_keys=True) + "\n")


def _differences(old: dict[str, Any], new: dict[str, Any]) -> Iterable[tuple[str, Any, Any]]:
    for name in sorted(old.keys() | new.keys()):
        a, b = old.get(name), new.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            yield from _differences(a, b)
        elif a != b:
            yield name, a, b


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 16 else text[:8] + "..."
