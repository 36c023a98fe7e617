"""Micrographs picked end to end (KLH: Fig. 6 to 8): method of 2013, gEMpicker's settings, and our way."""

from __future__ import annotations

from gembench.data import klh
from gembench.data.annotated import SIMULATED
from gembench.study.declare.experiment import Experiment, grid
from gembench.study.picking import end_to_end
from gembench.study.picking.evidence import evidence_of_picks


def cases(step, protocol, templates="halves", symmetry=False, simulated=6, real=klh.MICROGRAPHS,
          **device):
    """The same case on the real micrographs, as many as are annotated, and on simulated ones.

    device: an axis of the cases on a GPU alone
    """
    fixed = {"angle_step": step, "protocol": protocol, "symmetry": symmetry, **device}
    used = [(klh.NAME, real, templates),
            (SIMULATED, simulated, "projections" if templates == "halves" else templates)]  # the simulator's
    return [case for data, count, views in used for case in grid(
        data=data, micrographs=count, **fixed, templates=views) if (data, views) != (SIMULATED, "given")]


def on_data(name, grid_name):
    """The cases on any other annotated set, by its name."""
    if grid_name == "quick":
        return grid(data=name, micrographs=2, angle_step=9, protocol="2013-method", symmetry=False,
                    templates="halves")
    return [case for step, protocols, views in ((4, ["2013-method", "gembench", "banded"], "halves"),
                                                (9, ["2013-method", "gembench"], "halves"),
                                                (4, ["2013-method", "gembench"], "given"))
            for case in grid(data=name, micrographs="all", angle_step=step, protocol=protocols,
                             symmetry=False, templates=views)]


# Coarser turns are tried on real micrographs only
FULL = [*cases(4, ["2013-method", "gembench", "gempicker", "banded"]),
        *(case for case in cases(9, ["2013-method", "gembench"]) if case["data"] != SIMULATED),
        *cases(4, "2013-method", "unsymmetrised", [False, True]), *cases(4, "2013-method", "given"),
        *cases(4, "gembench", device="gpu")]
QUICK = [*cases(9, "2013-method", simulated=2, real=2),
         *cases(9, "gembench", simulated=2, real=2, device="gpu")]
experiment = Experiment(
    name="picking", title="Particles picked and judged against annotations", paper="Fig. 6",
    about="The default data are KLH, and simulated micrographs where it is not here; `gembench run"
    " 'picking[data=NAME]'` takes any annotated set, whose lengths follow from its masks. On KLH a pick"
    " within 40 px of an annotated side view is true; one on a mark that its reader was unsure of"
    " is neither true nor false and counted beside (n_on_unsure). The column annotations says whose marks"
    " these are. On real micrographs most positions of marks are peaks of a correlation with an average of"
    " these particles, so distances to them say little: placed_distance_px is to the other marks, where they"
    " are enough. templates: halves, averages of the particles of one half of the micrographs judged on the"
    " other, each field of view in one half (top views, which nobody annotated, are the half's places that"
    " score highest with the set's top view); unsymmetrised, the same without symmetry; given, the set's own,"
    " which average the judged particles too; projections, the simulator's. protocol: 2013-method, 4 x 4"
    " averaging, threshold 0.3, best first with the turned mask blanked; gempicker, the same with gEMpicker's"
    " settings for KLH: both of a pair closer than 175 px dropped, 100 px kept beyond the half box, judged on"
    " the particles inside; gembench, a low-pass filter (KLH: 70 A), local maxima, and for each half of the"
    " micrographs the threshold that finds 98 % on the other half; banded, the same by the method banded for"
    " picks above 0.4; its picks above 0.25 are compared with those of exact. device: gpu, the same on a GPU,"
    " whose kernels are compiled and laid out before; device_busy is the share of the time that it worked.",
    grids={"quick": QUICK, "default": FULL, "paper": FULL},
    on_data=on_data, evidence=evidence_of_picks, setup=end_to_end.setup, run=end_to_end.run,
    check=end_to_end.check, skip=end_to_end.skip, metrics=end_to_end.metrics, arrays=end_to_end.arrays,
    rounds=1, warmups=0, time_limit=3600,
    columns=(*end_to_end.STATISTICS, "n_placed", "placed_distance_px", "templates", "seconds_per_micrograph",
             "processor_82_seconds", "device_busy", "missed_of_exact", "work", "annotations",
             "templates_from"),
)
