"""gEMpicker, the original program, where the user has it; its options are those that public scripts use.

It reads folders of micrographs (.mrc), templates (.mrc) and masks (.tif), one each with equal names, writes
correlation maps when --mode=0 and picks of them when --mode=1, into pik_coord/<micrograph>.txt.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.bank import TemplateBank
from gembench.errors import InputError
from gembench.io.coordinates.gempicker import read_gempicker
from gembench.io.images.mrc import write_mrc
from gembench.peers.base import Matched, even_step
from gembench.peers.program import Program

Array = NDArray[Any]
NAME = "micrograph"


class GEMpicker(Program):
    """gEMpicker on the CPU. Its maps are read by nobody but itself: it is judged by its picks."""

    name = "gempicker"
    label = "gEMpicker"
    programs = ("gEMpicker.exe", "gempicker.exe", "gEMpicker", "gempicker")
    install = "build it from its authors' sources and put it there"

    def match(self, micrograph: Array) -> Matched:
        step, (views, turns) = even_step(self.bank), (len(self.bank.templates), len(self.bank.angles))
        if step != int(step):
            raise InputError(f"{self.label} turns by whole degrees, not {step:g}: give such a step")
        with self.folder() as folder:
            write_inputs(folder, micrograph, self.bank, self.pixel_size)
            once, _ = self.call(folder, *arguments(0, 360, self.threads, self.bank.box[0], self.least_score))
            words = arguments(0, int(step), self.threads, self.bank.box[0], self.least_score)
            seconds, memory = self.call(folder, *words)
            picking = arguments(1, int(step), self.threads, self.bank.box[0], self.least_score)
            picked, _ = self.call(folder, *picking)
            result = folder / "result" / "pik_coord" / f"{NAME}.txt"
            picks = read_gempicker(result, NAME, micrograph.shape[1])
        pace = (seconds - once) / (views * (turns - 1)) if turns > 1 else seconds / views
        return Matched(None, picks, views * turns, seconds + picked, pace, memory)


def write_inputs(folder: Path, micrograph: Array, bank: TemplateBank, pixel_size: float) -> None:
    """The folders that the program reads, and an empty one for its results."""
    from PIL import Image

    for name in ("micrographs", "templates", "masks", "result"):
        (folder / name).mkdir()
    assert bank.masks is not None
    write_mrc(folder / "micrographs" / f"{NAME}.mrc", micrograph, pixel_size)
    for view, (template, mask) in enumerate(zip(bank.templates, bank.masks, strict=True), 1):
        write_mrc(folder / "templates" / f"view{view:02d}.mrc", template, pixel_size)
        Image.fromarray(255 * mask.astype(np.uint8)).save(folder / "masks" / f"view{view:02d}.tif")


def arguments(mode: int, step: int, threads: int, box: int, least: float) -> list[str]:
    """The options of one run: mode 0 correlates, 1 picks; contrast 1 is that of the templates."""
    return [
        f"--mode={mode}", "--dirTgt=micrographs", "--dirSch=templates", "--dirMskSch=masks",
        "--dirRes=result", f"--angle2D={step}", "--contrast=1", f"--thresh={least:g}", "--threshHigh=1",
        "--nPickMax=1000", f"--boxSize={box}", f"--boxDist={box // 2}", "--boxBorder=0",
        f"--nCPU={threads}", "--nGPU=0",
    ]
