"""`gembench simulate`: micrographs of KLH with known truth."""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

from gembench.commands.numbers import folder, many, pixels, seed

EXAMPLES = """\
example:
  gembench simulate -o simulated --count 10 --seed 1

writes simulated/sim_0001.mrc ... (2.2 A/px, electrons per pixel, particles dark), truth.star with every
particle (label side, top or unsure), and templates.mrcs and masks.mrcs (view 0 side, view 1 top), ready
for `gembench pick` and `gembench score`. The same seed gives the same files; micrograph n does not depend
on how many are written.
"""


def add_parser(subparsers: Any) -> None:
    """Add `simulate`."""
    parser = subparsers.add_parser(
        "simulate", help="simulate micrographs of KLH with known truth",
        description="Simulate far-from-focus cryo-EM micrographs of keyhole limpet hemocyanin (KLH) with\n"
        "known truth: side and top views, tubes, contamination, ice, defocus, shot noise.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-o", "--output", metavar="DIR", type=folder, required=True,
                        help="folder for the micrographs; created if need be")
    parser.add_argument("--count", metavar="N", type=many, default=10, help="micrographs (default: 10)")
    parser.add_argument("--seed", metavar="S", type=seed, default=0,
                        help="of the random numbers (default: 0)")
    parser.add_argument("--size", metavar="PX", type=pixels, default=2048,
                        help="side of the micrographs in pixels (default: 2048)")
    parser.add_argument("--quiet", action="store_true", help="show no progress and no summary")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the set that the arguments ask for; returns 0."""
    from gembench.data.simulate import write_simulated_set
    from gembench.progress import track

    each = partial(track, total=args.count, description="simulating", quiet=args.quiet)
    write_simulated_set(args.output, args.count, args.seed, args.size, each=each)
    if not args.quiet:
        print(f"{args.output}: {args.count} micrographs, truth.star, templates.mrcs, masks.mrcs")
    return 0
