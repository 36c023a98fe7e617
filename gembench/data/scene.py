"""Where things lie on a simulated micrograph, and which particles an annotator would call clear."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gembench.data.canvas import Canvas, Grid
from gembench.data.molecule import DECAMER_LENGTH

CELL = 25.0  # A; the grid on which space is taken
COVERED = 0.05  # a particle of which others cover more than this is not a clear one

# Means per square micrometre, such that a micrograph of KLH data set I's size has about 13 clear side
# views and about as many rings. What needs most room is placed first; contamination falls anywhere.
PARTICLES = {"tube": 5.0, "side": 85.0, "top": 42.0, "tilted": 13.0, "half-top": 12.0, "half-side": 7.0}
DENSITY = {"filament": 2.5} | PARTICLES | {"debris": 8.0, "drop": 12.0, "crystals": 0.9}
ROTS = (0.0, 12.0, 24.0, 36.0, 48.0, 60.0)
TILTS = {"side": (90.0, 90.0, 87.0, 93.0), "top": (0.0, 0.0, 3.0), "tilted": (20.0, 45.0, 68.0),
         "half-top": (0.0, 4.0), "half-side": (90.0, 86.0), "tube": (90.0,)}
WIDTH, HEIGHT = 320.0, 365.0  # A; the didecamer's side view


@dataclass(frozen=True)
class Placed:
    """One object on the specimen.

    kind: a key of `DENSITY`
    x, y: centre, micrograph pixels
    psi: degrees counter-clockwise as displayed, 0 with the axis vertical
    height, width: extent along and across the axis, A; round if both are equal
    rot, tilt: degrees; amount: of phase, 1 is a whole particle
    decamers: in a tube
    """

    kind: str
    x: float
    y: float
    psi: float
    height: float
    width: float
    rot: float = 0.0
    tilt: float = 0.0
    amount: float = 1.0
    decamers: int = 0

    def covers(self, y: Grid, x: Grid, pixel_size: float) -> NDArray[np.bool_]:
        """Which of the positions (y, x), micrograph pixels, lie on the object."""
        dy, dx = (y - self.y) * pixel_size, (x - self.x) * pixel_size
        if self.height == self.width:
            disc: NDArray[np.bool_] = np.hypot(dy, dx) <= self.height / 2
            return disc
        c, s = np.cos(np.radians(self.psi)), np.sin(np.radians(self.psi))
        along, across = np.abs(c * dy + s * dx), np.abs(c * dx - s * dy)
        rectangle: NDArray[np.bool_] = (along <= self.height / 2) & (across <= self.width / 2)
        return rectangle

    def half_extent(self, direction: float) -> float:
        """Distance in A from centre to rim towards `direction`, degrees counter-clockwise from right."""
        if self.height == self.width:
            return self.height / 2
        a = np.radians(direction - self.psi)
        sides = (self.width / max(abs(np.cos(a)), 1e-9), self.height / max(abs(np.sin(a)), 1e-9))
        return float(min(sides)) / 2

    def inside(self, size: int, pixel_size: float) -> bool:
        """Whether all of the object lies in a micrograph of `size` pixels."""
        angle = 0.0 if self.height == self.width else np.radians(self.psi)
        c, s = np.cos(angle), np.sin(angle)
        half_x = (self.width * abs(c) + self.height * abs(s)) / 2 / pixel_size
        half_y = (self.height * abs(c) + self.width * abs(s)) / 2 / pixel_size
        return bool(half_x <= self.x <= size - 1 - half_x and half_y <= self.y <= size - 1 - half_y)


def draw_object(rng: np.random.Generator, kind: str) -> Placed:
    """A random object of a kind, not placed yet."""
    decamers = int(rng.integers(3, 7)) if kind == "tube" else 0
    height, width = {
        "side": (HEIGHT, WIDTH), "half-side": (190.0, WIDTH), "tilted": (390.0, 390.0),
        "tube": (decamers * DECAMER_LENGTH, WIDTH), "filament": (float(rng.uniform(1500, 3500)), 180.0),
        "debris": (float(rng.uniform(260, 460)),) * 2, "drop": (float(rng.uniform(170, 370)),) * 2,
        "crystals": (float(rng.uniform(300, 650)),) * 2,
    }.get(kind, (WIDTH, WIDTH))
    tilt = float(rng.choice(TILTS[kind])) if kind in TILTS else 0.0
    amount = float(np.clip(rng.normal(1, 0.08), 0.75, 1.2))
    return Placed(kind, 0.0, 0.0, float(rng.uniform(0, 360)), height, width, float(rng.choice(ROTS)), tilt,
                  amount, decamers)


class Layout:
    """Objects placed one after the other on free ground, sometimes touching, seldom overlapping."""

    def __init__(self, canvas: Canvas, rng: np.random.Generator, barred: Grid | None = None) -> None:
        self.canvas, self.rng, self.barred = canvas, rng, barred
        self.placed: list[Placed] = []
        step = CELL / canvas.pixel_size
        span = np.arange(0, len(canvas.phase), step, dtype=np.float32) - canvas.margin
        self.y, self.x = span[:, None], span[None]
        self.count = np.zeros((span.size, span.size), np.int16)

    def populate(self) -> list[Placed]:
        """Place a random number of objects of each kind; returns them."""
        crowd = float(self.rng.lognormal(0, 0.25))
        for kind, density in DENSITY.items():
            for _ in range(self.rng.poisson(density * self.canvas.area * crowd)):
                self._place(draw_object(self.rng, kind))
        return self.placed

    def _place(self, item: Placed) -> None:
        """Find a place for one object; an object for which forty tries find none is left out."""
        chance, allowed = (0.06, 0.3) if item.kind in PARTICLES else (0.3, 1.0)
        allowed *= float(self.rng.random() < chance)
        for _ in range(40):
            touching = self.placed and self.rng.random() < 0.45
            candidate = self._beside(item) if touching else self._anywhere(item)
            ground = candidate.covers(self.y, self.x, self.canvas.pixel_size)
            if ground.any() and (self.count[ground] > 0).mean() <= allowed and not self._is_barred(candidate):
                self.count += ground
                self.placed.append(candidate)
                return

    def _anywhere(self, item: Placed) -> Placed:
        first, last = -self.canvas.margin, len(self.canvas.phase) - self.canvas.margin
        x, y = self.rng.uniform(first, last, 2)
        return moved(item, float(x), float(y), item.psi)

    def _beside(self, item: Placed) -> Placed:
        """Against a side of an object that is there already, as KLH particles like to lie."""
        other = self.placed[int(self.rng.integers(len(self.placed)))]
        direction = other.psi + 90 * float(self.rng.integers(4))
        psi = other.psi + 90 * float(self.rng.integers(2)) + float(self.rng.normal(0, 10))
        reach = other.half_extent(direction) + replace(item, psi=psi).half_extent(direction)
        distance = (reach + float(self.rng.uniform(5, 50))) / self.canvas.pixel_size
        a = np.radians(direction)
        return moved(item, other.x + distance * float(np.cos(a)), other.y - distance * float(np.sin(a)), psi)

    def _is_barred(self, item: Placed) -> bool:
        """Whether the object lies where no ice would hold it."""
        if self.barred is None:
            return False
        last = len(self.barred) - 1
        row, column = (int(np.clip(round(v + self.canvas.margin), 0, last)) for v in (item.y, item.x))
        return bool(self.barred[row, column] > 0.3)

    def is_clear(self, item: Placed) -> bool:
        """Whether the object lies whole inside the frame with next to nothing on it."""
        ground = item.covers(self.y, self.x, self.canvas.pixel_size)
        return item.inside(self.canvas.size, self.canvas.pixel_size) and bool(
            (self.count[ground] > 1).mean() <= COVERED)


def moved(item: Placed, x: float, y: float, psi: float) -> Placed:
    """The object at another place and angle."""
    return replace(item, x=x, y=y, psi=psi % 360)


def particles_of(item: Placed, pixel_size: float) -> list[Placed]:
    """The particle, or the decamers of a tube: the first has its collar outwards, the others follow it."""
    if not item.decamers:
        return [item]
    a = np.radians(item.psi)
    members = []
    for k in range(item.decamers):
        down = (k - (item.decamers - 1) / 2) * DECAMER_LENGTH / pixel_size
        members.append(moved(item, item.x + down * float(np.sin(a)), item.y + down * float(np.cos(a)),
                             item.psi + (0 if k == 0 else 180)))
    return members
