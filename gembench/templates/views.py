"""Templates of several views, with their masks and what there is to say of them."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gembench.engine.filters import Contrast, template_contrast
from gembench.errors import InputError
from gembench.templates.masks import MaskShape, mask_of

Array = NDArray[Any]
log = logging.getLogger("gembench")
MARGIN = 0.04  # of the box, that a mask takes in of the surroundings


@dataclass
class Views:
    """Templates and what there is to say of them.

    names: of the views; templates: (v, N, N) float32; pixel_size: A/px
    facts: of each view, what there is to say of it, by heading
    masks: (v, N, N) float32 of 0 and 1, once made, and the shape of each
    agreements: of averages, how well those of two halves of the particles correlate, None of too few
    """

    names: list[str]
    templates: Array
    pixel_size: float
    facts: list[dict[str, str]]
    masks: Array = field(default_factory=lambda: np.empty((0, 0, 0), np.float32))
    mask_shapes: list[str] = field(default_factory=list)
    agreements: list[float | None] = field(default_factory=list)


def add_masks(
    views: Views, contrast: Contrast, shape: MaskShape | Literal["auto"], margin: float | None
) -> None:
    """Make a mask for every view, and warn of those that show their particle in the other contrast.

    shape: see `masks.mask_of`; margin: pixels of the surroundings, None for MARGIN
    Raises InputError, naming the view, where no mask can be made.
    """
    pixels = margin if margin is not None else MARGIN * views.templates.shape[1]
    masks = []
    for name, template in zip(views.names, views.templates, strict=True):
        try:
            mask, made = mask_of(template, contrast, shape, pixels)
        except InputError as error:
            raise InputError(f"view {name}: {error}") from error
        if template_contrast(template, mask) not in (contrast, None):
            log.warning("view %s does not look %s; is --contrast right?", name, contrast)
        masks.append(mask)
        views.mask_shapes.append(made)
    views.masks = np.stack(masks).astype(np.float32)
