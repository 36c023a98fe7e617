"""The compiled loops over pixels, on one frame of 1024 x 1024 in the blocks that the search uses."""

from __future__ import annotations

import numpy as np

from gembench.engine.fft import aligned_zeros

from ._inputs import ONE_THREAD, noise, part

BLOCK, fold, inverse_sigma, load_columns, merge, variance_floor = map(
    part, ("BLOCK", "fold", "inverse_sigma", "load_columns", "merge", "variance_floor"))
SIZE = 1024


class Kernels:
    """Each timed call passes over the whole frame."""

    rounds, repeat, warmup_time = 2, (5, 10, 0.3), 0.05
    timer = ONE_THREAD

    def setup(self) -> None:
        self.values = noise(SIZE, SIZE)
        self.score, self.index = np.zeros((SIZE, SIZE), np.float32), np.zeros((SIZE, SIZE), np.int32)
        self.out = np.empty((SIZE, SIZE), np.float32)
        self.rows = np.zeros((BLOCK, SIZE), np.complex64)
        self.frame = np.zeros((SIZE, SIZE), np.complex64)
        self.floor = variance_floor(self.values)

    def time_fold(self) -> None:
        for y in range(0, SIZE, BLOCK):
            fold(self.values, y, 0, self.out, y, 0, np.int32(1), self.score, self.index, y, 0, BLOCK, SIZE)

    def time_inverse_sigma(self) -> None:
        for y in range(0, SIZE, BLOCK):
            inverse_sigma(self.values, self.score, y, 0, *self.floor, self.out, y, BLOCK, SIZE)

    def time_merge(self) -> None:
        merge(self.score, self.index, self.values, self.index)

    def time_load_columns(self) -> None:
        for x in range(0, SIZE, BLOCK):
            load_columns(self.frame, x, self.rows)


class Transposition:
    """From blocks in cache to rows in memory, between the halves of an inverse transform."""

    rounds, repeat, warmup_time = 2, (5, 10, 0.3), 0.05
    timer = ONE_THREAD

    def setup(self) -> None:
        try:
            self.transpose = part("transpose")
        except ImportError:
            raise NotImplementedError from None  # this commit has none
        self.half = aligned_zeros((SIZE, SIZE), np.complex64)
        self.block = aligned_zeros((BLOCK, SIZE), np.complex64)

    def time_transpose(self) -> None:
        for x in range(0, SIZE, BLOCK):
            self.transpose(self.block, 0, self.half, x)
