"""`gembench pick`: particles of micrographs by template matching."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gembench.commands.numbers import angle_step, folder, many, pixels, real, size, symmetry, threads
from gembench.commands.study import add_plugins
from gembench.errors import InputError

if TYPE_CHECKING:
    from mpi4py import MPI

    from gembench.picking.run import PickRun
    from gembench.picking.settings import Outputs, PickSettings, Resources, Sources

EXAMPLES = """\
examples:
  gembench pick micrographs/ --templates templates.mrcs --masks masks.mrcs --pixel-size 2.2 \\
      --angle-step 4 -o picks/
  gembench pick a.mrc b.mrc --templates refs/ --pixel-size 1.5 --angle-step 9 --threshold 0.35 \\
      --distance 120 --plots -o picks/
  gembench pick klh/ --templates t.mrcs --masks m.mrcs --pixel-size 2.2 --angle-step 4 \\
      --peaks gempicker --distance 175 --border 100 --max-picks 100 --high-threshold 0.9 -o as_in_2013/

OUT gets one STAR file a micrograph, picks.star with all of them at the end, and run.json with settings,
versions and times. Micrographs that are finished, and have not changed since, are skipped when the command is
given again.
"""


def add_parser(subparsers: Any) -> None:
    """Add `pick`."""
    parser = subparsers.add_parser(
        "pick", help="pick particles in micrographs",
        description="Pick particles by the local normalised cross-correlation (Roseman 2003) of micrographs\n"
        "with templates, turned in the plane, each under a mask.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_input(parser)
    _add_search(parser)
    _add_peaks(parser)
    _add_output(parser)
    _add_ranks(parser)
    parser.set_defaults(run=run)


def _add_input(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("input")
    group.add_argument("micrographs", metavar="MICROGRAPH_OR_DIR", nargs="+", type=Path,
                       help="MRC (also .gz, .bz2), TIFF, PNG or JPEG files, folders, patterns, lists of them")
    group.add_argument("--include", metavar="PATTERN", action="append", default=[],
                       help="of folders take only files that fit, such as '*_noDW*'; may be given again")
    group.add_argument("--leave-out", metavar="PATTERN", action="append", default=[], help="the opposite")
    group.add_argument("--templates", metavar="T", type=Path, required=True,
                       help=".mrcs stack or folder of images, one for each view")
    group.add_argument("--masks", metavar="M", type=Path,
                       help="the same for masks, one a view or one for all (default: the largest disc)")
    group.add_argument("--pixel-size", metavar="A", type=real, required=True,
                       help="A/px of micrographs and templates")
    group.add_argument("--ignore-header", action="store_true",
                       help="take --pixel-size whatever the headers of the files say")
    group.add_argument("--contrast", choices=("dark", "bright"), default="dark",
                       help="how particles look in the micrographs (default: dark)")
    group.add_argument("--template-contrast", choices=("dark", "bright"),
                       help="how they look in the templates (default: as their file says, if"
                       " `gembench templates` wrote it; else seen from each template and its mask)")
    group.add_argument("--exclude", metavar="DIR", type=Path,
                       help="folder of images named as the micrographs; no particle is picked where they are"
                       " not 0")


def _add_search(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("search")
    group.add_argument("--angle-step", metavar="D", type=angle_step, required=True,
                       help="degrees between the in-plane turns of a template")
    group.add_argument("--interpolation", choices=("bilinear", "cubic"), default="bilinear",
                       help="how templates are turned (default: bilinear)")
    group.add_argument("--symmetry", metavar="N,N,...", type=symmetry,
                       help="of each view in the plane: 1, 2, ... or 0 for a disc; spares equal turns"
                       " (default: every turn)")
    group.add_argument("--average", metavar="K", type=pixels, default=4,
                       help="side of the averaging filter on the micrographs, 1 for none (default: 4)")
    group.add_argument("--lowpass", metavar="A", type=real, default=0.0,
                       help="resolution at which a Gaussian halves the micrographs' amplitudes; about a fifth"
                       " of the particle's diameter suits template matching (default: 0, none)")
    group.add_argument("--clip", metavar="SD", type=real, default=10.0,
                       help="limit outliers to so many robust standard deviations, 0: not (default: 10)")
    group.add_argument("--method", choices=("exact", "banded", "paper"), default="exact",
                       help="exact; banded, for filtered micrographs, faster, within 6 standard errors; or"
                       " transform by transform as in the paper (default: exact)")
    group.add_argument("--precision", choices=("float32", "float64"), default="float32",
                       help="of the correlation (default: float32)")
    group.add_argument("--edges", choices=("mask", "box", "reflect"), default="mask",
                       help="score where the turned mask, or the template's box, lies inside the micrograph;"
                       " or everywhere, with the micrograph mirrored at its edges (default: mask)")
    group.add_argument("--device", metavar="D", default="cpu",
                       help="cpu, gpu (the first), gpu:0,1 or all GPUs, or both as gpu+cpu; under mpiexec the"
                       " ranks of a node take its GPUs by turns (default: cpu)")
    group.add_argument("--spectra", choices=("single", "half"), default="single",
                       help="what a GPU stores template spectra in; half is faster and less exact"
                       " (default: single)")
    group.add_argument("--stall-limit", metavar="S", type=real, default=60.0,
                       help="end the run if a GPU works on the same batch for so many seconds (default: 60)")
    group.add_argument("--threads", metavar="N", type=threads,
                       help="consumer threads of a process (default: its part of the node's cores)")
    group.add_argument("--memory", metavar="SIZE", type=size,
                       help="what a process may hold, such as 800M or 4G: fewer templates are taken at once"
                       " to keep within it (default: no bound)")
    group.add_argument("--fft", metavar="NAME", default="auto",
                       help="mkl, fftw, scipy, ducc0, numpy, fftw-estimate or mkl-fft (default: the fastest"
                       " on this machine, measured once)")
    add_plugins(group)


def _add_peaks(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("peaks")
    group.add_argument("--peaks", choices=("nms", "gempicker"), default="nms",
                       help="local maxima, best first, at a distance; or gEMpicker's rules (default: nms)")
    group.add_argument("--threshold", metavar="F", type=real, default=0.3,
                       help="lowest score of a pick (default: 0.3)")
    group.add_argument("--high-threshold", metavar="F", type=real, default=1.0,
                       help="highest score of a pick (default: 1)")
    group.add_argument("--distance", metavar="PX", type=real,
                       help="least distance between picks (default: 3/4 of the smallest mask's width)")
    group.add_argument("--border", metavar="PX", type=real, default=0.0,
                       help="what a pick keeps from the edges; with gEMpicker's rules, its box (default: 0)")
    group.add_argument("--max-picks", metavar="N", type=many, help="the best so many of a micrograph")


def _add_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument("-o", "--output", metavar="OUT", type=folder, required=True, help="folder to write")
    group.add_argument("--plots", action="store_true", help="draw the picks on each micrograph (OUT/plots)")
    group.add_argument("--page", metavar="FILE", type=Path,
                       help="write a page of the picks on the micrographs, as `gembench view` does")
    group.add_argument("--save-maps", action="store_true", help="write score and index maps (OUT/maps)")
    group.add_argument("--overwrite", action="store_true", help="remove picks, maps and plots in OUT first")
    group.add_argument("--voltage", metavar="KV", type=float,
                       help="kV, for RELION's optics table (default: of the STAR file of micrographs)")
    for name, unit in (("--cs", "MM"), ("--amplitude-contrast", "F")):
        group.add_argument(name, metavar=unit, type=float, help="the same of the microscope")
    group.add_argument("--quiet", action="store_true", help="print warnings and errors only")


def _add_ranks(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("cluster, under mpiexec")
    group.add_argument("--distribute", choices=("micrographs", "templates"),
                       help="what each rank gets: whole micrographs, or a share of the templates for every"
                       " micrograph (default: templates when there are more cores than micrographs)")
    group.add_argument("--reduce", metavar="NAME",
                       help="how the maps of all ranks come together: shared, chain, direct, direct+threads,"
                       " tree or tree+threads (default: shared)")


def run(args: argparse.Namespace) -> int:
    """Pick every micrograph that is not finished; 1 if some could not be picked, 2 if none could."""
    from gembench.engine.mpi.launch import launched
    from gembench.engine.mpi.supervised import supervised

    return supervised(lambda: _pick(args)) if launched().ranks > 1 else _pick(args)


def _pick(args: argparse.Namespace) -> int:
    from gembench.engine.mpi.launch import launched

    try:
        communicator = _communicator(args)
    except InputError:
        if launched().rank_on_node:  # the first rank of the node says it
            return 2
        raise
    return _pick_alone(args) if communicator is None else _pick_on_ranks(args, communicator)


def _communicator(args: argparse.Namespace) -> MPI.Intracomm | None:
    """The ranks to pick with; None if this process is alone and no distribution is asked for.

    Raises InputError if there is nothing to reduce, or MPI cannot be used.
    """
    from gembench.engine.mpi.launch import launched
    from gembench.engine.mpi.ranks import all_ranks

    if launched().ranks > 1 or args.distribute is not None:
        return all_ranks()
    if args.reduce is not None:
        raise InputError(f"--reduce {args.reduce}: one rank has nothing to reduce: start it as mpiexec -n N"
                         " gembench pick ...")
    return None


def _pick_alone(args: argparse.Namespace) -> int:
    from gembench.picking.run import open_run

    with open_run(*_arguments(args), args.argv) as run:
        return _show(run, args)


def _pick_on_ranks(args: argparse.Namespace, communicator: MPI.Intracomm) -> int:
    """Pick with all ranks; the exit code, on all of them, is that of one process."""
    from gembench.picking.mpi import Sharing, open_rank_run

    sharing = Sharing(args.distribute, args.reduce)
    with open_rank_run(communicator, *_arguments(args), sharing, args.argv) as run:
        if run is None:
            return 2
        code = 0
        if run.leads:
            code = _show(run, args, f" on each of {communicator.size} ranks, which get {run.shares}")
        else:
            run.follow()
        return run.same_on_all(code)


def _arguments(args: argparse.Namespace) -> tuple[Sources, Outputs, PickSettings, Resources]:
    """What the arguments say, for the package that picks."""
    from gembench.engine.peaks import PeakSettings
    from gembench.io.checks import Insisted
    from gembench.io.coordinates.star.optics import Optics
    from gembench.picking.settings import Outputs, PickSettings, Resources, Sources

    peaks = PeakSettings(args.peaks, args.threshold, args.high_threshold, args.distance or 0.0, args.border,
                         args.max_picks)
    pixel_size = Insisted(args.pixel_size) if args.ignore_header else args.pixel_size
    settings = PickSettings(
        pixel_size, args.angle_step, args.contrast, args.template_contrast, args.interpolation, args.symmetry,
        args.average, args.lowpass, args.clip, args.method, args.precision, args.edges, peaks, args.spectra,
        mask_distance=args.distance is None,
    )
    return (
        Sources(args.micrographs, args.templates, args.masks, args.exclude, args.include, args.leave_out),
        Outputs(args.output, args.save_maps, args.plots, args.overwrite,
                Optics(args.voltage, args.cs, args.amplitude_contrast)), settings,
        Resources(args.threads, args.fft, args.device, args.memory, args.stall_limit),
    )


def _show(run: PickRun, args: argparse.Namespace, ranks: str = "") -> int:
    """Take the outcomes of a run and say what comes of them: 1 if some could not be picked, 2 if none.

    ranks: how many there are, and what each gets
    """
    from gembench.io.coordinates import SUMMARY
    from gembench.picking.facts import description, status
    from gembench.progress import track

    for line in description(run, args.device, ranks):
        _say(args, line)
    failed: list[str] = []
    for outcome in track(run.outcomes(), len(run.todo), "Picking", args.quiet or not run.todo,
                         status=lambda: status(run, args.device, ranks), workers=run.workers):
        if outcome.error:
            failed.append(outcome.path.name)
            print(f"gembench: error: {outcome.error}", file=sys.stderr)
    if run.folder.finished:
        summary = run.folder.folder / SUMMARY
        lost = f", {len(failed)} not picked" if failed else ""
        _say(args, f"{run.total} picks on {len(run.folder.finished)} micrographs{lost}: {summary}")
        if args.page is not None:
            from gembench.commands.view import pick_page

            pick_page(args, run.folder.folder)
    if len(failed) > 1:
        print(f"gembench: error: not picked: {', '.join(failed)} ({len(failed)} of {len(run.task.paths)}"
              " micrographs)", file=sys.stderr)
    return 0 if not failed else 1 if len(failed) < len(run.task.paths) else 2


def _say(args: argparse.Namespace, text: str) -> None:
    """Print a line, unless only warnings and errors are wanted."""
    if not args.quiet:
        print(text)
