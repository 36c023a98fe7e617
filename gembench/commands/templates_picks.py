"""How `gembench templates` makes averages of picked particles."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.commands.progress import track
from gembench.commands.templates_views import Views
from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.io.checks import PIXEL_SIZE_TOLERANCE
from gembench.io.coordinates import read_coordinates
from gembench.io.images.micrographs import Micrograph, find_micrographs, read_micrograph
from gembench.io.names import micrograph_key
from gembench.templates.averages import AverageSettings, ParticleAverage
from gembench.templates.boxes import check_resolution, low_pass
from gembench.templates.symmetry import Symmetry

Array = NDArray[Any]
ALL = "all picks"  # the view that is of no label


def averages(args: argparse.Namespace) -> Views:
    """The aligned average of the picks of every label.

    Raises InputError for coordinates, micrographs or labels that are missing, unknown symmetries, micrographs
    of several pixel sizes, a box larger than a micrograph, and fewer than two particles that can be used.
    """
    labels: list[str] = args.label or [ALL]
    settings = _settings(args, labels)
    picks = _with_files(args, labels)
    views = {label: ParticleAverage(settings[label]) for label in labels}
    size = 0.0
    for micrograph, points in _each(args, picks, labels, "cutting boxes"):
        size = _one_size(micrograph, size)
        if args.lowpass is not None:
            check_resolution(args.lowpass, size)
        for label, xy in points.items():
            _named(micrograph.path, views[label].gather, micrograph.data, xy)
    correlations = {}
    for label, view in views.items():
        correlations[label] = _named(f"view {label}", view.align, _teller(label, args.quiet))
    for micrograph, points in _each(args, picks, labels, "averaging"):
        for label, xy in points.items():
            views[label].add(micrograph.data, xy)
    images = [view.result() for view in views.values()]
    if args.lowpass is not None:
        images = [low_pass(image, args.lowpass, size) for image in images]
    facts = [{"Particles": str(view.used), "Skipped": str(view.skipped),
              "Mean correlation": f"{correlations[label]:.3f}"} for label, view in views.items()]
    return Views(labels, np.stack(images), size, facts)


def _settings(args: argparse.Namespace, labels: list[str]) -> dict[str, AverageSettings]:
    """The settings of every view; raises InputError for an option that names no view."""
    if len(set(labels)) < len(labels):
        raise InputError(f"--label {max(labels, key=labels.count)} is given twice: once is enough")
    symmetry = dict.fromkeys(labels, Symmetry())
    for text in args.symmetry or []:
        label, _, value = text.rpartition("=")
        symmetry |= dict.fromkeys(_of("symmetry", label, labels), Symmetry.parse(value))
    rotational = {label for text in args.rotational or [] for label in _of("rotational", text, labels)}
    return {
        label: AverageSettings(
            args.box, args.max_shift if args.max_shift is not None else args.box / 10,
            args.iterations if args.iterations is not None else 5, symmetry[label], label in rotational,
            args.contrast,
        )
        for label in labels
    }


def _of(option: str, label: str, labels: list[str]) -> list[str]:
    """The labels that an option is about: the one it names, or all."""
    if label and label not in labels:
        raise InputError(f"--{option} {label}: there is no such view; choose from {', '.join(labels)}")
    return [label] if label else labels


def _with_files(args: argparse.Namespace, labels: list[str]) -> list[tuple[Path, Picks]]:
    """The picks of every micrograph that has any to average, with the micrograph's file."""
    found = read_coordinates(args.from_picks)
    for label in labels:
        if not any(_chosen(picks, label).any() for picks in found):
            known = sorted({str(name) for picks in found for name in picks.label if name})
            remedy = f"choose from {', '.join(known)}" if known else "give coordinates of labelled particles"
            which = "" if label == ALL else f" with label {label}"
            raise InputError(f"{args.from_picks}: no picks{which}; {remedy}")
    files = {micrograph_key(path): path for path in find_micrographs([args.micrographs])}
    wanted = [picks for picks in found if any(_chosen(picks, label).any() for label in labels)]
    for picks in wanted:
        if micrograph_key(picks.micrograph) not in files:
            raise InputError(f"{args.micrographs}: micrograph {picks.micrograph} is not in this folder; add"
                             " it or leave out its picks")
    return [(files[micrograph_key(picks.micrograph)], picks) for picks in wanted]


def _chosen(picks: Picks, label: str) -> Array:
    """Which picks are of a view, bool (n,)."""
    return np.ones(len(picks), bool) if label == ALL else np.asarray(picks.label == label)


def _each(
    args: argparse.Namespace, picks: list[tuple[Path, Picks]], labels: list[str], doing: str
) -> Iterator[tuple[Micrograph, dict[str, Array]]]:
    """Every micrograph with the points of every view on it."""
    for path, one in track(picks, description=doing, quiet=args.quiet):
        micrograph = read_micrograph(path, pixel_size=args.pixel_size or one.pixel_size)
        yield micrograph, {label: one.xy[_chosen(one, label)] for label in labels}


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
