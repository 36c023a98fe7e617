"""Micrographs picked end to end (KLH: Fig. 6 to 8): method of 2013, gEMpicker's settings, and our way."""

import time

import numpy as np

from gembench.data import klh
from gembench.data.annotated import SIMULATED, not_asked_for, target_named
from gembench.engine.peaks import PeakSettings
from gembench.evaluate import at_other_halfs_threshold, precision_recall_ribbon, roc_ribbon
from gembench.io.images.micrographs import read_micrograph
from gembench.io.names import micrograph_key
from gembench.machine import cores
from gembench.picking.prepare import filtered
from gembench.study.declare.devices import no_gpus
from gembench.study.declare.experiment import Experiment, grid
from gembench.study.picking.evidence import evidence_of_picks
from gembench.study.picking.judged import check_scores, distances, judged, within
from gembench.study.picking.shares import AVERAGED, against_exact, no_views, on_device, open_inputs
from gembench.study.picking.stored import stored_picks
from gembench.study.picking.views import most_tops, pictured, ring_metrics

THRESHOLD = 0.3  # the paper's; its ROC also needs the picks below it
RECALL = 0.98  # that our threshold reaches on the half of the micrographs it is chosen on
PROTOCOLS = {
    "2013-method": {"average": 4, "peaks": PeakSettings("gempicker", 0.1, 0.9, max_picks=100)},
    # gEMpicker's settings for KLH: both of any pair within 175 px dropped, 100 px kept beyond the half box
    "gempicker": {"average": 4, "peaks": PeakSettings("gempicker", THRESHOLD, 0.9, klh.GEMPICKER_DISTANCE,
                                                      klh.GEMPICKER_BORDER, 100)},
}
LEAST = {"gembench": 0.2, "banded": 0.4}  # score of a pick: banded takes longer the lower it is
OWN = (klh.NAME, SIMULATED)  # the sets of the grids below
FIXED = ("2013-method", "gempicker")  # whose threshold is the paper's
SAME = 0.25  # least score at which the picks of banded must be those of exact, within a pixel
COMPARED = {SIMULATED: 3}  # micrographs for that, else all: those of exact take longer than the case itself
AREAS = ("auc", "average_precision")  # of all picks, whatever the threshold
STATISTICS = ("n_picks", "n_truth", "true_positives", "n_on_unsure", "precision", "recall", "fdr", "f1",
              "mean_distance_px", *AREAS)


def protocol(name, target):
    """How particles are picked: fixed, or by a filter, a distance and a border that suit the target."""
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    peaks = PeakSettings("nms", LEAST[name], distance=target.distance, border=target.border)
    ours = {"average": 1, "lowpass": target.lowpass, "edges": "reflect", "peaks": peaks}
    return ours | ({"method": "banded"} if name == "banded" else {})


def skip(case):
    """Real micrographs where they are, simulated ones elsewhere; rows on a GPU where there is one.

    Averages need the labels of the views that marks show.
    """
    absent = ("device" in case and no_gpus()) or not_asked_for(case.data, klh.NAME)
    return absent or (no_views(target_named(case.data)) if case.templates in AVERAGED else "")


def setup(case):
    """Micrographs and banks: each view turned; with symmetry only as far as the turns differ."""
    target = target_named(case.data)
    symmetry = target.symmetry if case.symmetry else None
    inputs = open_inputs(case.data, case.micrographs, case.templates, angle_step=case.angle_step,
                         symmetry=symmetry, **protocol(case.protocol, target))
    return on_device(inputs, case.device) if "device" in case else inputs


def run(inputs, case):
    """Read and pick every micrograph; the picks, image shapes and seconds of each, and processor seconds."""
    picks, shapes, seconds, on_devices = [], [], [], 0.0
    start, used = time.perf_counter(), time.process_time()
    for picked in inputs.picked(inputs.settings):
        seconds.append(time.perf_counter() - start)
        picks.append(picked.picks)
        shapes.append(picked.maps.score.shape)
        on_devices += picked.statistics.device_seconds
        start = time.perf_counter()
    return picks, shapes, seconds, time.process_time() - used, on_devices


def check(output, inputs, case):
    """The scores of the picks on each bank's first micrograph are the formula's, summed in float64."""
    picks = {micrograph_key(several.micrograph): several for several in output[0]}
    for share in inputs.shares:
        micrograph = read_micrograph(share.paths[0], pixel_size=inputs.data.pixel_size)
        image, shift, _ = filtered(micrograph.data, inputs.settings)
        check_scores(picks[micrograph_key(share.paths[0])].shifted(shift, shift), image, share.bank)


