"""Masks from templates: what of the box is particle, and the simple shape that holds it."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gembench.engine.filters import Contrast
from gembench.engine.turning import disc_mask
from gembench.errors import InputError

Array = NDArray[Any]
MaskShape = Literal["rectangle", "disc", "silhouette"]
MASK_SHAPES: tuple[MaskShape, ...] = ("rectangle", "disc", "silhouette")

LEVEL = 0.25  # of the way from background to particle: takes in thin rims, leaves out ripples of an average
SMALLEST_PIECE = 0.25  # of the largest: smaller ones are noise or neighbours
# A disc fills pi/4 = 0.79 of its rectangle and a square 2/pi = 0.64 of its disc.
ROUND, STRAIGHT = 0.85, 0.88


def silhouette(template: Array, contrast: Contrast) -> Array:
    """Where the particle of a template is, holes filled: bool, (h, w).

    template: (h, w) float, the particle about the centre, its surroundings in the corners of the box
    contrast: how the particle looks in the template

    Raises InputError if the template does not stand out from its surroundings.
    """
    from scipy import ndimage

    sign = -1.0 if contrast == "dark" else 1.0
    smooth = ndimage.gaussian_filter(sign * np.asarray(template, np.float64), max(template.shape) / 90)
    smooth -= np.median(smooth[~disc_mask(smooth.shape, min(smooth.shape) / 2)])
    strong = np.percentile(smooth, 98)
    if not strong > 1e-6 * np.abs(template).max():
        raise InputError(f"no {contrast} particle stands out from its surroundings: check the contrast, the"
                         " volume or the picks")
    pieces, count = ndimage.label(smooth > LEVEL * strong)
    area = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    kept = np.flatnonzero(area >= SMALLEST_PIECE * area.max()) + 1
    inside: Array = ndimage.binary_fill_holes(np.isin(pieces, kept))
    return inside


def mask_of(
    template: Array, contrast: Contrast, shape: MaskShape | Literal["auto"] = "auto", margin: float = 0.0
) -> tuple[Array, MaskShape]:
    """A mask that holds a template's particle, and the shape it has.

    template, contrast: as for `silhouette`
    shape: 'rectangle' upright and 'disc', the smallest about the centre pixel, which half a turn maps onto
        itself; 'silhouette', the particle's own; 'auto' takes the disc for a round silhouette, the
        rectangle for one that fills it, and the silhouette for any other
    margin: pixels of surroundings that the mask takes in

    Returns (h, w) bool and the shape. Raises InputError as `silhouette` does.
    """
    from scipy.ndimage import distance_transform_edt

    inside = silhouette(template, contrast)
    chosen = _fitting(inside) if shape == "auto" else shape
    if chosen == "disc":
        return _disc(inside, margin), chosen
    if chosen == "rectangle":
        return _rectangle(inside, margin), chosen
    dilated: Array = distance_transform_edt(~inside) <= margin
    return dilated, chosen


def upright_turn(inside: Array) -> float:
    """The turn in degrees, within (-90, 90], that makes the long axis of a silhouette (h, w) vertical.

    Counter-clockwise as displayed with y down, as `rotate` takes it. The long axis is that of the largest
    second moment.
    """
    y, x = np.nonzero(inside)
    _, axes = np.linalg.eigh(np.cov(np.stack([y, x])))
    long_y, long_x = axes[:, -1]
    turn = float(np.degrees(np.arctan2(-long_x, long_y)))
    return turn - 180 if turn > 90 else turn + 180 if turn <= -90 else turn


def _fitting(inside: Array) -> MaskShape:
    """The simplest shape that the silhouette fills well."""
    area = inside.sum()
    if area >= ROUND * _disc(inside, 0).sum():
        return "disc"
    return "rectangle" if area >= STRAIGHT * _rectangle(inside, 0).sum() else "silhouette"


def _disc(inside: Array, margin: float) -> Array:
    """The smallest disc about the centre pixel, cut to what half a turn keeps within the box."""
    y, x = np.nonzero(inside)
    radius = np.hypot(y - inside.shape[0] // 2, x - inside.shape[1] // 2).max() + margin
    largest = min((n - 1) // 2 for n in inside.shape)
    return disc_mask((inside.shape[0], inside.shape[1]), min(radius, largest))


def _rectangle(inside: Array, margin: float) -> Array:
    """The smallest upright rectangle about the centre pixel, cut to what half a turn keeps in the box."""
    spans = []
    for n, at in zip(inside.shape, np.nonzero(inside), strict=True):
        half = min(np.abs(at - n // 2).max() + int(np.ceil(margin)), (n - 1) // 2)
        spans.append(np.abs(np.arange(n) - n // 2) <= half)
    rectangle: Array = spans[0][:, None] & spans[1][None]
    return rectangle
