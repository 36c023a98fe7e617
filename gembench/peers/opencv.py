"""OpenCV: matchTemplate with a mask, whose normalised coefficient is Roseman's correlation."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.bank import RotatedTemplate
from gembench.peers.loop import TemplateByTemplate

Array = NDArray[Any]


class OpenCV(TemplateByTemplate):
    """cv2.matchTemplate, TM_CCOEFF_NORMED: template and micrograph less their means under the mask."""

    name = "opencv"
    label = "OpenCV"
    module = "cv2"
    distribution = "opencv-python-headless"
    install = "pip install 'gembench[peers]'"

    def correlate(self, micrograph: Array, template: RotatedTemplate) -> Array:
        cv2 = import_module(self.module)
        cv2.setNumThreads(1)  # its threads do little here; ours run over the templates
        image = template.weights * np.float32(template.mask.sum())
        scores = cv2.matchTemplate(
            micrograph, image, cv2.TM_CCOEFF_NORMED, mask=template.mask.astype(np.float32)
        )
        return np.asarray(np.nan_to_num(scores, nan=0.0, posinf=0.0, neginf=0.0))
