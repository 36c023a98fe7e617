"""Work to measure the engine by: seeded micrographs with planted particles, and their exact scores."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gembench.engine.bank import TemplateBank
from gembench.engine.score_map import ScoreMap
from gembench.engine.turning import rotate

Array = NDArray[Any]
MaskKind = Literal["own", "ellipse", "disc"]

# Largest difference of a score from the float64 sum; at 4096^2 pixels it is 2e-7 and 1e-15.
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
VISIBLE = 3.0  # at which a planted particle scores about 0.95
FAINT = 0.2  # and 0.7 after a filter at 20 A, where KLH's score 0.5 to 0.7


def egg_template(size: int) -> tuple[Array, Array]:
    """An egg-shaped particle, dark on light, and its mask, in a box of `size` pixels: float64 and bool.

    Neither is symmetric, so that no two in-plane angles share a mask.
    """
    y, x = (np.indices((size, size)) - size // 2) / size
    inside = (x / (0.34 - 0.12 * y)) ** 2 + (y / 0.45) ** 2 <= 1
    stripes = np.cos(9 * np.pi * y) + 0.5 * np.cos(13 * np.pi * (x + 0.3 * y))
    particle = np.exp(-8 * ((x - 0.05) ** 2 + (y + 0.1) ** 2)) * (1 + 0.4 * stripes)
    return -particle, inside


def egg_bank(size: int, count: int, mask: MaskKind = "own", circle: float = 360.0) -> TemplateBank:
    """`count` in-plane turns of `egg_template` over a `circle` of degrees.

    mask: the egg, a mask of its own for every turn; an ellipse, one for each pair of opposite turns; or a
    disc, which all share
    """
    template, own = egg_template(size)
    y, x = (np.indices((size, size)) - size // 2) / size
    masks = {"own": own[None], "ellipse": ((x / 0.34) ** 2 + (y / 0.45) ** 2 <= 1)[None], "disc": None}
    return TemplateBank(template[None], masks[mask], np.arange(count) * circle / count)


def planted_micrograph(
    shape: tuple[int, int], bank: TemplateBank, seed: int = 0, visible: float = VISIBLE
) -> tuple[Array, Array]:
    """White noise with turned particles of the bank on a jittered lattice, float32 (H, W), dark on light.

    visible: standard deviations of the noise that a particle has
    Returns the micrograph and the particles' centres and bank indices, int (n, 3) rows of y, x, index.
    """
    rng = np.random.default_rng(seed)
    image = rng.standard_normal(shape, np.float32)
    box = bank.box[0]
    lattice = np.stack(np.meshgrid(*(np.arange(box, size - 3 * box // 2 + 1, 2 * box) for size in shape),
                                   indexing="ij"), axis=-1).reshape(-1, 2)[:64]
    planted = []
    for corner in lattice + rng.integers(0, box // 2, lattice.shape):
        index = int(rng.integers(len(bank)))
        y, x = corner
        particle = rotate(bank.templates[int(bank.view(index))], float(bank.psi(index)))
        mask = bank.mask(index)
        image[y : y + box, x : x + box][mask] += visible * ((particle - particle[mask].mean())
                                                            / particle[mask].std())[mask]
        planted.append((y + box // 2, x + box // 2, index))
    return image, np.array(planted, int).reshape(-1, 3)


def direct_scores(micrograph: Array, bank: TemplateBank, index: int, places: Array) -> Array:
    """Roseman's score of one template at some centres, as the float64 sum that defines it.

    places: (n, 2) int, rows of y, x. Returns (n,), -inf where the turned mask leaves the micrograph.
    """
    view, mask = int(bank.view(index)), bank.mask(index)
    turned = rotate(bank.templates[view], float(bank.psi(index)), bank.interpolation)
    S = turned[mask] - turned[mask].mean()
    offsets = np.argwhere(mask) - np.array(mask.shape) // 2
    scores = np.full(len(places), -np.inf)
    for i, place in enumerate(places):
        rows, columns = (place + offsets).T
        if min(rows.min(), columns.min()) >= 0 and (place + offsets < micrograph.shape).all():
            T = micrograph[rows, columns].astype(np.float64)
            T -= T.mean()
            scores[i] = S @ T / np.sqrt((S @ S) * (T @ T))
    return scores


@dataclass
class Workload:
    """A micrograph, the bank to search it with, and exact scores at some places.

    places: (n, 2) int, rows of y, x
    """

    micrograph: Array
    bank: TemplateBank
    places: Array

    @classmethod
    def make(
        cls, shape: tuple[int, int], bank: TemplateBank, places: int = 100, seed: int = 0,
        visible: float = VISIBLE,
    ) -> Workload:
        """A planted micrograph; the places are the first particles, then any where a box lies inside."""
        micrograph, planted = planted_micrograph(shape, bank, seed, visible)
        half = bank.box[0] // 2 + 1
        anywhere = np.random.default_rng(seed + 1).integers(half, np.array(shape) - half, (places, 2))
        return cls(micrograph, bank, np.concatenate([planted[: places // 10, :2], anywhere])[:places])

    @cached_property
    def exact(self) -> Array:
        """The float64 score of every template at every place, (places, templates)."""
        scores = [direct_scores(self.micrograph, self.bank, index, self.places)
                  for index in range(len(self.bank))]
        return np.stack(scores, axis=1)

    def check(self, maps: ScoreMap, dtype: str) -> dict[str, float]:
        """The largest error of the maps at the places, as the metric `error_at_places`.

        Raises ValueError if a score is off by more than the tolerance of `dtype`, or if an index names a
        template that scores less than the best by more than that.
        """
        y, x = self.places.T
        best = self.exact.max(axis=1)
        error = float(np.abs(maps.score[y, x] - best).max())
        chosen = self.exact[np.arange(len(y)), maps.index[y, x]]
        lost = float((best - chosen).max())
        if not max(error, lost) <= TOLERANCE[dtype]:
            raise ValueError(f"scores are off by {error:.1e}, templates by {lost:.1e}, of the direct sum;"
                             f" {dtype} allows {TOLERANCE[dtype]:.0e}")
        return {"error_at_places": error}


@dataclass
class Pace:
    """When templates were done: given to `Search.run` as `on_template`, it tells the steady pace.

    What is done once a micrograph (its own transforms, the merging of maps) is thereby left out: among the
    paper's 14,630 templates it vanishes, among the few of a measurement it would not.
    """

    threads: int
    done: list[tuple[float, int]] = field(default_factory=list)

    def __call__(self, templates: int) -> None:
        """Take note that so many more templates are done."""
        self.done.append((time.perf_counter(), templates))

    @property
    def seconds_per_template(self) -> float:
        """Seconds between templates, once every thread has finished its first piece of work."""
        (start, _), *rest = self.done[self.threads - 1 :]
        return (rest[-1][0] - start) / sum(templates for _, templates in rest)


class OneTemplate:
    """The original method's correlation of one template with one micrograph, ready to be timed.

    work: its bank's first template is used; library: an FFT library's name; dtype: float32 or float64
    transform: (ny, nx) of the Fourier transforms, at least the micrograph's shape; None takes the library's
        fast sizes
    """

    def __init__(self, work: Workload, library: str, dtype: str, transform: tuple[int, int] | None) -> None:
        from gembench.engine.exact.correlator import Piece
        from gembench.engine.exact.paper import PaperCorrelator
        from gembench.engine.exact.plan import make_plan
        from gembench.engine.fft import fft_library

        shape = (work.micrograph.shape[0], work.micrograph.shape[1])
        transforms = fft_library(library)
        plan = make_plan(shape, work.bank, transforms, method="paper", dtype=dtype)
        self.work, self.dtype = work, dtype
        self.plan = replace(plan, transform=transform or plan.transform)
        self._correlator = PaperCorrelator(self.plan, transforms)
        self._frame = self._correlator.frame(work.micrograph, lambda _: None)
        self._piece = Piece([[work.bank.rotated(0, dtype)]], shared_mask=False)

    def run(self) -> ScoreMap:
        """2 forward and 3 inverse transforms, Roseman's quotient and the maximum of eq. 1."""
        self._correlator.reset()
        self._correlator.process(self._frame, self._piece)
        return ScoreMap(self._correlator.score, self._correlator.index)

    def check(self, maps: ScoreMap) -> dict[str, float]:
        """See `Workload.check`."""
        return self.work.check(maps, self.dtype)
