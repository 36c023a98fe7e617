"""Simulated micrographs of KLH with exact truth: the data that need no download."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np

from gembench.data.canvas import Canvas, Grid
from gembench.data.molecule import decamer, didecamer
from gembench.data.optics import Optics, contrast_transfer, detector_blur, filtered
from gembench.data.scene import PARTICLES, Layout, Placed, particles_of
from gembench.data.specimen import (
    add_carbon,
    add_clump,
    add_crystals,
    add_drops,
    add_filament,
    add_ice,
    add_particle,
    carbon_film,
    drained_ice,
)
from gembench.data.templates import BOX, simulated_templates
from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.machine import cores

PIXEL_SIZE = 2.2  # A/px, as KLH data set I
DOSE = 10.0  # electrons per A^2
MEAN_FREE_PATH = 2200.0  # A of ice, contamination or carbon that takes away 1 - 1/e of the electrons
VIEW_INDEX = {"side": 0, "top": 1}  # the view in `simulated_templates`


def simulate_micrograph(seed: int, index: int, size: int = 2048, pixel_size: float = PIXEL_SIZE
                        ) -> tuple[Grid, Picks]:
    """One far-from-focus micrograph of KLH and what is on it.

    seed, index: not negative; the same pair gives the same micrograph, whatever else is simulated
    size: side of the square micrograph in pixels; pixel_size: A/px

    Returns the image, float32 (size, size) in electrons per pixel, particles dark, and the truth: every
    particle with its centre in the frame, psi, label 'side', 'top' or 'unsure' (tilted, half, in a tube,
    cut by the frame, or covered) and the index of its view in `simulated_templates` (-1 for 'unsure').
    Raises InputError if an argument is out of range.
    """
    if seed < 0 or index < 0:
        raise InputError(f"simulation: seed {seed}, index {index}: neither may be negative")
    canvas = Canvas(size, pixel_size)
    layout_rng, matter_rng, camera_rng = (
        np.random.default_rng(s) for s in np.random.SeedSequence([seed, index]).spawn(3))
    thin = drained_ice(canvas, layout_rng) if layout_rng.random() < 0.2 else None
    film = carbon_film(canvas, layout_rng) if thin is None and layout_rng.random() < 0.06 else None
    layout = Layout(canvas, layout_rng, barred=film if thin is None else thin)
    layout.populate()
    for item in layout.placed:
        add_object(canvas, matter_rng, item)
    add_ice(canvas, matter_rng, thin)
    if film is not None:
        add_carbon(canvas, matter_rng, film)
    expected = expected_electrons(canvas, draw_optics(matter_rng))
    counts = camera_rng.poisson(expected).astype(np.float32)
    image = canvas.frame(filtered(counts, detector_blur(len(counts))))
    return np.ascontiguousarray(image), truth(layout, micrograph_name(index))


def micrograph_name(index: int) -> str:
    """File name of the micrograph with this index, from 0: 'sim_0001.mrc' is the first."""
    return f"sim_{index + 1:04d}.mrc"


def draw_optics(rng: np.random.Generator) -> Optics:
    """Random conditions of one far-from-focus exposure: 2 to 3.5 um underfocus, slight astigmatism."""
    defocus, astigmatism = rng.uniform(20_000, 35_000), rng.uniform(0, 600)
    return Optics(amplitude_contrast=float(rng.uniform(0.07, 0.1)),
                  defocus=(float(defocus + astigmatism / 2), float(defocus - astigmatism / 2)),
                  astigmatism_angle=float(rng.uniform(0, 180)), b_factor=float(rng.uniform(800, 1200)))


def expected_electrons(canvas: Canvas, optics: Optics, dose: float = DOSE) -> Grid:
    """Mean number of electrons per pixel of the canvas, float32, before shot noise and detector blur.

    optics: of the exposure; dose: electrons per A^2
    """
    contrast = filtered(canvas.phase, contrast_transfer(len(canvas.phase), canvas.pixel_size, optics))
    beam = dose * canvas.pixel_size**2 * np.exp(-canvas.thickness / MEAN_FREE_PATH)
    electrons: Grid = np.maximum(beam * (1 + contrast), 0)
    return electrons


def add_object(canvas: Canvas, rng: np.random.Generator, item: Placed) -> None:
    """Draw one placed object onto the canvas; `rng` gives contamination its irregular shape."""
    if item.kind == "filament":
        add_filament(canvas, item.x, item.y, item.psi, item.height)
    elif item.kind == "drop":
        add_drops(canvas, rng, item.x, item.y, item.height)
    elif item.kind == "crystals":
        add_crystals(canvas, rng, item.x, item.y, item.height)
    elif item.kind == "debris":
        add_clump(canvas, rng, item.x, item.y, item.height / 2, grain=11, phase=0.033, thickness=30)
    else:
        for part in particles_of(item, canvas.pixel_size):
            units = decamer() if part.decamers or part.kind.startswith("half") else didecamer()
            add_particle(canvas, units, part.rot, part.tilt, part.x, part.y, part.psi, part.amount)


def truth(layout: Layout, micrograph: str) -> Picks:
    """The particles whose centres lie in the frame, labelled as in `simulate_micrograph`."""
    canvas = layout.canvas
    rows = []
    for item in layout.placed:
        if item.kind not in PARTICLES:
            continue
        label = item.kind if item.kind in VIEW_INDEX and layout.is_clear(item) else "unsure"
        rows += [(m.x, m.y, m.psi, label) for m in particles_of(item, canvas.pixel_size)
                 if 0 <= m.x <= canvas.size - 1 and 0 <= m.y <= canvas.size - 1]
    x, y, psi, labels = zip(*rows, strict=True) if rows else ((), (), (), ())
    views = [VIEW_INDEX.get(label, -1) for label in labels]
    return Picks(micrograph, np.array(x), np.array(y), view=np.array(views, np.int32), psi=np.array(psi),
                 label=np.array(labels, np.str_), pixel_size=canvas.pixel_size)


def write_simulated_set(folder: str | Path, count: int, seed: int, size: int = 2048,
                        each: Callable[[Iterable[int]], Iterable[int]] = iter) -> None:
    """Write `count` simulated micrographs, their truth, templates and masks into a folder.

    folder: created if need be; gets sim_0001.mrc ..., truth.star, templates.mrcs, masks.mrcs,
        the same bytes for the same arguments
    count, seed, size: micrographs, seed and side in pixels
    each: wraps the indices from 0 to count - 1, to show progress

    The truth is written last, so a folder with a truth is complete.
    Raises InputError for values out of range, a folder that holds other micrographs, or one that cannot
    be written.
    """
    from gembench.io.atomic import make_folder
    from gembench.io.coordinates import write_coordinates
    from gembench.io.images.mrc import write_mrc, write_stack

    folder = Path(folder)
    check_set(folder, count, seed, size)
    make_folder(folder)
    templates, masks = simulated_templates()
    write_stack(folder / "templates.mrcs", templates, PIXEL_SIZE)
    write_stack(folder / "masks.mrcs", masks, PIXEL_SIZE)

    def make(index: int) -> Picks:
        image, planted = simulate_micrograph(seed, index, size)
        write_mrc(folder / micrograph_name(index), image, PIXEL_SIZE)
        return planted

    with ThreadPool(min(count, cores())) as pool:
        planted = pool.imap(make, range(count))
        write_coordinates(folder / "truth.star", [next(planted) for _ in each(range(count))])


def check_set(folder: Path, count: int, seed: int, size: int) -> None:
    """Raise InputError if `write_simulated_set` could not use these arguments."""
    if count < 1:
        raise InputError(f"--count {count}: at least one micrograph must be simulated; give 1 or more")
    if seed < 0:
        raise InputError(f"--seed {seed}: a seed is not negative; give 0 or more")
    if size < BOX:
        raise InputError(f"--size {size}: smaller than the template box of {BOX} px; give {BOX} or more")
    ours = {micrograph_name(index) for index in range(count)}
    others = sorted(p.name for p in folder.glob("*.mrc") if p.name not in ours)
    if others:
        raise InputError(f"{folder}: holds {others[0]}, which is not of this set; give an empty folder")
