"""`gembench score`: picks, of any program, judged against annotations."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gembench.commands.numbers import file, folder, readable, real, resamples, seed, views
from gembench.errors import InputError

if TYPE_CHECKING:
    from gembench.engine.picks import Picks
    from gembench.evaluate import Evaluation

EXAMPLES = """\
examples:
  gembench score --picks picks.star --truth annotations.csv --radius 40
  gembench score --picks picks/ --truth truth.star --radius 40 --json score.json --plots plots/
  gembench score --picks boxes/ --truth truth.csv --radius 40 --flip-y picks --micrographs micrographs/
  gembench score --picks picks.csv --truth truth.csv --radius 40 --labels side --views 0 --threshold 0.35

Picks and annotations are files or folders: STAR, CSV, TSV, EMAN .box, plain or gEMpicker text. Micrographs
are paired by name without folder and extension. An annotated micrograph without picks counts as missed; in
a folder of annotations an empty file says that a micrograph holds no particle.
"""


def add_parser(subparsers: Any) -> None:
    """Add `score`."""
    parser = subparsers.add_parser(
        "score", help="judge picks against annotations",
        description="Judge picks against annotations: precision, recall, distances, precision-recall and\n"
        "ROC curves, with 95 % intervals by bootstrap over micrographs.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    need = parser.add_argument_group("what is compared")
    need.add_argument("--picks", metavar="PATH", type=readable, required=True,
                      help="file or folder of picks")
    need.add_argument("--truth", metavar="PATH", type=readable, required=True,
                      help="file or folder of annotations")
    need.add_argument("--radius", metavar="PX", type=real, required=True,
                      help="largest distance between a pick and its particle, in pixels")
    need.add_argument("--micrographs", metavar="DIR", type=readable,
                      help="folder of the micrographs; needed by --page, --flip-y and gEMpicker's text")
    add_judging(parser)
    bootstrap = parser.add_argument_group("intervals")
    bootstrap.add_argument("--resamples", metavar="N", type=resamples, default=1000,
                           help="bootstrap resamples; 0 for no intervals (default: 1000)")
    bootstrap.add_argument("--seed", metavar="N", type=seed, default=0, help="of the bootstrap (default: 0)")
    output = parser.add_argument_group("what is written")
    output.add_argument("--json", metavar="FILE", type=file, help="write all statistics and curves")
    output.add_argument("--plots", metavar="DIR", type=folder,
                        help="draw pr, roc, scores and distance, each as .svg and .png")
    output.add_argument("--page", metavar="FILE", type=file,
                        help="write the page of `gembench view`; needs --micrographs")
    output.add_argument("--quiet", action="store_true", help="print warnings only")
    parser.set_defaults(run=run, box=None, pictures=40)


def add_judging(parser: Any) -> None:
    """The options that say how picks are judged."""
    which = parser.add_argument_group("what counts")
    which.add_argument("--flip-y", choices=("picks", "truth", "both"),
                       help="whose positions count y from the bottom")
    which.add_argument("--strip-prefix", metavar="TEXT", action="append", default=[],
                       help="taken off micrographs' names before they are paired, * for any characters")
    which.add_argument("--strip-suffix", metavar="TEXT", action="append", default=[],
                       help="the same at their ends, extension left out")
    add_labels(which)
    which.add_argument("--threshold", metavar="F", type=real,
                       help="only picks with at least this score; the curves still use all")
    which.add_argument("--method", choices=("optimal", "greedy"), default="optimal",
                       help="how the counts match: most pairs, then least distance; or the best score chooses"
                       " first, as the curves always do (default: optimal)")


def add_labels(which: Any) -> None:
    """The options that say which annotations and which picks count."""
    which.add_argument("--labels", metavar="A,B", type=_names,
                       help="annotations that are particles; a pick on any other label, but the ignored ones,"
                       " is false (default: all but the ignored ones)")
    which.add_argument("--ignore-labels", metavar="A,B", type=_names, default=["unsure"],
                       help="annotations that count neither way (default: unsure; '' for none)")
    which.add_argument("--views", metavar="0,1", type=views, help="only picks of these views")


def check_radius(radius: float | None) -> None:
    """Raise InputError for a distance of nothing."""
    if radius == 0:
        raise InputError("radius 0 px: no pick lies exactly on a mark; give a distance above 0")


def run(args: argparse.Namespace) -> int:
    """Score the picks; print, store and draw what was asked for."""
    check_radius(args.radius)
    from gembench.evaluate import evaluate
    from gembench.io.atomic import require_folder, require_writable

    if args.page is not None and args.micrographs is None:
        raise InputError(f"--page {args.page}: shows picks on micrographs; give --micrographs DIR")
    require_writable(args.json, args.page)
    require_folder(args.plots)
    picks, truth = read_lists(args.picks, args, folders=True)
    assert truth is not None
    judge = partial(evaluate, radius=args.radius, method=args.method, labels=args.labels,
                    ignore_labels=args.ignore_labels, views=args.views, seed=args.seed)
    evaluation = judge(picks, truth, threshold=args.threshold, resamples=args.resamples)
    halves = _by_halves(picks, truth, judge, args.resamples)
    _say_pairing(evaluation)
    if not args.quiet:
        from gembench.evaluate.tables import print_tables

        print_tables(evaluation, f"{args.picks} against {args.truth}")
        if halves is not None:
            print(_halves_line(halves))
    if args.json is not None:
        _write_json(evaluation, halves, args)
    if args.plots is not None:
        _plot(evaluation, args.plots)
    if args.page is not None:
        from gembench.commands.view import write_page

        write_page(args, args.page, args.picks)
    return 0


def read_lists(
    picks: Path | None, args: argparse.Namespace, *, folders: bool = False
) -> tuple[list[Picks], list[Picks] | None]:
    """Picks, none without a path, and annotations, None without a path, y down, names as they are paired."""
    from dataclasses import replace

    from gembench.evaluate.partners import stripped
    from gembench.io.coordinates import read_coordinates
    from gembench.io.images.sizes import frame_sizes

    if args.flip_y is not None and args.micrographs is None:
        raise InputError(f"--flip-y {args.flip_y}: needs the height of micrographs; give --micrographs DIR")
    shape = None if args.micrographs is None else frame_sizes(args.micrographs)

    def read(path: Path, side: str) -> list[Picks]:
        lists = read_coordinates(path, shape=shape, flip_y=args.flip_y in (side, "both"), folders=folders,
                                 annotations=side == "truth")
        if not (args.strip_prefix or args.strip_suffix):
            return lists
        return [replace(part, micrograph=stripped(part.micrograph, args.strip_prefix, args.strip_suffix))
                for part in lists]

    return ([] if picks is None else read(picks, "picks"),
            None if args.truth is None else read(args.truth, "truth"))


def _say_pairing(evaluation: Evaluation) -> None:
    """Warn of micrographs that have no partner, and say how names were paired that differ."""
    if pairs := evaluation.paired_by_movie:
        _warn(f"{len(pairs)} micrographs are paired although their names differ by what motion correction or"
              f" import adds: {pairs[0][0]} with {pairs[0][1]}{', ...' if len(pairs) > 1 else ''}")
    if left_out := evaluation.unannotated_micrographs:
        _warn(f"{len(left_out)} micrographs have picks but no annotations and are left out:"
              f" {_first(left_out)}")
    if without := evaluation.micrographs_without_picks:
        _warn(f"{len(without)} of {len(evaluation.judged)} annotated micrographs have no picks, and their"
              f" particles count as missed: {_first(without)}")


def _first(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _by_halves(
    picks: list[Picks], truth: list[Picks], judge: Callable[..., Evaluation], resamples: int
) -> dict[str, Any] | None:
    """F1 with its interval where each half is judged at the other's best threshold; None if there is none."""
    from gembench.evaluate import best_by_halves

    try:
        kept, thresholds = best_by_halves(picks, truth, partial(judge, resamples=0))
        values = judge(kept, truth, resamples=resamples).to_dict()
    except InputError:  # picks without scores, a single field, a half without particles: nothing to choose by
        return None
    if values["f1"] is None:
        return None
    names = ("f1", "f1_interval", "precision", "recall")
    return {"thresholds": list(thresholds)} | {name: values[name] for name in names}


