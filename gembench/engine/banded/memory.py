"""What a banded search holds at its most, predicted before each of its stages."""

from __future__ import annotations

from math import isfinite

import numpy as np

from gembench.engine.banded.basis import group_bytes
from gembench.engine.banded.grid import TAPS, CoarseGrid
from gembench.engine.banded.group import CompressedGroup
from gembench.engine.banded.map import BATCH, WAVE
from gembench.engine.banded.sums import ABREAST, DirectSums
from gembench.engine.bank import RotatedTemplate, TemplateBank
from gembench.engine.exact.plan import Plan
from gembench.engine.fft import complex_dtype
from gembench.errors import InputError

CHECKED = 32  # templates turned between two looks at what they take


def turned(bank: TemplateBank, plan: Plan, memory: float) -> list[RotatedTemplate]:
    """All templates of a bank, turned; they and their direct sums take `turned_bytes`.

    Raises InputError as soon as they do not fit into `memory` with a micrograph.
    """
    templates: list[RotatedTemplate] = []
    for k in range(len(bank)):
        templates.append(bank.rotated(k, plan.dtype))
        if isfinite(memory) and (k % CHECKED == 0 or k == len(bank) - 1):
            require_memory(turned_bytes(templates) + 2 * _frame(plan), memory, plan)
    return templates


def turned_bytes(templates: list[RotatedTemplate]) -> int:
    """Of turned templates, and of their direct sums."""
    return sum(t.weights.nbytes + t.mask.nbytes for t in templates) + DirectSums.bytes_of(templates)


def preparing_bytes(plan: Plan, templates: list[RotatedTemplate], step: int, group: int, length: int) -> int:
    """While groups of the bank are compressed, beside what is kept; T and T^2 - 1 are there."""
    most = min(group, len(templates))
    return 2 * _frame(plan) + group_bytes(templates, most, step, length, plan.dtype)


def prepared_bytes(groups: list[CompressedGroup]) -> int:
    """Of compressed groups."""
    return sum(array.nbytes for group in groups for basis in (group.weights, group.masks)
               for array in (basis.coefficients, basis.spectra, basis.energies, basis.lost))


def searching_bytes(
    plan: Plan, grid: CoarseGrid, groups: list[CompressedGroup], templates: list[RotatedTemplate]
) -> int:
    """While a micrograph is searched, beside what is kept."""
    real, wide = plan.dtype.itemsize, complex_dtype(plan.dtype).itemsize
    (ny, nx), (fine_y, _) = grid.shape, grid.fine
    coarse, half = ny * nx, nx // 2 + 1
    spectra = 2 * ny * half * wide
    forward = fine_y * plan.frame[1] * real + half * fine_y * wide
    maps = sum(group.transforms for group in groups) * coarse * real
    near = len(templates) * BATCH // ABREAST * np.dtype(np.int32).itemsize
    looking = len(templates) * BATCH * real + max(g.transforms for g in groups) * BATCH * real * (
        1 + TAPS**2 / grid.step**2) + near
    pixels = int(np.prod(plan.micrograph))
    fine = pixels * (3 * real + 4 + 4)  # score, slack and ripple; index; state and three marks
    settling: float = _frame(plan) + spectra + maps + 7 * coarse * real + fine + WAVE * near
    settling += plan.threads * (looking + DirectSums.patch_bytes(templates))
    return int(max(2 * _frame(plan) + spectra + forward, settling))


def _frame(plan: Plan) -> int:
    return int(np.prod(plan.frame)) * plan.dtype.itemsize


def require_memory(needed: float, memory: float, plan: Plan) -> None:
    """Raises InputError for a search that needs more bytes than are allowed."""
    if needed > memory:
        width, height = plan.micrograph[1], plan.micrograph[0]
        raise InputError(
            f"a banded search of {width} x {height} px in {plan.dtype} needs {needed / 2**30:.2f} GiB,"
            f" {(needed - memory) / 2**30:.2f} more than are left for it: allow more memory"
        )
