"""Micrographs shared out by the bank they are searched with, so that no template is judged on its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from gembench.data.annotated import SIMULATED, Annotated, annotated, annotated_set
from gembench.data.sets import RECORD
from gembench.data.target import Target
from gembench.engine.bank import TemplateBank
from gembench.errors import InputError
from gembench.evaluate import match
from gembench.io.names import micrograph_key
from gembench.machine import cores
from gembench.picking.picker import Picked, Picker
from gembench.picking.prepare import load_bank
from gembench.picking.settings import PickSettings

AVERAGED = ("halves", "unsymmetrised")  # templates that are made of annotated particles
MADE = {"given": "the set's own averages, of all particles", "projections": "noise-free projections"}


@dataclass
class Share:
    """Micrographs, and the bank they are searched with."""

    paths: list[Path]
    bank: TemplateBank


@dataclass
class Inputs:
    """What a case picks.

    shares: all micrographs, each in one share; made: what the templates are, in a few words
    examples: what `views.examples` keeps; device: that searches, see `engine.search.open_search`
    """

    data: Annotated
    settings: PickSettings
    shares: list[Share]
    made: str
    examples: list[Any] | None = None
    device: str = "cpu"

    def picked(self, settings: PickSettings) -> Iterator[Picked]:
        """What comes out of every micrograph, each picked while the next is read and filtered."""
        for share in self.shares:
            with Picker(share.bank, settings, threads=cores(), device=self.device) as picker:
                yield from picker.pick_all(share.paths)


def open_inputs(name: str, micrographs: int | str, templates: str, **settings: Any) -> Inputs:
    """The first micrographs of a set, with banks of the templates that are asked for.

    templates: 'halves', averages of the annotated particles of one half of all micrographs, for the other;
        'unsymmetrised', the same without symmetry; any other name: the set's own
    settings: of the picks, see `PickSettings`; the pixel size is the set's

    Raises InputError if the set is not here or its templates cannot be made.
    """
    data = annotated(name, micrographs)
    chosen = PickSettings(data.pixel_size, contrast=data.target.contrast, **settings)
    if templates in MADE:
        bank, _ = load_bank(data.templates, data.masks, chosen)
        return Inputs(data, chosen, [Share(data.micrographs, bank)], MADE[templates])
    shares, made = _halves(data, chosen, symmetric=templates == "halves")
    return Inputs(data, chosen, shares, made)


def on_device(inputs: Inputs, device: str) -> Inputs:
    """The inputs for a search on a device, which has compiled its kernels and measured its layouts."""
    ready = replace(inputs, device=device)
    with Picker(ready.shares[0].bank, ready.settings, threads=cores(), device=device) as picker:
        for _ in picker.pick_all(ready.shares[0].paths[:1]):
            pass
    return ready


def against_exact(inputs: Inputs, least: float, most: int | None = None) -> dict[str, float]:
    """How the picks of banded that score `least` differ from those of exact, all micrographs together.

    A pick is the same within a pixel. most: so many of the micrographs, None for all
    """
    peaks = replace(inputs.settings.peaks, threshold=least)
    both = [inputs.picked(replace(inputs.settings, method=method, peaks=peaks))
            for method in ("banded", "exact")]
    compared = missed = added = 0
    furthest = 0.0
    for banded, exact in islice(zip(*both, strict=True), most):
        same = match(banded.picks, exact.picks, 1.0)
        compared += len(exact.picks)
        missed += len(exact.picks) - len(same.truth)
        added += len(banded.picks) - len(same.pick)
        furthest = max(furthest, float(same.distance.max(initial=0)))
    return {"compared_with_exact": compared, "missed_of_exact": missed, "not_of_exact": added,
            "furthest_from_exact_px": furthest}


def no_views(target: Target) -> str:
    """Why no templates can be averaged from a set's annotations, '' if they can."""
    return "" if target.views else (
        f"{target.title}: which annotations show which template is not said: give their labels in {RECORD} as"
        ' "views", or to `gembench data import` as --views')


def _halves(data: Annotated, settings: PickSettings, *, symmetric: bool) -> tuple[list[Share], str]:
    """A share a half, and what its templates are made of."""
    from gembench.templates.averages import AverageSettings
    from gembench.templates.halves import templates_by_halves
    from gembench.templates.symmetry import NO_SYMMETRY, Symmetry

    target = data.target
    if reason := no_views(target):
        raise InputError(f"{data.name}: {reason}")
    average = partial(AverageSettings, target.box, target.box / 10, contrast=target.contrast)
    views = [average(symmetry=Symmetry(fold) if symmetric and fold else NO_SYMMETRY,
                     rotational=symmetric and fold == 0) for fold in target.symmetry]
    whole = data if data.name == SIMULATED else annotated_set(data.name)
    halves = templates_by_halves(whole, target.views, views, target.distance)
    shares = [
        Share([path for path in data.micrographs if micrograph_key(path) in half.names],
              load_bank(half.templates, data.masks, settings)[0])
        for half in halves
    ]
    counts = " and ".join(_counted(half.particles, target.views) for half in halves)
    made = f"averages of {counts}, each of one half of the micrographs and judged on the other"
    return [share for share in shares if share.paths], made


def _counted(particles: tuple[int, ...], labels: tuple[str, ...]) -> str:
    """How many particles of each view there are: '7 side and 5 top views'."""
    named = " and ".join(f"{count} {label}".strip() for count, label in zip(particles, labels, strict=True))
    return f"{named} views" if all(labels) else f"{named} particles"