def _halves_line(halves: dict[str, Any]) -> str:
    """What `_by_halves` came to, in a sentence."""
    first, second = halves["thresholds"]
    low, high = halves["f1_interval"] or (None, None)
    interval = "" if low is None else f" ({low:.1%} .. {high:.1%})"
    return (f"  By halves of the micrographs, each at the other's best threshold ({first:.4g}, {second:.4g}):"
            f" F1 {halves['f1']:.1%}{interval}\n")


def _write_json(evaluation: Evaluation, halves: dict[str, Any] | None, args: argparse.Namespace) -> None:
    """All statistics and the points of the curves, as one JSON object."""
    import json

    from gembench import __version__
    from gembench.evaluate import best_f1
    from gembench.io.atomic import atomic_text

    made = {"gembench": __version__, "picks": str(args.picks), "truth": str(args.truth)}
    chosen: dict[str, Any] = {"best_threshold": None, "best_f1": None, "halves": halves}
    with suppress(InputError):  # no scores, or nothing is true
        chosen["best_threshold"], chosen["best_f1"] = best_f1(evaluation)
    text = json.dumps(made | evaluation.to_dict(curves=True) | chosen, indent=1, allow_nan=False)
    atomic_text(args.json, text + "\n")


def _plot(evaluation: Evaluation, folder: Path) -> None:
    """The four figures; one that cannot be drawn is said so."""
    from gembench.evaluate.plots import plot
    from gembench.io.atomic import make_folder

    for name, reason in plot(evaluation, make_folder(folder)).items():
        _warn(f"{name} is not drawn: {reason}")


def _warn(message: str) -> None:
    print(f"gembench: warning: {message}", file=sys.stderr)


def _names(text: str) -> list[str]:
    """'a,b' as a list; nothing as an empty one."""
    return [name.strip() for name in text.split(",") if name.strip()]
