"""Peak memory of a search, and what is allocated for it."""

from __future__ import annotations

import tracemalloc

from gembench.engine.fft import fft_library

from ._inputs import METHODS, Array, CPUSearch, TemplateBank, bank, noise, part

make_plan, search = part("make_plan"), part("search")

SIZE = 2048


class Memory:
    """One micrograph of 2048 x 2048; scipy allocates through numpy, so that every array is seen."""

    params = (METHODS,)
    param_names = ("method",)

    def setup_cache(self) -> tuple[Array, TemplateBank]:
        """Inputs are made and kernels compiled in a process of their own, and count in no peak."""
        for method in METHODS:
            search(noise(256, 256), bank(256), method=method, library="scipy")
        return noise(SIZE, SIZE), bank(SIZE, angles=1)

    def peakmem_search(self, inputs: tuple[Array, TemplateBank], method: str) -> None:
        search(*inputs, method=method, library="scipy")

    def track_allocated(self, inputs: tuple[Array, TemplateBank], method: str) -> int:
        """The most that a search holds at once beyond its inputs, as Python's allocators count it."""
        search(noise(256, 256), bank(256), method=method, library="scipy")  # imports and kernels
        tracemalloc.start()
        try:
            search(*inputs, method=method, library="scipy")
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    def track_predicted(self, inputs: tuple[Array, TemplateBank], method: str) -> int:
        """What the plan says, before anything is allocated."""
        plan = make_plan((SIZE, SIZE), inputs[1], fft_library("scipy"), method=method)  # type: ignore[arg-type]
        return plan.bytes

    track_allocated.unit = track_predicted.unit = "bytes"  # type: ignore[attr-defined]


class Transforms:
    """Two-dimensional transforms for each template, in a bank whose half turns share their masks."""

    params = (METHODS,)
    param_names = ("method",)
    unit = "transforms per template"

    def track_transforms(self, method: str) -> float:
        with CPUSearch(bank(256, angles=4), method=method, library="scipy") as engine:  # type: ignore[arg-type]
            engine.run(noise(256, 256))
            counts = engine.statistics.counts
        return (counts.forward + counts.inverse) / counts.templates
