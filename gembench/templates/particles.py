"""Templates from picked particles: the aligned average of those of each label."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.filters import Contrast
from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.io.checks import PIXEL_SIZE_TOLERANCE
from gembench.io.coordinates import read_coordinates
from gembench.io.images.micrographs import Micrograph, find_micrographs, read_micrograph
from gembench.io.names import micrograph_key
from gembench.progress import track
from gembench.templates.averages import AverageSettings, ParticleAverage
from gembench.templates.boxes import check_resolution, low_pass
from gembench.templates.quality import LOW_AGREEMENT, NEIGHBOUR, SMALLER, rim_contrast
from gembench.templates.symmetry import Symmetry
from gembench.templates.views import Views

Array = NDArray[Any]
log = logging.getLogger("gembench")
ALL = "all picks"  # the view that is of no label


@dataclass(frozen=True)
class Particles:
    """Which particles are averaged, and how.

    picks: file or folder of coordinates, or what was read of them; micrographs: folder, or files
    pixel_size: A/px of the micrographs, where neither their headers nor the coordinates say
    labels: of the picks, one view each; none for one view of all picks
    symmetries: [LABEL=]S, see `symmetry.Symmetry.parse`, 0 as rotational; rotational: labels, or '' for all,
        that are averaged over all turns
    iterations, max_shift: see `averages.AverageSettings`, None for 5 and a tenth of the box
    lowpass: resolution in A at which a Gaussian halves the amplitude; contrast: of the micrographs
    """

    picks: Path | Sequence[Picks]
    micrographs: Path | Sequence[Path]
    box: int
    pixel_size: float | None = None
    labels: Sequence[str] = ()
    symmetries: Sequence[str] = ()
    rotational: Sequence[str] = ()
    iterations: int | None = None
    max_shift: float | None = None
    lowpass: float | None = None
    contrast: Contrast = "dark"


def averages(of: Particles, *, quiet: bool = True, warn: bool = True) -> Views:
    """The aligned average of the picks of every label.

    quiet: do not say on stderr how far it is; warn: of averages that are not to be trusted

    Raises InputError for coordinates, micrographs or labels that are missing, unknown symmetries, micrographs
    of several pixel sizes, a box larger than a micrograph, and fewer than two particles that can be used.
    """
    labels: list[str] = list(of.labels) or [ALL]
    settings = _settings(of, labels)
    picks = _with_files(of, labels)
    views = {label: ParticleAverage(settings[label]) for label in labels}
    size = 0.0
    for micrograph, points in _each(of, picks, labels, "cutting boxes", quiet):
        size = _one_size(micrograph, size)
        if of.lowpass is not None:
            check_resolution(of.lowpass, size)
        for label, xy in points.items():
            _named(micrograph.path, views[label].gather, micrograph.data, xy)
    correlations = {}
    for label, view in views.items():
        align = partial(view.align, halves=True)
        correlations[label] = _named(f"view {label}", align, _teller(label, quiet))
    for micrograph, points in _each(of, picks, labels, "averaging", quiet):
        for label, xy in points.items():
            views[label].add(micrograph.data, xy)
    images = [view.result() for view in views.values()]
    if of.lowpass is not None:
        images = [low_pass(image, of.lowpass, size) for image in images]
    for label, view, image in zip(labels, views.values(), images, strict=True):
        if warn:
            _warn_of(label, view, image)
    facts = [_facts(view, correlations[label], size) for label, view in views.items()]
    agreements = [None if view.agreement is None else view.agreement.correlation
                  for view in views.values()]
    return Views(labels, np.stack(images), size, facts, agreements=agreements)


def _facts(view: ParticleAverage, correlation: float, size: float) -> dict[str, str]:
    """What there is to say of an average, by heading; size: A/px of the micrographs."""
    halves = view.agreement
    return {
        "Particles": str(view.used), "Left out": str(view.skipped),
        "Correlation": f"{correlation:.3f}",
        "Halves": "-" if halves is None else f"{halves.correlation:.2f}",
        "FRC 0.5 (A)": "-" if halves is None else f"{halves.resolution(size * view.settings.bin):.0f}",
    }


def _warn_of(label: str, view: ParticleAverage, image: Array) -> None:
    """Warn of an average that two halves do not agree on, and of one with a neighbour at its rim."""
    halves, box = view.agreement, view.settings.box
    if halves is not None and halves.correlation < LOW_AGREEMENT:
        log.warning("view %s: two halves of the particles, in boxes of %d and %d px, have averages that"
                    " correlate by %.2f only: do not trust it; look at it with --plots, and try another"
                    " --box, a smaller --max-shift, or --rotational for a round view", label, box,
                    box - SMALLER * view.settings.bin, halves.correlation)
    if rim_contrast(image, view.settings.contrast) > NEIGHBOUR:
        log.warning("view %s: a neighbour shows at the rim of the box of %d px: give a smaller --box or"
                    " --max-shift", label, box)


def _settings(of: Particles, labels: list[str]) -> dict[str, AverageSettings]:
    """The settings of every view; raises InputError for an option that names no view."""
    if len(set(labels)) < len(labels):
        raise InputError(f"--label {max(labels, key=labels.count)} is given twice: once is enough")
    symmetry = dict.fromkeys(labels, Symmetry())
    rotational = {label for text in of.rotational for label in _of("rotational", text, labels)}
    for text in of.symmetries:
        label, _, value = text.rpartition("=")
        views = _of("symmetry", label, labels)
        if value == "0":
            rotational |= set(views)
        else:
            symmetry |= dict.fromkeys(views, Symmetry.parse(value))
    return {
        label: AverageSettings(
            of.box, of.max_shift if of.max_shift is not None else of.box / 10,
            of.iterations if of.iterations is not None else 5, symmetry[label], label in rotational,
            of.contrast,
        )
        for label in labels
    }


def _of(option: str, label: str, labels: list[str]) -> list[str]:
    """The labels that an option is about: the one it names, or all."""
    if label and label not in labels:
        raise InputError(f"--{option} {label}: there is no such view; choose from {', '.join(labels)}")
    return [label] if label else labels


def _with_files(of: Particles, labels: list[str]) -> list[tuple[Path, Picks]]:
    """The picks of every micrograph that has any to average, with the micrograph's file."""
    tables = read_coordinates(of.picks) if isinstance(of.picks, Path) else of.picks
    for label in labels:
        if not any(_chosen(picks, label).any() for picks in tables):
            names = sorted({str(name) for picks in tables for name in picks.label if name})
            remedy = f"choose from {', '.join(names)}" if names else "give coordinates of labelled particles"
            which = "" if label == ALL else f" with label {label}"
            raise InputError(f"{of.picks}: no picks{which}; {remedy}")
    where = [of.micrographs] if isinstance(of.micrographs, Path) else of.micrographs
    files = {micrograph_key(path): path for path in find_micrographs(where)}
    labelled = [picks for picks in tables if any(_chosen(picks, label).any() for label in labels)]
    for picks in labelled:
        if micrograph_key(picks.micrograph) not in files:
            raise InputError(f"{where[0]}: micrograph {picks.micrograph} is not in this folder; add it or"
                             " leave out its picks")
    return [(files[micrograph_key(picks.micrograph)], picks) for picks in labelled]


