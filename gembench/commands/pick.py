"""`gembench pick`: particles of micrographs by template matching."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gembench.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gembench.engine.templates import TemplateBank
    from gembench.io.micrographs import Micrograph
    from gembench.pick_folder import PickFolder
    from gembench.picking import Picked, Picker, PickSettings

log = logging.getLogger("gembench")

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
    _add_input(parser)
    _add_search(parser)
    _add_peaks(parser)
    _add_output(parser)
    parser.set_defaults(run=run)


def _add_input(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("input")
    group.add_argument("micrographs", metavar="MICROGRAPH_OR_DIR", nargs="+", type=Path,
                       help="MRC (also .gz, .bz2), TIFF, PNG or JPEG files, or folders of them")
    group.add_argument("--templates", metavar="T", type=Path, required=True,
                       help=".mrcs stack or folder of images, one for each view")
    group.add_argument("--masks", metavar="M", type=Path,
                       help="the same for masks, one a view or one for all (default: the largest disc)")
    group.add_argument("--pixel-size", metavar="A", type=float, required=True,
                       help="A/px of micrographs and templates")
    group.add_argument("--contrast", choices=("dark", "bright"), default="dark",
                       help="how particles look in the micrographs (default: dark)")
    group.add_argument("--template-contrast", choices=("dark", "bright"),
                       help="how they look in the templates (default: seen from each template and its mask)")
    group.add_argument("--exclude", metavar="DIR", type=Path,
                       help="folder of images named as the micrographs; no particle is picked where they are"
                       " not 0")


def _add_search(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("search")
    group.add_argument("--angle-step", metavar="D", type=float, required=True,
                       help="degrees between the in-plane turns of a template")
    group.add_argument("--interpolation", choices=("bilinear", "cubic"), default="bilinear",
                       help="how templates are turned (default: bilinear)")
    group.add_argument("--symmetry", metavar="N,N,...", type=_symmetry,
                       help="of each view in the plane: 1, 2, ... or 0 for a disc; spares equal turns"
                       " (default: every turn)")
    group.add_argument("--average", metavar="K", type=int, default=4,
                       help="side of the averaging filter on the micrographs, 1 for none (default: 4)")
    group.add_argument("--lowpass", metavar="A", type=float, default=0.0,
                       help="resolution at which a Gaussian halves the micrographs' amplitudes; about a fifth"
                       " of the particle's diameter suits template matching (default: 0, none)")
    group.add_argument("--clip", metavar="SD", type=float, default=10.0,
                       help="limit outliers to so many robust standard deviations, 0: not (default: 10)")
    group.add_argument("--method", choices=("exact", "paper"), default="exact",
                       help="exact, or transform by transform as in the paper (default: exact)")
    group.add_argument("--precision", choices=("float32", "float64"), default="float32",
                       help="of the correlation (default: float32)")
    group.add_argument("--edges", choices=("mask", "box", "reflect"), default="mask",
                       help="score where the turned mask, or the template's box, lies inside the micrograph;"
                       " or everywhere, with the micrograph mirrored at its edges (default: mask)")
    group.add_argument("--threads", metavar="N", type=int, help="consumer threads (default: all cores)")
    group.add_argument("--fft", metavar="NAME", default="auto",
                       help="mkl, fftw, scipy, ducc0, numpy, fftw-estimate or mkl-fft (default: the first of"
                       " these that is installed)")


def _add_peaks(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("peaks")
    group.add_argument("--peaks", choices=("nms", "gempicker"), default="nms",
                       help="local maxima, best first, at a distance; or gEMpicker's rules (default: nms)")
    group.add_argument("--threshold", metavar="F", type=float, default=0.3,
                       help="lowest score of a pick (default: 0.3)")
    group.add_argument("--high-threshold", metavar="F", type=float, default=1.0,
                       help="highest score of a pick (default: 1)")
    group.add_argument("--distance", metavar="PX", type=float,
                       help="least distance between picks (default: 3/4 of the smallest mask's width)")
    group.add_argument("--border", metavar="PX", type=float, default=0.0,
                       help="what a pick keeps from the edges; with gEMpicker's rules, its box (default: 0)")
    group.add_argument("--max-picks", metavar="N", type=int, help="the best so many of a micrograph")


def _add_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument("-o", "--output", metavar="OUT", type=Path, required=True, help="folder to write")
    group.add_argument("--plots", action="store_true", help="draw the picks on each micrograph (OUT/plots)")
    group.add_argument("--save-maps", action="store_true", help="write score and index maps (OUT/maps)")
    group.add_argument("--overwrite", action="store_true", help="remove picks, maps and plots in OUT first")
    group.add_argument("--quiet", action="store_true", help="print warnings and errors only")


def run(args: argparse.Namespace) -> int:
    """Pick every micrograph that is not finished; 2 if any could not be picked."""
    from gembench.engine.search import cores
    from gembench.io.micrographs import find_micrographs
    from gembench.pick_folder import PickFolder
    from gembench.picking import Picker, load_bank

    say: Callable[[str], None] = (lambda _: None) if args.quiet else print
    paths = find_micrographs(args.micrographs)
    areas = _excluded_areas(args.exclude, paths)
    settings = _settings(args)
    bank, inverted = load_bank(args.templates, args.masks, settings)
    settings = _with_distance(settings, bank, args.distance)
    threads = args.threads if args.threads is not None else cores()
    with Picker(bank, settings, threads=threads, library=args.fft) as picker:
        folder = PickFolder(args.output, settings.to_dict() | _inputs(args), overwrite=args.overwrite)
        todo = [path for path in paths if not _has_all(args, folder, path)]
        _describe(say, picker, paths, todo, inverted)
        failed = _pick_all(args, picker, folder, todo, areas) if todo else 0
    total = folder.finish()
    if folder.finished:
        say(f"{total} picks on {len(folder.finished)} micrographs: {args.output / 'picks.star'}")
    return 2 if failed else 0


def _settings(args: argparse.Namespace) -> PickSettings:
    from gembench.engine.peaks import PeakSettings
    from gembench.picking import PickSettings

    peaks = PeakSettings(args.peaks, args.threshold, args.high_threshold, args.distance or 0.0, args.border,
                         args.max_picks)
    return PickSettings(
        args.pixel_size, args.angle_step, args.contrast, args.template_contrast, args.interpolation,
        args.symmetry, args.average, args.lowpass, args.clip, args.method, args.precision, args.edges, peaks,
    )


def _with_distance(settings: PickSettings, bank: TemplateBank, given: float | None) -> PickSettings:
    """The settings with the distance that the masks suggest, unless one was given."""
    import dataclasses

    from gembench.picking import default_distance

    if given is not None:
        return settings
    peaks = dataclasses.replace(settings.peaks, distance=default_distance(bank))
    return dataclasses.replace(settings, peaks=peaks)


def _symmetry(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(n) for n in text.split(","))
    except ValueError:
        message = f"'{text}' is not a number for each view such as 2,0"
        raise argparse.ArgumentTypeError(message) from None


def _inputs(args: argparse.Namespace) -> dict[str, str | None]:
    """The content of the files that decide what is picked, beside the micrographs."""
    from gembench.picking import content_hash

    files = {"templates": args.templates, "masks": args.masks, "exclude": args.exclude}
    return {name: content_hash(path) if path else None for name, path in files.items()}


def _excluded_areas(folder: Path | None, micrographs: list[Path]) -> dict[str, Path]:
    """The image of each micrograph's excluded area, by `micrograph_key`; some may have none."""
    from gembench.io.micrographs import find_micrographs
    from gembench.io.names import micrograph_key

    if folder is None:
        return {}
    areas = {micrograph_key(path): path for path in find_micrographs([folder])}
    if areas.keys().isdisjoint(map(micrograph_key, micrographs)):
        raise InputError(f"{folder}: no image here is named as a micrograph; name them so, or leave out"
                         " --exclude")
    return areas


