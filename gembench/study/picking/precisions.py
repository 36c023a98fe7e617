"""What float32 makes of annotated micrographs that float64 does not: scores, templates and picks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gembench.data import klh
from gembench.data.annotated import Annotated, annotated, not_asked_for
from gembench.data.workload import Workload, direct_scores
from gembench.engine.bank import TemplateBank
from gembench.engine.exact.producer import CPUSearch
from gembench.engine.filters import average
from gembench.engine.peaks import PeakSettings, find_picks
from gembench.engine.picks import Picks
from gembench.engine.score_map import ScoreMap
from gembench.evaluate.matching import match
from gembench.io.images.micrographs import read_micrograph
from gembench.machine import cores
from gembench.picking.prepare import load_bank
from gembench.picking.settings import PickSettings
from gembench.study.declare.cases import Case
from gembench.study.declare.devices import no_library
from gembench.study.picking.judged import judged

Array = NDArray[Any]
DTYPES = ("float32", "float64")
THRESHOLD = 0.3  # the paper's
EDGES = np.logspace(-10, 0, 41)  # differences of scores, four a decade, whose shares are stored
PLACES = 20  # of a micrograph that are scored directly: any of the first, and where templates change of each


@dataclass(frozen=True)
class Difference:
    """What the precisions differ in on one micrograph.

    picks: by dtype, in pixels as read
    largest, squares: of the errors of scores, the largest and the sum of all squares
    above: (EDGES,) pixels whose error is larger; changed: pixels whose template changes
    lost: the most that float32's template scores less there
    """

    picks: dict[str, Picks]
    largest: float
    squares: float
    above: Array
    pixels: int
    changed: int
    lost: float


class Inputs(NamedTuple):
    """Annotated micrographs, a search for each precision, and exact scores at places of the first."""

    data: Annotated
    bank: TemplateBank
    searches: dict[str, CPUSearch]
    exact: Workload


# The maps of the first micrograph in either precision, what differs on each, and the searches' seconds.
Output = tuple[dict[str, ScoreMap], list[Difference], float]


def skip(case: Case) -> str:
    """Why the library or the micrographs cannot be used here."""
    return no_library(case.library) or not_asked_for(case.data, klh.NAME)


def threads(case: Case) -> int:
    """All cores: the time is not compared."""
    return cores()


def setup(case: Case) -> Inputs:
    """The set's templates at every angle, as far as the symmetry of the views makes turns differ."""
    data = annotated(case.data, case.micrographs)
    assert data.templates is not None
    bank, _ = load_bank(data.templates, data.masks,
                        PickSettings(data.pixel_size, case.angle_step, data.target.contrast,
                                     symmetry=data.target.symmetry))
    searches = {dtype: CPUSearch(bank, library=case.library, dtype=dtype, threads=threads(case))
                for dtype in DTYPES}
    first, half = averaged(data, 0)[0], bank.box[0] // 2
    places = np.random.default_rng(1).integers(half, np.array(first.shape) - half, (PLACES, 2))
    return Inputs(data, bank, searches, Workload(first, bank, places))


def run(inputs: Inputs, case: Case) -> Output:
    """The search of every micrograph in either precision."""
    first: dict[str, ScoreMap] = {}
    differences, seconds = [], 0.0
    for number, path in enumerate(inputs.data.micrographs):
        image, shift = averaged(inputs.data, number)
        start = perf_counter()
        maps = {dtype: search.run(image) for dtype, search in inputs.searches.items()}
        seconds += perf_counter() - start
        differences.append(difference(inputs.bank, image, maps, path.name, shift,
                                      inputs.data.target.distance))
        first = first or maps
    return first, differences, seconds


def check(output: Output, inputs: Inputs, case: Case) -> None:
    """Scores and templates at twenty places of the first micrograph are those of the direct sum."""
    for dtype in DTYPES:
        inputs.exact.check(output[0][dtype], dtype)


def seconds(output: Output, inputs: Inputs, case: Case) -> float:
    """Of both searches, without what compares them."""
    return output[2]


def metrics(output: Output, inputs: Inputs, case: Case) -> dict[str, Any]:
    """Differences of scores, templates and picks, over all micrographs."""
    return summed_up(output[1], inputs.data)


def arrays(output: Output, inputs: Inputs, case: Case) -> dict[str, Array]:
    """The share of pixels whose score differs by more than each edge."""
    return shares_above(output[1])


def averaged(data: Annotated, number: int) -> tuple[Array, float]:
    """A micrograph of the set through the paper's 4 x 4 filter, and the shift in pixels that this gave it."""
    return average(read_micrograph(data.micrographs[number], pixel_size=data.pixel_size).data, 4)


def difference(
    bank: TemplateBank, micrograph: Array, maps: Mapping[str, ScoreMap], name: str, shift: float,
    distance: float,
) -> Difference:
    """What differs between the maps of a filtered micrograph (H, W) in float32 and in float64.

    distance: pixels between picks
    """
    settings = PeakSettings(threshold=THRESHOLD, distance=distance)
    picks = {dtype: find_picks(maps[dtype], bank, settings, name).shifted(-shift, -shift) for dtype in DTYPES}
    error = abs(maps["float32"].score - maps["float64"].score)
    changed = np.argwhere(maps["float32"].index != maps["float64"].index)
    above = np.array([(error > edge).sum() for edge in EDGES])
    return Difference(picks, float(error.max()), float((error**2).sum()), above, error.size, len(changed),
                      _score_lost(bank, micrograph, maps, changed))


def _score_lost(
    bank: TemplateBank, micrograph: Array, maps: Mapping[str, ScoreMap], changed: Array
) -> float:
    """The most that float32's template scores less by the direct sum, at some of the changed places."""
    def score(dtype: str, place: Array) -> float:
        return float(direct_scores(micrograph, bank, maps[dtype].index[tuple(place)], place[None])[0])

    some = changed[:: max(1, len(changed) // PLACES)][:PLACES]
    return max((score("float64", place) - score("float32", place) for place in some), default=0.0)


def summed_up(differences: Sequence[Difference], data: Annotated) -> dict[str, Any]:
    """Metrics of all micrographs; a pick changes if the other precision has none within a pixel of it."""
    picks = {dtype: [part.picks[dtype] for part in differences] for dtype in DTYPES}
    shared = sum(len(match(single, double, 1.0))
                 for single, double in zip(picks["float32"], picks["float64"], strict=True))
    counts = {dtype: sum(map(len, several)) for dtype, several in picks.items()}
    pixels = sum(part.pixels for part in differences)
    return {
        "score_error": max(part.largest for part in differences),
        "score_error_rms": (sum(part.squares for part in differences) / pixels) ** 0.5,
        "index_changed": sum(part.changed for part in differences) / pixels,
        "index_score_lost": max(part.lost for part in differences),
        "picks": counts["float64"], "picks_changed": sum(counts.values()) - 2 * shared,
        **{f"f1_{dtype}": judged(several, data.truth, data.target).f1 for dtype, several in picks.items()},
        "annotations": data.described(),
    }


def shares_above(differences: Sequence[Difference]) -> dict[str, Array]:
    """The share of all pixels whose score differs by more than each edge, as arrays to store."""
    pixels = sum(part.pixels for part in differences)
    return {"edges": EDGES, "share": np.sum([part.above for part in differences], axis=0) / pixels}
