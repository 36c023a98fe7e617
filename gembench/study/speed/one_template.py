"""The correlation of one template by the original method, with an FFT library on one core or on a GPU."""

from __future__ import annotations

from typing import Any, Protocol

from gembench.data.workload import OneTemplate, Workload, egg_bank
from gembench.engine.fft import LIBRARIES
from gembench.engine.fft.sizes import fast_size
from gembench.engine.score_map import ScoreMap
from gembench.study.declare.cases import Case
from gembench.study.declare.devices import CUFFT
from gembench.study.declare.needs import no_memory

ARRAYS = 12  # of N^2 numbers that a case holds at its most; measured: 10 (mkl, fftw) to 14 (numpy)


class Timed(Protocol):
    """One template and one micrograph, where they are transformed."""

    def run(self) -> Any:
        """The maps of the template."""

    def check(self, maps: Any) -> dict[str, float]:
        """How far their scores are from the direct sum; raises ValueError if too far."""


def no_memory_together(n: int, library: str, precision: str) -> str:
    """Why the arrays of all libraries, which alternate, do not fit; on the GPU there is only one."""
    numbers = 0 if library == CUFFT else len(LIBRARIES) * ARRAYS * n**2
    return no_memory("all libraries together", numbers, precision)


def prepared(
    shape: tuple[int, int], box: int, library: str, precision: str = "float32", *, padded: bool = False
) -> Timed:
    """A micrograph's spectra, and a template of `box` pixels with a mask of its own.

    padded: with zeros to a good size; else the transforms have the micrograph's
    """
    work = Workload.make(shape, egg_bank(box, 1))
    if library != CUFFT:
        return OneTemplate(work, library, precision, None if padded else shape)
    from gembench.data.one_template import OneTemplateOnGPU

    return OneTemplateOnGPU(work, precision, (fast_size(shape[0]), fast_size(shape[1])) if padded else None)


def run(inputs: Timed, case: Case) -> ScoreMap:
    """2 forward and 3 inverse transforms of the frame, Roseman's quotient and the maximum of eq. 1."""
    maps: ScoreMap = inputs.run()
    return maps


def check(output: ScoreMap, inputs: Timed, case: Case) -> dict[str, Any]:
    """The scores at a hundred places are those of the direct sum."""
    return inputs.check(output)


def shape_of(size: int | str) -> tuple[int, int]:
    """(height, width) of a size as a case has it: 2047, or '3838x3710', width first."""
    width, _, height = str(size).partition("x")
    return int(height or width), int(width)


def padded_to(size: int | str) -> str:
    """What a micrograph of this size is padded to, written like the size."""
    return "x".join(map(str, dict.fromkeys(fast_size(int(n)) for n in str(size).split("x"))))
