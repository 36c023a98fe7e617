"""One case in a process of its own: set up once, timed on request, its thread counts and memory fresh.

The processes of one experiment and thread count are forks of one, which has imported what they need and run
nothing, since imports would take longer than most cases.
The runner writes one JSON line per request to standard input and reads one per answer:
`prepare` (set-up and warm-ups), `sample` (one timed call), `close` (metrics, arrays, peak memory).
Whatever the libraries print goes to standard error, where the runner finds a crash's last words.
"""

from __future__ import annotations

import gc
import json
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from gembench.engine.mpi.supervised import die_with
from gembench.errors import InputError
from gembench.io.atomic import atomic_path, make_folder
from gembench.plugins import load_plugins
from gembench.study.declare.experiment import Case, Experiment, load_experiment
from gembench.study.measure.arm import NUMBER
from gembench.study.measure.memory import peak_rss
from gembench.study.measure.store import plain


def private_output() -> TextIO:
    """The pipe to the runner; file descriptor 1 becomes standard error, so that no print gets in between."""
    pipe = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(pipe, "w", encoding="utf-8")


def limit_threads(threads: int) -> int:
    """Hold every thread pool loaded so far to `threads`; returns the largest that remains."""
    from threadpoolctl import threadpool_info, threadpool_limits

    threadpool_limits(threads)
    return max((pool["num_threads"] for pool in threadpool_info()), default=1)


class HookError(Exception):
    """A hook of the experiment failed; the message says which and how."""


def hook(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call one of the experiment's functions.

    Raises HookError if it raises anything.
    """
    try:
        return function(*arguments)
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # a study that exits ends its case, no more
        traceback.print_exc()
        raise HookError(f"{name}: {type(error).__name__}: {error}".rstrip(": ")) from error


class Measurement:
    """One case, set up and ready to be timed."""

    def __init__(self, experiment: Experiment, case: Case, threads: int) -> None:
        """Run the set-up; the thread limit is renewed after it, for libraries it has loaded."""
        self.experiment, self.case = experiment, case
        limit_threads(threads)
        self.inputs = hook("setup", experiment.setup, case)
        self.pool = limit_threads(threads)
        self.output: Any = None
        self.metrics: dict[str, Any] = {}

    def sample(self) -> float:
        """One timed call in seconds.

        Raises HookError if it fails or its output does not pass the check.
        """
        self.output = None
        gc.collect()
        run, inputs, case = self.experiment.run, self.inputs, self.case
        start = time.perf_counter()
        output = hook("run", run, inputs, case)
        seconds = time.perf_counter() - start
        checked = hook("check", self.experiment.check, output, inputs, case)
        if checked is False:
            raise HookError("check: returned False")
        if isinstance(checked, Mapping):
            self.metrics.update(checked)
        self.output = output
        if self.experiment.seconds:
            seconds = float(hook("seconds", self.experiment.seconds, output, inputs, case))
        return seconds

    def close(self, arrays: Path, seconds: float) -> dict[str, Any]:
        """Metrics, rates at the median time `seconds`, and peak memory; arrays are stored at `arrays`."""
        experiment, arguments = self.experiment, (self.output, self.inputs, self.case)
        peak = peak_rss()  # before metrics and arrays add to it
        if experiment.memory:
            peak = hook("memory", experiment.memory, *arguments)
        if experiment.metrics:
            self.metrics.update(hook("metrics", experiment.metrics, *arguments))
        if experiment.rates:
            self.metrics.update(hook("rates", experiment.rates, seconds, self.case))
        stored = hook("arrays", experiment.arrays, *arguments) if experiment.arrays else {}
        if stored:
            import numpy as np

            make_folder(arrays.parent)
            with atomic_path(arrays) as path:
                np.savez_compressed(path, **stored)
        return {"metrics": self.metrics, "peak_rss": peak, "arrays_file": arrays.name if stored else ""}


def serve(requests: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The answers to `requests`: prepare first, then samples, then close."""
    request = next(requests)
    try:
        load_plugins()
        experiment, case = load_experiment(Path(request["file"])), Case(request["case"])
        reason = hook("skip", experiment.skip, case)
        if reason:
            yield {"status": "skipped", "reason": str(reason)}
            return
        measured = Measurement(experiment, case, request["threads"])
        warmups = [measured.sample() for _ in range(experiment.warmups)]
        yield {"status": "ready", "warmups": warmups, "threads": measured.pool}
        for request in requests:
            if request["do"] == "sample":
                yield {"status": "sampled", "seconds": measured.sample()}
            else:
                yield {"status": "closed", **measured.close(Path(request["arrays"]), request["seconds"])}
                return
    except (HookError, InputError) as failure:
        yield {"status": "failed", "reason": str(failure)}


def fork(requests: socket.socket) -> None:
    """Fork a worker when asked for one, and tell how one ended; returns in each worker, and not before.

    The runner sends the process id of the worker whose end it wants to know of, or 0 with the standard input,
    output and error of a new one; the answer is its exit code, or process id.
    """
    nursery = os.getpid()
    while True:
        message, files, _, _ = socket.recv_fds(requests, NUMBER.size, 3)
        if not message:
            sys.exit()
        (pid,) = NUMBER.unpack(message)
        if pid:
            answer = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        else:
            answer = os.fork()
            if not answer:
                break
            os.setpgid(answer, answer)  # here too: the runner may end its group at once
        for file in files:
            os.close(file)
        requests.sendall(NUMBER.pack(answer))
    os.setpgid(0, 0)
    die_with(nursery)
    requests.close()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)


def main() -> None:
    """Import what the experiment needs, then be a worker for each of its cases, until the runner goes."""
    parent, file, requests = sys.argv[1:]
    die_with(int(parent))
    with suppress(Exception, SystemExit, KeyboardInterrupt):  # the worker says what is wrong
        load_plugins()
        load_experiment(Path(file))
    fork(socket.socket(fileno=int(requests)))
    with private_output() as pipe:
        for answer in serve(json.loads(line) for line in sys.stdin):
            pipe.write(json.dumps(plain(answer), allow_nan=False) + "\n")
            pipe.flush()


if __name__ == "__main__":
    main()
