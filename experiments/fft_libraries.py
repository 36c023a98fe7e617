"""Figure 2: the correlation of one template with one micrograph, by FFT library, size and precision."""

from __future__ import annotations

from gembench.engine.fft import LIBRARIES, PREFERENCE
from gembench.study.declare.devices import CUFFT, no_library
from gembench.study.declare.experiment import Experiment, grid
from gembench.study.speed.one_template import check, no_memory_together, prepared, run

NAMES = list(dict.fromkeys(["fftw", *PREFERENCE, *LIBRARIES, CUFFT]))
LARGE = [name for name in NAMES if name not in ("numpy", "mkl-fft")]  # by default at 4096 in float32
LARGEST = ["fftw", "mkl", CUFFT]  # and in float64, which takes longest
ADDED = [name for name, kind in LIBRARIES.items() if not kind.__module__.startswith("gembench.")]  # plug-ins'
PRECISIONS = ["float32", "float64"]


def skip(case):
    """Why the library cannot be used here, or why the arrays of all, which alternate, do not fit together."""
    return no_library(case.library) or no_memory_together(case.n, case.library, case.precision)


def setup(case):
    """A micrograph's spectra, and a template N/8 wide, where they are transformed."""
    return prepared((case.n, case.n), case.n // 8, case.library, case.precision)


def cases(n, library=NAMES, precision=PRECISIONS):
    """The grid of these micrograph sizes."""
    return grid(precision=precision, n=n, library=library)


experiment = Experiment(
    name="fft_libraries", title="Correlation of one template with one micrograph, by FFT library",
    paper="Fig. 2",
    about="One core, and cuFFT on one GPU. Timed: 2 forward and 3 inverse transforms of N x N pixels, the"
    " normalisation and the running maximum, as the original method does for every template; the micrograph's"
    " own 2 transforms, the template's turn and FFTW's planning are outside the clock. fftw measures its"
    " plans, fftw-estimate estimates them. cufft is timed from the template in the GPU's memory to the maps"
    " in it, until the device has finished. Any score of a hundred that differs from a float64 direct sum"
    " fails the case.",
    grids={"quick": cases([256, 512], ["fftw", "mkl", "scipy", CUFFT, *ADDED]),
           "default": (cases([512, 1024, 2048]) + cases(4096, LARGE, "float32")
                       + cases(4096, LARGEST, "float64")),
           "paper": cases([512, 1024, 2048, 4096, 8192])},
    setup=setup, run=run, check=check, skip=skip,
    compare="library", baseline="fftw", rounds=4, columns=["error_at_places"],
)
