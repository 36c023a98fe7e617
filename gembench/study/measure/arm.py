"""The runner's side of a worker process: start it, ask it within a time limit, end it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from gembench.study.measure.provenance import THREAD_VARIABLES
from gembench.study.measure.sources import PACKAGE


class TimeLimitError(Exception):
    """The case has used up its time."""


class WorkerDiedError(Exception):
    """The worker ended without an answer; the message tells how."""


def thread_environment(threads: int) -> dict[str, str]:
    """The environment of a worker: ours, with every library's thread count set to `threads`."""
    path = os.pathsep.join(filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH")]))
    return {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads)), "PYTHONPATH": path}


class Worker:
    """One worker process, apart from the terminal, so that Ctrl-C reaches the runner only."""

    def __init__(self, threads: int, time_limit: float) -> None:
        """Start the process; `time_limit` is what all its answers may take together, in seconds."""
        self.time_left = time_limit
        self._buffer = b""
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gembench.study.measure.worker", str(os.getpid())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._words,
            env=thread_environment(threads), start_new_session=True,
        )

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to `request`.

        Raises TimeLimitError if the time left is used up first, WorkerDiedError if the process ends.
        """
        start = time.monotonic()
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            line = self._read_line(start + self.time_left)
        except BrokenPipeError:
            raise WorkerDiedError(self._how_it_died()) from None
        self.time_left -= time.monotonic() - start
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _read_line(self, deadline: float) -> bytes:
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        while b"\n" not in self._buffer:
            readable, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
            if not readable:
                raise TimeLimitError
            chunk = os.read(pipe, 1 << 16)
            if not chunk:
                raise WorkerDiedError(self._how_it_died())
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _how_it_died(self) -> str:
        code = self._process.wait()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self._words.seek(0)
        words = self._words.read().decode(errors="replace").strip().splitlines()
        return f"the worker died: {how}" + (f": {words[-1].strip()}" if words else "")

    def end(self) -> None:
        """Kill the process with whatever it has started, and close the pipes."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._words):
            with suppress(BrokenPipeError):
                if pipe is not None:
                    pipe.close()
