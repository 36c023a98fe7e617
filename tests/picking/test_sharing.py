"""Several runs in one folder at once: with the same settings nothing is lost, with others one is refused."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.io import lock as locks
from gembench.io.atomic import atomic_path, remove_parts
from gembench.io.coordinates import read_coordinates
from gembench.io.lock import locked
from gembench.io.processes import may_run, this_process
from gembench.picking import folder as folders
from gembench.picking.folder import PickFolder

SETTINGS = {"threshold": 0.3}


@pytest.fixture(autouse=True)
def _micrographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in "abcd":
        Path(f"{name}.mrc").write_text(name)


@pytest.fixture
def other_process() -> Iterator[dict[str, Any]]:
    """A process that runs, as `this_process` describes it."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = datetime.fromtimestamp(psutil.Process(child.pid).create_time(), UTC)
    yield {"host": socket.gethostname(), "pid": child.pid, "since": started.isoformat(timespec="seconds")}
    child.communicate(b"\n")


def started(names: str, start: str, settings: dict[str, Any] = SETTINGS, **options: Any) -> PickFolder:
    folder = PickFolder("out", settings, **options)
    folder.start({"start": start}, [Path(f"{name}.mrc") for name in names])
    return folder


def pick(folder: PickFolder, names: str) -> None:
    for name in names:
        folder.write(Picks(f"{name}.mrc", [ord(name)], [2]))
        folder.note(Path(f"{name}.mrc"), {"picks": 1})


def summary() -> list[str]:
    return [picks.micrograph[0] for picks in read_coordinates("out/picks.star")]


def record() -> dict[str, Any]:
    return dict(json.loads(Path("out/run.json").read_text()))


def as_process(monkeypatch: pytest.MonkeyPatch, process: dict[str, Any]) -> None:
    monkeypatch.setattr(folders, "this_process", lambda: process)


@pytest.mark.parametrize("first_ends_last", [True, False])
def test_subsets_at_once_are_one_folder(first_ends_last: bool) -> None:
    """Whoever ends last, picks.star and run.json hold what both picked."""
    first, second = started("ab", "1"), started("cd", "2")
    pick(first, "a")
    pick(second, "c")
    pick(first, "b")
    early, late = (second, first) if first_ends_last else (first, second)
    if first_ends_last:
        pick(second, "d")
    assert early.finish() == (4 if first_ends_last else 3)
    if not first_ends_last:
        assert summary() == ["a", "b", "c"]
        pick(second, "d")
    assert late.finish() == 4
    assert summary() == ["a", "b", "c", "d"]
    counts = {name: facts["picks"] for name, facts in record()["micrographs"].items()}
    assert counts == dict.fromkeys("abcd", 1)
    assert [run["start"] for run in record()["runs"]] == (["2", "1"] if first_ends_last else ["1", "2"])
    assert all(run["end"] for run in record()["runs"])
    assert not list(Path("out").glob(".*"))


def test_a_summary_that_lacks_a_micrograph_is_mended_by_the_next_run() -> None:
    first, second = started("a", "1"), started("b", "2")
    pick(first, "a")
    first.finish()
    pick(second, "b")  # and it is killed
    assert summary() == ["a"]
    assert PickFolder("out", SETTINGS).finish() == 2
    assert summary() == ["a", "b"]


def test_a_summary_that_holds_all_is_not_written_again() -> None:
    folder = started("ab", "1")
    pick(folder, "ab")
    folder.finish()
    before = Path("out/picks.star").stat().st_mtime_ns
    PickFolder("out", SETTINGS).finish()
    assert Path("out/picks.star").stat().st_mtime_ns == before
    Path("out/picks.star").write_text("data_\n\nloop_\n_rlnCoordinateX #1\n")
    PickFolder("out", SETTINGS).finish()
    assert summary() == ["a", "b"]


def test_what_another_run_has_finished_is_not_removed_by_a_later_start() -> None:
    """Both saw the micrograph unfinished; one is done before the other starts."""
    late = PickFolder("out", SETTINGS)
    early = started("a", "1")
    pick(early, "a")
    early.save()
    late.start({"start": "2"}, [Path("a.mrc"), Path("b.mrc")])
    assert late.is_picked(Path("a.mrc"))
    assert not late.is_picked(Path("b.mrc"))
    assert record()["micrographs"]["a"]["picks"] == 1


def test_other_settings_that_begin_at_the_same_time(
        monkeypatch: pytest.MonkeyPatch, other_process: dict[str, Any]) -> None:
    """Neither sees the other's picks when it opens the folder; the second to start is refused, by name."""
    late = PickFolder("out", {"threshold": 0.4})
    with monkeypatch.context() as patch:
        as_process(patch, other_process)
        started("ab", "1")
    with pytest.raises(InputError) as refused:
        late.start({"start": "2"}, [Path("c.mrc")])
    assert str(refused.value) == (
        f"out: process {other_process['pid']} on {socket.gethostname()}, since {other_process['since']},"
        " picks into it with other settings (threshold 0.3 became 0.4): choose another folder")
    assert set(record()["micrographs"]) == {"a", "b"}


