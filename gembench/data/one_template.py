"""The original method's correlation of one template with one micrograph on a GPU, by cuFFT, to be timed."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.data.workload import Workload
from gembench.engine.exact.plan import make_plan
from gembench.engine.gpu.device import load_cupy
from gembench.engine.gpu.kernels import Kernels
from gembench.engine.normalise import standardised, variance_floor
from gembench.engine.score_map import NO_SCORE, ScoreMap

Array = NDArray[Any]
SOURCE = Path(__file__).with_suffix(".cu")
THREADS = 256
REALS = {"float32": "float", "float64": "double"}


class WholeFrame:
    """The frame as it is: cuFFT transforms any size, and the study compares equal ones."""

    def fast_size(self, n: int) -> int:
        """`n` itself."""
        return n


class OneTemplateOnGPU:
    """What `workload.OneTemplate` does on a CPU, in the memory of the first device.

    work: its bank's first template is used; dtype: float32 or float64
    transform: (ny, nx) of the transforms, at least the micrograph's shape, which it is by default
    The micrograph's spectra, the turned template and its mask are on the device from the start. CuPy keeps
    cuFFT's plans from call to call.
    """

    def __init__(self, work: Workload, dtype: str, transform: tuple[int, int] | None = None) -> None:
        self._cupy, self._fft = load_cupy(), import_module("cupyx.scipy.fft")
        shape = (work.micrograph.shape[0], work.micrograph.shape[1])
        self.work, self.dtype, self.shape = work, dtype, transform or shape
        plan = make_plan(shape, work.bank, WholeFrame(), method="paper", dtype=dtype)  # type: ignore[arg-type]
        plan = replace(plan, transform=self.shape)
        template = work.bank.rotated(0, dtype)
        self._window, self._index = plan.window(template), np.int32(template.index)
        points = self.shape[0] * self.shape[1]
        mask = template.mask / (template.mask.sum() * points)
        self._weights, self._mask = (self._up(part) for part in (template.weights / points, mask))
        image, square = standardised(work.micrograph, dtype)
        self._floors = self._up(np.array(variance_floor(square)))
        self._kernels = Kernels(self._cupy, f"#define Real {REALS[dtype]}\n{SOURCE.read_text()}")
        self._padded = self._cupy.empty(self.shape, np.dtype(dtype))
        self._image, self._square = (self._forward(self._up(part)) for part in (image, square))
        self._score = self._cupy.empty(shape, np.dtype(dtype))
        self._indices = self._cupy.empty(shape, np.dtype(np.int32))

    def _up(self, array: Array) -> Any:
        """A copy on the device, of the search's type."""
        return self._cupy.asarray(np.ascontiguousarray(array, self.dtype))

    def _forward(self, array: Any) -> Any:
        """The spectrum of an array in the corner of a frame of zeros."""
        self._padded.fill(0)
        self._padded[: array.shape[0], : array.shape[1]] = array
        return self._fft.rfft2(self._padded)

    def _correlation(self, frame: Any, spectrum: Any, out: Any) -> Any:
        """The unnormalised inverse transform of frame * conj(spectrum), whose place `out` is destroyed."""
        self._kernels.launch("product", (-(-out.size // THREADS),), (THREADS,),
                             (frame, spectrum, np.int64(out.size), out))
        return self._fft.irfft2(out, s=self.shape, norm="forward", overwrite_x=True)

    def run(self) -> tuple[Any, Any]:
        """Score and index maps on the device, when it has finished them."""
        self._score.fill(NO_SCORE)
        self._indices.fill(-1)
        weights, mask = self._forward(self._weights), self._forward(self._mask)
        numerator = self._correlation(self._image, weights, weights)
        mean = self._correlation(self._image, mask, self._cupy.empty(mask.shape, mask.dtype))
        square = self._correlation(self._square, mask, mask)
        at = self._window
        width, height = at.columns.stop - at.columns.start, at.rows.stop - at.rows.start
        pitch, map_pitch = self.shape[1], self._score.shape[1]
        self._kernels.launch("improve", (-(-width // THREADS), height), (THREADS,), (
            numerator, mean, square, self._floors, np.int32(pitch),
            np.int64(at.rows.start * pitch + at.columns.start), np.int32(width), np.int32(map_pitch),
            np.int64(at.map_rows.start * map_pitch + at.map_columns.start), self._index, self._score,
            self._indices,
        ))
        self._cupy.cuda.Device(0).synchronize()
        return self._score, self._indices

    def check(self, maps: tuple[Any, Any]) -> dict[str, float]:
        """See `Workload.check`."""
        score, index = maps
        return self.work.check(ScoreMap(score.get(), index.get()), self.dtype)
