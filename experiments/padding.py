"""Zero-padding: micrographs of awkward sizes, transformed as they are and padded to a good size."""

from __future__ import annotations

from gembench.data.workload import OneTemplate, Workload, egg_bank
from gembench.engine.fft import PREFERENCE
from gembench.engine.fft.sizes import fast_size
from gembench.study.declare.devices import CUFFT, no_library
from gembench.study.declare.experiment import Experiment, grid

NAMES = list(PREFERENCE)
SIZES = [2047, 2049, 2187, 2208]  # 23 * 89, 3 * 683, 3^7 and 2^5 * 3 * 23
CAMERAS = ["3838x3710", "5760x4092"]  # width x height of the frames of two direct detectors


def shape_of(case):
    """(height, width) of the micrograph."""
    width, _, height = str(case.size).partition("x")
    return int(height or width), int(width)


def padded_to(size):
    """What a micrograph of this size is padded to, written like the size."""
    padded = dict.fromkeys(fast_size(int(n)) for n in str(size).split("x"))
    return "x".join(map(str, padded))


def skip(case):
    """Why the library cannot be used here."""
    return no_library(case.library)


def setup(case):
    """A micrograph's spectra, of its own size or padded, and a template of 160 x 160 pixels."""
    shape = shape_of(case)
    work = Workload.make(shape, egg_bank(min(160, shape[0] // 4), 1))
    if case.library == CUFFT:
        from gembench.data.one_template import OneTemplateOnGPU

        padded = (fast_size(shape[0]), fast_size(shape[1]))
        return OneTemplateOnGPU(work, "float32", padded if case.padded else None)
    return OneTemplate(work, case.library, "float32", None if case.padded else shape)


def run(inputs, case):
    """2 forward and 3 inverse transforms, Roseman's quotient and the maximum of eq. 1."""
    return inputs.run()


def check(output, inputs, case):
    """The scores at a hundred places are those of the direct sum, padded or not."""
    return {**inputs.check(output), "padded_to": padded_to(case.size) if case.padded else None}


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
    setup=setup, run=run, check=check, skip=skip,
    compare="padded", baseline=False, rounds=2, columns=["padded_to"],
)
