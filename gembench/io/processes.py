"""Processes on this and other computers: who writes into a folder, and whether it still runs."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any


def this_process() -> dict[str, Any]:
    """Host, number and start of this process, as JSON holds them."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "since": _started(os.getpid())}


def may_run(process: Mapping[str, Any]) -> bool:
    """Whether a process, as `this_process` describes it, may still run: one of another host always may."""
    host, pid = process.get("host"), process.get("pid")
    if host != socket.gethostname():
        return True
    return isinstance(pid, int) and is_alive(pid) and _started(pid) == process.get("since")


def is_alive(pid: int) -> bool:
    """Whether a process of this number runs on this host, whoever's it is."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


def describe(process: Mapping[str, Any]) -> str:
    """`process 123 on node7, since 2026-11-27T06:40:00+00:00`."""
    return f"process {process.get('pid')} on {process.get('host')}, since {process.get('since')}"


def _started(pid: int) -> str:
    """When a process was started: its number may come again, its number with its start does not."""
    import psutil

    try:
        return datetime.fromtimestamp(psutil.Process(pid).create_time(), UTC).isoformat(timespec="seconds")
    except psutil.Error:
        return ""