def _chosen(picks: Picks, label: str) -> Array:
    """Which picks are of a view, bool (n,)."""
    return np.ones(len(picks), bool) if label == ALL else np.asarray(picks.label == label)


def _each(
    of: Particles, picks: list[tuple[Path, Picks]], labels: list[str], doing: str,
    quiet: bool,
) -> Iterator[tuple[Micrograph, dict[str, Array]]]:
    """Every micrograph with the points of every view on it."""
    for path, those in track(picks, description=doing, quiet=quiet):
        micrograph = read_micrograph(path, pixel_size=of.pixel_size or those.pixel_size)
        yield micrograph, {label: those.xy[_chosen(those, label)] for label in labels}


def _one_size(micrograph: Micrograph, size: float) -> float:
    """The pixel size of the micrographs so far; raises InputError if this one has another."""
    assert micrograph.pixel_size is not None  # read_micrograph requires it
    if size and abs(micrograph.pixel_size - size) > PIXEL_SIZE_TOLERANCE * size:
        raise InputError(f"{micrograph.path}: pixel size is {micrograph.pixel_size:g} A/px but that of others"
                         f" is {size:g}; bring them to one")
    return size or micrograph.pixel_size


def _named(what: object, function: Any, *arguments: Any) -> Any:
    """The function's value; its InputError begins with what it is about."""
    try:
        return function(*arguments)
    except InputError as error:
        raise InputError(f"{what}: {error}") from error


def _teller(label: str, quiet: bool) -> Any:
    """Prints what the alignment does, unless quiet."""
    def tell(text: str) -> None:
        if not quiet:
            print(f"aligning {label}: {text}", file=sys.stderr, flush=True)

    return tell
