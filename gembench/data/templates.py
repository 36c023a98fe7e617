"""Templates and masks for simulated KLH: what class averages of the micrographs would look like."""

from __future__ import annotations

import numpy as np

from gembench.data.canvas import Canvas, Grid
from gembench.data.molecule import didecamer
from gembench.data.optics import Optics, contrast_transfer, filtered
from gembench.data.scene import HEIGHT, ROTS, WIDTH
from gembench.data.specimen import add_particle

BOX = 272  # px at 2.2 A/px, the box of the study on KLH data set I
PIXEL_SIZE = 2.2  # A/px
MASK_RIM = 50.0  # A of surroundings that a mask takes in: the halo of the defocus and some background


def simulated_templates() -> tuple[Grid, Grid]:
    """Templates and masks of the two views that KLH lies in, at 2.2 A/px.

    View 0 is the side view with the five-fold axis vertical, averaged over turns about that axis (which
    an in-plane search cannot tell apart); view 1 is the top view. Both are noise-free projections passed
    through the contrast transfer at the mean defocus of the simulated micrographs (2.75 um), as an
    average of particles is: with the bright halo, and with the sign of the micrographs (protein is dark).

    Returns templates, float32 (2, BOX, BOX), contrast relative to the background, and masks, float32
    (2, BOX, BOX) of 0 and 1: a rectangle and a disc, each mapped onto itself by half a turn about the
    centre pixel (BOX//2, BOX//2).
    """
    templates = np.stack([_average(ROTS, tilt=90.0), _average((0.0,), tilt=0.0)])
    return templates, np.stack([rectangle(HEIGHT + MASK_RIM, WIDTH + MASK_RIM), disc(WIDTH / 2 + MASK_RIM)])


def rectangle(height: float, width: float) -> Grid:
    """A mask (BOX, BOX) of 0 and 1: a rectangle of height x width A about the centre pixel."""
    along, across = _from_centre()
    return ((abs(along) <= height / 2) & (abs(across) <= width / 2)).astype(np.float32)


def disc(radius: float) -> Grid:
    """A mask (BOX, BOX) of 0 and 1: a disc of `radius` A about the centre pixel."""
    return (np.hypot(*_from_centre()) <= radius).astype(np.float32)


def _from_centre() -> tuple[Grid, Grid]:
    offset = ((np.arange(BOX) - BOX // 2) * PIXEL_SIZE).astype(np.float32)
    return offset[:, None], offset[None]


def _average(rots: tuple[float, ...], tilt: float) -> Grid:
    """The mean contrast of upright views from these directions, centred in the box."""
    canvas = Canvas(BOX, PIXEL_SIZE)
    for rot in rots:
        add_particle(canvas, didecamer(), rot, tilt, BOX // 2, BOX // 2, 0.0, 1 / len(rots))
    transfer = contrast_transfer(len(canvas.phase), PIXEL_SIZE, Optics())
    return np.ascontiguousarray(canvas.frame(filtered(canvas.phase, transfer)))
