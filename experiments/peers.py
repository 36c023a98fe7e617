"""The same work on gembench, on the libraries and programs users have today, and on FindEM where it is."""

from __future__ import annotations

from gembench.data import klh
from gembench.data.annotated import SIMULATED
from gembench.peers import PEERS
from gembench.study.declare.experiment import Experiment, grid
from gembench.study.picking import peers

ENGINE = ["gembench", "gembench-paper", "gembench-banded", "gembench-gpu"]
UNFILTERED = [picker for picker in ENGINE if picker != "gembench-banded"]  # which needs a filter to gain
OTHERS = ["pytme", "opencv", "scikit-image", "relion", "gempicker", "findem"]
TURNED = [picker for picker in OTHERS if picker not in ("relion", "findem")]  # masks of the templates' own
ROUND = ["pytme", "relion", "gempicker", "findem"]  # that gain from one disc for all templates
AS_THEN = ["gembench", "gembench-2003", "gembench-gpu", "gempicker", "findem"]


def speed(n, template, kinds=(("own", 0), ("disc", 0), ("disc", 20)), used=("one", "all")):
    """One size of micrograph and template: masks of their own, one disc, and one disc at 20 A."""
    pickers = {("own", 0): [*UNFILTERED, *TURNED, "transforms"],
               ("disc", 0): [*UNFILTERED, *ROUND, "transforms"],
               ("disc", 20): ["gembench", "gembench-banded", "relion"]}
    fixed = {"task": "speed", "n": n, "template": template}
    return [case for mask, lowpass in kinds for kind in used if kind == "one" or not lowpass
            for case in grid(**fixed, mask=mask, lowpass=lowpass, cores=kind, picker=pickers[mask, lowpass])
            if kind == "one" or PEERS[case.picker].parallel]


def picks(micrographs, step, used="one", symmetry=True, pickers=None):
    """The same pickers on real and on simulated micrographs."""
    return [case for data in (klh.NAME, SIMULATED)
            for case in grid(task="picks", data=data, micrographs=micrographs, angle_step=step,
                             symmetry=symmetry, cores=used, picker=pickers or ENGINE + OTHERS)]


def fixed(real, simulated, steps, pickers=AS_THEN):
    """FindEM beside its method of 2003 and the method of 2013, at the paper's threshold; by set."""
    counts = {klh.NAME: real, SIMULATED: simulated}
    return [case for data, count in counts.items()
            for case in grid(task="picks-2013", data=data, micrographs=count, angle_step=steps[data],
                             symmetry=False, cores="one", picker=pickers)]


# What is left to the paper grid: scikit-image, which computes OpenCV's score in twice the time, picks of both
# and of the method of 2013, whose scores are those of exact, and on all cores one disc, OpenCV and the latter
QUICKER = [picker for picker in ENGINE + OTHERS if picker not in ("opencv", "scikit-image", "gembench-paper")]


def on_data(name, grid_name):
    """The cases on any other annotated set, by its name."""
    quick = grid_name == "quick"
    return grid(task="picks", data=name, micrographs=2 if quick else "all", angle_step=45 if quick else 15,
                symmetry=True, cores="one", picker=QUICKER)


DEFAULT = ([case for case in speed(2048, 160) if case.picker != "scikit-image"
            and (case.cores == "one" or (case.mask == "own" and case.picker in QUICKER))]
           + picks(4, 15, pickers=QUICKER) + fixed(klh.MICROGRAPHS, 4, {klh.NAME: 4, SIMULATED: 9}))
experiment = Experiment(
    name="peers", title="gembench beside FindEM and what users run today",
    about="Time is seconds of the processor where one core is used and of the clock where all are. speed: a"
    " template at the steady pace, on one micrograph that is the same for all (of gembench-banded, of the"
    " whole micrograph after a first by the number of templates; of programs, the difference of two runs);"
    " masks are either turned with the template or one disc; at lowpass=20 all get images without detail,"
    " and RELION crops them (--lowpass 20 --shrink 0). transforms: the inverse transforms alone, three for"
    " a mask of its own and one for a disc, of whole frames in the fastest library. Differences are to"
    " float64 direct sums; RELION scores in another quantity, whose correlation with them is given. picks:"
    " KLH or, by its name, as in 'peers[data=NAME]', any annotated set, filtered at a fifth of the particle's"
    " width (KLH: 70 A), through every score map with the same peaks; for each half of the micrographs the"
    " threshold that finds 98 % on the other half, or all that the picker finds; own: the program's own"
    " peaks. picks-2013: all micrographs at hand through the paper's 4 x 4 filter, at its threshold of 0.3;"
    " gembench is the method of 2013 with gEMpicker's rules for peaks, gembench-2003 the method that FindEM"
    " has, one disc for all templates, with local maxima. Templates of all picks are the set's own, on real"
    " micrographs averages that hold the judged particles. Whose marks judge stands under annotations."
    " Memory is the process's, or that of the program it runs.",
    grids={"quick": speed(512, 64, used=("one",)) + picks(2, 45, pickers=QUICKER),
           "default": DEFAULT,
           "paper": DEFAULT + speed(4096, 160) + picks(klh.MICROGRAPHS, 4, symmetry=False)},
    on_data=on_data, evidence=peers.evidence, setup=peers.setup, run=peers.run, check=peers.check,
    skip=peers.skip, seconds=peers.seconds, metrics=peers.metrics, threads=peers.threads,
    compare="picker", baseline="gembench", rounds=peers.ROUNDS, warmups=0, time_limit=7200,
    columns=["score_difference", "score_correlation", "templates_right", "memory_mib", "n_picks", "n_truth",
             "precision", "recall", "f1", "mean_distance_px", "n_on_unsure", "own_n_picks",
             "own_recall", "own_f1", "templates_turned_by", "version", "annotations"],
)
