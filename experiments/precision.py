"""Single against double precision: scores, templates, picks and their quality on simulated micrographs."""

from __future__ import annotations

from typing import NamedTuple

from gembench.data.workload import Workload
from gembench.engine.fft import LIBRARIES, PREFERENCE
from gembench.study.declare.experiment import Experiment, grid

NAMES = list(PREFERENCE)
DTYPES = ["float32", "float64"]
THRESHOLD, DISTANCE, RADIUS = 0.3, 120, 40  # score; pixels between picks, and to the particle a pick is on


class Inputs(NamedTuple):
    """Filtered micrographs, the particles on them, and a search for each precision."""

    micrographs: list
    truth: list
    searches: dict
    exact: Workload


def skip(case):
    """Why the library cannot be used here."""
    return LIBRARIES[case.library].unavailable()


def evidence_of(case):
    """All micrographs are of our simulator."""
    return "simulated data"


def setup(case):
    """Simulated KLH micrographs through the 4 x 4 filter, and the templates at every angle."""
    import numpy as np

    from gembench.data.simulate import simulate_micrograph
    from gembench.data.templates import simulated_templates
    from gembench.engine.bank import TemplateBank, grid_angles
    from gembench.engine.exact.search import CPUSearch
    from gembench.engine.filters import average

    simulated = [simulate_micrograph(2013, index, case.size) for index in range(case.micrographs)]
    micrographs = [average(image, 4)[0] for image, _ in simulated]
    bank = TemplateBank(*simulated_templates(), grid_angles(case.angle_step))
    searches = {dtype: CPUSearch(bank, library=case.library, dtype=dtype) for dtype in DTYPES}
    places = np.random.default_rng(1).integers(bank.box[0] // 2, case.size - bank.box[0] // 2, (20, 2))
    return Inputs(micrographs, [truth for _, truth in simulated], searches,
                  Workload(micrographs[0], bank, places))


def run(inputs, case):
    """The maps of every micrograph in float32 and in float64."""
    return [{dtype: search.run(image) for dtype, search in inputs.searches.items()}
            for image in inputs.micrographs]


def check(output, inputs, case):
    """Scores and templates at twenty places of the first micrograph are those of the direct sum."""
    for dtype in DTYPES:
        inputs.exact.check(output[0][dtype], dtype)


def metrics(output, inputs, case):
    """Differences of scores, templates and picks, over all micrographs."""
    import numpy as np

    from gembench.engine.peaks import PeakSettings, find_picks
    from gembench.evaluate import evaluate
    from gembench.evaluate.matching import match

    bank, settings = inputs.exact.bank, PeakSettings(threshold=THRESHOLD, distance=DISTANCE)
    picks = {dtype: [find_picks(maps[dtype], bank, settings, truth.micrograph)
                     for maps, truth in zip(output, inputs.truth, strict=True)] for dtype in DTYPES}
    shared = sum(len(match(*pair, radius=1.0)) for pair in zip(*picks.values(), strict=True))
    error = differences(output)
    changed = [np.argwhere(maps["float32"].index != maps["float64"].index) for maps in output]
    lost = [score_lost(bank, *one) for one in zip(inputs.micrographs, output, changed, strict=True)]
    return {
        "score_error": error.max(), "score_error_rms": np.sqrt(np.mean(error**2)),
        "index_changed": sum(map(len, changed)) / error.size, "index_score_lost": max(lost),
        "picks": sum(map(len, picks["float64"])),
        "picks_changed": sum(len(found) for both in picks.values() for found in both) - 2 * shared,
        **{f"f1_{dtype}": evaluate(found, inputs.truth, RADIUS).f1 for dtype, found in picks.items()},
    }


def differences(output):
    """The absolute score difference at every pixel of every micrograph."""
    import numpy as np

    return np.array([abs(maps["float32"].score - maps["float64"].score) for maps in output])


def score_lost(bank, micrograph, maps, changed, places=20):
    """The most that float32's template scores less by the direct sum, at some of the changed places."""
    from gembench.data.workload import direct_scores

    def score(dtype, place):
        return float(direct_scores(micrograph, bank, maps[dtype].index[tuple(place)], place[None])[0])

    some = changed[:: max(1, len(changed) // places)]
    return max((score("float64", place) - score("float32", place) for place in some), default=0.0)


def arrays(output, inputs, case):
    """The share of pixels whose score differs by more than each edge."""
    import numpy as np

    error, edges = differences(output), np.logspace(-10, 0, 41)
    return {"edges": edges, "share": np.array([(error > edge).mean() for edge in edges])}


def cases(size, micrographs, angle_step, library=NAMES):
    """The grid of one set of micrographs and angles."""
    return grid(size=size, micrographs=micrographs, angle_step=angle_step, library=library)


experiment = Experiment(
    name="precision", title="Single against double precision",
    about="The same simulated KLH micrographs are searched in float32 and in float64, by the exact method;"
    " the time is that of both, FFTW's planning included. index_changed is the share of pixels where the best"
    " template changes: a particle that looks the same after half a turn has two that tie everywhere."
    " index_score_lost is the most that the template chosen in float32 scores less. A pick changes if the"
    " other precision has none within a pixel of it.",
    grids={"quick": cases(768, 1, 30, ["fftw", "mkl"]), "default": cases(1024, 1, 6),
           "paper": cases(2048, 8, 4)},
    evidence=evidence_of,
    setup=setup, run=run, check=check, skip=skip, metrics=metrics, arrays=arrays,
    rounds=1, warmups=0, time_limit=3600,
    columns=["score_error", "score_error_rms", "index_changed", "index_score_lost", "picks", "picks_changed",
             "f1_float32", "f1_float64"],
)
