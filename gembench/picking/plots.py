"""The picture of a micrograph's picks."""

from __future__ import annotations

from pathlib import Path

from gembench.drawing import pictures, style
from gembench.engine.picks import Picks
from gembench.io.atomic import make_folder
from gembench.io.images.micrographs import Micrograph

CIRCLE = 0.4  # radius of a pick's circle over the box's longest side
TALL = 0.2, 2.0  # height of a picture over its width: a strip has no page of its own shape
WIDTHS = 5  # scale bars, at the least, in a micrograph


def draw_picks(path: Path, micrograph: Micrograph, picks: Picks, box: tuple[int, int]) -> None:
    """Draw the picks on the micrograph, as PNG; raises InputError if the picture cannot be written."""
    with style.context():
        height, width = micrograph.shape
        tall = min(max(height / width, TALL[0]), TALL[1])
        figure, ax = style.figure(width=style.PAGE, height=style.PAGE * tall)
        pictures.micrograph(ax, micrograph.data, title=f"{micrograph.name}: {len(picks)} picks")
        pictures.picks(ax, picks, CIRCLE * max(box))
        assert micrograph.pixel_size is not None
        length = pictures.round_length(width * micrograph.pixel_size / 10 / WIDTHS)
        pictures.scale_bar(ax, micrograph.shape, micrograph.pixel_size, nanometres=length)
        style.save(figure, make_folder(path.parent) / path.stem, ("png",))
