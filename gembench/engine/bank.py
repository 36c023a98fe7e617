"""Templates and masks, turned in the plane and normalised: the bank that a search runs through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from gembench.engine.ncc import ncc
from gembench.engine.normalise import normalised_weights
from gembench.engine.turning import Interpolation, disc_mask, is_disc, rotate, rotate_mask
from gembench.errors import InputError

Array = NDArray[Any]
MASK_BYTES = 16 << 20  # of turned masks that a bank keeps


def grid_angles(step: float) -> NDArray[np.float64]:
    """Angles 0, step, 2 step, ... below 360 degrees. Raises InputError unless step is in (0, 360]."""
    if not 0 < step <= 360:
        raise InputError(f"angle step {step} degrees is outside (0, 360]: choose a step such as 4")
    return np.arange(0, 360 - 1e-9, step)


@dataclass(frozen=True, eq=False)
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

    def score_at(self, image: Array, y: int, x: int) -> float | None:
        """NCC with the template's centre at pixel (y, x) of `image`, summed directly in float64.

        None where the cut does not lie inside the image, or the image is constant under the mask.
        """
        top, left = y + self.offset[0], x + self.offset[1]
        height, width = self.mask.shape
        under = image[max(top, 0) : top + height, max(left, 0) : left + width].astype(np.float64)
        if top < 0 or left < 0 or under.shape != self.mask.shape:
            return None
        inside = under[self.mask]
        return float(ncc(self.weights, self.mask, under)[0, 0]) if inside.min() < inside.max() else None

    @property
    def mask_key(self) -> tuple[tuple[int, ...], bytes]:
        """Equal for templates that share their sigma map."""
        return self.mask.shape, np.packbits(self.mask).tobytes()


@dataclass(frozen=True, eq=False)
class TemplateBank:
    """Every view at every in-plane angle, view by view; without symmetry, index = view * len(angles) + angle.

    templates: (v, h, w) float, contrast as in the micrograph
    masks: (v, h, w) or (1, h, w), true inside; None takes the largest disc that fits the box
    angles: (a,) degrees, counter-clockwise as displayed with y down
    symmetry: of each view in the plane: n if it repeats after 360 / n degrees, 0 if at every angle; only
        angles below the first repeat are used. None for no symmetry
    pixel_size: A/px, None if unknown
    numbers: what picks call each view, as where the file it is from holds others too; None for 0, 1, ...
    decoys: the last so many views are of what is not wanted: they compete at every place, and what they win
        is no pick

    Raises InputError for an empty mask, a mask of another shape, a template constant under its mask,
    and for values that are not finite.
    """

    templates: Array
    masks: Array | None = None
    angles: Array = field(default_factory=lambda: np.zeros(1))
    interpolation: Interpolation = "bilinear"
    pixel_size: float | None = None
    symmetry: tuple[int, ...] | None = None
    numbers: tuple[int, ...] | None = None
    decoys: int = 0

    def __post_init__(self) -> None:
        templates = np.asarray(self.templates, np.float64)
        if templates.ndim == 2:
            templates = templates[None]
        if templates.ndim != 3 or 0 in templates.shape:
            raise InputError(f"templates have shape {templates.shape}: give (views, height, width)")
        if not np.isfinite(templates).all():
            raise InputError("templates hold NaN or infinite values: remove them")
        masks = _checked_masks(self.masks, templates.shape)
        for view, (template, mask) in enumerate(zip(templates, masks, strict=True)):
            normalised_weights(template, mask, f"template {self.numbers[view] if self.numbers else view}")
        angles = np.atleast_1d(np.asarray(self.angles, np.float64))
        if angles.ndim != 1 or not angles.size or not np.isfinite(angles).all():
            raise InputError(f"angles have shape {angles.shape}: give one or more finite numbers of degrees")
        object.__setattr__(self, "templates", templates)
        object.__setattr__(self, "masks", masks)
        object.__setattr__(self, "angles", angles)
        if self.symmetry is not None and (len(self.symmetry) != len(templates) or min(self.symmetry) < 0):
            raise InputError(f"symmetry {self.symmetry}, {len(templates)} views: give each 1, 2, ... or 0")
        if not 0 <= self.decoys < len(templates):
            raise InputError(f"{self.decoys} decoys of {len(templates)} views: give at least one template")

    def __len__(self) -> int:
        return int(self._starts[-1])

    @cached_property
    def _view_angles(self) -> list[Array]:
        """The angles that each view is turned by."""
        if self.symmetry is None:
            return [self.angles] * len(self.templates)
        turns = self.angles - self.angles.min()
        return [self.angles[turns < 360 / n - 1e-9] if n else self.angles[:1] for n in self.symmetry]

    @cached_property
    def _starts(self) -> Array:
        """The index of each view's first template, and the length of the bank."""
        return np.cumsum([0, *map(len, self._view_angles)])

    @property
    def box(self) -> tuple[int, int]:
        """(h, w) of the template box in pixels."""
        return self.templates.shape[1], self.templates.shape[2]

    def view(self, index: ArrayLike) -> Array:
        """The unrotated template of each bank index."""
        return np.asarray(np.searchsorted(self._starts, np.asarray(index), "right") - 1)

    def number(self, index: ArrayLike) -> Array:
        """What picks call the view of each bank index."""
        view = self.view(index)
        return view if self.numbers is None else np.asarray(self.numbers)[view]

    def is_decoy(self, index: ArrayLike) -> Array:
        """Whether each bank index is of a decoy."""
        return np.asarray(self.view(index) >= len(self.templates) - self.decoys)

    def psi(self, index: ArrayLike) -> Array:
        """The in-plane angle of each bank index, degrees."""
        return np.asarray(np.concatenate(self._view_angles)[np.asarray(index)])

    def mask(self, index: int) -> Array:
        """The turned mask of one bank index, (h, w) bool."""
        assert self.masks is not None
        view = int(self.view(index))
        return np.asarray(self.masks[view] if self.disc_views[view] else self._turned_mask(index))

    @cached_property
    def _turned_mask(self) -> Callable[[int], Array]:
        """The turned mask of one bank index, not to be written to; the latest few are kept."""
        def turned(index: int) -> Array:
            assert self.masks is not None
            mask = rotate_mask(self.masks[int(self.view(index))], float(self.psi(index)))
            mask.setflags(write=False)
            return mask

        return lru_cache(max(1, MASK_BYTES // (self.box[0] * self.box[1])))(turned)

    def __getstate__(self) -> dict[str, Any]:
        """Without the masks that are kept."""
        return {name: value for name, value in vars(self).items() if name != "_turned_mask"}

    @cached_property
    def disc_views(self) -> tuple[bool, ...]:
        """For each view whether its mask is a disc, which no turn changes."""
        assert self.masks is not None
        return tuple(is_disc(mask) for mask in self.masks)

    @cached_property
    def half_turn_views(self) -> tuple[bool, ...]:
        """For each view whether half a turn leaves its mask as it is, so that two angles share one."""
        assert self.masks is not None
        return tuple(np.array_equal(rotate_mask(mask, 180), mask) for mask in self.masks)

    def rotated(self, index: int, dtype: DTypeLike = np.float64) -> RotatedTemplate:
        """Template and mask `index`, turned, cut to the mask and normalised under it."""
        view, psi = int(self.view(index)), float(self.psi(index))
        mask = self.mask(index)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if not rows.size:
            raise InputError(f"the mask of view {view} is empty when turned by {psi:g} degrees: widen it")
        cut = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        image = rotate(self.templates[view], psi, self.interpolation)[cut]
        turn = -1 if psi % 360 >= 180 else 1  # sums run the same way as for psi - 180, so that the bits agree
        weights = normalised_weights(
            image[::turn, ::turn], mask[cut][::turn, ::turn], f"template of view {view} at {psi:g} degrees"
        )[::turn, ::turn]
        offset = (int(rows[0]) - self.box[0] // 2, int(columns[0]) - self.box[1] // 2)
        weights, mask = weights.astype(dtype), np.ascontiguousarray(mask[cut])
        return RotatedTemplate(index, view, psi, weights, mask, offset)

    def search_order(self) -> Iterator[int]:
        """Every index once, an angle followed by its 180-degree turn, since the two may share a mask."""
        for start, angles in zip(self._starts.tolist(), self._view_angles, strict=False):
            yield from (start + np.argsort(np.round(angles % 180, 6), kind="stable")).tolist()

    def share(self, part: int, parts: int) -> list[int]:
        """The indices of one of `parts` shares of the bank, in search order; some may be empty.

        A view whose turns all have one mask, a disc, takes fewer transforms than the others: every share gets
        as many of either kind, neighbours in search order. Raises InputError unless 0 <= part < parts.
        """
        if not 0 <= part < parts:
            raise InputError(f"share {part} of {parts}: give a number from 0 to {parts - 1}")
        order = np.array(list(self.search_order()), np.int64)
        disc = np.array(self.disc_views)[self.view(order)]
        own = np.zeros(len(order), bool)
        for kind, place in ((~disc, part), (disc, parts - 1 - part)):  # what is odd evens out
            places = np.flatnonzero(kind)
            own[places[place * len(places) // parts : (place + 1) * len(places) // parts]] = True
        return [int(index) for index in order[own]]

    @property
    def reach(self) -> int:
        """Farthest that any turned mask extends from the centre pixel along an axis, pixels."""
        assert self.masks is not None
        y, x = np.indices(self.box)
        radius = np.hypot(y - self.box[0] // 2, x - self.box[1] // 2)
        return int(np.ceil(radius[self.masks.any(0)].max())) + 1


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
