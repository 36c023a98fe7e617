"""`gembench convert`: coordinates from any format that is read to any that is written."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gembench.commands.numbers import folder, pixels, readable, real
from gembench.errors import InputError

if TYPE_CHECKING:
    from gembench.engine.picks import Picks

NAMES = ("star", "star-3.0", "cbox", "xmipp", "box", "csv", "tsv", "cryosparc", "eman", "gempicker", "topaz",
         "plain")
EXAMPLES = """\
examples:
  gembench convert picks/ picks.star
  gembench convert picked.cs boxes/ --to box --box-size 180
  gembench convert picks.star topaz.txt --to topaz --threshold 0.4
  gembench convert crowded.box flipped.star --flip-y --micrographs micrographs/ --scale 0.5

What a format cannot hold is named in a line. The formats, where they count from and what they hold:
gembench/guide/formats.md.
"""


def add_parser(subparsers: Any) -> None:
    """Add `convert`."""
    parser = subparsers.add_parser(
        "convert", help="turn coordinates of one format into another",
        description="Turn coordinates of picks or annotations, of any format that is read, into another.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="FROM", type=readable, help="file, list of files, or folder")
    parser.add_argument("target", metavar="TO", type=folder,
                        help="file; or with --to a folder, which gets a file a micrograph")
    parser.add_argument("--to", choices=NAMES, metavar="FORMAT",
                        help=f"{', '.join(NAMES)} (default: by the extension of TO)")
    parser.add_argument("--flip-y", action="store_true",
                        help="count y from the other end of the micrographs; needs --micrographs")
    parser.add_argument("--micrographs", metavar="DIR", type=readable,
                        help="the micrographs (folder, list or STAR file), for what needs their size")
    parser.add_argument("--scale", metavar="F", type=real, default=1.0,
                        help="multiply positions, such as 0.5 for micrographs binned by 2 (default: 1)")
    parser.add_argument("--box-size", metavar="PX", type=pixels, help="side of the boxes that are written")
    parser.add_argument("--threshold", metavar="F", type=real,
                        help="keep only picks with at least this score")
    parser.add_argument("--labels", metavar="A,B", help="keep only these labels")
    parser.add_argument("--voltage", metavar="KV", type=real, help="kV, for the optics table of STAR files")
    parser.add_argument("--cs", metavar="MM", type=real, help="spherical aberration in mm, for the same")
    parser.add_argument("--amplitude-contrast", metavar="F", type=real, help="such as 0.1, for the same")
    parser.add_argument("--quiet", action="store_true", help="print warnings only")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Read, change and write the coordinates."""
    from gembench.io.coordinates import Optics, read_coordinates, write_coordinates
    from gembench.io.coordinates.star.optics import optics_of
    from gembench.io.images.sizes import frame_sizes

    if args.flip_y and args.micrographs is None:
        raise InputError("--flip-y: needs the height of micrographs; give --micrographs DIR")
    shape = None if args.micrographs is None else frame_sizes(args.micrographs)
    lists = read_coordinates(args.source, shape=shape, flip_y=args.flip_y,
                             folders=bool(args.target.suffix))
    lists = _changed(lists, args)
    optics = Optics(args.voltage, args.cs, args.amplitude_contrast).completed(optics_of([args.source]))
    name, _, style = (args.to or "").partition("-")
    files = write_coordinates(
        args.target, lists, format=name or None, box_size=args.box_size, style=style or "3.1", shape=shape,
        optics=optics, say_lost=True,
    )
    if not args.quiet:
        where = str(files[0]) if len(files) == 1 else f"{len(files)} files in {args.target}"
        print(f"{sum(map(len, lists))} picks on {len(lists)} micrographs: {where}")
    return 0


def _changed(lists: Sequence[Picks], args: argparse.Namespace) -> list[Picks]:
    """The picks that are kept, at their new places."""
    from dataclasses import replace

    import numpy as np

    if not (np.isfinite(args.scale) and args.scale > 0):
        raise InputError(f"--scale {args.scale:g}: give a positive number such as 0.5")
    if args.threshold is not None and not any(np.isfinite(part.score).any() for part in lists):
        raise InputError(f"{args.source}: no pick has a score; leave out --threshold")
    kept = []
    for part in lists:
        if args.threshold is not None:
            part = part[part.score >= args.threshold]
        if args.labels is not None:
            part = part[np.isin(part.label, [label.strip() for label in args.labels.split(",")])]
        if args.scale != 1:
            size = part.pixel_size and part.pixel_size / args.scale
            part = replace(part, x=part.x * args.scale, y=part.y * args.scale, pixel_size=size)
        kept.append(part)
    return kept
