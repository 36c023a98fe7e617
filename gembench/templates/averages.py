"""Templates from particles: aligned averages of boxes, centred, upright and symmetrised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.filters import Contrast
from gembench.engine.turning import rotate
from gembench.errors import InputError
from gembench.templates.alignment import Alignment, Poses, align
from gembench.templates.boxes import binned, cut, fits, normalised, resampled
from gembench.templates.masks import silhouette, upright_turn
from gembench.templates.quality import SplitHalf, split_half
from gembench.templates.symmetry import (
    NO_SYMMETRY,
    Symmetry,
    mirror_axis,
    rotational_average,
    symmetry_centre,
)

Array = NDArray[Any]

# Binned to about so many pixels a box, images keep what aligns them and are 18 times fewer numbers at 272 px.
ALIGNMENT_BOX = 64
# An average that correlates so well with its mirror image is upright when its mirror axis is: a noisy
# silhouette's second moments are a few degrees off.
MIRROR_LIKE = 0.8


@dataclass(frozen=True)
class AverageSettings:
    """How particles become a template.

    box: side of the template in pixels
    max_shift: a particle's centre lies within so many pixels of its pick along y and x
    iterations: passes of the alignment over all particles
    symmetry: the average's, imposed at the end
    rotational: the average over all turns, as of ring-like views; `symmetry` is then not used
    contrast: how particles look in the micrographs
    """

    box: int
    max_shift: float
    iterations: int = 5
    symmetry: Symmetry = NO_SYMMETRY
    rotational: bool = False
    contrast: Contrast = "dark"

    def __post_init__(self) -> None:
        if self.box < 16:
            raise InputError(f"box of {self.box} px: give one that holds a particle, at least 16")
        if not 1 <= self.max_shift <= self.box / 2:
            raise InputError(f"largest shift of {self.max_shift:g} px: give 1 to {self.box / 2:g}, half the"
                             " box")
        if self.iterations < 1:
            raise InputError(f"{self.iterations} iterations: give at least 1")

    @property
    def bin(self) -> int:
        """Pixels that the alignment takes together along y and x."""
        return max(1, self.box // ALIGNMENT_BOX)


@dataclass
class ParticleAverage:
    """Gathers the particles of one view, aligns them and averages them at full resolution.

    The micrographs are seen twice, one at a time: `gather` each, `align`, then `add` each in the same order;
    `result` is the template. In memory are the binned boxes only. `skipped` are those whose box leaves the
    micrograph; `agreement` is that of two halves, if `align` was asked for it.
    """

    settings: AverageSettings
    used: int = 0
    skipped: int = 0
    agreement: SplitHalf | None = None
    _images: list[Array] = field(default_factory=list)
    _marks: list[Array] = field(default_factory=list)
    _centres: list[Array] = field(default_factory=list)
    _poses: Poses | None = None
    _added: int = 0
    _total: Array = field(default_factory=lambda: np.zeros(()))

    def gather(self, micrograph: Array, xy: Array) -> None:
        """Take the particles of a micrograph (H, W) at `xy`, (n, 2) of x and y in pixels.

        Those whose box leaves the micrograph are skipped. Raises InputError if no box fits at all.
        """
        box, k = self.settings.box, self.settings.bin
        if box > min(micrograph.shape):
            raise InputError(f"box of {box} px is larger than the micrograph of {micrograph.shape[1]} x"
                             f" {micrograph.shape[0]}: give a smaller one")
        inside = fits((micrograph.shape[0], micrograph.shape[1]), xy, box)
        self.skipped += int((~inside).sum())
        self.used += int(inside.sum())
        if inside.any():
            at = (xy[inside] - (k - 1) / 2) / k
            images, marks = cut(binned(micrograph, k), at, self._small_box + 2 * self._reach)
            self._images.extend(normalised(image) for image in images)
            self._marks.append(marks)
            self._centres.append(np.rint(at)[:, ::-1])

    def align(self, tell: Callable[[str], None] = lambda text: None, *, halves: bool = False) -> float:
        """Align the gathered particles; returns their mean correlation with the average.

        halves: see how far two halves of them agree as well

        Raises InputError if there are fewer than two, or their average shows no particle.
        """
        if self.used < 2:
            raise InputError(f"{self.used} of {self.used + self.skipped} particles have their box within the"
                             " micrograph: an average needs at least 2; pick more or give a smaller box")
        s = self.settings
        images, marks = np.stack(self._images), np.concatenate(self._marks)
        aligned = align(images, marks, self._small_box, iterations=s.iterations, rotational=s.rotational,
                        tell=tell)
        if halves:
            tell("halves")
            self.agreement = split_half(images, marks, self._small_box, rotational=s.rotational)
        self._images.clear()
        self._poses = aligned.poses if s.rotational else _settled(aligned, s, self._reach)
        self._total = np.zeros((s.box, s.box))
        return float(aligned.poses.score.mean())

    def add(self, micrograph: Array, xy: Array) -> None:
        """Add a micrograph's particles, the same as were gathered, to the average."""
        from scipy.ndimage import spline_filter

        assert self._poses is not None
        box, k = self.settings.box, self.settings.bin
        count = int(fits((micrograph.shape[0], micrograph.shape[1]), xy, box).sum())
        if not count:
            return
        here = slice(self._added, self._added + count)
        small = np.concatenate(self._centres)[here] + self._poses.shift[here]
        coefficients = spline_filter(micrograph, order=3, output=np.float32, mode="nearest")
        for psi, centre in zip(self._poses.psi[here], small * k + (k - 1) / 2, strict=True):
            self._total += normalised(resampled(coefficients, psi, centre, box, prefiltered=True))
        self._added += count

    def result(self) -> Array:
        """The template, float32 (box, box): contrast as in the micrographs, in standard deviations."""
        mean = self._total / max(self._added, 1)
        whole = rotational_average(mean) if self.settings.rotational else self.settings.symmetry.average(mean)
        return np.asarray(whole, np.float32)

    @property
    def _small_box(self) -> int:
        return round(self.settings.box / self.settings.bin)

    @property
    def _reach(self) -> int:
        """The largest shift in binned pixels."""
        return int(np.ceil(self.settings.max_shift / self.settings.bin))


def _settled(aligned: Alignment, settings: AverageSettings, reach: int) -> Poses:
    """The poses that make the average upright, its symmetry's centre the centre pixel."""
    poses, average, symmetry = aligned.poses, aligned.average, settings.symmetry
    if symmetry.fold > 1:
        y, x = symmetry_centre(average, symmetry.fold, reach)
        poses = poses.moved(y, x)
        average = resampled(average, 0, np.array([y, x]) + len(average) // 2, len(average))
    turn = upright_turn(silhouette(average, settings.contrast))
    poses, average = poses.turned(turn), rotate(average, turn)
    turn, x, fit = mirror_axis(average, reach)
    if symmetry.mirror or fit > MIRROR_LIKE:
        poses = poses.turned(turn)
    # Where turns have fixed the centre already, the mirror goes through it.
    return poses.moved(0, x) if symmetry.mirror and symmetry.fold == 1 else poses
