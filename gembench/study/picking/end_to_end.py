"""Annotated micrographs picked from file to picks, and judged: what the study of picking measures."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from gembench.data import klh
from gembench.data.annotated import SIMULATED, not_asked_for, target_named
from gembench.data.target import Target
from gembench.engine.peaks import PeakSettings
from gembench.engine.picks import Picks
from gembench.evaluate import at_other_halfs_threshold, precision_recall_ribbon, roc_ribbon
from gembench.io.images.micrographs import read_micrograph
from gembench.io.names import micrograph_key
from gembench.machine import cores
from gembench.picking.prepare import filtered
from gembench.study.declare.cases import Case
from gembench.study.declare.devices import no_gpus
from gembench.study.picking.judged import check_scores, distances, judged, within
from gembench.study.picking.shares import AVERAGED, Inputs, against_exact, no_views, on_device, open_inputs
from gembench.study.picking.stored import stored_picks
from gembench.study.picking.views import most_tops, pictured, ring_metrics

Output = tuple[list[Picks], list[tuple[int, ...]], list[float], float, float]  # see `run`
THRESHOLD = 0.3  # the paper's; its ROC also needs the picks below it
RECALL = 0.98  # that our threshold reaches on the half of the micrographs it is chosen on
PROTOCOLS: dict[str, dict[str, Any]] = {
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


def protocol(name: str, target: Target) -> dict[str, Any]:
    """How particles are picked: fixed, or by a filter, a distance and a border that suit the target."""
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    peaks = PeakSettings("nms", LEAST[name], distance=target.distance, border=target.border)
    ours = {"average": 1, "lowpass": target.lowpass, "edges": "reflect", "peaks": peaks}
    return ours | ({"method": "banded"} if name == "banded" else {})


def skip(case: Case) -> str:
    """Real micrographs where they are, simulated ones elsewhere; rows on a GPU where there is one.

    Averages need the labels of the views that marks show.
    """
    absent = ("device" in case and no_gpus()) or not_asked_for(case.data, klh.NAME)
    return absent or (no_views(target_named(case.data)) if case.templates in AVERAGED else "")


def setup(case: Case) -> Inputs:
    """Micrographs and banks: each view turned; with symmetry only as far as the turns differ."""
    target = target_named(case.data)
    symmetry = target.symmetry if case.symmetry else None
    inputs = open_inputs(case.data, case.micrographs, case.templates, angle_step=case.angle_step,
                         symmetry=symmetry, **protocol(case.protocol, target))
    return on_device(inputs, case.device) if "device" in case else inputs


def run(inputs: Inputs, case: Case) -> Output:
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


def check(output: Output, inputs: Inputs, case: Case) -> None:
    """The scores of the picks on each bank's first micrograph are the formula's, summed in float64."""
    picks = {micrograph_key(several.micrograph): several for several in output[0]}
    for share in inputs.shares:
        micrograph = read_micrograph(share.paths[0], pixel_size=inputs.data.pixel_size)
        image, shift, _ = filtered(micrograph.data, inputs.settings)
        check_scores(picks[micrograph_key(share.paths[0])].shifted(shift, shift), image, share.bank)


def _truth_of(output: Output, inputs: Inputs, case: Case) -> list[Picks]:
    """The annotations; with gEMpicker's settings, those beyond its border are nobody's to find."""
    marks = {micrograph_key(several.micrograph): several for several in inputs.data.truth}
    border = 0.0
    if case.protocol == "gempicker":
        border = inputs.settings.peaks.border + inputs.shares[0].bank.box[0] // 2
    return [within(marks[micrograph_key(picks.micrograph)], shape, border)
            for picks, shape in zip(*output[:2], strict=True)]


def metrics(output: Output, inputs: Inputs, case: Case) -> dict[str, Any]:
    """Counts and statistics in the words of the paper's benchmark, and whose annotations they rest on."""
    picks, truth, target = output[0], _truth_of(output, inputs, case), inputs.data.target
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
        **(_of_the_paper(seconds, output[3] / count) if case.data in OWN else {}),
        **(ring_metrics(inputs) if _is_drawn(case) else {}),
        **(against_exact(inputs, SAME, COMPARED.get(case.data)) if case.protocol == "banded" else {}),
    }


def _of_the_paper(seconds: float, processor: float) -> dict[str, float]:
    """What the paper's 82 micrographs would take at the seconds of one, by the clock and of processors."""
    return {"projected_82_seconds": klh.MICROGRAPHS * seconds,
            "processor_82_seconds": klh.MICROGRAPHS * processor}


def _is_drawn(case: Case) -> bool:
    """Whether a case's maps are looked at: the method of 2013 with templates as they are used."""
    return (case.protocol == "2013-method" and case.angle_step == 4 and not case.symmetry
            and case.templates in ("halves", "projections") and case.data in OWN)


def arrays(output: Output, inputs: Inputs, case: Case) -> dict[str, Any]:
    """Curves with their intervals, and the picks; for the method of 2013 also what Fig. 6 and 7 show."""
    result = judged(output[0], _truth_of(output, inputs, case), inputs.data.target)
    curve, stored = result.precision_recall, {}
    assert curve is not None  # as of all scored picks
    assert result.ranking is not None
    if result.roc is not None:
        stored = {"roc_fpr": result.roc.fpr, "roc_tpr": result.roc.tpr}
    stored |= {"recall": curve.recall, "precision": curve.precision, **stored_picks(output[0])}
    for name, ribbon in (("roc", roc_ribbon), ("pr", precision_recall_ribbon)):
        if (around := ribbon(result.ranking)) is not None:
            stored |= {f"{name}_at": around.at, f"{name}_low": around.low, f"{name}_high": around.high}
    if _is_drawn(case):
        name = most_tops(inputs).name
        picks = next(several for several in output[0] if micrograph_key(several.micrograph) == name)
        stored |= pictured(inputs, picks[picks.score >= THRESHOLD])
    return stored
