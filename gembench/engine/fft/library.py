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

from numpy.typing import DTypeLike

from gembench.engine.fft.rows import Array, RowTransforms, aligned_zeros, complex_dtype
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


class CalledLibrary(FFTLibrary):
    """A library whose C functions are called directly. It has no name: its subclasses are registered."""

    native = True

    @abstractmethod
    def transform(
        self, source: Array, target: Array, shape: tuple[int, ...], *, rows: bool, forward: bool
    ) -> None:
        """Transform `source` into `target`, for data of `shape` in space; both may be one complex array.

        rows: whether each row is transformed on its own
        """

    def rfft2(self, a: Array) -> Array:
        spectrum = aligned_zeros((a.shape[0], a.shape[1] // 2 + 1), complex_dtype(a.dtype))
        self.transform(a, spectrum, a.shape, rows=False, forward=True)
        return spectrum

    def irfft2(self, spectrum: Array, shape: tuple[int, int]) -> Array:
        a = aligned_zeros(shape, spectrum.real.dtype)
        self.transform(spectrum, a, shape, rows=False, forward=False)
        return a

    def rfft_rows(self, real: Array, half: Array) -> None:
        self.transform(real, half, real.shape, rows=True, forward=True)

    def irfft_rows(self, half: Array, real: Array) -> None:
        self.transform(half, real, real.shape, rows=True, forward=False)

    def fft_rows(self, full: Array, *, inverse: bool) -> None:
        self.transform(full, full, full.shape, rows=True, forward=not inverse)


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
