"""What is on the grid, as phase shift: KLH in its views, filaments, contamination, ice and carbon.

Lengths are in A, phase in radians, psi in degrees counter-clockwise as displayed with row 0 on top.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gembench.data.canvas import Canvas, Grid
from gembench.data.molecule import REACH, Units, projected

# A 50 kDa unit displaces 6e4 A^3 of ice; protein minus ice is about 2 V, and 120 kV electrons gain
# 8.6e-4 rad / (V A). The class averages of KLH data set I ask for the same within a tenth at 10 e/A^2.
UNIT_PHASE = 110.0  # rad A^2
PROTEIN_PHASE = UNIT_PHASE / 6e4  # rad per A of solid protein
CONTAMINANT_PHASE = 2.2e-3  # rad per A


def add_particle(canvas: Canvas, units: Units, rot: float, tilt: float, x: float, y: float, psi: float,
                 amount: float = 1.0) -> None:
    """Add a molecule to the phase, its centre at (x, y).

    units: from `didecamer` or `decamer`
    rot, tilt, psi: degrees; at psi 0 and tilt 90 the five-fold axis is vertical with its +z on top
    """
    spans, dy, dx = canvas.around(x, y, REACH)
    canvas.phase[spans] += amount * UNIT_PHASE * projected(units, (rot, tilt, psi - 90), dy[:, 0], dx[0])


def turn_matrix(psi: float) -> NDArray[np.float64]:
    """The matrix (2, 2) from image offsets (dy, dx) to those in the particle before it was turned by psi."""
    c, s = np.cos(np.radians(psi)), np.sin(np.radians(psi))
    return np.array([[c, s], [-s, c]])


def add_filament(canvas: Canvas, x: float, y: float, psi: float, length: float) -> None:
    """Add a rod like tobacco mosaic virus (180 A wide, a narrow channel), which KLH grids often hold."""
    outer, inner = 88.0, 12.0
    spans, dy, dx = canvas.around(x, y, length / 2 + outer)
    (c, s), (_, _) = turn_matrix(psi)
    along, across = c * dy + s * dx, -s * dy + c * dx
    wall = np.sqrt(np.maximum(outer**2 - across**2, 0)) - np.sqrt(np.maximum(inner**2 - across**2, 0))
    ends = soft_step(length / 2 - np.abs(along), 8)
    canvas.phase[spans] += 2 * wall * ends * PROTEIN_PHASE * 0.65  # the packed rod is part water


def add_drops(canvas: Canvas, rng: np.random.Generator, x: float, y: float, diameter: float) -> None:
    """Add one to three merged drops of contamination, 50 A high and dark throughout."""
    for _ in range(rng.integers(1, 4)):
        radius = rng.uniform(0.28, 0.4) * diameter
        away = (diameter / 2 - radius) / canvas.pixel_size
        dx, dy = rng.uniform(-away, away, 2)
        spans, dy, dx = canvas.around(x + dx, y + dy, radius)
        chord = 50 * np.sqrt(np.maximum(1 - (dy**2 + dx**2) / radius**2, 0))
        canvas.phase[spans] += chord * CONTAMINANT_PHASE
        canvas.thickness[spans] += chord


def add_crystals(canvas: Canvas, rng: np.random.Generator, x: float, y: float, diameter: float) -> None:
    """Add a heap of ice crystals, black and sharply grained."""
    for _ in range(rng.integers(3, 8)):
        radius = rng.uniform(0.15, 0.25) * diameter
        away = (diameter / 2 - radius) / canvas.pixel_size
        dx, dy = rng.uniform(-away, away, 2)
        add_clump(canvas, rng, x + dx, y + dy, radius, grain=5, phase=0.13, thickness=180)


def add_clump(canvas: Canvas, rng: np.random.Generator, x: float, y: float, radius: float, grain: float,
              phase: float, thickness: float) -> None:
    """Add an irregular patch of grainy matter.

    radius: of the patch; grain: of its texture; both A
    phase: mean and standard deviation of its phase; thickness: A, at its middle
    """
    from scipy.ndimage import gaussian_filter

    spans, dy, dx = canvas.around(x, y, 1.6 * radius)
    if not dy.size or not dx.size:
        return
    texture = gaussian_filter(rng.standard_normal((dy.size, dx.size), np.float32), grain / canvas.pixel_size)
    angle = np.arctan2(dy, dx)
    edge = radius * (1 + sum(a * np.cos(k * angle) + b * np.sin(k * angle)
                             for k, (a, b) in enumerate(rng.normal(0, 0.12, (3, 2)), start=2)))
    inside = soft_step(edge - np.hypot(dy, dx), 0.08 * radius)
    canvas.phase[spans] += inside * phase * (1 + texture / texture.std())
    canvas.thickness[spans] += inside * thickness


def carbon_film(canvas: Canvas, rng: np.random.Generator) -> Grid:
    """Where the film lies beyond the rim of a 2 um hole, 0 to 1, shape of the canvas."""
    hole = 10_000.0  # A
    half = canvas.size * canvas.pixel_size / 2
    angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.6, 1.1) * half
    offset = ((np.arange(len(canvas.phase)) - canvas.margin) * canvas.pixel_size - half).astype(np.float32)
    from_middle_y = offset[:, None] - np.float32((reach - hole) * np.sin(angle))
    from_middle_x = offset[None] - np.float32((reach - hole) * np.cos(angle))
    return soft_step(np.hypot(from_middle_y, from_middle_x) - hole, 15)


def drained_ice(canvas: Canvas, rng: np.random.Generator) -> Grid:
    """Where the ice has drained away towards one side, 0 to 1, shape of the canvas."""
    angle, rim, soft = rng.uniform(0, 2 * np.pi), rng.uniform(0.35, 0.9), rng.uniform(0.08, 0.2)
    u = np.linspace(-1, 1, len(canvas.phase), dtype=np.float32)
    along = u[:, None] * np.float32(np.sin(angle)) + u * np.float32(np.cos(angle))
    return soft_step(along - np.float32(rim), soft)


def soft_step(distance: NDArray[np.float32], width: float) -> Grid:
    """0 where `distance` is far below 0, 1 where far above, float32; `width` has the unit of `distance`."""
    from scipy.special import expit

    step: Grid = expit(np.asarray(distance, np.float32) / np.float32(width))
    return step


def add_carbon(canvas: Canvas, rng: np.random.Generator, film: Grid) -> None:
    """Add a carbon film, amorphous and 250 A thick, where `film` is 1."""
    from scipy.ndimage import gaussian_filter

    grains = gaussian_filter(rng.standard_normal(film.shape, np.float32), 3 / canvas.pixel_size)
    canvas.phase += film * (0.15 * grains / grains.std() + 0.2)
    canvas.thickness += film * 250


def add_ice(canvas: Canvas, rng: np.random.Generator, thin: Grid | None) -> None:
    """Add amorphous ice about 400 A thick: its granularity, its slope and bowl, and where it has drained.

    thin: from 0 to 1 where the ice has drained away, the shape of the canvas, or None
    """
    n = len(canvas.phase)
    canvas.phase += 0.02 * 2.2 / canvas.pixel_size * rng.standard_normal((n, n), np.float32)
    u = np.linspace(-1, 1, n, dtype=np.float32)
    slope_y, slope_x, bowl = rng.normal(0, (30, 30, 25)).astype(np.float32)
    canvas.thickness += slope_y * u[:, None] + slope_x * u + bowl * (u[:, None] ** 2 + u**2) + 400
    if thin is not None:
        canvas.thickness -= np.float32(rng.uniform(100, 250)) * thin
