"""The coarse scores of one micrograph: all templates on the coarse grid, and how far they may be off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.banded.errors import BankRings, ErrorModel
from gembench.engine.banded.grid import CoarseGrid
from gembench.engine.banded.group import CompressedGroup
from gembench.engine.banded.interpolation import Interpolation, of_least_error, polynomial
from gembench.engine.banded.workers import Each
from gembench.engine.exact.kernels import BLOCK
from gembench.engine.fft import FFTLibrary
from gembench.engine.score_map import NO_SCORE

Array = NDArray[Any]


@dataclass
class StepBank:
    """The bank for one step."""

    grid: CoarseGrid
    groups: list[CompressedGroup] = field(default_factory=list)


@dataclass(frozen=True)
class Coarse:
    """What the coarse grid tells of one micrograph.

    score, index, inverse, lowest: (ny, nx), see `CompressedGroup.fold`; maps: one a group
    between: how numerators, and means under masks, are read between coarse pixels
    """

    grid: CoarseGrid
    groups: list[CompressedGroup]
    maps: list[Array]
    score: Array
    index: Array
    inverse: Array
    lowest: Array
    between: tuple[Interpolation, Interpolation]
    errors: ErrorModel

    @property
    def doubtful(self) -> float:
        """The part of the micrograph where some sigma is too small for its error."""
        return float(self.errors.doubtful(self.lowest, self.errors.strength)[self.index >= 0].mean())


def search_coarse(
    bank: StepBank, rings: BankRings, library: FFTLibrary, spectra: Sequence[Array],
    powers: tuple[Array, Array], each: Each,
) -> Coarse:
    """All templates on the coarse grid, of the spectra there, and the powers by ring, of T and of T^2 - 1.

    each: see `workers.Each`
    """
    grid, groups = bank.grid, bank.groups
    score = np.full(grid.shape, NO_SCORE, spectra[0].real.dtype)
    index = np.full(grid.shape, -1, np.int32)
    inverse, lowest = np.zeros_like(score), np.full_like(score, np.inf)
    all_maps = []
    for group in groups:
        maps = group.maps(library, spectra[0], spectra[1], each)
        each(
            lambda row, group=group, maps=maps: group.fold(  # type: ignore[misc]
                maps, score, index, inverse, lowest, slice(row, min(row + BLOCK, grid.shape[0]))
            ), range(0, grid.shape[0], BLOCK),
        )
        all_maps.append(maps)
    between = of_least_error(grid.step, rings.energies.mean(0) * np.sqrt(powers[0])), polynomial(grid.step)
    errors = ErrorModel.measured(rings, grid, groups, library, spectra, powers, between)
    return Coarse(grid, groups, all_maps, score, index, inverse, lowest, between, errors)
