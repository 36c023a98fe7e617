"""Zero-padding: micrographs of awkward sizes, transformed as they are and padded to a good size."""

from __future__ import annotations

from gembench.engine.fft import PREFERENCE
from gembench.study.declare.devices import CUFFT, no_library
from gembench.study.declare.experiment import Experiment, grid
from gembench.study.speed import one_template

NAMES = list(PREFERENCE)
SIZES = [2047, 2049, 2187, 2208]  # 23 * 89, 3 * 683, 3^7 and 2^5 * 3 * 23
CAMERAS = ["3838x3710", "5760x4092"]  # width x height of the frames of two direct detectors


def setup(case):
    """A micrograph's spectra, of its own size or padded, and a template of 160 x 160 pixels."""
    shape = one_template.shape_of(case.size)
    return one_template.prepared(shape, min(160, shape[0] // 4), case.library, padded=case.padded)


def check(output, inputs, case):
    """The scores at a hundred places are those of the direct sum, padded or not."""
    return {**inputs.check(output), "padded_to": one_template.padded_to(case.size) if case.padded else None}


def cases(size, library=NAMES):
    """The grid of these micrographs, as they are and padded."""
    return grid(size=size, library=library, padded=[False, True])


experiment = Experiment(
    name="padding", title="Awkward micrograph sizes against padded ones",
    about="One core, and cuFFT on one GPU, float32. Timed: the correlation of one template by the original"
    " method, as in fft_libraries: 5 transforms of the whole frame, the normalisation and the maximum. What"
    " is padded gets zeros up to the even size, without prime factors above 7, whose row transforms cost"
    " least (gembench/engine/fft/sizes.py); every size here has a better one.",
    grids={"quick": cases([509, 514], ["fftw", "mkl"]),
           "default": cases(SIZES, ["mkl", "scipy", CUFFT]) + cases(CAMERAS[0], ["mkl", CUFFT]),
           "paper": cases([*SIZES, *CAMERAS], [*NAMES, CUFFT])},
    setup=setup, run=one_template.run, check=check, skip=lambda case: no_library(case.library),
    compare="padded", baseline=False, rounds=2, columns=["padded_to"],
)
