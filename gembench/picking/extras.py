"""What `gembench pick` writes when asked: score and index maps, and pictures of the picks."""

from __future__ import annotations

import numpy as np

from gembench.engine.picks import Picks
from gembench.engine.score_map import ScoreMap
from gembench.io.atomic import make_folder
from gembench.io.images.micrographs import Micrograph
from gembench.io.images.mrc import write_mrc
from gembench.picking.folder import PickFolder

CIRCLE = 0.4  # radius of a pick's circle over the box's longest side


def write_maps(folder: PickFolder, micrograph: Micrograph, maps: ScoreMap) -> None:
    """Write the maps as MRC mode 2; raises InputError if a file cannot be written."""
    score, index = folder.maps(micrograph.name)
    make_folder(score.parent)
    write_mrc(score, maps.score, micrograph.pixel_size)
    write_mrc(index, maps.index.astype(np.float32), micrograph.pixel_size)


def draw(folder: PickFolder, micrograph: Micrograph, picks: Picks, box: tuple[int, int]) -> None:
    """Draw the picks on the micrograph; raises InputError if the picture cannot be written."""
    from gembench.study.tell import pictures, style

    path = folder.plot(micrograph.name)
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
