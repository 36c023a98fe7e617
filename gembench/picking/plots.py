"""The picture of a micrograph's picks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gembench.engine.picks import Picks
from gembench.io.atomic import make_folder
from gembench.io.images.micrographs import Micrograph
from gembench.study.tell import pictures, style

CIRCLE = 0.4  # radius of a pick's circle over the box's longest side


def draw_picks(path: Path, micrograph: Micrograph, picks: Picks, box: tuple[int, int]) -> None:
    """Draw the picks on the micrograph, as PNG; raises InputError if the picture cannot be written."""
    with style.context():
        height, width = micrograph.shape
        figure, ax = style.figure(width=style.PAGE, height=style.PAGE * height / width)
        pictures.micrograph(ax, micrograph.data, title=f"{micrograph.name}: {len(picks)} picks")
        pictures.picks(ax, picks, CIRCLE * max(box))
        assert micrograph.pixel_size is not None
        length = _scale_bar(width * micrograph.pixel_size / 10)
        pictures.scale_bar(ax, micrograph.shape, micrograph.pixel_size, nanometres=length)
        style.save(figure, make_folder(path.parent) / path.stem, ("png",))


def _scale_bar(width: float) -> float:
    """The longest of 1, 2, 5, 10, ... nm that is within a fifth of the micrograph's width in nm."""
    decade = 10.0 ** np.floor(np.log10(width / 5))
    return float(max(step * decade for step in (1, 2, 5) if step * decade <= width / 5))
