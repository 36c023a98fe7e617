"""FFT libraries behind one small interface.

Every transform is unnormalised in both directions, so a forward and an inverse one multiply by the number
of points; the engine folds that factor into its templates. A library is imported when it is first used,
and one that is installed but broken is unavailable with a reason.

A new library is one subclass of `FFTLibrary` with a `name`; it registers itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from gembench.engine.fft.rows import Array, RowTransforms
from gembench.engine.fft.sizes import fast_size
from gembench.errors import InputError
from gembench.plugins import load_plugins

if TYPE_CHECKING:
    from gembench.engine.fft.choice import Choice

LIBRARIES: dict[str, type[FFTLibrary]] = {}


class FFTLibrary(ABC):
    """One FFT library.

    `threads` is the number of threads inside one transform; the engine uses 1 and threads over templates.
    `native` says whether compiled code can call its transforms; `choice` why 'auto' took it, if it did.
    """

    name: ClassVar[str]
    device: ClassVar[str] = "cpu"
    modules: ClassVar[tuple[str, ...]] = ()
    install: ClassVar[str] = ""
    native: ClassVar[bool] = False
    choice: Choice | None = None

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if hasattr(cls, "name"):  # what several libraries share has none
            LIBRARIES[cls.name] = cls

    @classmethod
    def unavailable(cls) -> str | None:
        """Why this library cannot be used here, or None if it can."""
        return _import_problem(cls.modules, cls.install)

    @classmethod
    def version(cls) -> str:
        """The version of the library's Python package."""
        return str(getattr(import_module(cls.modules[0].split(".")[0]), "__version__", "unknown"))

    @abstractmethod
    def rfft2(self, a: Array) -> Array:
        """Two-dimensional transform of real `a`, shape (h, w) to (h, w // 2 + 1)."""

    @abstractmethod
    def irfft2(self, spectrum: Array, shape: tuple[int, int]) -> Array:
        """Unnormalised inverse of `rfft2`, to real `shape`; `spectrum` may be destroyed."""

    @abstractmethod
    def rfft_rows(self, real: Array, half: Array) -> None:
        """Transform every row of `real` (b, n) into `half` (b, n // 2 + 1)."""

    @abstractmethod
    def irfft_rows(self, half: Array, real: Array) -> None:
        """Unnormalised inverse of `rfft_rows`; `half` may be destroyed, and its rows may lie apart."""

    @abstractmethod
    def fft_rows(self, full: Array, *, inverse: bool) -> None:
        """Transform every row of complex `full` (b, n) in place, unnormalised."""

    def knowledge(self) -> Any:
        """What has been measured here, for other processes to `learn`; None if that changes no rounding."""
        return None

    def learn(self, knowledge: Any) -> None:
        """Transform from now on as the process does that has this `knowledge`."""
        return

    def row_transforms(self, n: int, rows: int, dtype: DTypeLike) -> RowTransforms:
        """Buffers and transforms for blocks of `rows` rows of length `n`."""
        return RowTransforms(self, n, rows, dtype)

    def fast_size(self, n: int) -> int:
        """The size >= n whose transform costs least by the measured table."""
        return fast_size(n)


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
        return np.asarray(_module("scipy.fft").rfft2(a, workers=self.threads))

    def irfft2(self, spectrum: Array, shape: tuple[int, int]) -> Array:
        return np.asarray(_module("scipy.fft").irfft2(
            spectrum, s=shape, norm="forward", overwrite_x=True, workers=self.threads
        ))

    def rfft_rows(self, real: Array, half: Array) -> None:
        half[:] = _module("scipy.fft").rfft(real, axis=1, workers=self.threads)

    def irfft_rows(self, half: Array, real: Array) -> None:
        real[:] = _module("scipy.fft").irfft(
            half, n=real.shape[1], axis=1, norm="forward", overwrite_x=True, workers=self.threads
        )

    def fft_rows(self, full: Array, *, inverse: bool) -> None:
        fft = _module("scipy.fft")
        transform, norm = (fft.ifft, "forward") if inverse else (fft.fft, "backward")
        result = transform(full, axis=1, norm=norm, overwrite_x=True, workers=self.threads)
        if not np.shares_memory(result, full):
            full[:] = result


class DuccFFT(FFTLibrary):
    """ducc0.fft, pocketfft's successor."""

    name = "ducc0"
    modules = ("ducc0",)

    def rfft2(self, a: Array) -> Array:
        return np.asarray(_module("ducc0").fft.r2c(a, axes=(0, 1), nthreads=self.threads))

    def irfft2(self, spectrum: Array, shape: tuple[int, int]) -> Array:
        return np.asarray(_module("ducc0").fft.c2r(
            spectrum, axes=(0, 1), lastsize=shape[1], forward=False, nthreads=self.threads,
            allow_overwriting_input=True,
        ))

    def rfft_rows(self, real: Array, half: Array) -> None:
        _module("ducc0").fft.r2c(real, axes=(1,), out=half, nthreads=self.threads)

    def irfft_rows(self, half: Array, real: Array) -> None:
        _module("ducc0").fft.c2r(
            half, axes=(1,), lastsize=real.shape[1], forward=False, out=real, nthreads=self.threads
        )

    def fft_rows(self, full: Array, *, inverse: bool) -> None:
        _module("ducc0").fft.c2c(full, axes=(1,), forward=not inverse, out=full, nthreads=self.threads)


def _module(name: str) -> Any:
    return import_module(name)


@lru_cache
def _import_problem(modules: tuple[str, ...], install: str) -> str | None:
    try:
        for module in modules:
            import_module(module)
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name in {m.split(".")[0] for m in modules}
        return f"not installed: {install}" if missing else f"installed but broken: {error}"
    except Exception as error:  # a broken binary package may raise anything while it loads
        return f"installed but broken: {error}"
    return None


# 'auto' measures these; see `choice`.
PREFERENCE = ("mkl", "fftw", "scipy", "ducc0", "numpy")


def fft_library(name: str = "auto", threads: int = 1) -> FFTLibrary:
    """The library called `name`; 'auto' takes the one that measures fastest on this machine, see `choice`.

    Raises InputError for an unknown name or a library that cannot be used here.
    """
    if name == "auto":
        from gembench.engine.fft.choice import choose

        choice = choose()
        library = LIBRARIES[choice.name](threads)
        library.choice = choice
        return library
    if name not in LIBRARIES:
        load_plugins()
    if name not in LIBRARIES:
        raise InputError(f"FFT library '{name}' is unknown: choose from auto, {', '.join(sorted(LIBRARIES))},"
                         " or name the plug-in that defines it with --plugin FILE")
    reason = LIBRARIES[name].unavailable()
    if reason is not None:
        raise InputError(f"FFT library '{name}' cannot be used: {reason}")
    return LIBRARIES[name](threads)
