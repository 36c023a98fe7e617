"""`gembench templates`: templates and masks from a volume or from picked particles."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gembench.commands.numbers import file, folder, many, pixels, readable, real
from gembench.errors import InputError

if TYPE_CHECKING:
    from gembench.templates.views import Views

EXAMPLES = """\
examples:
  gembench templates --volume map.mrc --views side,top --masks masks.mrcs -o templates.mrcs
  gembench templates --volume map.mrc --views angles.star --to-pixel-size 2.2 --box 272 --lowpass 20 \\
      --masks masks.mrcs -o templates.mrcs
  gembench templates --from-picks annotations.csv --micrographs micrographs/ --pixel-size 2.2 --box 272 \\
      --label side --label top --symmetry side=2 --rotational top --masks masks.mrcs -o templates.mrcs

  gembench filter picks/ --views 0 -o side-picks
  gembench templates --from-false side-picks/ --truth annotations.csv --micrographs micrographs/ \\
      --pixel-size 2.2 --box 272 --lowpass 40 -o decoys.mrcs

A volume is seen along its z axis in the view 'top' and with z upright in the view 'side'; a file of Euler
angles has rows 'rot tilt psi' in degrees, or is a STAR file with rlnAngleRot, rlnAngleTilt, rlnAnglePsi.

