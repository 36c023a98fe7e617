"""The runner's side of worker processes: start them, ask them within a time limit, end them."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from gembench.study.measure.provenance import THREAD_VARIABLES
from gembench.study.measure.sources import PACKAGE

NUMBER = struct.Struct("q")  # what runner and nursery tell each other: a process id or an exit code


class TimeLimitError(Exception):
    """The case has used up its time."""


class WorkerDiedError(Exception):
    """The worker ended without an answer; the message tells how."""


def thread_environment(threads: int) -> dict[str, str]:
    """The environment of a worker: ours, with every library's thread count set to `threads`."""
    path = os.pathsep.join(filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH")]))
    return {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads)), "PYTHONPATH": path}


class Nursery:
    """A process that has imported an experiment and all it needs, and forks a worker for each of its cases.

    Starting Python and importing takes longer than most cases do. The process is apart from the terminal, so
    that Ctrl-C reaches the runner only; it and its workers end with the runner.
    """

    def __init__(self, file: Path, threads: int) -> None:
        """Start the process, with every library's thread count set to `threads`."""
        self._socket, theirs = socket.socketpair()
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gembench.study.measure.worker", str(os.getpid()), str(file),
                 str(theirs.fileno())],
                stdin=subprocess.DEVNULL, stdout=self._words, stderr=self._words,
                env=thread_environment(threads), start_new_session=True, pass_fds=[theirs.fileno()],
            )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def fork(self, files: Sequence[int], seconds: float) -> int:
        """The process id of a new worker, whose standard input, output and error are `files`.

        Raises TimeLimitError if there is none after so many seconds, WorkerDiedError if this process ends.
        """
        self._socket.settimeout(max(seconds, 1e-3))
        try:
            socket.send_fds(self._socket, [NUMBER.pack(0)], files)
            return self._number()
        except TimeoutError:
            self.end()
            raise TimeLimitError from None
        except ConnectionError:
            raise death(self._process.wait(), self._words) from None

    def wait(self, worker: int) -> int:
        """The exit code of a worker once it has ended, as subprocess gives it."""
        try:
            self._socket.settimeout(None)
            self._socket.sendall(NUMBER.pack(worker))
            return self._number()
        except OSError:  # it has ended, and its workers with it
            return self._process.wait()

    def _number(self) -> int:
        answer = self._socket.recv(NUMBER.size, socket.MSG_WAITALL)
        if len(answer) < NUMBER.size:
            raise ConnectionResetError
        return int(NUMBER.unpack(answer)[0])

    def end(self) -> None:
        """Kill the process, and with it the workers that are left."""
        self._process.kill()
        self._process.wait()
        self._socket.close()
        self._words.close()


class Nurseries:
    """The nurseries of one experiment, one for each number of threads, started when they are needed."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._by_threads: dict[int, Nursery] = {}

    def of(self, threads: int) -> Nursery:
        """The one whose libraries have so many threads; a new one if the last has died."""
        nursery = self._by_threads.get(threads)
        if nursery is None or not nursery.alive:
            if nursery is not None:
                nursery.end()
            nursery = self._by_threads[threads] = Nursery(self._file, threads)
        return nursery

    def close(self) -> None:
        """End them all."""
        for nursery in self._by_threads.values():
            nursery.end()


class Worker:
    """One worker process, forked when it is first asked, in a process group of its own."""

    def __init__(self, nursery: Nursery, time_limit: float) -> None:
        """`time_limit` is what all its answers may take together, in seconds."""
        self.time_left = time_limit
        self._nursery = nursery
        self._pid = 0
        self._code: int | None = None
        self._buffer = b""
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        requests, answers = os.pipe(), os.pipe()
        self._requests, self._answers = os.fdopen(requests[1], "wb"), os.fdopen(answers[0], "rb")
        self._theirs = os.fdopen(requests[0], "rb"), os.fdopen(answers[1], "wb")

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to `request`.

        Raises TimeLimitError if the time left is used up first, WorkerDiedError if the process ends.
        """
        start = time.monotonic()
        if not self._pid:
            self._begin()
        try:
            self._requests.write(json.dumps(request).encode() + b"\n")
            self._requests.flush()
            line = self._read_line(start + self.time_left)
        except BrokenPipeError:
            raise death(self._wait(), self._words) from None
        self.time_left -= time.monotonic() - start
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _begin(self) -> None:
        files = [*(file.fileno() for file in self._theirs), self._words.fileno()]
        self._pid = self._nursery.fork(files, self.time_left)
        for file in self._theirs:
            file.close()

    def _read_line(self, deadline: float) -> bytes:
        pipe = self._answers.fileno()
        while b"\n" not in self._buffer:
            readable, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
            if not readable:
                raise TimeLimitError
            chunk = os.read(pipe, 1 << 16)
            if not chunk:
                raise death(self._wait(), self._words)
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _wait(self) -> int:
        if self._code is None:
            self._code = self._nursery.wait(self._pid)
        return self._code

    def end(self) -> None:
        """Kill the process with whatever it has started, and close the pipes."""
        if self._pid:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, signal.SIGKILL)
            self._wait()
        for pipe in (self._requests, self._answers, *self._theirs, self._words):
            with suppress(BrokenPipeError):
                pipe.close()


def death(code: int, words: IO[bytes]) -> WorkerDiedError:
    """The error of a process that ended with `code`, with the last of its words."""
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    words.seek(0)
    lines = words.read().decode(errors="replace").strip().splitlines()
    return WorkerDiedError(f"the worker died: {how}" + (f": {lines[-1].strip()}" if lines else ""))
