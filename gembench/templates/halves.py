"""Templates made from one half of annotated micrographs, to be judged on the other."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.data.annotated import Annotated
from gembench.data.sets import cache_folder
from gembench.engine import filters
from gembench.engine.bank import TemplateBank
from gembench.engine.peaks import PeakSettings, find_picks
from gembench.engine.picks import FloatArray, Picks
from gembench.engine.search import open_search
from gembench.errors import InputError
from gembench.evaluate.splits import split_halves
from gembench.io.atomic import atomic_text, make_folder
from gembench.io.images.micrographs import read_micrograph
from gembench.io.images.mrc import read_stack, write_stack
from gembench.io.names import micrograph_key
from gembench.templates.averages import AverageSettings, ParticleAverage

Array = NDArray[Any]
LEAST = 0.5  # score of the places that show a view which nobody annotated
MOST = 50  # of them a half: the best


@dataclass(frozen=True)
class Half:
    """One half of the micrographs and templates that none of their particles is in.

    names: keys of the micrographs, see `micrograph_key`; templates: a stack of one image a view
    particles: how many made each view's template
    """

    names: frozenset[str]
    templates: Path
    particles: tuple[int, ...]


def templates_by_halves(
    data: Annotated, views: Sequence[str], settings: Sequence[AverageSettings], distance: float
) -> list[Half]:
    """Both halves of a set's micrographs, each with templates averaged from the annotations of the other.

    views: labels of the annotations, in the order of the set's templates; settings: of each view's average
    distance: pixels that particles keep from each other

    A view that no annotation shows is averaged from the places of the half that score highest with the set's
    template of it, `MOST` at most, away from annotated particles. Templates are made once and kept in the
    user's cache. Raises InputError if a half has too few particles.
    """
    halves = split_halves([path.name for path in data.micrographs])
    if not all(halves):
        raise InputError(f"{data.name}: 1 micrograph cannot be halved: annotate a second field")
    made = []
    for judged, averaged in (halves, halves[::-1]):
        folder = cache_folder() / f"halves-{data.name}-{_recipe(data, views, settings, distance, averaged)}"
        if not (folder / "particles.txt").is_file():
            _write(folder, data, views, settings, distance, averaged)
        counts = tuple(map(int, (folder / "particles.txt").read_text().split()))
        made.append(Half(frozenset(map(micrograph_key, judged)), folder / "templates.mrcs", counts))
    return made


def _write(
    folder: Path, data: Annotated, views: Sequence[str], settings: Sequence[AverageSettings],
    distance: float, names: Sequence[str],
) -> None:
    """Average the particles of some micrographs into a folder; the counts are written last."""
    images = [read_micrograph(path, pixel_size=data.pixel_size).data for path in data.micrographs
              if path.name in names]
    truth = {micrograph_key(marks.micrograph): marks for marks in data.truth}
    marks = [truth[micrograph_key(path)] for path in data.micrographs if path.name in names]
    averages = []
    for view, (label, chosen) in enumerate(zip(views, settings, strict=True)):
        places = [picks.xy[picks.label == label] for picks in marks]
        if not any(map(len, places)):
            places = places_of_view(data, view, images, marks, distance)
        averages.append(_average(label, chosen, images, places))
    make_folder(folder)
    templates = np.stack([average.result() for average in averages])
    write_stack(folder / "templates.mrcs", templates, data.pixel_size, settings[0].contrast)
    atomic_text(folder / "particles.txt", " ".join(str(average.used) for average in averages))


def _average(
    label: str, settings: AverageSettings, images: Sequence[Array], places: Sequence[FloatArray]
) -> ParticleAverage:
    """The aligned average of the particles at some places of images."""
    made = ParticleAverage(settings)
    for image, xy in zip(images, places, strict=True):
        made.gather(image, xy)
    try:
        made.align()
    except InputError as error:
        raise InputError(f"templates by halves, {label} view: {error}") from None
    for image, xy in zip(images, places, strict=True):
        made.add(image, xy)
    return made


def places_of_view(
    data: Annotated, view: int, images: Sequence[Array], marks: Sequence[Picks], distance: float
) -> list[FloatArray]:
    """Where the set's own template of a view scores highest, away from the marks: (n, 2) x, y per image."""
    templates, masks = (read_stack(path, pixel_size=data.pixel_size)[0][view : view + 1]
                        for path in (data.templates, data.masks))
    bank = TemplateBank(templates, masks, symmetry=(0,))
    search = open_search(bank)
    places = []
    for image, marked in zip(images, marks, strict=True):
        smooth, shift = filters.average(image, 4)
        picks = find_picks(search.run(smooth), bank, PeakSettings(threshold=LEAST, distance=distance))
        places.append(_away(picks.shifted(-shift, -shift), marked, distance))
    scores = np.sort(np.concatenate([picks.score for picks in places]))[::-1]
    least = scores[min(MOST, len(scores)) - 1] if len(scores) else 0.0
    return [picks[picks.score >= least].xy for picks in places]


def _away(picks: Picks, marks: Picks, distance: float) -> Picks:
    """The picks that keep a distance from all marks."""
    from scipy.spatial import KDTree

    if not len(marks) or not len(picks):
        return picks
    return picks[KDTree(marks.xy).query(picks.xy)[0] >= distance]


def _recipe(
    data: Annotated, views: Sequence[str], settings: Sequence[AverageSettings], distance: float,
    names: Sequence[str],
) -> str:
    """Short hash of all that decides the templates: micrographs, marks, settings and the code."""
    digest = hashlib.sha256(repr((list(views), list(settings), distance, LEAST, MOST)).encode())
    digest.update(data.templates.read_bytes())
    for path in (path for path in data.micrographs if path.name in names):
        digest.update(f"{path.name}{path.stat().st_size}".encode())
    for marks in data.truth:
        digest.update(f"{marks.micrograph}{marks.xy.tolist()}{marks.label.tolist()}".encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]
