"""Two-dimensional real transforms, and the blocks of rows that the default method transforms."""

from __future__ import annotations

from ._inputs import LIBRARIES, ONE_THREAD, library, noise


class FFT:
    """Forward and inverse transforms of one square frame, float32, one thread."""

    params = (LIBRARIES, [512, 1024, 2048])
    param_names = ("library", "size")
    rounds, repeat, warmup_time = 2, (5, 10, 0.3), 0.05
    timer = ONE_THREAD

    def setup(self, name: str, size: int) -> None:
        self.library, self.frame = library(name), noise(size, size)
        self.spectrum = self.library.rfft2(self.frame).copy()  # the inverse may destroy it

    def time_rfft2(self, name: str, size: int) -> None:
        self.library.rfft2(self.frame)

    def time_irfft2(self, name: str, size: int) -> None:
        self.library.irfft2(self.spectrum, (size, size))


class Rows:
    """All 1024 rows of a frame in blocks of 16, complex and in place."""

    params = (LIBRARIES,)
    param_names = ("library",)
    rounds, repeat, warmup_time = 2, (5, 10, 0.3), 0.05
    timer = ONE_THREAD

    def setup(self, name: str) -> None:
        self.rows = library(name).row_transforms(1024, 16, "float32")
        self.rows.full[:] = noise(16, 1024)

    def time_ifft_rows(self, name: str) -> None:
        for _ in range(64):
            self.rows.ifft()
            self.rows.full *= 1 / 1024
