"""Which files are the micrographs: among files, folders, patterns, and STAR files or lists that name them."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from gembench.errors import InputError
from gembench.io.checks import read_text
from gembench.io.coordinates.notes import Notes
from gembench.io.coordinates.star.scan import scan_loops
from gembench.io.names import (
    IMAGE_EXTENSIONS,
    MRC_EXTENSIONS,
    READABLE,
    compression_fits,
    extension,
    micrograph_key,
    path_key,
    require_known,
    with_slashes,
)
from gembench.io.source import is_file

FOLDER_EXTENSIONS = (".mrc", *IMAGE_EXTENSIONS)
_MICROGRAPH = "rlnMicrographName"
# What programs write beside a micrograph in images of their own: power spectra, fits of the CTF, gain
# references, backgrounds and thumbnails of MotionCor2, RELION, ctffind, Gctf, cryoSPARC, EPU and SerialEM.
_NO_MICROGRAPH = re.compile(
    r"(_ps|_power|_powerspectrum|_ctf|_ctffit|_diag|_diagnostic|_avrot|_gain|_gainref|_background|_bg|"
    r"_thumb|_thumbnail|_thumbnail_2x|_thumbnail_1x)$|^(gain|gainref|gain_ref|gainreference|"
    r"superref|defects|atlas)([_.-].*)?$", re.I)
# Of one movie several sums may lie in a folder: that without dose weighting is for the CTF alone.
_UNWEIGHTED = re.compile(r"(.+?)(_nodw|-nodw|_patch_aligned|_non_dose_weighted)$", re.I)
_WEIGHTED = ("_dw", "-dw", "_doseweighted", "_patch_aligned_doseweighted", "_dose_weighted")


@dataclass(frozen=True)
class Choice:
    """Which of the files of folders, patterns and lists are taken: patterns with * and ? of names."""

    include: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = field(default=())


def find_micrographs(
    paths: Iterable[str | Path], include: Sequence[str] = (), leave_out: Sequence[str] = ()
) -> list[Path]:
    """The micrograph files among `paths`, sorted within each; the order of `paths` is kept.

    paths: files as they are named; folders by their images, or by those of the folders in them if they hold
        none; patterns with * and ?; STAR files with rlnMicrographName, and texts with a path a line
    include: patterns of names or paths of which files must fit one, and which nothing below leaves out
    leave_out: patterns of names or paths that are left out

    Left out, and said in a line each, are images that programs put beside micrographs (power spectra, gain
    references, ...), sums without dose weighting beside those with it, previews of a micrograph in another
    image format, links that lead nowhere, stacks (.mrcs) and hidden files. A file that is named alone is
    always taken.

    Raises InputError for a missing path, an unknown extension, a folder without micrographs, and two files
    that share name and folder but for their extension, since their picks could not be told apart.
    """
    notes = Notes()
    choice = Choice(tuple(include), tuple(leave_out))
    paths = list(paths)
    files: list[Path] = []
    for path in paths:
        files.extend(_files_of(Path(path), notes))
    first = Path(paths[0]) if paths else Path()
    if len(files) > 1 or any(Path(path).is_dir() for path in paths):
        root = first if len(paths) == 1 else first.parent
        files = _chosen(root, files, {Path(path) for path in paths}, choice, notes)
        if not files:
            notes.tell(root)
            raise InputError(f"{root}: no micrographs in this folder but what is left out; put {READABLE}"
                             " files there, or name them by --include")
    notes.tell(first)
    seen: dict[str, Path] = {}
    for path in files:
        other = seen.setdefault(path_key(path.as_posix()), path)
        if other is not path:
            raise InputError(f"{path}: same micrograph name as {other}; rename or leave out one of them")
    return files


def images_in(folder: Path) -> list[Path]:
    """All images of one folder, sorted, whatever they show; raises InputError if there are none."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such file or folder; check the path")
    images = [path for path in sorted(folder.iterdir()) if _is_image(path) and path.is_file()]
    if not images:
        raise InputError(f"{folder}: no images in this folder; put {READABLE} files there")
    return images


def _files_of(path: Path, notes: Notes) -> list[Path]:
    """The files that one path stands for."""
    if path.is_dir():
        return _in_folder(path, notes)
    if not path.exists():
        if path.is_symlink():
            raise InputError(f"{path}: is a link that leads nowhere; check what it points to")
        if any(c in str(path) for c in "*?["):
            if not (fitting := sorted(map(Path, glob.glob(str(path), recursive=True)))):  # noqa: PTH207
                raise InputError(f"{path}: no file fits this pattern; check the path")
            return [file for fit in fitting for file in (_in_folder(fit, notes) if fit.is_dir() else [fit])
                    if extension(file) in FOLDER_EXTENSIONS]
        raise InputError(f"{path}: no such file or folder; check the path")
    if path.suffix.lower() in (".star", ".txt", ".lst", ".list"):
        return _listed(path, notes)
    require_known(path)
    return [path]


