"""RELION: relion_autopick with 2-D references (Scheres 2015, J. Struct. Biol. 189:114).

Its figure of merit is an expected probability ratio, not a correlation; its mask is a disc of its own, and
beyond --lowpass it crops micrographs in Fourier space. It writes, for every reference, the best figure of
merit at every pixel and the angle that gave it, as SPIDER images.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.bank import TemplateBank
from gembench.engine.picks import Picks
from gembench.engine.score_map import ScoreMap
from gembench.errors import InputError
from gembench.io.coordinates.star.read import read_star
from gembench.io.images.mrc import write_mrc, write_stack
from gembench.peers.base import Matched, even_step, index_of, mask_diameter
from gembench.peers.program import Program, enlarged, nearest

Array = NDArray[Any]
NAME = "micrograph"


class Relion(Program):
    """relion_autopick on one core: at full size, or low-passed and cropped as far as the filter allows."""

    name = "relion"
    label = "RELION"
    masks = ("disc",)
    parallel = False  # relion_autopick_mpi takes micrographs in parallel, never one
    programs = ("relion_autopick",)
    install = "apt install relion"
    least_score = 0.05

    @classmethod
    def version(cls) -> str:
        said = subprocess.run([cls.programs[0], "--version"], capture_output=True, text=True, check=False)
        number = re.search(r"version:?\s*([\d.]+)", said.stdout + said.stderr)
        return number[1] if number else "unknown"

    def match(self, micrograph: Array) -> Matched:
        bank, step = self.bank, even_step(self.bank)
        views, turns = len(bank.templates), len(bank.angles)
        with self.folder() as folder:
            write_mrc(folder / f"{NAME}.mrc", micrograph, self.pixel_size)
            write_stack(folder / "references.mrcs", references(bank), self.pixel_size)
            once, _ = self._autopick(folder, "once", 360.0)
            seconds, memory = self._autopick(folder, "all", step)
            maps = read_maps(folder / "all", bank, micrograph.shape)
            picks = read_picks(folder / "all" / f"{NAME}_autopick.star")
        pace = (seconds - once) / (views * (turns - 1)) if turns > 1 else seconds / views
        return Matched(maps, picks, views * turns, seconds, pace, memory)

    def _autopick(self, folder: Path, output: str, step: float) -> tuple[float, int]:
        # RELION 3.1 aborts over its log where it has picked nothing, with its maps written
        return self.call(folder, *arguments(
            output, step, self.pixel_size, mask_diameter(self.bank), self.lowpass, self.least_score
        ), result=folder / output / f"{NAME}_autopick.star")


def references(bank: TemplateBank) -> Array:
    """The bank's templates, (v, h, w) float32, with mean 0 and variance 1 under the mask and 0 outside.

    RELION wants references normalised. Of three ways tried on two simulated KLH micrographs (as they are,
    less their surroundings, and this) this one found most.
    """
    assert bank.masks is not None
    images = np.zeros(bank.templates.shape, np.float32)
    for image, template, mask in zip(images, bank.templates, bank.masks, strict=True):
        image[mask] = (template[mask] - template[mask].mean()) / template[mask].std()
    return images


def arguments(
    output: str, step: float, pixel_size: float, diameter: int, lowpass: float, least: float
) -> list[str]:
    """The options of one run: angles every `step` degrees, a mask `diameter` px across, `lowpass` in A.

    Without a low-pass filter micrographs keep their size; with one they are cropped as far as it allows.
    """
    size = ["--lowpass", f"{lowpass:g}", "--shrink", "0"] if lowpass else [
        "--lowpass", "-1", "--shrink", "1", "--skip_optimise_scale"]
    return [
        "--i", f"{NAME}.mrc", "--ref", "references.mrcs", "--odir", f"{output}/", "--ang", f"{step:.10g}",
        "--angpix", f"{pixel_size:g}", "--angpix_ref", f"{pixel_size:g}",
        "--particle_diameter", f"{diameter * pixel_size:.6g}", "--shrink_particle_mask", "0",
        "--threshold", f"{least:g}", "--write_fom_maps", "--no_fom_limit", *size,
    ]


def read_picks(path: Path) -> Picks:
    """RELION's own picks; the file is empty where there are none."""
    if not path.stat().st_size:
        return Picks(NAME, np.empty(0), np.empty(0))
    (picks,) = read_star(path, NAME)
    return picks


def read_maps(folder: Path, bank: TemplateBank, shape: tuple[int, ...]) -> ScoreMap:
    """The best figure of merit over references, and the template of that reference and angle, (H, W).

    Raises InputError if a map is missing.
    """
    best = index = None
    for view in range(len(bank.templates)):
        stem = f"{NAME}_autopick_ref{view:06d}._best"
        fom, psi = (read_spider(folder / f"{stem}{kind}.spi") for kind in ("CCF", "PSI"))
        score = enlarged(fom, (shape[0], shape[1]))
        template = nearest(index_of(bank, view, psi), (shape[0], shape[1]))
        if best is None or index is None:
            best, index = score, template
            continue
        better = score > best
        best, index = np.where(better, score, best), np.where(better, template, index)
    assert best is not None
    assert index is not None
    return ScoreMap(best.astype(np.float32), index.astype(np.int32))


def read_spider(path: Path) -> Array:
    """A SPIDER image as float32 (h, w).

    Raises InputError if it is missing or unreadable.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=["SPIDER"]) as image:
            return np.array(image, np.float32)
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(f"{path}: not a readable SPIDER image ({error}): see what relion wrote") from error
