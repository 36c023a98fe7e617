"""`gembench pick`: particles of micrographs by template matching."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from gembench.commands.numbers import file, folder, real
from gembench.commands.options import (
    add_input,
    add_peaks,
    add_resources,
    add_search,
    pixel_size_of,
    resources_of,
    sources_of,
)
from gembench.errors import InputError
from gembench.text import printable

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
    add_input(parser)
    add_search(parser)
    add_resources(parser)
    add_peaks(parser)
    _add_output(parser)
    _add_ranks(parser)
    parser.set_defaults(run=run)


def _add_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument("-o", "--output", metavar="OUT", type=folder, required=True, help="folder to write")
    group.add_argument("--plots", action="store_true", help="draw the picks on each micrograph (OUT/plots)")
    group.add_argument("--page", metavar="FILE", type=file,
                       help="write a page of the picks on the micrographs, as `gembench view` does")
    group.add_argument("--save-maps", action="store_true", help="write score and index maps (OUT/maps)")
    group.add_argument("--overwrite", action="store_true", help="remove picks, maps and plots in OUT first")
    group.add_argument("--voltage", metavar="KV", type=real,
                       help="kV, for RELION's optics table (default: of the STAR file of micrographs)")
    for name, unit in (("--cs", "MM"), ("--amplitude-contrast", "F")):
        group.add_argument(name, metavar=unit, type=real, help="the same of the microscope")
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
    from gembench.io.atomic import require_writable

    try:
        if args.page is not None and args.page.parent != args.output:  # which may still be to be made
            require_writable(args.page)
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
    from gembench.io.coordinates.star.optics import Optics
    from gembench.picking.settings import Outputs, PickSettings

    peaks = PeakSettings(args.peaks, args.threshold, args.high_threshold, args.distance or 0.0, args.border,
                         args.max_picks)
    settings = PickSettings(
        pixel_size_of(args), args.angle_step, args.contrast, args.template_contrast, args.interpolation,
        args.symmetry, args.average, args.lowpass, args.clip, args.method, args.precision, args.edges, peaks,
        args.spectra, mask_distance=args.distance is None, beside=args.beside,
        beside_column=args.beside_column,
        floor=args.floor,
    )
    return (
        sources_of(args),
        Outputs(args.output, args.save_maps, args.plots, args.overwrite,
                Optics(args.voltage, args.cs, args.amplitude_contrast)), settings,
        resources_of(args),
    )


def _show(run: PickRun, args: argparse.Namespace, ranks: str = "") -> int:
    """Take the outcomes of a run and say what comes of them: 1 if some could not be picked, 2 if none.

    ranks: how many there are, and what each gets
    """
    from gembench.io.coordinates import SUMMARY
    from gembench.picking.facts import description, not_picked, status
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
        if run.spent.seconds:
            _say(args, str(run.spent))
        for line in not_picked(run):
            _say(args, line)
        if args.page is not None:
            from gembench.commands.view import pick_page

            pick_page(args, run.folder.folder)
    if len(failed) > 1:
        names = ", ".join(map(printable, failed))
        print(f"gembench: error: not picked: {names} ({len(failed)} of {len(run.task.paths)} micrographs)",
              file=sys.stderr)
    return 0 if not failed else 1 if len(failed) < len(run.task.paths) else 2


def _say(args: argparse.Namespace, text: str) -> None:
    """Print a line, unless only warnings and errors are wanted."""
    if not args.quiet:
        print(text)
