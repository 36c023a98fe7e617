"""Options of the commands that pick: files, search, computer, peaks."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gembench.commands.numbers import angle_step, many, pixels, readable, real, size, symmetry, threads
from gembench.commands.study import add_plugins

if TYPE_CHECKING:
    from gembench.picking.settings import Resources, Sources

EDGES = ("mask", "box", "reflect")
METHODS = ("exact", "banded", "paper")


def add_input(parser: argparse.ArgumentParser) -> None:
    """Micrographs and templates."""
    group = parser.add_argument_group("input")
    group.add_argument("micrographs", metavar="MICROGRAPH_OR_DIR", nargs="+", type=readable,
                       help="MRC (also .gz, .bz2), TIFF, PNG or JPEG files, folders, patterns, lists of them")
    group.add_argument("--include", metavar="PATTERN", action="append", default=[],
                       help="of folders take only files that fit, such as '*_noDW*'; may be given again")
    group.add_argument("--leave-out", metavar="PATTERN", action="append", default=[], help="the opposite")
    group.add_argument("--templates", metavar="T", type=readable, required=True,
                       help=".mrcs stack or folder of images, one for each view")
    group.add_argument("--masks", metavar="M", type=readable,
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
    group.add_argument("--decoys", metavar="D", type=readable,
                       help="views of what is not wanted, as --templates: they compete at every place, and"
                       " what they win is no pick; see `gembench templates --from-false`")
    group.add_argument("--decoy-masks", metavar="M", type=readable,
                       help="their masks (default: the mask of the first template)")
    group.add_argument("--exclude", metavar="DIR", type=readable,
                       help="folder of images named as the micrographs; no particle is picked where they are"
                       " not 0")


def add_search(parser: argparse.ArgumentParser) -> None:
    """Filters, turns and the correlation."""
    group = parser.add_argument_group("search")
    group.add_argument("--angle-step", metavar="D", type=angle_step, required=True,
                       help="degrees between the in-plane turns of a template")
    group.add_argument("--lowpass", metavar="A", type=real, default=0.0,
                       help="resolution at which a Gaussian halves the micrographs' amplitudes; about a fifth"
                       " of the particle's diameter suits template matching (default: 0, none)")
    group.add_argument("--edges", choices=EDGES, default="mask",
                       help="score where the turned mask, or the template's box, lies inside the micrograph;"
                       " or everywhere, with the micrograph mirrored at its edges (default: mask)")
    group.add_argument("--average", metavar="K", type=pixels, default=4,
                       help="side of the averaging filter on the micrographs, 1 for none (default: 4)")
    group.add_argument("--method", choices=METHODS, default="exact",
                       help="exact; banded, for filtered micrographs, faster, within 6 standard errors; or"
                       " transform by transform as in the paper (default: exact)")
    add_correlation(group)


def add_correlation(group: argparse._ArgumentGroup) -> None:
    """What of the search is seldom changed."""
    group.add_argument("--interpolation", choices=("bilinear", "cubic"), default="bilinear",
                       help="how templates are turned (default: bilinear)")
    group.add_argument("--symmetry", metavar="N,N,...", type=symmetry,
                       help="of each view in the plane: 1, 2, ... or 0 for a disc; spares equal turns"
                       " (default: every turn)")
    group.add_argument("--clip", metavar="SD", type=real, default=10.0,
                       help="limit outliers to so many robust standard deviations, 0: not (default: 10)")
    group.add_argument("--precision", choices=("float32", "float64"), default="float32",
                       help="of the correlation (default: float32)")


def add_resources(parser: argparse.ArgumentParser) -> None:
    """What to compute with."""
    group = parser.add_argument_group("computer")
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


def add_peaks(parser: argparse.ArgumentParser) -> None:
    """Which peaks of a score map become picks."""
    group = parser.add_argument_group("peaks")
    group.add_argument("--peaks", choices=("nms", "gempicker"), default="nms",
                       help="local maxima, best first, at a distance; or gEMpicker's rules (default: nms)")
    group.add_argument("--threshold", metavar="F", type=real, default=0.3,
                       help="lowest score of a pick (default: 0.3)")
    group.add_argument("--floor", metavar="F", type=real,
                       help="keep picks down to this score apart, so that `gembench filter --threshold` can"
                       " go below --threshold (default: none)")
    group.add_argument("--high-threshold", metavar="F", type=real, default=1.0,
                       help="highest score of a pick (default: 1)")
    group.add_argument("--distance", metavar="PX", type=real,
                       help="least distance between picks (default: 3/4 of the smallest mask's width)")
    group.add_argument("--border", metavar="PX", type=real, default=0.0,
                       help="what a pick keeps from the edges; with gEMpicker's rules, its box (default: 0)")
    group.add_argument("--max-picks", metavar="N", type=many, help="the best so many of a micrograph")
    group.add_argument("--beside", metavar="F", type=real,
                       help="drop a pick where its template, at its angle, reaches more than this part of its"
                       " score 1/2 to 3/4 of --distance beside it, as on a tube; 0.5 suits single particles,"
                       " 0.6 or none crowded ones (default: none)")
    group.add_argument("--beside-column", action="store_true",
                       help="drop none for that, but write what is beside each pick, for `gembench filter"
                       " --beside`: about a millisecond a pick")


def pixel_size_of(args: argparse.Namespace) -> float:
    """The pixel size given, which wins over headers if that is asked for."""
    from gembench.io.checks import Insisted

    return Insisted(args.pixel_size) if args.ignore_header else float(args.pixel_size)


def sources_of(args: argparse.Namespace) -> Sources:
    """What `add_input` says is read."""
    from gembench.picking.settings import Sources

    return Sources(args.micrographs, args.templates, args.masks, args.exclude, args.include, args.leave_out,
                   args.decoys, args.decoy_masks)


def resources_of(args: argparse.Namespace) -> Resources:
    """What `add_resources` says may be used."""
    from gembench.picking.settings import Resources

    return Resources(args.threads, args.fft, args.device, args.memory, args.stall_limit)
