"""`gembench tune`: which options of `gembench pick` are best, judged on annotated micrographs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from gembench.commands.numbers import angle_step, file, folder, many, pixels, readable, real, resamples, seed
from gembench.commands.options import (
    EDGES,
    METHODS,
    add_correlation,
    add_input,
    add_resources,
    pixel_size_of,
    resources_of,
    sources_of,
)
from gembench.commands.score import add_labels, check_radius
from gembench.commands.templates import require_stack
from gembench.errors import InputError

if TYPE_CHECKING:
    from gembench.tuning.grid import Grid
    from gembench.tuning.result import Tuning

T = TypeVar("T")

EXAMPLES = """\
examples:
  gembench tune micrographs/ --truth annotations.csv --templates templates.mrcs --pixel-size 1.5
  gembench tune klh/ --truth klh.csv --templates t.mrcs --masks m.mrcs --pixel-size 2.2 \\
      --labels side --views 0
  gembench tune mics/ --truth marks/ --templates t.mrcs --pixel-size 1 --lowpass 0,15,25 --angle-step 15 \\
      --edges reflect --keep searches/ --json tuning.json

Annotate some micrographs, two at the least, every particle on them. Options are tried one after another, each
with the best of those before; each is judged by halves: the threshold that is best on one half of the
micrographs, on the other half. The last lines are the command that picks best and the one that judges it.
"""


def add_parser(subparsers: Any) -> None:
    """Add `tune`."""
    parser = subparsers.add_parser(
        "tune", help="find the options of pick that are best on annotated micrographs",
        description="Try a small grid of options on annotated micrographs, and print the command that picks\n"
        "them best.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_input(parser)
    _add_truth(parser)
    _add_grid(parser)
    fixed = parser.add_argument_group("what stays")
    fixed.add_argument("--average", metavar="K", type=pixels,
                       help="side of the averaging filter (default: 4 without a low-pass filter, 1 with one)")
    fixed.add_argument("--method", choices=METHODS,
                       help="of the search (default: banded with a low-pass filter on the CPU, else exact)")
    fixed.add_argument("--max-picks", metavar="N", type=many, help="the best so many of a micrograph")
    add_correlation(fixed)
    add_resources(parser)
    output = parser.add_argument_group("output")
    output.add_argument("--json", metavar="FILE", type=file, help="write all trials and the command")
    output.add_argument("--decoys-to", metavar="FILE", type=file,
                        help="stack of decoys to write, if picking is better with them (default: decoys.mrcs,"
                        " unless it is there)")
    output.add_argument("--keep", metavar="DIR", type=folder,
                        help="keep the picks of every search; given again, none is searched again")
    output.add_argument("--quiet", action="store_true", help="print the command only")
    parser.set_defaults(run=run)


def _add_truth(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what counts")
    group.add_argument("--truth", metavar="PATH", type=readable, required=True,
                       help="file or folder of annotations; micrographs without any are not looked at")
    group.add_argument("--radius", metavar="PX", type=real,
                       help="largest distance between a pick and its particle (default: a quarter of the"
                       " particle's width)")
    add_labels(group)
    group.add_argument("--resamples", metavar="N", type=resamples, default=1000,
                       help="of the bootstrap that gives intervals, 0 for none (default: 1000)")
    group.add_argument("--seed", metavar="N", type=seed, default=0, help="of the bootstrap (default: 0)")


def _add_grid(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is tried, each with commas between its values")
    group.add_argument("--lowpass", metavar="A,A", type=_values(real),
                       help="low-pass filters, 0 for none (default: none and 5, 10, 20 %% of the particle's"
                       " width)")
    group.add_argument("--edges", metavar="E,E", type=_values(_edges),
                       help="where scores are (default: reflect,mask,box)")
    group.add_argument("--angle-step", metavar="D,D", type=_values(angle_step),
                       help="degrees, the coarse ones first; all others are tried with the first (default:"
                       " 10,5)")
    group.add_argument("--border", metavar="F,F", type=_values(real),
                       help="what picks keep from the edges, as parts of the particle's width, that of the"
                       " smallest mask, were it square (default: 0,0.1,0.25,0.45)")
    group.add_argument("--distance", metavar="F,F", type=_values(real),
                       help="least distance between picks, likewise; of equals the first is taken (default:"
                       " 0.75,0.5,1)")
    group.add_argument("--beside", metavar="F,F", type=_values(real),
                       help="as pick's, tried with the best; '' for none (default: 0.5,0.6,0.7)")
    group.add_argument("--no-decoys", action="store_true",
                       help="do not try decoys, made from the false picks of one half for the other")
    group.add_argument("--lowest", metavar="F", type=real,
                       help="score from which on picks are looked at (default: 0.2, with strong filters 0.3)")


def run(args: argparse.Namespace) -> int:
    """Tune; print and store what comes of it."""
    import shlex

    from gembench.io.atomic import require_writable
    from gembench.tuning.tables import print_tables
    from gembench.tuning.tuner import DECOYS

    if args.decoys_to is None and not args.no_decoys and Path(DECOYS).exists():
        raise InputError(f"{DECOYS}: is there already: name another with --decoys-to, or give --no-decoys")
    require_writable(args.json, args.decoys_to)
    require_stack(args.decoys_to)
    tuning = _tuned(args, Path(DECOYS) if args.decoys_to is None else args.decoys_to)
    tuning.command[2:2] = [f"--plugin={path}" for path in args.plugins]
    if args.quiet:
        print(shlex.join(tuning.command))
    else:
        print_tables(tuning)
    if args.json is not None:
        _write_json(tuning, args.json)
    return 0


def _tuned(args: argparse.Namespace, decoys_to: Path) -> Tuning:
    from gembench.engine.peaks import PeakSettings
    from gembench.picking.settings import PickSettings
    from gembench.tuning.judging import Judging
    from gembench.tuning.tuner import tune

    check_radius(args.radius)
    settings = PickSettings(
        pixel_size_of(args), contrast=args.contrast, template_contrast=args.template_contrast,
        interpolation=args.interpolation, symmetry=args.symmetry, clip=args.clip, dtype=args.precision,
        peaks=PeakSettings(max_picks=args.max_picks), spectra=args.spectra,
    )
    by = Judging(args.truth, args.radius, args.labels, args.ignore_labels, args.views, args.resamples,
                 args.seed)
    return tune(sources_of(args), by, settings, _grid(args), resources_of(args), decoys_to=decoys_to,
                keep=args.keep, quiet=args.quiet)


def _grid(args: argparse.Namespace) -> Grid:
    from gembench.tuning.grid import Grid

    names = ("lowpass", "edges", "angle_step", "border", "distance", "beside", "average", "method", "lowest")
    values = {name: getattr(args, name) for name in names}
    return Grid(decoys=not args.no_decoys,
                **{name: value for name, value in values.items() if value is not None})


def _write_json(tuning: Tuning, path: Path) -> None:
    import json

    from gembench import __version__
    from gembench.io.atomic import atomic_text

    values = {"gembench": __version__} | tuning.to_dict()
    atomic_text(path, json.dumps(values, indent=1, allow_nan=False) + "\n")


def _values(number: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """A parser of several values with commas between them, each once."""
    def several(text: str) -> tuple[T, ...]:
        return tuple(dict.fromkeys(number(part.strip()) for part in text.split(",") if part.strip()))

    return several


def _edges(text: str) -> str:
    """One of the choices of pick's --edges."""
    if text not in EDGES:
        raise argparse.ArgumentTypeError(f"'{text[:24]}' is none of {', '.join(EDGES)}")
    return text