def test_what_another_run_picks_into_is_not_overwritten(
        monkeypatch: pytest.MonkeyPatch, other_process: dict[str, Any]) -> None:
    as_process(monkeypatch, other_process)
    folder = started("ab", "1")
    pick(folder, "a")
    with pytest.raises(InputError, match=rf"process {other_process['pid']} on .*: let it end"):
        PickFolder("out", SETTINGS, overwrite=True)
    folder.finish()
    PickFolder("out", SETTINGS, overwrite=True)
    assert not list(Path("out").iterdir())


@pytest.mark.parametrize("failed", [True, False])
def test_a_folder_in_which_nothing_was_picked_takes_other_settings(failed: bool) -> None:
    folder = started("a", "1")
    if failed:
        folder.fail(Path("a.mrc"), "all pixels are 7")
        folder.finish()
    else:  # killed: no such process runs any more
        changed = record()
        changed["runs"][0]["process"]["since"] = "2001-01-01T00:00:00+00:00"
        Path("out/run.json").write_text(json.dumps(changed))
    other = started("a", "2", {"threshold": 0.5})
    pick(other, "a")
    other.finish()
    assert record()["settings"] == {"threshold": 0.5}
    assert "error" not in record()["micrographs"]["a"]
    with pytest.raises(InputError, match=r"made with other settings \(threshold 0.5 became 0.3\)"):
        PickFolder("out", SETTINGS)


def test_facts_are_stored_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "SAVE_EVERY", 0.0)
    folder = started("ab", "1")
    pick(folder, "a")
    assert record()["micrographs"]["a"]["picks"] == 1


def test_a_run_that_ends_early_says_so() -> None:
    folder = started("ab", "1")
    pick(folder, "a")
    folder.leave()
    assert record()["runs"][0]["end"]
    assert record()["micrographs"]["a"]["picks"] == 1


@pytest.mark.parametrize("text", [
    '{"settings": {}, "runs": [], "micrographs": {"a": 5}}',
    '{"settings": {}, "runs": [1], "micrographs": {}}',
    '{"settings": {}, "runs": [], "micrographs": {"a": {"file": 3}}}', "[" * 100_000, "[1, 2]", "\0\0\0\0",
])
def test_a_record_of_another_kind_is_damaged(text: str) -> None:
    Path("out").mkdir()
    Path("out/run.json").write_text(text)
    with pytest.raises(InputError, match=r"out/run\.json: is damaged"):
        PickFolder("out", SETTINGS)


def test_a_lock_keeps_others_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """For as long as it is held; who waits too long says who holds it."""
    order = []
    with locked(Path()):
        thread = threading.Thread(target=lambda: [order.append("in") for _ in [0] if _enter()])
        thread.start()
        with pytest.raises(InputError, match=rf"process {os.getpid()} on {socket.gethostname()}, since"), \
                locked(Path(), patience=0.1):
            pass
        order.append("first")
    thread.join()
    assert order == ["first", "in"]
    assert not Path(locks.NAME).exists()


def _enter() -> bool:
    with locked(Path()):
        return True


def test_a_lock_of_a_killed_process_holds_nobody() -> None:
    Path(locks.NAME).write_text("left behind")
    with locked(Path(), patience=0.0):
        pass


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, errno.EDQUOT])
def test_a_lock_on_a_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def full(*arguments: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(InputError, match=r"^\.: cannot be written: "), locked(Path()):
        pass
    assert not list(Path().glob(".lock"))


def test_a_file_system_without_locks_is_warned_of(
        monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    import errno
    import fcntl

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with locked(Path()):
        pass
    assert "no locks" in caplog.text


def test_half_written_files_of_dead_processes_go(monkeypatch: pytest.MonkeyPatch) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    with atomic_path("whole.star") as temporary:
        own = temporary.name
        dead = temporary.with_name(own.replace(f"-{os.getpid()}-", f"-{child.pid}-"))
        dead.write_text("half")
        elsewhere = temporary.with_name(own.replace(own.split("-")[1], "0" * 8))
        elsewhere.write_text("half")
        remove_parts(Path())
        assert temporary.exists()
    assert not dead.exists()
    assert elsewhere.exists()


def test_a_process_is_its_number_and_its_start() -> None:
    me = this_process()
    assert may_run(me)
    assert not may_run(me | {"since": "2001-01-01T00:00:00+00:00"})
    assert may_run(me | {"host": "elsewhere", "pid": -5})
    assert not may_run(me | {"pid": 2**40})
    assert not may_run(me | {"pid": "12"})


def test_picks_that_another_run_stores_meanwhile_wait_for_its_own_summary(tmp_path, monkeypatch):
    """The list of what is finished is taken once: it grows while the summary is written."""
    folder = PickFolder(tmp_path / "out", {"a": 1}, micrographs=[tmp_path / "m1.mrc"])
    keys = iter([["m1"], ["m1"], ["m1", "m2"], ["m1", "m2"], ["m1", "m2"]])
    monkeypatch.setattr(PickFolder, "finished", property(lambda _: next(keys)))
    monkeypatch.setattr(folder, "picks", lambda key, **_: Picks(f"{key}.mrc", [1.0], [2.0]))
    folder.record["micrographs"]["m1"] = {"file": "m1.mrc"}
    (tmp_path / "out").mkdir(exist_ok=True)
    monkeypatch.setattr(folder, "_refresh", lambda: None)
    assert folder.finish() == 1
    (stored,) = read_coordinates(tmp_path / "out" / "picks.star")
    assert stored.micrograph == "m1.mrc"
