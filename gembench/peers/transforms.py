"""The two-dimensional transforms of a search and nothing else: what there is to reach."""

from __future__ import annotations

import time
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gembench.engine.bank import TemplateBank
from gembench.engine.fft import LIBRARIES, PREFERENCE, FFTLibrary, fft_library
from gembench.peers.base import Matched, Peer, SteadyPace

Array = NDArray[Any]
TRIALS = 3


class Transforms(Peer):
    """Inverse transforms of whole frames in the library that is fastest at them here.

    One for a template, and two more for a mask that is not the same disc for all (Roseman 2003); no
    products, no quotient, no maximum. It finds nothing: its time is a measure for the others'.
    """

    name = "transforms"
    label = "its transforms alone"
    parallel = False
    finds: ClassVar[bool] = False

    def __init__(self, bank: TemplateBank, **options: Any) -> None:
        super().__init__(bank, **options)
        self.each = 1 if all(bank.disc_views) else 3
        self._fastest: dict[tuple[int, int], FFTLibrary] = {}  # by the shape of the frame

    @classmethod
    def unavailable(cls) -> str | None:
        return None

    @classmethod
    def version(cls) -> str:
        """Of those to choose from."""
        present = (LIBRARIES[name] for name in PREFERENCE if LIBRARIES[name].unavailable() is None)
        return ", ".join(f"{library.name} {library.version()}" for library in present)

    def match(self, micrograph: Array) -> Matched:
        """As many transforms as the bank's templates take.

        Raises RuntimeError if the library does not give the micrograph back.
        """
        image = np.ascontiguousarray(micrograph - micrograph.mean(), np.float32)
        shape = (image.shape[0], image.shape[1])
        library = self._fastest.get(shape) or self._fastest.setdefault(shape, fastest(image))
        spectrum = library.rfft2(image)
        back = library.irfft2(spectrum.copy(), shape) / np.float32(image.size)
        if not np.allclose(back, image, atol=1e-4 * float(np.abs(image).max())):
            raise RuntimeError(f"{library.name} does not give back what it has transformed")
        spectrum[:] = 0  # which stays what it is, over and over
        pace, start = SteadyPace(self.threads, self.clock), self.clock()
        for _ in range(len(self.bank)):
            for _ in range(self.each):
                library.irfft2(spectrum, shape)
            pace()
        seconds = self.clock() - start
        return Matched(None, None, len(self.bank), seconds, pace.steady(seconds, len(self.bank)))


def fastest(image: Array) -> FFTLibrary:
    """The library that takes least time for the inverse transform of an image (H, W)."""
    shape, times = (image.shape[0], image.shape[1]), {}
    for name in (name for name in PREFERENCE if LIBRARIES[name].unavailable() is None):
        library = fft_library(name)
        spectrum, trials = library.rfft2(image), []
        for _ in range(1 + TRIALS):  # the first one plans
            copy, start = spectrum.copy(), time.perf_counter()
            library.irfft2(copy, shape)
            trials.append(time.perf_counter() - start)
        times[library] = min(trials[1:])
    return min(times, key=lambda library: times[library])
