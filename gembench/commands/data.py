"""`gembench data`: real data sets by name."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from gembench.commands.numbers import readable, real
from gembench.errors import InputError

if TYPE_CHECKING:
    from gembench.data.sets import DataSet

LENGTHS = {
    "radius": ("PX", "within which a pick is a particle", "a quarter"),
    "distance": ("PX", "between picks", "three quarters"),
    "border": ("PX", "that picks keep from the edges", "half"),
    "lowpass": ("A", "resolution of the filter on micrographs", "a fifth"),
}
EXAMPLES = """\
examples:
  gembench data list
  gembench data fetch klh
  gembench data import ~/ferritin --name ferritin --pixel-size 1.5 --annotations ferritin.star \\
      --templates templates.mrcs --masks masks.mrcs
  gembench run 'picking[data=ferritin]'

A set is a folder with micrographs/ and, if there are any, annotations.csv, templates.mrcs and masks.mrcs.
Sets are looked for in the folder that GEMBENCH_DATA names, then in the user's cache. What no set is needed
for runs on simulated micrographs, see `gembench simulate`.
"""


def add_parser(subparsers: Any) -> None:
    """Add `data` with `list`, `fetch` and `import`."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = subparsers.add_parser("data", help="list, download or import real data sets", epilog=EXAMPLES,
                                   description="Real data sets by name.", formatter_class=raw)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    action = actions.add_parser("list", help="which sets there are, here or to be had")
    action.set_defaults(run=run_list)

    action = actions.add_parser("fetch", help="download a public set into the cache")
    action.add_argument("name", metavar="NAME", help="as `gembench data list` gives it, such as klh")
    action.add_argument("--url", metavar="URL", help="another address of the same archive")
    action.add_argument("--sha256", metavar="HEX", help="what the archive's SHA-256 must be")
    action.add_argument("--quiet", action="store_true", help="show no progress and no summary")
    action.set_defaults(run=run_fetch)

    action = actions.add_parser("import", help="bring your own micrographs into the cache", epilog=EXAMPLES,
                                formatter_class=raw)
    action.add_argument("folder", metavar="DIR", type=readable,
                        help="folder of MRC, TIFF, PNG or JPEG micrographs")
    action.add_argument("--name", metavar="NAME", required=True, help="what to call the set")
    action.add_argument("--pixel-size", metavar="A", type=real,
                        help="A/px; needed unless the micrographs' headers say")
    action.add_argument("--annotations", metavar="FILE", type=readable,
                        help="particle positions: a coordinate file that names the micrographs, or a folder")
    _add_target(action)
    action.add_argument("--link", action="store_true", help="link to the micrographs instead of copying them")
    action.add_argument("--quiet", action="store_true", help="show no summary")
    action.set_defaults(run=run_import)


def _add_target(action: Any) -> None:
    """The options that make a set one that studies pick."""
    group = action.add_argument_group("what studies pick in it")
    group.add_argument("--templates", metavar="FILE", type=readable,
                       help="an .mrcs stack or a folder of images, one a view")
    group.add_argument("--masks", metavar="FILE", type=readable,
                       help="their masks (default: the largest disc)")
    group.add_argument("--views", metavar="LABEL,...", help="labels of the marks that show each template")
    group.add_argument("--symmetry", metavar="N,...", help="of each template in the plane, 0 for any turn")
    group.add_argument("--labels", metavar="LABEL,...", help="of marks that are particles (default: all)")
    group.add_argument("--contrast", choices=("dark", "bright"), help="how particles look (default: dark)")
    for name, meaning in LENGTHS.items():
        group.add_argument(f"--{name}", metavar=meaning[0], type=real,
                           help=f"{meaning[1]} (default: {meaning[2]} of the smallest mask's width)")


def run_list(args: argparse.Namespace) -> int:
    """Print the table of sets; returns 0."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from gembench.data.sets import KNOWN, find_set, names_here

    table = Table("name", "status", "micrographs", "annotations", "A/px", box=SIMPLE_HEAD)
    table.add_column("where, or how to get it", overflow="fold")
    for name in [*KNOWN, *(n for n in names_here() if n not in KNOWN)]:
        data_set = find_set(name)
        table.add_row(name, *(_present(data_set) if data_set else _absent(name)))
    table.add_row("simulated", "always", "any number", "exact truth", "2.2", "gembench simulate -o DIR")
    width = None if sys.stdout.isatty() else 200  # a pipe has no width to fit
    console = Console(width=width, markup=False)  # names and paths are not rich's markup
    console.print(table)
    for published in KNOWN.values():
        console.print(f"{published.name}: {published.title}", highlight=False)
    return 0


def _present(data_set: DataSet) -> tuple[str, ...]:
    """The cells of a set that is here."""
    size = f"{data_set.pixel_size:g}" if data_set.pixel_size else "unknown"
    annotations = data_set.annotations.name if data_set.annotations else "none"
    return "here", str(len(data_set.micrographs)), annotations, size, str(data_set.folder)


def _absent(name: str) -> tuple[str, ...]:
    """The cells of a set that is not here."""
    from gembench.data.sets import KNOWN

    data_set = KNOWN[name]
    get = f"gembench data fetch {name}" if data_set.url \
        else f"gembench data import DIR --name {name}  (from {data_set.source})"
    return "not here", "", "", f"{data_set.pixel_size:g}", get


def run_fetch(args: argparse.Namespace) -> int:
    """Download a set, unless it is here; returns 0."""
    from gembench.data.acquire import fetch_set
    from gembench.data.sets import find_set
    from gembench.progress import DownloadBar

    if args.name and (data_set := find_set(args.name)):
        print(f"{args.name}: here already, {len(data_set.micrographs)} micrographs in {data_set.folder}")
        return 0
    show = not args.quiet and sys.stderr.isatty()
    bar = DownloadBar(args.name, sys.stderr) if show else None
    try:
        data_set, digest = fetch_set(args.name, args.url, bar or False, args.sha256)
    finally:
        if bar is not None:
            bar.close()
    if not args.quiet:
        print(f"{args.name}: {len(data_set.micrographs)} micrographs in {data_set.folder}")
        print(f"sha256 {digest}" + ("" if args.sha256 else " (none is published: note it for --sha256)"))
    return 0


def _record(args: argparse.Namespace) -> dict[str, Any]:
    """What the arguments say of a set beside its files."""
    record = {name: getattr(args, name) for name in ("contrast", *LENGTHS)}
    for name in ("views", "labels"):
        if getattr(args, name) is not None:
            record[name] = getattr(args, name).split(",")
    if args.symmetry is not None:
        folds = args.symmetry.split(",")
        if not all(fold.isdecimal() for fold in folds):
            raise InputError(f"--symmetry {args.symmetry}: give a number for each template, such as 2,0")
        record["symmetry"] = [int(fold) for fold in folds]
    return {key: value for key, value in record.items() if value is not None}


def run_import(args: argparse.Namespace) -> int:
    """Import a folder as a set; returns 0."""
    from gembench.data.acquire import import_set

    data_set = import_set(args.folder, args.name, args.pixel_size, args.annotations, args.link,
                          args.templates, args.masks, _record(args))
    if not args.quiet:
        annotations = "annotated" if data_set.annotations else "no annotations"
        print(f"{args.name}: {len(data_set.micrographs)} micrographs, {data_set.pixel_size:g} A/px,"
              f" {annotations}, in {data_set.folder}")
    return 0
