"""Counts of what a reduction does on a rank: pixels that it folds, bytes that arrive by its network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from gembench.engine.mpi.reductions import direct, tree
from gembench.engine.mpi.reductions.messages import Array, fold

TRAFFIC = Path("/proc/self/net/dev")  # of the network namespace that the process is in
COUNTED = ("direct", "tree")  # the paper's two; the others fold by ways of their own


@contextmanager
def folded_pixels() -> Iterator[list[int]]:
    """The pixels of every fold of `direct` and `tree` on this rank while the context lasts."""
    pixels: list[int] = []  # appended to by several threads
    merge = tree._merge

    def counting_fold(score: Array, index: Array, *others: object) -> None:
        pixels.append(score.size)
        fold(score, index, *others)  # type: ignore[arg-type]

    def counting_merge(score: Array, *others: Array) -> None:
        pixels.append(len(score) * tree.ELEMENT)
        merge(score, *others)

    with mock.patch.object(direct, "fold", counting_fold), mock.patch.object(tree, "_merge", counting_merge):
        yield pixels


def received_bytes(link: str) -> int | None:
    """Bytes that have arrived by a network link of this process; None if it has no such link."""
    try:
        lines = TRAFFIC.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    counters = dict(line.strip().split(":", 1) for line in lines if ":" in line)
    return int(counters[link].split()[0]) if link in counters else None
