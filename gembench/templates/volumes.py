"""Templates from a volume: its projections, filtered and resampled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.filters import Contrast
from gembench.errors import InputError
from gembench.io.euler import read_euler
from gembench.io.images.mrc import read_volume
from gembench.templates.boxes import check_resolution, in_box, low_pass
from gembench.templates.projection import VIEWS, Euler, project
from gembench.templates.views import Views

Array = NDArray[Any]

LARGEST = 4096  # pixels of a template's side


def projections(
    file: Path, views: str, *, pixel_size: float | None = None, to_pixel_size: float | None = None,
    box: int | None = None, lowpass: float | None = None, contrast: Contrast = "dark",
) -> Views:
    """Projections of the volume in a file.

    views: names of `projection.VIEWS` with commas between them, or a file of Euler angles
    pixel_size: A/px of the volume, where its header does not say; to_pixel_size: of the templates, None for
        the volume's; box: their side in pixels, None for the volume's
    lowpass: resolution in A at which a Gaussian halves the amplitude; contrast: 'dark' for inverted ones

    Raises InputError for a volume that is missing, not cubic or constant, an unknown view, malformed Euler
    angles, and sizes that make no sense.
    """
    named = _named_views(views)
    volume, voxel = read_volume(file, pixel_size=pixel_size)
    if len(set(volume.shape)) != 1:
        shape = " x ".join(map(str, volume.shape))
        raise InputError(f"{file}: volume of {shape} voxels is not a cube; pad it to one")
    if volume.min() == volume.max():
        raise InputError(f"{file}: all voxels are {volume.flat[0]:g}; give a volume that shows"
                         " something")
    size = voxel if to_pixel_size is None else to_pixel_size
    if not 0 < size < float("inf"):
        raise InputError(f"--to-pixel-size {size:g}: give a positive number of A/px")
    if lowpass is not None:
        check_resolution(lowpass, size)
    side = box if box is not None else round(len(volume) * voxel / size)
    if side < 2:
        raise InputError(f"box of {side} px: give one that holds the particle")
    if side > LARGEST:
        raise InputError(f"box of {side} px, for {len(volume)} voxels of {voxel:g} A at {size:g} A/px, is"
                         f" above {LARGEST}: give a larger pixel size")
    # Turned voxels come from beyond the cube as 0, so its surroundings have to be 0 as well.
    volume = volume - np.median(volume[_surface(volume)])
    sign = -1 if contrast == "dark" else 1
    images, facts = [], []
    for euler in named.values():
        images.append(sign * _image(project(volume, euler), voxel, size, side, lowpass))
        facts.append({"Rot, tilt, psi (°)": ", ".join(f"{angle:g}" for angle in euler)})
    return Views(list(named), np.stack(images).astype(np.float32), size, facts)


def _named_views(text: str) -> dict[str, Euler]:
    """The Euler angles of every view: of named ones, or of the rows of a file by their number."""
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in VIEWS]
    if not unknown:
        return {name: VIEWS[name] for name in names}
    if len(names) == 1 and (Path(text).exists() or Path(text).suffix):
        return {str(number): euler for number, euler in enumerate(read_euler(text), 1)}
    raise InputError(f"--views {text}: '{unknown[0]}' is no view; choose from {', '.join(VIEWS)}, or give a"
                     " file of Euler angles")


def _surface(volume: Array) -> Array:
    """True on the outermost voxels."""
    surface = np.ones(volume.shape, bool)
    surface[1:-1, 1:-1, 1:-1] = False
    return surface


def _image(projection: Array, voxel: float, size: float, box: int, resolution: float | None) -> Array:
    """A projection, filtered, at the templates' pixel size and box."""
    # What the coarser pixels cannot hold is taken off first.
    finest = 2 * size if size > voxel else 0.0
    if resolution is not None or finest:
        projection = low_pass(projection, max(resolution or 0.0, finest), voxel)
    return in_box(projection, box, voxel / size)
