"""Single against double precision: scores, templates, picks and their quality on KLH."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple

from gembench.data import klh
from gembench.data.annotated import SIMULATED, not_asked_for
from gembench.data.workload import Workload
from gembench.engine.fft import LIBRARIES, PREFERENCE
from gembench.machine import cores
from gembench.study.declare.experiment import Experiment, grid

NAMES = [name for name in PREFERENCE if name != "numpy"]  # whose transforms are SciPy's
DTYPES = ["float32", "float64"]
THRESHOLD = 0.3  # the paper's
PLACES = 20  # of the first micrograph, whose scores are summed directly; and of each, whose template changes
ENOUGH = 22  # simulated micrographs for 500 picks
LOWEST, STEPS = -10, 41  # edges of score differences: 1e-10 to 1, four a decade


class Inputs(NamedTuple):
    """Annotated micrographs, a search for each precision, and exact scores at places of the first."""

    data: Any
    bank: Any
    searches: dict
    exact: Workload


@dataclass(frozen=True)
class Compared:
    """What the precisions differ in on one micrograph; errors above each edge are counted."""

    picks: dict
    largest: float
    squares: float
    above: Any
    pixels: int
    changed: int
    lost: float


def skip(case):
    """Why the library or the micrographs cannot be used here."""
    return LIBRARIES[case.library].unavailable() or not_asked_for(case.data, klh.NAME)


def threads(case):
    """All cores: the time is not compared."""
    return cores()


def evidence_of(case):
    """Picks on micrographs of our simulator say nothing of real ones."""
    return "simulated data" if case.data == SIMULATED else "measured"


def setup(case):
    """The set's templates at every angle, as far as the symmetry of the views makes turns differ."""
    import numpy as np

    from gembench.data.annotated import annotated
    from gembench.engine.exact.search import CPUSearch
    from gembench.picking.prepare import load_bank
    from gembench.picking.settings import PickSettings

    data = annotated(case.data, case.micrographs)
    bank, _ = load_bank(data.templates, data.masks,
                        PickSettings(data.pixel_size, case.angle_step, symmetry=klh.SYMMETRY))
    searches = {dtype: CPUSearch(bank, library=case.library, dtype=dtype, threads=threads(case))
                for dtype in DTYPES}
    first = image_of(data, 0)[0]
    half = bank.box[0] // 2
    places = np.random.default_rng(1).integers(half, np.array(first.shape) - half, (PLACES, 2))
    return Inputs(data, bank, searches, Workload(first, bank, places))


def image_of(data, number):
    """A micrograph through the paper's 4 x 4 filter, and the shift in pixels that this gave it."""
    from gembench.engine.filters import average
    from gembench.io.images.micrographs import read_micrograph

    return average(read_micrograph(data.micrographs[number], pixel_size=data.pixel_size).data, 4)


def run(inputs, case):
    """The first micrograph's maps in either precision, what differs on each, and the searches' seconds."""
    first, compared, seconds = None, [], 0.0
    for number, path in enumerate(inputs.data.micrographs):
        image, shift = image_of(inputs.data, number)
        start = perf_counter()
        maps = {dtype: search.run(image) for dtype, search in inputs.searches.items()}
        seconds += perf_counter() - start
        compared.append(compare(inputs.bank, image, maps, path.name, shift))
        first = first or maps
    return first, compared, seconds


def compare(bank, image, maps, name, shift):
    """What float32 makes of a micrograph that float64 does not."""
    import numpy as np

    from gembench.engine.peaks import PeakSettings, find_picks

    settings = PeakSettings(threshold=THRESHOLD, distance=klh.DISTANCE)
    picks = {dtype: find_picks(maps[dtype], bank, settings, name).shifted(-shift, -shift) for dtype in DTYPES}
    error = abs(maps["float32"].score - maps["float64"].score)
    changed = np.argwhere(maps["float32"].index != maps["float64"].index)
    above = np.array([(error > edge).sum() for edge in edges()])
    return Compared(picks, float(error.max()), float((error**2).sum()), above, error.size, len(changed),
                    score_lost(bank, image, maps, changed))


