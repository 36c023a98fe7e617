"""Templates and masks, turned in the plane and normalised: the bank that a search runs through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from gembench.engine.correlate import normalised_weights
from gembench.errors import InputError

Array = NDArray[Any]
Interpolation = Literal["bilinear", "cubic"]
SPLINE_ORDER = {"bilinear": 1, "cubic": 3}


def rotate(
    image: Array, psi: float, interpolation: Interpolation = "bilinear", *, outside: str = "nearest"
) -> Array:
    """Turn `image` (h, w) by `psi` degrees about its centre pixel (h // 2, w // 2).

    psi is counter-clockwise as displayed with y down (row 0 on top); right angles are exact.
    Beyond the box the nearest pixel is taken, or 0 with outside='constant'.
    """
    from scipy.ndimage import affine_transform

    cosine, sine = _exact_cos_sin(psi)
    matrix = np.array([[cosine, sine], [-sine, cosine]])  # output (y, x) to input (y, x)
    centre = np.array([image.shape[0] // 2, image.shape[1] // 2])
    return np.asarray(affine_transform(
        image, matrix, centre - matrix @ centre, order=SPLINE_ORDER[interpolation], mode=outside
    ))


def rotate_mask(mask: Array, psi: float) -> Array:
    """Turn a boolean mask bilinearly about its centre pixel and threshold it again at one half."""
    return rotate(mask.astype(np.float64), psi, outside="constant") > 0.5


def is_disc(mask: Array) -> bool:
    """Whether `mask` is a disc about the centre pixel, to within the pixels its edge runs through.

    Turning such a mask changes edge pixels only, by rounding; a bank keeps it, and every angle shares its
    sigma map.
    """
    y, x = np.indices(mask.shape)
    radius = np.hypot(y - mask.shape[0] // 2, x - mask.shape[1] // 2)
    if not mask.any():
        return False
    outside = radius[~mask].min(initial=np.inf)
    # A disc drawn about the box's middle, half a pixel off the centre pixel, overlaps by 2 * sqrt(1/2).
    return bool(radius[mask].max() < outside + 1.5 and np.isfinite(outside))


def disc_mask(shape: tuple[int, int], radius: float | None = None) -> Array:
    """A boolean disc about the centre pixel; by default the largest that fits the box, less a pixel."""
    if radius is None:
        radius = (min(shape) - 1) // 2
    y, x = np.ogrid[: shape[0], : shape[1]]
    inside: Array = (y - shape[0] // 2) ** 2 + (x - shape[1] // 2) ** 2 <= radius**2
    return inside


def grid_angles(step: float) -> NDArray[np.float64]:
    """Angles 0, step, 2 step, ... below 360 degrees. Raises InputError unless step is in (0, 360]."""
    if not 0 < step <= 360:
        raise InputError(f"angle step {step} degrees is outside (0, 360]: choose a step such as 4")
    return np.arange(0, 360 - 1e-9, step)


@dataclass(frozen=True)
class RotatedTemplate:
    """One template of the bank, cut to the rows and columns that its mask covers.

    index: in the bank; view: of the unrotated template; psi: degrees
    weights: (h', w') float, S M / P with S normalised under M, so that sum(weights * T) is (1/P) sum S M T
    mask: (h', w') bool
    offset: (y, x) of the cut's first pixel from the template's centre pixel
    """

    index: int
    view: int
    psi: float
    weights: Array
    mask: Array
    offset: tuple[int, int]

    @property
    def mask_key(self) -> tuple[tuple[int, ...], bytes]:
        """Equal for templates that share their sigma map."""
        return self.mask.shape, np.packbits(self.mask).tobytes()


@dataclass(frozen=True)
class TemplateBank:
    """Every view at every in-plane angle; index = view * len(angles) + angle number.

    templates: (v, h, w) float, contrast as in the micrograph
    masks: (v, h, w) or (1, h, w), true inside; None takes the largest disc that fits the box
    angles: (a,) degrees, counter-clockwise as displayed with y down
    pixel_size: A/px, None if unknown

    Raises InputError for an empty mask, a mask of another shape, a template constant under its mask,
    and for values that are not finite.
    """

    templates: Array
    masks: Array | None = None
    angles: Array = field(default_factory=lambda: np.zeros(1))
    interpolation: Interpolation = "bilinear"
    pixel_size: float | None = None

    def __post_init__(self) -> None:
        templates = np.asarray(self.templates, np.float64)
        if templates.ndim == 2:
            templates = templates[None]
        if templates.ndim != 3 or 0 in templates.shape:
            raise InputError(f"templates have shape {templates.shape}: give (views, height, width)")
        if not np.isfinite(templates).all():
            raise InputError("templates hold NaN or infinite values: remove them")
        object.__setattr__(self, "templates", templates)
        object.__setattr__(self, "masks", _checked_masks(self.masks, templates.shape))
        object.__setattr__(self, "angles", np.atleast_1d(np.asarray(self.angles, np.float64)))

    def __len__(self) -> int:
        return len(self.templates) * len(self.angles)

    @property
    def box(self) -> tuple[int, int]:
        """(h, w) of the template box in pixels."""
        return self.templates.shape[1], self.templates.shape[2]

    def view(self, index: ArrayLike) -> Array:
        """The unrotated template of each bank index."""
        return np.asarray(index) // len(self.angles)

    def psi(self, index: ArrayLike) -> Array:
        """The in-plane angle of each bank index, degrees."""
        return np.asarray(self.angles[np.asarray(index) % len(self.angles)])

    def mask(self, index: int) -> Array:
        """The turned mask of one bank index, (h, w) bool."""
        assert self.masks is not None
        view = int(self.view(index))
        if self.disc_views[view]:
            return np.asarray(self.masks[view])
        return rotate_mask(self.masks[view], float(self.psi(index)))

    @cached_property
    def disc_views(self) -> tuple[bool, ...]:
        """For each view whether its mask is a disc, which no turn changes."""
        assert self.masks is not None
        return tuple(is_disc(mask) for mask in self.masks)

    def rotated(self, index: int, dtype: DTypeLike = np.float64) -> RotatedTemplate:
        """Template and mask `index`, turned, cut to the mask and normalised under it."""
        view, psi = int(self.view(index)), float(self.psi(index))
        mask = self.mask(index)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if not rows.size:
            raise InputError(f"the mask of view {view} is empty when turned by {psi:g} degrees: widen it")
        cut = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        image = rotate(self.templates[view], psi, self.interpolation)[cut]
        weights = normalised_weights(image, mask[cut], f"template of view {view} at {psi:g} degrees")
        offset = (int(rows[0]) - self.box[0] // 2, int(columns[0]) - self.box[1] // 2)
        weights, mask = weights.astype(dtype), np.ascontiguousarray(mask[cut])
        return RotatedTemplate(index, view, psi, weights, mask, offset)

    def search_order(self) -> Iterator[int]:
        """Every index once, an angle followed by its 180-degree turn, since the two may share a mask."""
        opposite = {a: int(b) for a, b in enumerate(_opposite_angles(self.angles)) if b > a}
        partners = set(opposite.values())
        for view in range(len(self.templates)):
            first = view * len(self.angles)
            for a in range(len(self.angles)):
                if a in partners:
                    continue
                yield first + a
                if a in opposite:
                    yield first + opposite[a]

    @property
    def reach(self) -> int:
        """Farthest that any turned mask extends from the centre pixel along an axis, pixels."""
        assert self.masks is not None
        y, x = np.indices(self.box)
        radius = np.hypot(y - self.box[0] // 2, x - self.box[1] // 2)
        return int(np.ceil(radius[self.masks.any(0)].max())) + 1


def _opposite_angles(angles: Array) -> Array:
    """For every angle the position of the angle 180 degrees on, or -1."""
    opposite = np.full(len(angles), -1)
    position = {round(a % 360, 6): i for i, a in enumerate(angles.tolist())}
    for i, a in enumerate(angles.tolist()):
        opposite[i] = position.get(round((a + 180) % 360, 6), -1)
    return opposite


def _checked_masks(masks: Array | None, shape: tuple[int, ...]) -> Array:
    if masks is None:
        return np.broadcast_to(disc_mask(shape[1:]), shape)  # type: ignore[arg-type]
    masks = np.asarray(masks)
    if masks.ndim == 2:
        masks = masks[None]
    if masks.shape[1:] != shape[1:] or len(masks) not in (1, shape[0]):
        raise InputError(f"masks have shape {masks.shape}, templates {shape}: give one a template, or one")
    peak = np.abs(masks).max(axis=(1, 2), keepdims=True) if masks.size else 0
    binary = masks > 0.5 * peak
    for number, mask in enumerate(binary):
        if not mask.any():
            raise InputError(f"mask {number} is empty: mark the particle's pixels with values above 0")
    return np.broadcast_to(binary, shape)


def _exact_cos_sin(psi: float) -> tuple[float, float]:
    """Cosine and sine of an angle in degrees, exact at right angles."""
    quarter, rest = divmod(psi, 90.0)
    cosine, sine = np.cos(np.deg2rad(rest)), np.sin(np.deg2rad(rest))
    for _ in range(int(quarter) % 4):
        cosine, sine = -sine, cosine
    return float(cosine), float(sine)
