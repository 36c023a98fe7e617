"""scikit-image: the masked normalised correlation of Padfield (2012), which its registration is built on.

`phase_cross_correlation` returns only the place of the maximum, `match_template` takes no mask; the map is
to be had from the function that the former calls.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.bank import RotatedTemplate
from gembench.peers.loop import TemplateByTemplate

Array = NDArray[Any]


class ScikitImage(TemplateByTemplate):
    """cross_correlate_masked, with every pixel of the micrograph inside its mask."""

    name = "scikit-image"
    label = "scikit-image"
    module = "skimage.registration._masked_phase_cross_correlation"
    distribution = "scikit-image"
    install = "pip install 'gembench[peers]'"

    def correlate(self, micrograph: Array, template: RotatedTemplate) -> Array:
        image = template.weights * np.float32(template.mask.sum())
        everywhere = np.ones(micrograph.shape, bool)
        masked = import_module(self.module).cross_correlate_masked
        full = masked(micrograph, image, everywhere, template.mask, axes=(0, 1))
        height, width = template.mask.shape
        return np.asarray(full[height - 1 : micrograph.shape[0], width - 1 : micrograph.shape[1]])
