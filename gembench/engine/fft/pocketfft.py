"""pocketfft and its kin: numpy's and scipy's transforms, and ducc0's."""

from __future__ import annotations

from importlib import import_module

import numpy as np

from gembench.engine.fft.library import FFTLibrary
from gembench.engine.fft.rows import Array


class NumpyFFT(FFTLibrary):
    """numpy.fft (pocketfft)."""

    name = "numpy"
    modules = ("numpy.fft",)

    @classmethod
    def version(cls) -> str:
        return np.__version__

    def rfft2(self, a: Array) -> Array:
        return np.fft.rfft2(a)

    def irfft2(self, spectrum: Array, shape: tuple[int, int]) -> Array:
        return np.fft.irfft2(spectrum, s=shape, axes=(0, 1), norm="forward")

    def rfft_rows(self, real: Array, half: Array) -> None:
        np.fft.rfft(real, axis=1, out=half)

    def irfft_rows(self, half: Array, real: Array) -> None:
        np.fft.irfft(half, n=real.shape[1], axis=1, norm="forward", out=real)

    def fft_rows(self, full: Array, *, inverse: bool) -> None:
        if inverse:
            np.fft.ifft(full, axis=1, norm="forward", out=full)
        else:
            np.fft.fft(full, axis=1, out=full)


class ScipyFFT(FFTLibrary):
    """scipy.fft (pocketfft, vectorised)."""

    name = "scipy"
    modules = ("scipy.fft",)

    def rfft2(self, a: Array) -> Array:
        return np.asarray(import_module("scipy.fft").rfft2(a, workers=self.threads))

    def irfft2(self, spectrum: Array, shape: tuple[int, int]) -> Array:
        return np.asarray(import_module("scipy.fft").irfft2(
            spectrum, s=shape, norm="forward", overwrite_x=True, workers=self.threads
        ))

    def rfft_rows(self, real: Array, half: Array) -> None:
        half[:] = import_module("scipy.fft").rfft(real, axis=1, workers=self.threads)

    def irfft_rows(self, half: Array, real: Array) -> None:
        real[:] = import_module("scipy.fft").irfft(
            half, n=real.shape[1], axis=1, norm="forward", overwrite_x=True, workers=self.threads
        )

    def fft_rows(self, full: Array, *, inverse: bool) -> None:
        fft = import_module("scipy.fft")
        transform, norm = (fft.ifft, "forward") if inverse else (fft.fft, "backward")
        result = transform(full, axis=1, norm=norm, overwrite_x=True, workers=self.threads)
        if not np.shares_memory(result, full):
            full[:] = result


class DuccFFT(FFTLibrary):
    """ducc0.fft, pocketfft's successor."""

    name = "ducc0"
    modules = ("ducc0",)

    def rfft2(self, a: Array) -> Array:
        return np.asarray(import_module("ducc0").fft.r2c(a, axes=(0, 1), nthreads=self.threads))

    def irfft2(self, spectrum: Array, shape: tuple[int, int]) -> Array:
        return np.asarray(import_module("ducc0").fft.c2r(
            spectrum, axes=(0, 1), lastsize=shape[1], forward=False, nthreads=self.threads,
            allow_overwriting_input=True,
        ))

    def rfft_rows(self, real: Array, half: Array) -> None:
        import_module("ducc0").fft.r2c(real, axes=(1,), out=half, nthreads=self.threads)

    def irfft_rows(self, half: Array, real: Array) -> None:
        import_module("ducc0").fft.c2r(
            half, axes=(1,), lastsize=real.shape[1], forward=False, out=real, nthreads=self.threads
        )

    def fft_rows(self, full: Array, *, inverse: bool) -> None:
        import_module("ducc0").fft.c2c(full, axes=(1,), forward=not inverse, out=full, nthreads=self.threads)