def _provenance(args: argparse.Namespace, picker: Picker) -> dict[str, Any]:
    """What run.json says of one run."""
    from datetime import UTC, datetime

    from gembench.study import provenance

    return {
        "start": datetime.now(UTC).isoformat(timespec="seconds"), "argv": args.argv,
        "threads": picker.search.threads, "fft": picker.search.library.name,
        "fft_version": picker.search.library.version(), "machine": provenance.machine(),
        "libraries": provenance.libraries(),
    }


def _describe(
    say: Callable[[str], None], picker: Picker, paths: list[Path], todo: list[Path], inverted: list[int]
) -> None:
    bank, search = picker.bank, picker.search
    say(f"{len(bank)} templates: {len(bank.templates)} views x {len(bank.angles)} angles, box"
        f" {bank.box[1]} x {bank.box[0]} px; method {search.method}, {search.library.name},"
        f" {search.threads} threads")
    if inverted:
        say(f"inverted to match {picker.settings.contrast} particles: template"
            f" {', '.join(str(view) for view in inverted)}")
    if len(todo) < len(paths):
        say(f"{len(paths) - len(todo)} of {len(paths)} micrographs are finished and skipped")


def _has_all(args: argparse.Namespace, folder: PickFolder, path: Path) -> bool:
    """Whether nothing is left to do for a micrograph, neither picks nor the picture asked for."""
    return _is_picked(args, folder, path) and (not args.plots or folder.plot(path).is_file())


