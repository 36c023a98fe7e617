"""What the score maps of single views show: rings around top views, and peaks at their centres."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.data import klh
from gembench.drawing.pictures import binned
from gembench.engine.bank import TemplateBank
from gembench.engine.exact.producer import search
from gembench.engine.peaks import PeakSettings, find_picks
from gembench.engine.picks import Picks
from gembench.evaluate.rings import compare_rings, ring_profile
from gembench.io.images.micrographs import read_micrograph
from gembench.io.names import micrograph_key
from gembench.machine import cores
from gembench.picking.prepare import filtered
from gembench.study.picking.shares import Inputs

Array = NDArray[Any]
EXAMPLES = 4  # micrographs that are looked at
CLEAR = 0.45  # score of a clear top view, where nobody annotated any
REDUCED = 4  # pixels that the stored picture takes together
ZOOM, ZOOM_BIN = 640, 2  # pixels across a neighbourhood, and how many its picture takes together


@dataclass
class Example:
    """One micrograph, filtered (H, W), and the score map of each view alone.

    tops: (n, 2) int, rows of y, x: top views, the `annotated` ones or else clear peaks of their own map
    marks: the annotated side views; tops and marks are in pixels of the filtered image
    """

    name: str
    image: Array
    maps: list[Array]
    tops: Array
    annotated: bool
    marks: Picks
    shift: float
    bank: TemplateBank


def examples(inputs: Inputs) -> list[Example]:
    """The micrographs with most annotations, searched once."""
    if inputs.examples is None:
        marks = {micrograph_key(several.micrograph): several for several in inputs.data.truth}
        banks = {path: share.bank for share in inputs.shares for path in share.paths}
        most = sorted(banks, key=lambda path: -len(marks[micrograph_key(path)]))[:EXAMPLES]
        inputs.examples = [_example(inputs, path, banks[path], marks[micrograph_key(path)]) for path in most]
    return inputs.examples


def _example(inputs: Inputs, path: Path, bank: TemplateBank, marks: Picks) -> Example:
    image, shift, _ = filtered(read_micrograph(path, pixel_size=inputs.data.pixel_size).data, inputs.settings)
    alone = [replace(bank, templates=bank.templates[view : view + 1], masks=bank.masks[view : view + 1],
                     symmetry=bank.symmetry and bank.symmetry[view : view + 1])
             for view in range(len(klh.VIEWS)) if bank.masks is not None]
    maps = [search(image, view, threads=cores()) for view in alone]
    here = marks.shifted(shift, shift)
    tops = here[here.label == klh.VIEWS[klh.TOP]]
    annotated = len(tops) > 0
    if not annotated:
        clear = PeakSettings(threshold=CLEAR, distance=klh.DISTANCE)
        tops = find_picks(maps[klh.TOP], alone[klh.TOP], clear)
    places = np.rint(tops.xy[:, ::-1]).astype(int)
    return Example(micrograph_key(path), image, [maps_.score for maps_ in maps], places, annotated,
                   here[here.label == klh.VIEWS[klh.SIDE]], shift, bank)


def ring_metrics(inputs: Inputs) -> dict[str, float]:
    """Rings around top views in the map of the side view, beside random places, and scores at their centres.

    top_above_side: the share of annotated top views that the top view's template scores higher at than the
        side view's; left out where nobody annotated them, since the map that found them is high there
    """
    shown = examples(inputs)
    margin = inputs.shares[0].bank.box[0] // 2 + klh.RINGS[1]
    rings = compare_rings([(example.maps[klh.SIDE], example.tops) for example in shown], klh.RINGS, margin)
    if rings is None:
        return {}
    values = {"ring_contrast": rings.contrast, "top_views": float(rings.places),
              "ring_contrast_random": rings.random, "ring_contrast_random_high": rings.random_high}
    centres = [np.array([score[tuple(example.tops.T)] for score in example.maps])
               for example in shown if example.annotated]
    if centres:
        side, top = np.concatenate(centres, axis=1)
        searched = (side > 0) | (top > 0)  # beyond, a mask leaves the frame and there is no score
        values["top_above_side"] = float(np.mean(top[searched] > side[searched]))
    return values


def pictured(inputs: Inputs, picks: Picks) -> dict[str, Array]:
    """The example with most top views: arrays to be stored, small and in few bits, and all templates.

    picks: of that micrograph, in pixels as read. The whole is binned by `REDUCED`, the neighbourhood of a top
    view, whose first pixel (x, y) is `corner`, by `ZOOM_BIN`. Positions are pixels of the filtered image.
    """
    shown = most_tops(inputs)
    placed = picks.shifted(shown.shift, shown.shift)
    assert shown.bank.masks is not None
    x, y = _corner(shown)
    near = (slice(y, y + ZOOM), slice(x, x + ZOOM))
    return {
        **_small(shown.image, shown.maps, REDUCED),
        **{f"zoom_{name}": image
           for name, image in _small(shown.image[near], [m[near] for m in shown.maps], ZOOM_BIN).items()},
        "templates": np.stack([share.bank.templates for share in inputs.shares]).astype(np.float32),
        "masks": shown.bank.masks.astype(np.uint8), "tops": shown.tops[:, ::-1], "marks": shown.marks.xy,
        "picks": np.column_stack([placed.xy, placed.view]), "pixel_size": np.array(inputs.data.pixel_size),
        "corner": np.array([x, y]),
        "ring_radius": np.array([_highest_ring(shown, top) for top in shown.tops]),
    }


def _highest_ring(shown: Example, top: Array) -> float:
    """The radius in pixels of the highest ring around a top view in the side view's map; NaN near an edge."""
    rings = ring_profile(shown.maps[klh.SIDE], (top[0], top[1]), klh.RINGS[1])
    return np.nan if rings is None else float(klh.RINGS[0] + rings[klh.RINGS[0] :].argmax())


def _small(image: Array, maps: list[Array], factor: int) -> dict[str, Array]:
    """A micrograph in 8 bits and its score maps in 16, binned; of a map the highest score is kept."""
    grey = binned(image, factor)
    low, high = np.percentile(grey, (0.5, 99.5))
    return {"micrograph": np.clip((grey - low) / (high - low) * 255, 0, 255).astype(np.uint8),
            **{f"{name}_map": binned(score, factor, np.max).astype(np.float16)
               for name, score in zip(klh.VIEWS, maps, strict=True)}}


def _corner(shown: Example) -> tuple[int, int]:
    """The first pixel (x, y) of the neighbourhood of the clearest top view that has room around it."""
    height, width = shown.image.shape
    centre = np.array([width, height]) // 2
    if len(shown.tops):
        tops = shown.tops[:, ::-1]
        inner = np.minimum(tops, np.array([width, height]) - tops).min(axis=1) >= ZOOM // 2
        tops = tops[inner] if inner.any() else tops
        centre = tops[shown.maps[klh.TOP][tops[:, 1], tops[:, 0]].argmax()]
    corner = np.clip(centre - ZOOM // 2, 0, np.maximum([width - ZOOM, height - ZOOM], 0))
    return int(corner[0]), int(corner[1])


def most_tops(inputs: Inputs) -> Example:
    """The example with most top views."""
    return max(examples(inputs), key=lambda example: len(example.tops))
