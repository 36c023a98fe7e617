"""Single against double precision: scores, templates, picks and their quality on annotated micrographs."""

from __future__ import annotations

from time import perf_counter
from typing import Any, NamedTuple

from gembench.data import klh
from gembench.data.annotated import SIMULATED, not_asked_for
from gembench.data.workload import Workload
from gembench.engine.fft import PREFERENCE
from gembench.machine import cores
from gembench.study.declare.devices import no_library
from gembench.study.declare.experiment import Experiment, grid
from gembench.study.picking.evidence import evidence_of_picks
from gembench.study.picking.precisions import DTYPES, averaged, difference, shares_above, summed_up

NAMES = [name for name in PREFERENCE if name != "numpy"]  # whose transforms are SciPy's
PLACES = 20  # of the first micrograph, whose scores are summed directly
ENOUGH = 22  # simulated micrographs for 500 picks


class Inputs(NamedTuple):
    """Annotated micrographs, a search for each precision, and exact scores at places of the first."""

    data: Any
    bank: Any
    searches: dict
    exact: Workload


def skip(case):
    """Why the library or the micrographs cannot be used here."""
    return no_library(case.library) or not_asked_for(case.data, klh.NAME)


def threads(case):
    """All cores: the time is not compared."""
    return cores()


def setup(case):
    """The set's templates at every angle, as far as the symmetry of the views makes turns differ."""
    import numpy as np

    from gembench.data.annotated import annotated
    from gembench.engine.exact.producer import CPUSearch
    from gembench.picking.prepare import load_bank
    from gembench.picking.settings import PickSettings

    data = annotated(case.data, case.micrographs)
    bank, _ = load_bank(data.templates, data.masks,
                        PickSettings(data.pixel_size, case.angle_step, data.target.contrast,
                                     symmetry=data.target.symmetry))
    searches = {dtype: CPUSearch(bank, library=case.library, dtype=dtype, threads=threads(case))
                for dtype in DTYPES}
    first, half = averaged(data, 0)[0], bank.box[0] // 2
    places = np.random.default_rng(1).integers(half, np.array(first.shape) - half, (PLACES, 2))
    return Inputs(data, bank, searches, Workload(first, bank, places))


def run(inputs, case):
    """The first micrograph's maps in either precision, what differs on each, and the searches' seconds."""
    first, differences, seconds = None, [], 0.0
    for number, path in enumerate(inputs.data.micrographs):
        image, shift = averaged(inputs.data, number)
        start = perf_counter()
        maps = {dtype: search.run(image) for dtype, search in inputs.searches.items()}
        seconds += perf_counter() - start
        differences.append(difference(inputs.bank, image, maps, path.name, shift,
                                      inputs.data.target.distance))
        first = first or maps
    return first, differences, seconds


def check(output, inputs, case):
    """Scores and templates at twenty places of the first micrograph are those of the direct sum."""
    for dtype in DTYPES:
        inputs.exact.check(output[0][dtype], dtype)


def seconds(output, inputs, case):
    """Of both searches, without what compares them."""
    return output[2]


def metrics(output, inputs, case):
    """Differences of scores, templates and picks, over all micrographs."""
    return summed_up(output[1], inputs.data)


def arrays(output, inputs, case):
    """The share of pixels whose score differs by more than each edge."""
    return shares_above(output[1])


def cases(step, real, simulated, library=NAMES, few=None):
    """The same case on real and on simulated micrographs, there with fewer libraries if asked for."""
    return [case for data, count, names in ((klh.NAME, real, library), (SIMULATED, simulated, few or library))
            for case in grid(data=data, micrographs=count, angle_step=step, library=names)]


def on_data(name, grid_name):
    """The cases on any other annotated set, by its name."""
    count, step, names = (1, 90, ["fftw", "mkl"]) if grid_name == "quick" else ("all", 18, NAMES)
    return grid(data=name, micrographs=count, angle_step=step, library=names)


# On simulated micrographs the library that every installation has: each takes a minute and more
DEFAULT = cases(18, klh.MICROGRAPHS, ENOUGH, few=["fftw"])
experiment = Experiment(
    name="precision", title="Single against double precision",
    about="The same micrographs, KLH's where they are or those of any annotated set by its name, as in"
    " 'precision[data=NAME]', are searched in float32 and in float64 by the exact method; the time is that of"
    " both searches, FFTW's planning included. Views are turned as far as their symmetry makes the turns"
    " differ, so that no two templates tie everywhere. index_changed is the share of pixels where the best"
    " template changes, index_score_lost the most that the template chosen in float32 scores less there. A"
    " pick changes if the other precision has none within a pixel of it. F1 is that of the set's particles,"
    " KLH's side views, against the marks that the column annotations describes.",
    grids={"quick": cases(90, 1, 1, ["fftw", "mkl"]), "default": DEFAULT,
           "paper": cases(4, klh.MICROGRAPHS, ENOUGH, list(PREFERENCE))},
    on_data=on_data, evidence=evidence_of_picks, setup=setup, run=run, check=check, skip=skip,
    seconds=seconds, metrics=metrics, arrays=arrays, threads=threads,
    rounds=1, warmups=0, time_limit=3600,
    columns=["score_error", "score_error_rms", "index_changed", "index_score_lost", "picks", "picks_changed",
             "f1_float32", "f1_float64", "annotations"],
)
