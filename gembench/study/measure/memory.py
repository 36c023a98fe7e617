"""The most memory that this process has held, as the kernel keeps account of it."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

PROCESS = Path("/proc/self")


def peak_rss() -> int | None:
    """Largest resident memory of this process in bytes; None where the system does not tell.

    VmHWM, not getrusage: after fork and exec ru_maxrss starts at the parent's size. Pages that several
    processes share count in each of them.
    """
    try:
        status = (PROCESS / "status").read_text(encoding="utf-8")
    except OSError:
        return None
    line = re.search(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE)
    return int(line[1]) * 1024 if line else None


def forget_peak() -> None:
    """Have the peak start anew at what is held now; where the kernel refuses, it stays what it was."""
    with suppress(OSError):
        (PROCESS / "clear_refs").write_text("5", encoding="utf-8")