def score_lost(bank, micrograph, maps, changed):
    """The most that float32's template scores less by the direct sum, at some of the changed places."""
    from gembench.data.workload import direct_scores

    def score(dtype, place):
        return float(direct_scores(micrograph, bank, maps[dtype].index[tuple(place)], place[None])[0])

    some = changed[:: max(1, len(changed) // PLACES)][:PLACES]
    return max((score("float64", place) - score("float32", place) for place in some), default=0.0)


def check(output, inputs, case):
    """Scores and templates at twenty places of the first micrograph are those of the direct sum."""
    for dtype in DTYPES:
        inputs.exact.check(output[0][dtype], dtype)


def seconds(output, inputs, case):
    """Of both searches, without what compares them."""
    return output[2]


def metrics(output, inputs, case):
    """Differences of scores, templates and picks, over all micrographs."""
    from gembench.evaluate.matching import match
    from gembench.study.picking.judged import judged

    compared = output[1]
    picks = {dtype: [one.picks[dtype] for one in compared] for dtype in DTYPES}
    shared = sum(len(match(*pair, radius=1.0)) for pair in zip(*picks.values(), strict=True))
    pixels = sum(one.pixels for one in compared)
    return {
        "score_error": max(one.largest for one in compared),
        "score_error_rms": (sum(one.squares for one in compared) / pixels) ** 0.5,
        "index_changed": sum(one.changed for one in compared) / pixels,
        "index_score_lost": max(one.lost for one in compared),
        "picks": sum(map(len, picks["float64"])),
        "picks_changed": sum(len(found) for both in picks.values() for found in both) - 2 * shared,
        **{f"f1_{dtype}": judged(found, inputs.data.truth).f1 for dtype, found in picks.items()},
        "annotations": inputs.data.described(klh.VIEWS[klh.SIDE]),
    }


def edges():
    """Differences of scores, whose shares are stored."""
    import numpy as np

    return np.logspace(LOWEST, 0, STEPS)


def arrays(output, inputs, case):
    """The share of pixels whose score differs by more than each edge."""
    pixels = sum(one.pixels for one in output[1])
    return {"edges": edges(), "share": sum(one.above for one in output[1]) / pixels}


def cases(step, real, simulated, library=NAMES, few=None):
    """The same case on real and on simulated micrographs, there with fewer libraries if asked for."""
    return [case for data, count, names in ((klh.NAME, real, library), (SIMULATED, simulated, few or library))
            for case in grid(data=data, micrographs=count, angle_step=step, library=names)]


# Two transforms that have nothing in common say it: all of them take minutes of a run without real data
DEFAULT = cases(18, klh.MICROGRAPHS, ENOUGH, few=["mkl", "scipy"])
experiment = Experiment(
    name="precision", title="Single against double precision",
    about="The same KLH micrographs, real ones where they are, are searched in float32 and in float64 by the"
    " exact method; the time is that of both searches, FFTW's planning included. Views are turned as far as"
    " their symmetry makes the turns differ, so that no two templates tie everywhere. index_changed is the"
    " share of pixels where the best template changes, index_score_lost the most that the template chosen in"
    " float32 scores less there. A pick changes if the other precision has none within a pixel of it. F1 is"
    " that of the side views, against the marks that the column annotations describes.",
    grids={"quick": cases(90, 1, 1, ["fftw", "mkl"]), "default": DEFAULT,
           "paper": cases(4, klh.MICROGRAPHS, ENOUGH, list(PREFERENCE))},
    evidence=evidence_of, setup=setup, run=run, check=check, skip=skip, seconds=seconds, metrics=metrics,
    arrays=arrays, threads=threads,
    rounds=1, warmups=0, time_limit=3600,
    columns=["score_error", "score_error_rms", "index_changed", "index_score_lost", "picks", "picks_changed",
             "f1_float32", "f1_float64", "annotations"],
)
