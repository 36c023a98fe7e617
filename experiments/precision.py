"""Single against double precision: scores, templates, picks and their quality on annotated micrographs."""

from __future__ import annotations

from gembench.data import klh
from gembench.data.annotated import SIMULATED
from gembench.engine.fft import PREFERENCE
from gembench.study.declare.experiment import Experiment, grid
from gembench.study.picking import precisions
from gembench.study.picking.evidence import evidence_of_picks

NAMES = [name for name in PREFERENCE if name != "numpy"]  # whose transforms are SciPy's
ENOUGH = 22  # simulated micrographs for 500 picks


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
    on_data=on_data, evidence=evidence_of_picks, setup=precisions.setup, run=precisions.run,
    check=precisions.check, skip=precisions.skip, seconds=precisions.seconds, metrics=precisions.metrics,
    arrays=precisions.arrays, threads=precisions.threads,
    rounds=1, warmups=0, time_limit=3600,
    columns=["score_error", "score_error_rms", "index_changed", "index_score_lost", "picks", "picks_changed",
             "f1_float32", "f1_float64", "annotations"],
)
