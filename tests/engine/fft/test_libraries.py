"""FFT libraries against the transform's definition as a float64 matrix product."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from gembench.engine.fft import LIBRARIES, aligned_zeros, complex_dtype, fft_library
from gembench.engine.fft import library as fft
from gembench.engine.fft.sizes import fast_size, smooth_sizes
from gembench.errors import InputError

TOLERANCE = {"float32": 3e-7, "float64": 1e-15}  # of the largest value that the sum could take
SHAPES = [(16, 16), (15, 21), (7, 10), (12, 9), (1, 6), (34, 38), (40, 24), (48, 17), (66, 64)]


def dft(n: int, sign: int = -1) -> np.ndarray:
    """The matrix of the unnormalised transform."""
    k = np.arange(n)
    return np.exp(sign * 2j * np.pi * (k[:, None] * k % n) / n)


def close(got: np.ndarray, expected: np.ndarray, source: np.ndarray, dtype: str) -> None:
    limit = TOLERANCE[dtype] * np.abs(source).max() * source.shape[-1] * source.shape[-2]
    np.testing.assert_allclose(got, expected, rtol=0, atol=limit)


def hermitian(half: np.ndarray, n: int) -> np.ndarray:
    """All n columns of a spectrum that holds n // 2 + 1, for a real signal along the rows."""
    return np.concatenate([half, half[..., 1 : (n + 1) // 2][..., ::-1].conj()], axis=-1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_two_dimensional_transforms_are_the_unnormalised_sums(library_name, shape, dtype):
    library = fft_library(library_name)
    h, w = shape
    a = aligned_zeros(shape, dtype)
    a[:] = np.random.default_rng(1).normal(size=shape)
    expected = (dft(h) @ a @ dft(w))[:, : w // 2 + 1]
    spectrum = library.rfft2(a.copy())
    assert spectrum.dtype == complex_dtype(dtype)
    close(spectrum, expected, a, dtype)
    back = library.irfft2(spectrum.copy(), shape)
    assert back.dtype == np.dtype(dtype)
    assert back.shape == shape
    close(back / (h * w), a, a, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 8, 15, 27, 34, 100])
def test_rows_transforms_are_the_unnormalised_sums(library_name, n, dtype):
    rng = np.random.default_rng(2)
    rows = fft_library(library_name).row_transforms(n, 5, dtype)
    rows.real[:] = rng.normal(size=(5, n))
    real = rows.real.copy()
    rows.rfft()
    close(rows.half, (real @ dft(n))[:, : n // 2 + 1], real, dtype)
    half = rng.normal(size=(5, n // 2 + 1)) + 1j * rng.normal(size=(5, n // 2 + 1))
    half[:, 0] = half[:, 0].real
    if n % 2 == 0:
        half[:, -1] = half[:, -1].real
    rows.half[:] = half
    rows.irfft()
    close(rows.real, (hermitian(half, n) @ dft(n, +1)).real, half, dtype)
    apart = aligned_zeros((5, 64), complex_dtype(dtype))[:, : n // 2 + 1]
    apart[:] = half
    rows.irfft(apart)
    close(rows.real, (hermitian(half, n) @ dft(n, +1)).real, half, dtype)
    full = rng.normal(size=(5, n)) + 1j * rng.normal(size=(5, n))
    for transform, sign in ((rows.fft, -1), (rows.ifft, +1)):
        rows.full[:] = full
        transform()
        close(rows.full, full @ dft(n, sign), full, dtype)


def test_several_threads_may_use_one_library_object(library_name):
    library = fft_library(library_name)
    shapes = [(16, 20), (15, 21), (32, 10)]

    def work(number: int) -> None:
        rng = np.random.default_rng(number)
        for round_ in range(20):
            h, w = shapes[(number + round_) % 3]
            a = rng.normal(size=(h, w))
            close(library.rfft2(a), (dft(h) @ a @ dft(w))[:, : w // 2 + 1], a, "float64")
            rows = library.row_transforms(w, h, "float64")
            rows.real[:] = a
            rows.rfft()
            close(rows.half, (a @ dft(w))[:, : w // 2 + 1], a, "float64")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))


def test_several_threads_inside_one_transform(library_name):
    a = np.random.default_rng(3).normal(size=(48, 64))
    close(fft_library(library_name, threads=2).rfft2(a), (dft(48) @ a @ dft(64))[:, :33], a, "float64")
    fft_library(library_name)  # back to one thread where the library keeps the number to itself


def test_every_buffer_starts_on_a_cache_line():
    arrays = [aligned_zeros((3, n), dtype) for n in range(1, 20) for dtype in ("f4", "c8", "f8", "c16")]
    assert all(a.ctypes.data % 64 == 0 for a in arrays)
    assert all(a.flags.c_contiguous and not a.any() for a in arrays)


def test_an_unknown_library_is_named_with_the_choices():
    with pytest.raises(InputError, match=r"'fftq' is unknown.*auto.*fftw.*mkl.*scipy"):
        fft_library("fftq")


@pytest.fixture
def _forgotten_imports():
    fft._import_problem.cache_clear()
    yield
    fft._import_problem.cache_clear()


@pytest.mark.usefixtures("_forgotten_imports")
@pytest.mark.parametrize(("error", "reason"), [
    (ModuleNotFoundError("No module named 'mkl_fft'", name="mkl_fft"), r"not installed: pip install"),
    (ModuleNotFoundError("No module named 'mkl'", name="mkl"), r"not installed: pip install"),
    (ModuleNotFoundError("No module named 'six'", name="six"), r"installed but broken: No module named"),
    (ImportError("libmkl_rt.so.2: cannot open shared object"), r"installed but broken: libmkl_rt"),
    (OSError("invalid ELF header"), r"installed but broken: invalid ELF"),
    (RuntimeError("wrong CPU"), r"installed but broken: wrong CPU"),
])
def test_a_missing_or_broken_library_is_unavailable_with_the_reason(monkeypatch, error, reason):
    def importing(name):
        if name == "mkl_fft":
            raise error
        return SimpleNamespace()

    monkeypatch.setattr(fft, "import_module", importing)
    with pytest.raises(InputError, match=r"FFT library 'mkl' cannot be used: " + reason):
        fft_library("mkl")


def test_every_library_is_in_the_preference_or_a_variant():
    assert set(LIBRARIES) == {*fft.PREFERENCE, "fftw-estimate", "mkl-fft"}


def test_importing_the_module_imports_no_library():
    code = ("import sys, gembench.engine.fft;"
            "print([m for m in ('scipy', 'ducc0', 'pyfftw', 'mkl_fft', 'mkl', 'cupy') if m in sys.modules])")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          check=True).stdout.strip() == "[]"


def test_sizes_are_even_have_small_factors_and_are_little_larger_than_asked():
    def good(n: int) -> bool:
        for prime in (2, 3, 5, 7):
            while n % prime == 0:
                n //= prime
        return n == 1

    assert smooth_sizes(300) == tuple(n for n in range(2, 301, 2) if good(n))
    for n in (1, 2, 3, 97, 127, 128, 129, 250):
        assert fast_size(n) == next(m for m in range(max(n, 2), 2 * n + 2) if m % 2 == 0 and good(m))
    for n in (256, 300, 997, 1201, 2048, 3838, 4095, 5760, 8192, 11520, 20000):
        size = fast_size(n)
        assert good(size)
        assert size % 2 == 0
        assert n <= size <= 1.3 * n


def test_fftw_takes_arrays_however_they_lie_in_memory():
    if LIBRARIES["fftw"].unavailable():
        pytest.skip(LIBRARIES["fftw"].unavailable())
    library, big = fft_library("fftw"), aligned_zeros((48, 64), np.dtype("float64"))
    big[:] = np.random.default_rng(5).normal(size=big.shape)
    for a in (big[:20, :30], big[3:23, 5:35], big[:, ::2], big.T, big[::-1], big[::-2, 8:40],
              np.asfortranarray(big), np.broadcast_to(big[0], big.shape)):
        h, w = a.shape
        close(library.rfft2(a), (dft(h) @ a @ dft(w))[:, : w // 2 + 1], a, "float64")
