"""FFT libraries behind one interface: pocketfft's (numpy, scipy, ducc0), MKL and FFTW."""

from gembench.engine.fft import fftw, mkl, pocketfft  # noqa: F401  they register themselves
from gembench.engine.fft.library import LIBRARIES, PREFERENCE, FFTLibrary, fft_library
from gembench.engine.fft.rows import ALIGNMENT, Native, RowTransforms, aligned_zeros, complex_dtype

__all__ = [
    "ALIGNMENT", "LIBRARIES", "PREFERENCE", "FFTLibrary", "Native", "RowTransforms", "aligned_zeros",
    "complex_dtype", "fft_library",
]
