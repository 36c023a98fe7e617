"""File names: the extensions we know, and the key that joins a micrograph to its coordinate file."""

from __future__ import annotations

from pathlib import Path

MRC_EXTENSIONS = (".mrc", ".map", ".ccp4", ".mrcs", ".st")
STACK_EXTENSIONS = (".mrcs", ".st")
IMAGE_EXTENSIONS = (".tif", ".tiff", ".png", ".jpg", ".jpeg")
COORDINATE_EXTENSIONS = (".star", ".box", ".csv", ".tsv", ".txt", ".coord", ".coords")
COMPRESSIONS = (".gz", ".bz2")

# What picking programs put between a micrograph's name and the extension of its coordinate file.
PICK_SUFFIXES = ("_autopick", "_manualpick", "_picks", "_pick", "_coords")

_ENDINGS = MRC_EXTENSIONS + IMAGE_EXTENSIONS + COORDINATE_EXTENSIONS + COMPRESSIONS + PICK_SUFFIXES


def extension(path: str | Path) -> str:
    """The last extension of a file name in lower case, the one below .gz or .bz2 if compressed."""
    name = Path(str(path).lower())
    return Path(name.stem).suffix if name.suffix in COMPRESSIONS else name.suffix


def is_compressed(path: str | Path) -> bool:
    """Whether the file name ends in .gz or .bz2."""
    return str(path).lower().endswith(COMPRESSIONS)


def micrograph_key(name: str | Path) -> str:
    """What the names of a micrograph and of its coordinate files have in common.

    Folder, known extensions and the suffixes that picking programs add are taken off, so that foo.mrc,
    foo.mrc.gz, foo.jpg, foo.star and Picks/foo_autopick.star all give 'foo'. Only known extensions go:
    01nov26b.001.002.001.jpg gives '01nov26b.001.002.001'. The key of a key is the key itself.
    """
    key = str(name).rpartition("/")[2]
    while ending := next((e for e in _ENDINGS if key.lower().endswith(e) and len(key) > len(e)), None):
        key = key[: -len(ending)]
    return key
