"""Annotated micrographs with templates: real ones by name, and the simulated set that stands in for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gembench.data.sets import cache_folder, find_set
from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.io.coordinates import read_coordinates
from gembench.io.names import micrograph_key

SIMULATED_SEED = 2013


@dataclass(frozen=True)
class Annotated:
    """Micrographs that are annotated, what is on them, and what to look for; pixel_size in A/px."""

    micrographs: list[Path]
    truth: list[Picks]
    templates: Path
    masks: Path
    pixel_size: float


def annotated_set(name: str) -> Annotated:
    """The real set of this name.

    Raises InputError if it is not on this machine, or has no annotations, templates or masks.
    """
    found = find_set(name)
    if found is None:
        raise InputError(f"data set {name} is not here: `gembench data fetch {name}`, or set GEMBENCH_DATA")
    if found.annotations is None or found.templates is None or found.masks is None or not found.pixel_size:
        raise InputError(
            f"{found.folder}: annotations, templates.mrcs, masks.mrcs or the pixel size are missing:"
            " `gembench templates --from-picks` makes templates and masks"
        )
    truth = read_coordinates(found.annotations)
    names = {micrograph_key(picks.micrograph) for picks in truth}
    micrographs = [path for path in found.micrographs if micrograph_key(path) in names]
    return Annotated(micrographs, truth, found.templates, found.masks, found.pixel_size)


def simulated_set(count: int, size: int = 2048) -> Annotated:
    """`count` simulated micrographs, made once and kept in the user's cache."""
    from gembench.data.simulate import PIXEL_SIZE, write_simulated_set

    recipe = _recipe_hash()
    folder = cache_folder() / f"simulated-{SIMULATED_SEED}-{count}x{size}-{recipe}"
    if not (folder / "truth.star").is_file():
        write_simulated_set(folder, count, SIMULATED_SEED, size)
    truth = read_coordinates(folder / "truth.star")
    return Annotated(
        sorted(folder.glob("*.mrc")), truth, folder / "templates.mrcs", folder / "masks.mrcs", PIXEL_SIZE
    )


def _recipe_hash() -> str:
    """Short hash of the simulator's sources, so that a changed simulator is never mistaken for the old."""
    import hashlib

    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:8]