def truth_of(output, inputs, case):
    """The annotations; with gEMpicker's settings, those beyond its border are nobody's to find."""
    marks = {micrograph_key(several.micrograph): several for several in inputs.data.truth}
    border = 0.0
    if case.protocol == "gempicker":
        border = inputs.settings.peaks.border + inputs.shares[0].bank.box[0] // 2
    return [within(marks[micrograph_key(picks.micrograph)], shape, border)
            for picks, shape in zip(*output[:2], strict=True)]


def metrics(output, inputs, case):
    """Counts and statistics in the words of the paper's benchmark, and whose annotations they rest on."""
    picks, truth, target = output[0], truth_of(output, inputs, case), inputs.data.target
    kept, thresholds = [several[several.score >= THRESHOLD] for several in picks], [THRESHOLD]
    if case.protocol not in FIXED:
        kept, thresholds = at_other_halfs_threshold(picks, lambda some: judged(some, truth, target), RECALL)
    result, every = (judged(some, truth, target, resamples=1000) for some in (kept, picks))
    source = {name: every if name in AREAS else result for name in result.intervals}
    seconds, count = float(np.median(output[2])), len(picks)
    return {
        **{name: getattr(every if name in AREAS else result, name.removesuffix("_px"))
           for name in STATISTICS if name != "n_on_unsure"},
        **{f"{name}_interval": judgement.intervals[name] for name, judgement in source.items()},
        "n_on_unsure": result.ignored, **distances(kept, inputs.data), "thresholds": thresholds,
        "templates": len(inputs.shares[0].bank), "judged_micrographs": count,
        "seconds_per_micrograph": seconds,
        "picks_of_all_micrographs": sum(int(target.counts(several.view).sum()) for several in picks),
        "annotations": inputs.data.described(), "templates_from": inputs.made,
        "work": f"{count} micrographs, {len(inputs.shares[0].bank)} templates, method"
                f" {inputs.settings.method}, {cores()} cores",
        **({"device_busy": output[4] / sum(output[2])} if "device" in case else {}),
        **(of_the_paper(seconds, output[3] / count) if case.data in OWN else {}),
        **(ring_metrics(inputs) if drawn(case) else {}),
        **(against_exact(inputs, SAME, COMPARED.get(case.data)) if case.protocol == "banded" else {}),
    }


def of_the_paper(seconds, processor):
    """What the paper's 82 micrographs would take at the seconds of one, by the clock and of processors."""
    return {"projected_82_seconds": klh.MICROGRAPHS * seconds,
            "processor_82_seconds": klh.MICROGRAPHS * processor}


def drawn(case):
    """Whether a case's maps are looked at: the method of 2013 with templates as they are used."""
    return (case.protocol == "2013-method" and case.angle_step == 4 and not case.symmetry
            and case.templates in ("halves", "projections") and case.data in OWN)


def arrays(output, inputs, case):
    """Curves with their intervals, and the picks; for the method of 2013 also what Fig. 6 and 7 show."""
    result = judged(output[0], truth_of(output, inputs, case), inputs.data.target)
    curve, stored = result.precision_recall, {}
    if result.roc is not None:
        stored = {"roc_fpr": result.roc.fpr, "roc_tpr": result.roc.tpr}
    stored |= {"recall": curve.recall, "precision": curve.precision, **stored_picks(output[0])}
    for name, ribbon in (("roc", roc_ribbon), ("pr", precision_recall_ribbon)):
        if (around := ribbon(result.ranking)) is not None:
            stored |= {f"{name}_at": around.at, f"{name}_low": around.low, f"{name}_high": around.high}
    if drawn(case):
        name = most_tops(inputs).name
        picks = next(several for several in output[0] if micrograph_key(several.micrograph) == name)
        stored |= pictured(inputs, picks[picks.score >= THRESHOLD])
    return stored


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
    on_data=on_data, evidence=evidence_of_picks, setup=setup, run=run, check=check, skip=skip,
    metrics=metrics, arrays=arrays,
    rounds=1, warmups=0, time_limit=3600,
    columns=(*STATISTICS, "n_placed", "placed_distance_px", "templates", "seconds_per_micrograph",
             "processor_82_seconds", "device_busy", "missed_of_exact", "work", "annotations",
             "templates_from"),
)