Picked particles are aligned to their own average, in shift and in-plane angle. A template is centred where
the picks are on average, or on its symmetry's centre, and its long axis is vertical. Its contrast is that
of the micrographs.
"""

_ONLY = {
    "--volume": ("views", "to_pixel_size"),
    "--from-picks": ("micrographs", "label", "symmetry", "rotational", "iterations", "max_shift"),
    "--from-false": ("micrographs", "iterations", "max_shift", "truth", "radius", "threshold"),
}
_NEEDED = {"--volume": ("views",), "--from-picks": ("micrographs", "box"),
           "--from-false": ("truth", "micrographs", "box")}


def add_parser(subparsers: Any) -> None:
    """Add `templates`."""
    parser = subparsers.add_parser(
        "templates", help="make templates and masks from a volume or from picked particles",
        description="Make templates, and masks that fit them: projections of a volume, or aligned averages\n"
        "of particles that were picked or annotated.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_argument_group("source").add_mutually_exclusive_group(required=True)
    source.add_argument("--volume", metavar="V", type=readable, help="a cubic 3-D map (MRC) to project")
    source.add_argument("--from-picks", metavar="COORDS", type=readable,
                        help="file or folder of picks or annotations to average")
    source.add_argument("--from-false", metavar="COORDS", type=readable,
                        help="picks, of which those on no annotation are averaged: a decoy for `gembench"
                        " pick`")
    _add_volume(parser)
    _add_picks(parser)
    _add_false(parser)
    _add_templates(parser)
    parser.set_defaults(run=run)


def _add_volume(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("with --volume")
    group.add_argument("--views", metavar="NAMES|FILE",
                       help="names from side, top, with commas between them; or a file of Euler angles")
    group.add_argument("--to-pixel-size", metavar="A", type=real,
                       help="A/px of the templates: that of the micrographs (default: the volume's)")


def _add_picks(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("with --from-picks, some with --from-false")
    group.add_argument("--micrographs", metavar="DIR", type=readable, help="folder of the micrographs")
    group.add_argument("--label", metavar="NAME", action="append",
                       help="average the picks of this label; repeat it for more views, in this order"
                       " (default: one view from all picks)")
    group.add_argument("--symmetry", metavar="[LABEL=]S", action="append",
                       help="in-plane symmetry of the average, of one label or all: folds such as 2, with an"
                       " m (2m) mirrored about the vertical too, m mirrored only, 0 as --rotational (default:"
                       " none)")
    group.add_argument("--rotational", metavar="LABEL", action="append", nargs="?", const="",
                       help="average over all turns, as for top views: this label, or all without one")
    group.add_argument("--iterations", metavar="N", type=many,
                       help="passes of the alignment over all particles (default: 5)")
    group.add_argument("--max-shift", metavar="PX", type=real,
                       help="how far a particle may be from its pick along x and y (default: box / 10)")


def _add_false(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("with --from-false")
    group.add_argument("--truth", metavar="COORDS", type=readable,
                       help="annotations of the micrographs; picks on those labelled unsure are left out")
    group.add_argument("--radius", metavar="PX", type=real,
                       help="largest distance between a pick and its particle (default: box / 6)")
    group.add_argument("--threshold", metavar="F", type=real,
                       help="only picks with at least this score (default: all)")


def _add_templates(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("templates and masks")
    group.add_argument("-o", "--output", metavar="T", type=file, required=True,
                       help="the .mrcs stack of templates to write")
    group.add_argument("--masks", metavar="M", type=file, help="the .mrcs stack of their masks to write")
    group.add_argument("--pixel-size", metavar="A", type=real,
                       help="A/px of the volume or micrographs, where their headers do not say")
    group.add_argument("--box", metavar="N", type=pixels,
                       help="side of the templates in pixels (default with --volume: the volume's)")
    group.add_argument("--lowpass", metavar="A", type=real,
                       help="Gaussian low-pass filter that halves the amplitude at this resolution; no CTF")
    group.add_argument("--contrast", choices=("dark", "bright"), default="dark",
                       help="how particles look in the micrographs: bright as projected, dark inverted, as in"
                       " the study's micrographs; averages keep theirs (default: dark)")
    group.add_argument("--mask-shape", choices=("auto", "rectangle", "disc", "silhouette"), default="auto",
                       help="auto: disc for a round view, rectangle for one that fills it, else the"
                       " silhouette (default: auto)")
    group.add_argument("--margin", metavar="PX", type=real,
                       help="surroundings that a mask takes in (default: 4 %% of the box)")
    group.add_argument("--plots", metavar="DIR", type=folder,
                       help="draw templates with their masks beside, templates.svg and .png")
    group.add_argument("--quiet", action="store_true", help="print warnings only")


def run(args: argparse.Namespace) -> int:
    """Make the templates; write, draw and print what was asked for."""
    from gembench.io.atomic import require_folder, require_writable
    from gembench.io.images.mrc import write_stack

    _check(args)
    require_writable(args.output, args.masks)
    require_folder(args.plots)
    views = {"--volume": _projections, "--from-picks": _averages, "--from-false": _decoy}[_source(args)](args)
    if args.masks is not None or args.plots is not None:
        from gembench.templates.views import add_masks

        add_masks(views, args.contrast, args.mask_shape, args.margin)
    write_stack(args.output, views.templates, views.pixel_size, args.contrast)
    if args.masks is not None:
        write_stack(args.masks, views.masks, views.pixel_size)
    if args.plots is not None:
        from gembench.templates.report import plot

        plot(views, args.plots)
    if not args.quiet:
        from gembench.templates.report import print_table

        print_table(views, args.contrast, args.output, args.masks)
    return 0


def _projections(args: argparse.Namespace) -> Views:
    from gembench.templates.volumes import projections

    return projections(
        args.volume, args.views, pixel_size=args.pixel_size, to_pixel_size=args.to_pixel_size, box=args.box,
        lowpass=args.lowpass, contrast=args.contrast,
    )


def _averages(args: argparse.Namespace) -> Views:
    from gembench.templates.particles import Particles, averages

    particles = Particles(
        args.from_picks, args.micrographs, args.box, args.pixel_size, args.label or (), args.symmetry or (),
        args.rotational or (), args.iterations, args.max_shift, args.lowpass, args.contrast,
    )
    return averages(particles, quiet=args.quiet)


def _decoy(args: argparse.Namespace) -> Views:
    from dataclasses import replace

    from gembench.io.coordinates import read_coordinates
    from gembench.templates.decoys import false_picks, require_enough
    from gembench.templates.particles import Particles, averages

    radius = args.box / 6 if args.radius is None else args.radius
    picks, truth = read_coordinates(args.from_false), read_coordinates(args.truth)
    chosen = false_picks(picks, truth, radius, threshold=args.threshold)
    require_enough(chosen, args.lowpass)
    particles = Particles(
        chosen, args.micrographs, args.box, args.pixel_size, iterations=args.iterations,
        max_shift=args.max_shift, lowpass=args.lowpass, contrast=args.contrast,
    )
    return replace(averages(particles, quiet=args.quiet), names=["false picks"])


def _source(args: argparse.Namespace) -> str:
    """The option that says what the templates are made from."""
    return "--volume" if args.volume is not None else "--from-picks" if args.from_picks is not None \
        else "--from-false"


def require_stack(*paths: Path | None) -> None:
    """Raise InputError for a file to write, None without one, that is not named as an MRC stack."""
    for path in paths:
        if path is not None and path.suffix.lower() != ".mrcs":
            raise InputError(f"{path}: is written as an MRC stack; name it .mrcs")


def _check(args: argparse.Namespace) -> None:
    """Raise InputError for options that do not go together, before anything is computed."""
    here = _source(args)
    for there in _ONLY:
        for name in _ONLY[there]:
            if name not in _ONLY[here] and getattr(args, name) is not None:
                raise InputError(f"--{name.replace('_', '-')} goes with {there}, not {here}: leave it out")
    for name in _NEEDED[here]:
        if getattr(args, name) is None:
            raise InputError(f"{here} needs --{name}: give it")
    if args.margin is not None and not 0 <= args.margin < float("inf"):
        raise InputError(f"--margin {args.margin:g}: give 0 or more pixels")
    require_stack(args.output, args.masks)
    if args.masks == args.output:
        raise InputError(f"{args.masks}: is both --masks and --output; give two names")
