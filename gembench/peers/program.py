"""Programs on PATH: found, run in a folder of their own, their memory watched."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gembench.errors import InputError
from gembench.peers.base import Peer

Array = NDArray[Any]
POLL = 0.05  # seconds between two looks at a program's memory, whose high-water mark grows slowly


class Program(Peer):
    """A program found under one of `programs` on PATH; it turns the templates itself."""

    programs: ClassVar[tuple[str, ...]]
    turns = "peer"

    @classmethod
    def path(cls) -> str | None:
        """The program's path, None if it is not on PATH."""
        return next(filter(None, map(shutil.which, cls.programs)), None)

    @classmethod
    def unavailable(cls) -> str | None:
        return None if cls.path() else f"{' or '.join(cls.programs)} is not on PATH: {cls.install}"

    @classmethod
    def version(cls) -> str:
        return "unknown"

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """An empty folder for one run, gone afterwards."""
        with tempfile.TemporaryDirectory(prefix=f"gembench-{self.name}-") as made:
            yield Path(made)

    def call(
        self, folder: Path, *arguments: str, words: str = "", result: Path | None = None
    ) -> tuple[float, int]:
        """Run the program in `folder`, `words` on its input; returns its seconds and peak memory in bytes.

        result: a file that is there once the work is done; a program that fails after that has not failed
        Raises InputError, with the program's last words, if it fails.
        """
        command = [self.path() or self.programs[0], *arguments]
        start = self.clock()
        seconds, memory, code, said = _run(command, folder, words, start, self.clock)
        if code and not (result and result.exists()):
            raise InputError(f"{command[0]}: exit code {code}, it said {said!r}: run it by hand to see more")
        return seconds, memory


def _run(
    command: Sequence[str], folder: Path, words: str, start: float, clock: Any
) -> tuple[float, int, int, str]:
    """Seconds, peak memory, exit code and last line of a command."""
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as output:
        source.write(words.encode())
        source.seek(0)
        process = subprocess.Popen(
            command, cwd=folder, stdin=source, stdout=output, stderr=subprocess.STDOUT
        )
        memory = 0
        while True:
            memory = max(memory, peak_memory(process.pid))
            try:
                code = process.wait(POLL)
                break
            except subprocess.TimeoutExpired:
                continue
            except BaseException:
                process.kill()
                process.wait()
                raise
        seconds = clock() - start
        output.seek(0)
        lines = output.read().decode(errors="replace").split("\n")
    return seconds, memory, code, next((line.strip() for line in lines[::-1] if line.strip()), "")


def peak_memory(pid: int) -> int:
    """Largest resident memory of a running process so far in bytes, 0 where the system does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    line = re.search(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE)
    return int(line[1]) * 1024 if line else 0


def memory_here() -> int:
    """Largest resident memory so far of this process and of those it keeps, added up, in bytes."""
    import psutil

    own = psutil.Process()
    return sum(peak_memory(process.pid) for process in (own, *own.children(recursive=True)))


def enlarged(image: Array, shape: tuple[int, int]) -> Array:
    """A map (h, w) of the whole micrograph stretched bilinearly to (H, W), pixel (0, 0) staying in place."""
    if image.shape == shape:
        return image
    from scipy.ndimage import map_coordinates

    places = np.meshgrid(*(np.arange(n) * (m / n) for n, m in zip(shape, image.shape, strict=True)),
                         indexing="ij")
    return np.asarray(map_coordinates(image, places, order=1, mode="nearest"), image.dtype)


def nearest(image: Array, shape: tuple[int, int]) -> Array:
    """A map (h, w) of the whole micrograph at (H, W), each pixel the nearest of the map's."""
    rows, columns = (np.minimum(np.rint(np.arange(n) * (m / n)).astype(int), m - 1)
                     for n, m in zip(shape, image.shape, strict=True))
    return np.asarray(image[np.ix_(rows, columns)])