def _is_picked(args: argparse.Namespace, folder: PickFolder, path: Path) -> bool:
    """Whether a micrograph need not be searched: it is finished, and has the maps asked for."""
    has_maps = not args.save_maps or all(file.is_file() for file in folder.maps(path))
    return has_maps and folder.is_finished(path)


def _pick_all(
    args: argparse.Namespace, picker: Picker, folder: PickFolder, todo: list[Path], areas: dict[str, Path]
) -> int:
    """Pick and store the micrographs; returns how many could not be, each with a line on stderr."""
    from gembench.commands.progress import track
    from gembench.io.micrographs import read_micrograph

    stored = {path for path in todo if _is_picked(args, folder, path)}
    if fresh := [path for path in todo if path not in stored]:
        folder.start(_provenance(args, picker), fresh)
    failed = limited = 0
    try:
        for path in track(todo, len(todo), "Picking", args.quiet):
            start = time.perf_counter()
            try:
                micrograph = read_micrograph(path, pixel_size=args.pixel_size)
                picked = None if path in stored else picker.pick(micrograph, _excluded(areas, path))
            except InputError as error:
                failed += 1
                folder.fail(path, str(error))
                print(f"gembench: error: {error}", file=sys.stderr)
                continue
            limited += picked is not None and picked.limited > 0
            _store(args, folder, micrograph, picked, picker.bank.box, start)
    finally:
        folder.save()
    if limited:
        log.warning("outlier pixels were limited in %d micrographs; run.json counts them", limited)
    return failed


def _excluded(areas: dict[str, Path], micrograph: Path) -> NDArray[np.bool_] | None:
    """The area of a micrograph where nothing may be picked, (H, W); None if there is no image of it."""
    from gembench.io.micrographs import read_pixels
    from gembench.io.names import micrograph_key

    path = areas.get(micrograph_key(micrograph))
    return None if path is None else read_pixels(path)[0] != 0


def _store(
    args: argparse.Namespace, folder: PickFolder, micrograph: Micrograph, picked: Picked | None,
    box: tuple[int, int], start: float,
) -> None:
    """Write what came out of one micrograph, its picks last; None if they are stored already."""
    from gembench.commands._pick_extras import draw, write_maps

    picks = folder.picks(micrograph.name) if picked is None else picked.picks
    if picked is not None and args.save_maps:
        write_maps(folder, micrograph, picked.maps)
    if args.plots:
        draw(folder, micrograph, picks, box)
    if picked is not None:
        folder.add(picks, _facts(picked, time.perf_counter() - start))


def _facts(picked: Picked, seconds: float) -> dict[str, Any]:
    """What run.json says of one micrograph."""
    statistics = picked.statistics
    return {
        "picks": len(picked.picks), "seconds": round(seconds, 4),
        "search_seconds": round(statistics.seconds, 4), "limited_pixels": picked.limited,
        "transforms": {"forward": statistics.counts.forward, "inverse": statistics.counts.inverse},
        "producer_wait": round(statistics.producer_wait, 4),
        "consumer_wait": round(statistics.consumer_wait, 4),
    }
