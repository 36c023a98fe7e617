"""`gembench view`: a page of picks, with a threshold to slide, and of marks to set."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gembench.commands.numbers import file, many, readable, real
from gembench.commands.score import add_judging, read_lists
from gembench.errors import InputError

if TYPE_CHECKING:
    from gembench.engine.picks import Picks
    from gembench.view.content import Judging, Shown

EXAMPLES = """\
examples:
  gembench view picks/ --micrographs micrographs/ -o page.html
  gembench view picks.star --micrographs micrographs/ --truth annotations.csv --radius 40 -o page.html
  gembench view --micrographs micrographs/ --box 160 -o annotate.html

The page is one file: open it in any browser, or send it. Slide the threshold; with annotations, picks
are true or false at once, and the numbers are those of `gembench score --threshold`. Annotate sets, moves and
removes marks; download them as CSV or STAR for `gembench score --truth`. Without picks the page is for
annotating alone. Of more than 40 micrographs, 40 have a picture; the counts are of all.
"""


def add_parser(subparsers: Any) -> None:
    """Add `view`."""
    parser = subparsers.add_parser(
        "view", help="see picks on micrographs, choose a threshold, annotate",
        description="Write a page of micrographs and picks, one HTML file that needs no network: a\n"
        "threshold to slide, what is true, false and missed, and marks to set by hand.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("picks", nargs="?", metavar="PICKS", type=readable, help="file or folder of picks")
    parser.add_argument("--micrographs", metavar="DIR", type=readable, required=True,
                        help="folder of the micrographs")
    parser.add_argument("--truth", metavar="PATH", type=readable, help="file or folder of annotations")
    parser.add_argument("--radius", metavar="PX", type=real,
                        help="largest distance between a pick and its particle, in pixels; for --truth")
    parser.add_argument("-o", "--output", metavar="FILE", type=file, default=Path("page.html"),
                        help="the page (default: page.html)")
    add_page_options(parser.add_argument_group("the page"))
    add_judging(parser)
    parser.add_argument("--quiet", action="store_true", help="print warnings only")
    parser.set_defaults(run=run)


def add_page_options(group: Any) -> None:
    """The options that say how a page looks."""
    group.add_argument("--box", metavar="PX", type=real,
                       help="a particle's size: diameter of circles, side of boxes (default: the least"
                       " distance that gembench picked with, else twice the radius)")
    group.add_argument("--pictures", metavar="N", type=many, default=40,
                       help="micrographs with a picture, at most, evenly chosen (default: 40)")


def run(args: argparse.Namespace) -> int:
    """Write the page."""
    if args.truth is not None and args.radius is None:
        raise InputError(f"--truth {args.truth}: needs the largest distance between a pick and its"
                         " particle; give --radius PX")
    write_page(args, args.output, args.picks)
    return 0


def write_page(args: argparse.Namespace, output: Path, picks: Path | None) -> None:
    """Write a page of picks, judged if there are annotations, and say so.

    args: those of `view` or `score`

    Raises InputError if a file cannot be read or the page cannot be written.
    """
    from gembench.io.atomic import require_writable
    from gembench.io.images.micrographs import find_micrographs

    require_writable(output)
    picked, truth = read_lists(picks, args)
    files = find_micrographs([args.micrographs])
    write(args, files, picked, truth, output, _shown(args, picks))


def write(args: argparse.Namespace, files: Sequence[Path], picked: list[Picks], truth: list[Picks] | None,
          output: Path, shown: Shown) -> None:
    """Write the page of what was read."""
    from gembench.io.atomic import atomic_text
    from gembench.view.content import content
    from gembench.view.page import render

    text = render(content(files, picked, truth, _judging(args), shown))
    atomic_text(output, text)
    if not args.quiet:
        print(f"{output}: {len(text) / 1e6:.1f} MB; open it in a browser")


def _judging(args: argparse.Namespace) -> Judging:
    from gembench.view.content import Judging

    radius = getattr(args, "radius", None)
    return Judging() if radius is None else Judging(radius, args.method, args.labels, args.ignore_labels,
                                                    args.views)


def _shown(args: argparse.Namespace, picks: Path | None) -> Shown:
    """What is shown, for picks from a file or folder."""
    from gembench.view.content import Shown

    if args.box is not None and not args.box > 0:
        raise InputError(f"--box {args.box:g}: give a size above 0 px")
    if args.pictures < 0:
        raise InputError(f"--pictures {args.pictures}: give 0 or more")
    record = _record(picks)
    box = args.box or _distance(record)
    title = f"{picks or args.micrographs}" + (f" against {args.truth}" if args.truth else "")
    if args.truth is not None and picks is not None:
        return Shown(title, box, args.threshold, _score_command(args, picks), None, args.pictures)
    command = () if picks is None else ("gembench", "filter", str(picks))
    return Shown(title, box, args.threshold, command, "chosen", args.pictures)


def pick_page(args: argparse.Namespace, folder: Path) -> None:
    """The page of `gembench pick --page`, from the folder that was written."""
    from gembench.io.coordinates import SUMMARY, read_coordinates
    from gembench.io.images.micrographs import find_micrographs

    args.box = args.truth = None
    args.pictures, threshold, args.threshold = 40, args.threshold, None
    shown = _shown(args, folder)
    args.threshold = threshold
    picked = read_coordinates(folder / SUMMARY) if (folder / SUMMARY).exists() else []
    write(args, find_micrographs(args.micrographs), picked, None, args.page, shown)


def _score_command(args: argparse.Namespace, picks: Path) -> tuple[str, ...]:
    """The words of `gembench score` that judge as the page does, but for the threshold."""
    words = ["gembench", "score", "--picks", picks, "--truth", args.truth, "--radius", f"{args.radius!r}"]
    if args.flip_y:
        words += ["--flip-y", args.flip_y, "--micrographs", args.micrographs]
    if args.labels is not None:
        words += ["--labels", ",".join(args.labels)]
    if args.ignore_labels != ["unsure"]:
        words += ["--ignore-labels", ",".join(args.ignore_labels)]
    if args.views is not None:
        words += ["--views", ",".join(map(str, args.views))]
    if args.method != "optimal":
        words += ["--method", args.method]
    return tuple(map(str, words))


def _record(picks: Path | None) -> dict[str, Any]:
    """What `gembench pick` noted of the folder it wrote; empty if it did not write this one."""
    import json
    from contextlib import suppress

    if picks is not None:
        folder = picks if picks.is_dir() else picks.parent
        with suppress(OSError, ValueError):
            record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
            if isinstance(record, dict) and isinstance(record.get("runs"), list):
                return record
    return {}


def _distance(record: dict[str, Any]) -> float | None:
    """The least distance between picks that they were made with: circles of this size never overlap."""
    try:
        return float(record["settings"]["peaks"]["distance"]) or None
    except (KeyError, TypeError, ValueError):
        return None