def _in_folder(folder: Path, notes: Notes) -> list[Path]:
    """The images of a folder, or of those in it, sorted; raises InputError if there are none."""
    images = _images(folder, folder.iterdir(), notes)
    inner = [path for path in folder.rglob("*") if path.parent != folder
             and not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    if not images:
        images = _images(folder, inner, notes)
        if images:
            notes.add(folder, f"holds no micrographs itself; those of its folders are taken ({len(images)}"
                              " files)")
    elif deeper := [path for path in inner if _is_image(path)]:
        notes.add(folder, f"folders in it are not searched: they hold {len(deeper)} more images, such as"
                  f" {deeper[0].relative_to(folder)}")
    if not images:
        raise InputError(f"{folder}: no micrographs in this folder; put {READABLE} files there")
    return images


def _images(folder: Path, paths: Iterable[Path], notes: Notes) -> list[Path]:
    images = sorted(path for path in paths if _is_image(path))
    broken = [path for path in images if not path.exists()]
    if broken:
        notes.add(folder, f"links that lead nowhere are left out: {_some(broken)}")
    return [path for path in images if path.is_file()]


def _is_image(path: Path) -> bool:
    return extension(path) in FOLDER_EXTENSIONS and compression_fits(path) and not path.name.startswith(".")


def _listed(path: Path, notes: Notes) -> list[Path]:
    """The micrographs that a STAR file or a text with a path a line names, from here or above the list."""
    if path.suffix.lower() == ".star":
        names = [name for loop in scan_loops(path) if _MICROGRAPH in loop.columns
                 for name in loop.read((), (_MICROGRAPH,))[1][_MICROGRAPH].distinct]
        needed = f"no {_MICROGRAPH} in it; give a STAR file of micrographs"
    else:
        names = [line.strip() for line in read_text(path).split("\n")
                 if line.strip() and not line.lstrip().startswith("#")]
        needed = "no line names a micrograph; give a path a line"
    if not names:
        raise InputError(f"{path}: {needed}")
    files: list[Path] = []
    missing: list[Path] = []
    for name in map(with_slashes, dict.fromkeys(names)):
        places = [Path(name), *(folder / name for folder in path.absolute().parents)]
        here = next((place for place in places if is_file(place)), None)
        if here is None:
            missing.append(Path(name))
        else:
            require_known(here)
            files.append(here)
    if not files:
        raise InputError(f"{path}: none of the {len(names)} micrographs that it names is here, such as"
                         f" {names[0]};"
                         " start gembench in the folder that the names begin from")
    if missing:
        notes.add(path, f"{len(missing)} of {len(names)} micrographs that it names are not here:"
                        f" {_some(missing)}")
    return files


def _chosen(
    root: Path, files: list[Path], explicit: set[Path], choice: Choice, notes: Notes
) -> list[Path]:
    """The files that are micrographs; what is left out is noted."""
    if choice.leave_out:
        files = _drop(root, files, {path for path in files if _fits(path, choice.leave_out)},
                      "by --leave-out", notes)
    if choice.include:
        return [path for path in files if _fits(path, choice.include)]
    names = {path_key(path.as_posix()): path for path in files}
    beside = {path for path in files if _is_beside(path, names, explicit)}
    files = _drop(root, files, beside, "power spectra, gain references and the like", notes)
    unweighted = set()
    for path in files:
        folder = path.as_posix().rpartition("/")[0]
        key = micrograph_key(path)
        plain = fit[1] if (fit := _UNWEIGHTED.fullmatch(key)) else key
        partners = [plain + ending for ending in _WEIGHTED] + ([plain] if plain != key else [])
        if any(path_key(f"{folder}/{name}") in names for name in partners):
            unweighted.add(path)
    files = _drop(root, files, unweighted, "sums without dose weighting beside those with it", notes)
    best: dict[str, Path] = {}
    for path in sorted(files, key=_preference):
        best.setdefault(path_key(path.as_posix()), path)
    return _drop(root, files, {path for path in files if best[path_key(path.as_posix())] is not path
                               and _preference(path) > _preference(best[path_key(path.as_posix())])},
                 "the same names in another image format", notes)


def _is_beside(path: Path, names: dict[str, Path], explicit: set[Path]) -> bool:
    """Whether an image lies beside a micrograph and is none; of named files, only if that is there."""
    key = micrograph_key(path)
    fit = _NO_MICROGRAPH.search(key)
    if fit is None or path not in explicit:
        return fit is not None
    folder = path.as_posix().rpartition("/")[0]
    return bool(fit[1]) and path_key(f"{folder}/{key[:fit.start()]}") in names


def _preference(path: Path) -> int:
    """Which of several formats of one image is the micrograph: MRC, then TIFF, then previews."""
    return 0 if extension(path) in MRC_EXTENSIONS else 1 if extension(path) in (".tif", ".tiff") else 2


def _fits(path: Path, patterns: Sequence[str]) -> bool:
    return any(fnmatch(path.name, pattern) or fnmatch(path.as_posix(), pattern) for pattern in patterns)


def _drop(root: Path, files: list[Path], dropped: set[Path], why: str, notes: Notes) -> list[Path]:
    if dropped:
        notes.add(root, f"left out, {why}: {_some(sorted(dropped))} (take them by --include)"
                  if "leave-out" not in why else f"left out {why}: {_some(sorted(dropped))}")
    return [path for path in files if path not in dropped]


def _some(paths: Sequence[Path]) -> str:
    """Three of the names, and how many there are."""
    shown = ", ".join(path.name for path in paths[:3])
    return f"{shown}, ... ({len(paths)} files)" if len(paths) > 3 else shown
