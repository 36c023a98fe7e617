"""`gembench filter`: fewer of the picks that are there, without searching again."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gembench.commands.numbers import folder, many, readable, real
from gembench.errors import InputError

if TYPE_CHECKING:
    from gembench.engine.picks import Picks

EXAMPLES = """\
examples:
  gembench filter picks/ --threshold 0.53 -o chosen/
  gembench filter picks/picks.star --threshold 0.45 --distance 120 --views 0 -o chosen.star
  gembench filter picks/ --beside 0.5 -o single/
  gembench filter picks/ --border 75 --micrographs micrographs/ --max-picks 100 -o chosen/

Pick once with a low --threshold, or with a --floor below it, look at `gembench score`, and filter at the
threshold that it names: of a folder of `gembench pick` also the picks between floor and threshold are there.
The rules apply in this order: views, threshold, distance (the better of two stays), border, beside, the best
so many. Picks say what is beside them if they were made with `gembench pick --beside-column` or --beside.
"""


def add_parser(subparsers: Any) -> None:
    """Add `filter`."""
    parser = subparsers.add_parser(
        "filter", help="keep the better of stored picks, without searching again",
        description="Write those of stored picks, of any program, that reach a threshold, keep a distance\n"
        "and a border, or are of some views.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("picks", metavar="PICKS", type=readable, help="file or folder of picks")
    rules = parser.add_argument_group("what is kept")
    rules.add_argument("--threshold", metavar="F", type=real, help="picks with at least this score")
    rules.add_argument("--distance", metavar="PX", type=real, default=0.0,
                       help="of picks closer than this to each other, the best")
    rules.add_argument("--border", metavar="PX", type=real, default=0.0,
                       help="picks so far from every edge; needs --micrographs")
    rules.add_argument("--beside", metavar="F", type=real,
                       help="picks whose template, at its angle, reaches at most this part of their score"
                       " beside them, as 0.5")
    rules.add_argument("--max-picks", metavar="N", type=many, help="the best so many of a micrograph")
    rules.add_argument("--views", metavar="0,1", help="picks of these views")
    parser.add_argument("--micrographs", metavar="DIR", type=readable, help="folder of the micrographs")
    parser.add_argument("-o", "--output", metavar="OUT", type=folder, required=True,
                        help="a file such as chosen.star, or a folder for a STAR file a micrograph and"
                        " picks.star")
    parser.add_argument("--quiet", action="store_true", help="print warnings and errors only")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Read, filter and write."""
    from gembench.evaluate.rules import Rules, keep
    from gembench.io.coordinates import read_coordinates
    from gembench.io.images.sizes import frame_sizes

    if args.border and args.micrographs is None:
        raise InputError(f"--border {args.border:g}: needs the size of micrographs; give --micrographs DIR")
    rules = Rules(args.threshold, args.distance, args.border, args.beside, args.max_picks, _views(args.views))
    _check_output(args)
    shape = frame_sizes(args.micrographs) if args.border else None
    picks = _lower(args.picks, rules.threshold) or read_coordinates(args.picks)
    kept = [keep(rows, rules, shape(rows.micrograph) if shape else None) for rows in picks]
    _write(args.output, kept)
    if not args.quiet:
        print(f"{sum(map(len, kept))} of {sum(map(len, picks))} picks on {len(picks)} micrographs:"
              f" {args.output}")
    return 0


def _lower(folder: Path, threshold: float | None) -> list[Picks] | None:
    """All picks down to the floor, where a folder of `gembench pick` has them and they are needed.

    Warns of a threshold below which nothing is stored.
    """
    import logging

    from gembench.picking.summary import lower_picks, stored_down_to

    if threshold is None or (record := stored_down_to(folder)) is None or threshold >= record.threshold:
        return None
    if record.floor is None or threshold < record.floor:
        least = record.threshold if record.floor is None else record.floor
        logging.getLogger("gembench").warning(
            "%s: holds picks from %g on: pick with --floor %g, or a lower one, for those below", folder,
            least, threshold)
    return None if record.floor is None else lower_picks(folder, record.keys)


def _views(text: str | None) -> frozenset[int] | None:
    """The numbers of '0,1'."""
    try:
        return None if text is None else frozenset(int(number) for number in text.split(","))
    except ValueError:
        raise InputError(f"--views {text}: give whole numbers such as 0,1") from None


def _check_output(args: argparse.Namespace) -> None:
    """Raise InputError where writing would change what is read, or what another program wrote."""
    if args.output.resolve() == args.picks.resolve():
        raise InputError(f"{args.output}: is what is read: choose another --output")
    if args.output.is_dir() and any(args.output.iterdir()):
        raise InputError(f"{args.output}: is not empty: choose another --output")


def _write(output: Path, picks: list[Picks]) -> None:
    from gembench.io.coordinates import SUMMARY, write_coordinates
    from gembench.io.names import COORDINATE_EXTENSIONS

    if output.suffix.lower() in COORDINATE_EXTENSIONS:
        write_coordinates(output, picks)
        return
    write_coordinates(output, picks, format="star")
    write_coordinates(output / SUMMARY, picks)
