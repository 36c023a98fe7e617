"""Real data sets by name: which there are, where they lie on this machine, what they hold.

A set is a folder with micrographs/ and, if known, annotations.csv, templates.mrcs, masks.mrcs and set.json
({"pixel_size": A/px}). Sets are looked for in the folder that GEMBENCH_DATA names, then in the user's cache.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gembench.errors import InputError
from gembench.io.typed import read_json

ENVIRONMENT = "GEMBENCH_DATA"
RECORD = "set.json"
ANNOTATIONS = ("annotations.csv", "annotations.star", "truth.star")


@dataclass(frozen=True)
class KnownSet:
    """A public data set: its name here, what it is, A/px, and the archive's address (None: import only)."""

    name: str
    title: str
    pixel_size: float
    url: str | None = None
    source: str = ""


KNOWN = {
    published.name: published for published in (
        KnownSet("klh", "KLH data set I (Zhu et al. 2004): 82 far-from-focus images, 2048 x 2048", 2.2,
                 "https://emg.nysbc.org/prtl_data/klh/klh_1k/exposure2.mrc.tar.gz", "emg.nysbc.org"),
        KnownSet("apoferritin", "Apoferritin, frame averages of EMPIAR-10146", 1.5, source="EMPIAR-10146"),
    )
}


@dataclass(frozen=True)
class DataSet:
    """A data set on this machine.

    name: as in `KNOWN`, or as imported; folder: where it lies
    micrographs: image files, sorted
    annotations, templates, masks: files, None where the set has none
    pixel_size: A/px; None if the set does not say
    """

    name: str
    folder: Path
    micrographs: list[Path]
    annotations: Path | None
    templates: Path | None
    masks: Path | None
    pixel_size: float | None


def cache_folder() -> Path:
    """The user's cache for data sets; it need not exist yet."""
    import pooch

    return Path(pooch.os_cache("gembench")) / "data"


def data_folders() -> Iterator[Path]:
    """The folders that hold sets, in the order they are searched; the cache is looked up when asked for.

    Raises InputError if GEMBENCH_DATA names something that is not a folder.
    """
    folder = os.environ.get(ENVIRONMENT)
    if folder and not Path(folder).is_dir():
        raise InputError(f"{ENVIRONMENT}={folder}: no such folder; name a folder of data sets or unset it")
    if folder:
        yield Path(folder)
    yield cache_folder()


def find_set(name: str) -> DataSet | None:
    """The data set of this name, one of `names_here`; None if it is not on this machine.

    Raises InputError if GEMBENCH_DATA is no folder, or the set is there but unusable.
    """
    for root in data_folders():
        if name in _names(root):  # a path is no name
            return open_set(root / name)
    return None


def open_set(folder: Path) -> DataSet:
    """The data set in a folder, named like the folder.

    Raises InputError if its micrographs folder holds none or its record is malformed.
    """
    from gembench.io.images.micrographs import find_micrographs

    name = folder.name

    def existing(*names: str) -> Path | None:
        return next((folder / n for n in names if (folder / n).is_file()), None)

    return DataSet(name, folder, find_micrographs([folder / "micrographs"]), existing(*ANNOTATIONS),
                   existing("templates.mrcs"), existing("masks.mrcs"), _pixel_size(folder))


def names_here() -> list[str]:
    """Names of all sets on this machine, sorted."""
    return sorted({name for root in data_folders() for name in _names(root)})


def _names(root: Path) -> set[str]:
    """Names of the sets that lie in a folder, which need not exist."""
    return {path.parent.name for path in root.glob("*/micrographs")
            if path.is_dir() and not path.parent.name.startswith(".")}


def _pixel_size(folder: Path) -> float | None:
    """A/px from the set's record, else from the registry."""
    record = folder / RECORD
    if not record.is_file():
        about = KNOWN.get(folder.name)
        return about.pixel_size if about else None
    try:
        value = float(read_json(record, "a set's record")["pixel_size"])
    except InputError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f'{record}: malformed; it should read {{"pixel_size": A/px}}') from error
    if not 0 < value < float("inf"):
        raise InputError(f"{record}: pixel size {value} is not positive; correct it")
    return value
