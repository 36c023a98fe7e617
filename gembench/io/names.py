"""File names: the extensions we know, and the keys that join a micrograph to its coordinate file."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from gembench.errors import InputError

MRC_EXTENSIONS = (".mrc", ".map", ".ccp4", ".mrcs", ".st")
STACK_EXTENSIONS = (".mrcs", ".st")
IMAGE_EXTENSIONS = (".tif", ".tiff", ".png", ".jpg", ".jpeg")
MOVIE_EXTENSIONS = (".eer", ".dm4", ".dm3", ".ser")  # not read; micrographs are named after them
COORDINATE_EXTENSIONS = (".star", ".box", ".csv", ".tsv", ".txt", ".coord", ".coords", ".cbox", ".cs",
                         ".json",
                         ".pos", ".xmd")
COMPRESSIONS = (".gz", ".bz2")
READABLE = "MRC (also .gz, .bz2), TIFF, PNG or JPEG"

# What picking programs put between a micrograph's name and the extension of its coordinate file: RELION,
# gembench and EMAN1, Gautomatch, crYOLO, Scipion and cisTEM, Topaz, EMAN2, Warp.
PICK_SUFFIXES = (
    "_autopick", "_manualpick", "_picks", "_pick", "_picked", "_coords", "_coord", "_coordinates",
    "_automatch",
    "_cryolo", "_particles", "_particle", "_ptcls", "_boxes", "_topaz", "_topazpicks", "_topaz_picks",
    "_info",
    "_boxnet", "_annotations", "_annotation", "_extract", "_gautomatch", "_eman", "_relion",
    "_template_picks",
)

# What programs of motion correction and denoising add to the name of a movie: MotionCor2 and RELION,
# cryoSPARC, Unblur, Scipion, EPU and SerialEM, Topaz and Warp.
PROCESSING_SUFFIXES = (
    "_doseweighted", "_dose_weighted", "_non_dose_weighted", "_patch_aligned", "_rigid_aligned",
    "_aligned_mic",
    "_aligned", "_dw", "_dws", "_nodw", "_mc2", "_mc", "_motioncorr", "_motioncor2", "_corrected", "_corr",
    "_sumcorr", "_sum", "_avg", "_average", "_fractions", "_eer", "_frames", "_movie", "_denoised", "_mic",
    "_micrograph", "_patch", "-dw", "-nodw", "_unblur", "_ali",
)
_UID = re.compile(r"^\d{15,}_(?=.)")  # cryoSPARC puts its identifier before the name

_ENDINGS = MRC_EXTENSIONS + IMAGE_EXTENSIONS + MOVIE_EXTENSIONS + COORDINATE_EXTENSIONS + COMPRESSIONS \
    + PICK_SUFFIXES


def extension(path: str | Path) -> str:
    """The last extension of a file name in lower case, the one below .gz or .bz2 if compressed."""
    name = Path(str(path).lower())
    return Path(name.stem).suffix if name.suffix in COMPRESSIONS else name.suffix


def is_compressed(path: str | Path) -> bool:
    """Whether the file name ends in .gz or .bz2."""
    return str(path).lower().endswith(COMPRESSIONS)


def compression_fits(path: Path) -> bool:
    """Compressed files are read if they are MRC."""
    return not is_compressed(path) or extension(path) in MRC_EXTENSIONS


def require_known(path: Path) -> None:
    """Raise InputError if the extension is none that we read."""
    if extension(path) == ".eer":
        raise InputError(f"{path}: is a movie; give the micrograph that motion correction makes"
                         " of it")
    if extension(path) not in MRC_EXTENSIONS + IMAGE_EXTENSIONS or not compression_fits(path):
        raise InputError(f"{path}: unknown extension '{path.suffix}'; convert it to {READABLE}")


def with_slashes(name: str) -> str:
    """A path with / between its folders, as it is if there are none; Windows writes backslashes."""
    return name.strip().replace("\\", "/")


def micrograph_key(name: str | Path) -> str:
    """What the names of a micrograph and of its coordinate files have in common.

    Folder, known extensions and the suffixes that picking programs add are taken off, so that foo.mrc,
    foo.mrc.gz, foo.jpg, foo.star and Picks/foo_autopick.star all give 'foo'. Only known extensions go:
    01nov26b.001.002.001.jpg gives '01nov26b.001.002.001'. Letters with accents are single characters,
    whatever the file system made of them. The key of a key is the key itself.
    """
    key = unicodedata.normalize("NFC", with_slashes(str(name)).rpartition("/")[2])
    return _without_endings(key, _ENDINGS)


def path_key(name: str | Path) -> str:
    """The `micrograph_key` with the folders before it: what tells Dataset1/001.mrc from Dataset2/001.mrc."""
    folder = unicodedata.normalize("NFC", with_slashes(str(name)).rpartition("/")[0]).removeprefix("./")
    return f"{folder}/{micrograph_key(name)}" if folder else micrograph_key(name)


def movie_key(name: str | Path) -> str:
    """What the names of all micrographs of one movie have in common, as far as the names tell.

    From the `micrograph_key`, cryoSPARC's identifier and the suffixes of motion correction, dose weighting
    and denoising are taken off, so that foo_fractions.tiff, foo_DW.mrc and
    017646539750839902624_foo_patch_aligned_doseweighted.mrc all give 'foo'.
    """
    key = micrograph_key(name)
    shorter = ""
    while shorter != key:
        shorter = key
        key = micrograph_key(_without_endings(_UID.sub("", key), PROCESSING_SUFFIXES))
    return key


def _without_endings(name: str, endings: tuple[str, ...]) -> str:
    """The name without these endings, whatever their case and as long as something is left."""
    while ending := next((e for e in endings if name.lower().endswith(e) and len(name) > len(e)), None):
        name = name[: -len(ending)]
    return name


def shortest_tails(names: list[str]) -> list[str]:
    """The last components that tell different paths apart: a/b/1.mrc, a/c/1.mrc give b/1.mrc, c/1.mrc.

    A name that no other shares keeps its last component alone.
    """
    parts = [[part for part in with_slashes(name).split("/") if part not in ("", ".")] or [name]
             for name in names]
    tails = [1] * len(names)
    while True:
        shown = ["/".join(part[-n:]) for part, n in zip(parts, tails, strict=True)]
        groups: dict[str, list[int]] = {}
        for at, tail in enumerate(shown):
            groups.setdefault(path_key(tail), []).append(at)
        longer = [at for group in groups.values() if len(group) > 1 for at in group
                  if tails[at] < len(parts[at])]
        if not longer:
            return shown
        for at in longer:
            tails[at] += 1
