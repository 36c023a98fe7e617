"""FindEM (Roseman 2004), where the user has it; its questions as programs in public use answer them.

It asks, line by line, for micrograph, template, a number it ignores, A/px, the particle's diameter in A, a
number for its output, first,last,step of the angles, and the width of the border in pixels, and writes
cccmaxmap<number>.mrc, the best correlation at every pixel, for one template at a time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.bank import TemplateBank
from gembench.engine.score_map import ScoreMap
from gembench.errors import InputError
from gembench.io.images.micrographs import read_pixels
from gembench.io.images.mrc import write_mrc
from gembench.peers.base import Matched, even_step, mask_diameter
from gembench.peers.program import Program

Array = NDArray[Any]


class FindEM(Program):
    """findem, one template after the other on one core; which angle was best it tells in no form we know."""

    name = "findem"
    label = "FindEM"
    masks = ("disc",)
    parallel = False
    programs = ("findem.exe", "findem", "findem64.exe", "FindEM_SB")
    install = "ask its author for it and put it there"

    def match(self, micrograph: Array) -> Matched:
        step, (views, turns) = even_step(self.bank), (len(self.bank.templates), len(self.bank.angles))
        diameter = mask_diameter(self.bank)
        once = seconds = 0.0
        memory, maps = 0, []
        with self.folder() as folder:
            write_mrc(folder / "micrograph.mrc", micrograph, self.pixel_size)
            for view, template in enumerate(self.bank.templates, 1):
                write_mrc(folder / f"template{view}.mrc", template, self.pixel_size)
                once += self.call(folder, words=answers(view, 360.0, self.pixel_size, diameter))[0]
                took, held = self.call(folder, words=answers(view, step, self.pixel_size, diameter))
                seconds, memory = seconds + took, max(memory, held)
                maps.append(read_map(folder / f"cccmaxmap{view:03d}.mrc", micrograph.shape))
        pace = (seconds - once) / (views * (turns - 1)) if turns > 1 else seconds / views
        return Matched(best_of(maps, self.bank), None, views * turns, seconds, pace, memory)


def answers(view: int, step: float, pixel_size: float, diameter: int) -> str:
    """What FindEM is told for one template, counted from 1."""
    lines = ("micrograph.mrc", f"template{view}.mrc", "-200.0", f"{pixel_size:g}",
             f"{diameter * pixel_size:.6g}", f"{view:03d}", f"0,{360 - step:.10g},{step:.10g}",
             f"{diameter // 2 + 1}")
    return "".join(f"{line}\n" for line in lines)


def read_map(path: Path, shape: tuple[int, ...]) -> Array:
    """One map of best correlations, float32 (H, W).

    Raises InputError if it is missing or of another shape than the micrograph.
    """
    score, _ = read_pixels(path)
    if score.shape != shape:
        raise InputError(f"{path}: has shape {score.shape}, the micrograph {shape}: see what findem wrote")
    return np.asarray(score, np.float32)


def best_of(maps: list[Array], bank: TemplateBank) -> ScoreMap:
    """The maps of all views as one; the index is that of the view's first template, for want of an angle."""
    scores = np.stack(maps)
    view = scores.argmax(axis=0)
    first = np.searchsorted(bank.view(np.arange(len(bank))), np.arange(len(maps)))
    return ScoreMap(scores.max(axis=0), first[view].astype(np.int32))
