"""The formats of coordinate files: how each is told, read and written, and what it can hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.io.coordinates.box import need_box_size, read_box, write_box
from gembench.io.coordinates.cryosparc import read_cryosparc, write_cryosparc
from gembench.io.coordinates.eman import read_eman, write_eman
from gembench.io.coordinates.gempicker import is_gempicker, read_gempicker, write_gempicker
from gembench.io.coordinates.notes import Notes
from gembench.io.coordinates.plain import read_plain, write_plain
from gembench.io.coordinates.star.optics import Optics
from gembench.io.coordinates.star.read import read_star
from gembench.io.coordinates.star.write import Shape, write_cbox, write_star, write_xmipp
from gembench.io.coordinates.tables import looks_like_table, read_table, write_table, write_topaz
from gembench.io.names import COORDINATE_EXTENSIONS

ALL = ("score", "template", "view", "psi", "label", "pixel_size", "beside")
_STAR_BLOCK = re.compile(rb"(?m)^\s*(data_\S*|loop_)\s*$")


@dataclass(frozen=True)
class WriteOptions:
    """What a format may need beside the picks.

    box_size: side of the boxes in pixels; style: of STAR, '3.1' or '3.0'; shape: rows and columns of the
    micrographs, of all or by name; optics: for STAR
    """

    box_size: int | None = None
    style: str = "3.1"
    shape: Shape | None = None
    optics: Optics | None = None


@dataclass(frozen=True)
class Format:
    """One format of coordinate files.

    suffixes: of files that may be of it; is_ours: tells one of them from other formats of the suffix
    read: the picks of a file; the name is for files that do not name their micrograph
    write: picks to a file; None if it is only read
    suffix: of files that are written; holds: what it keeps of a pick beside its position
    several: whether a file names its micrographs, and holds any number of them
    decimals: of positions; None: all, or as many as 32 bits have
    """

    name: str
    suffixes: tuple[str, ...]
    read: Callable[[Path, str, Notes, Shape | None], list[Picks]]
    write: Callable[[Path, Sequence[Picks], WriteOptions], None]
    suffix: str
    holds: tuple[str, ...]
    several: bool
    decimals: int | None = None
    is_ours: Callable[[Path], bool] = lambda path: True

    @property
    def digits(self) -> str:
        """How positions are kept, in words."""
        if self.decimals is None:
            return "32-bit fractions" if self.name == "cryosparc" else "double precision"
        return f"{self.decimals} decimals" if self.decimals else "whole pixels"


def shape_of(path: Path, name: str, shape: Shape | None) -> tuple[int, int]:
    """Rows and columns of a micrograph; raises InputError if nobody gave them."""
    if shape is None:
        raise InputError(f"{path}: the shape of micrograph {name} is needed to turn its coordinates;"
                         " give the micrographs too")
    return shape(name) if callable(shape) else shape


def _is_star(path: Path) -> bool:
    with path.open("rb") as handle:
        return _STAR_BLOCK.search(handle.read(1 << 16).replace(b"\0", b"")) is not None


_TEXTS = (".txt", ".coord", ".coords", ".pos", ".cbox")

# Of formats that share a suffix the first that knows its own reads the file.
_ALL_FORMATS = (
    Format("star", (".star", ".xmd"), lambda path, name, notes, shape: read_star(path, name, notes),
           lambda path, picks, options: write_star(path, picks, style=options.style, optics=options.optics,
                                                   shape=options.shape),
           ".star", ALL, several=True, decimals=6),
    Format("cbox", (".cbox",), lambda path, name, notes, shape: read_star(path, name, notes),
           lambda path, picks, options: write_cbox(path, picks[0], need_box_size(path, options.box_size)),
           ".cbox", ("score",), several=False, decimals=6, is_ours=_is_star),
    Format("xmipp", (".pos", ".txt"), lambda path, name, notes, shape: read_star(path, name, notes),
           lambda path, picks, options: write_xmipp(path, picks[0]),
           ".pos", ("score",), several=False, decimals=0, is_ours=_is_star),
    Format("box", (".box",), lambda path, name, notes, shape: [read_box(path, name, notes)],
           lambda path, picks, options: write_box(path, picks[0], options.box_size),
           ".box", (), several=False, decimals=0),
    Format("csv", (".csv",), read_table,
           lambda path, picks, options: write_table(path, picks, delimiter=","),
           ".csv", ALL, several=True),
    Format("tsv", (".tsv",), read_table,
           lambda path, picks, options: write_table(path, picks, delimiter="\t"),
           ".tsv", ALL, several=True),
    Format("cryosparc", (".cs",), read_cryosparc,
           lambda path, picks, options: write_cryosparc(path, picks, _needed_shape(path, picks, options)),
           ".cs", ("score", "view", "pixel_size"), several=True),
    Format("eman", (".json",), lambda path, name, notes, shape: [read_eman(path, name, notes)],
           lambda path, picks, options: write_eman(path, picks[0], options.box_size),
           ".json", ("score", "label"), several=False),
    Format("gempicker", (".txt",),
           lambda path, name, notes, shape: [read_gempicker(path, name, shape_of(path, name, shape)[1])],
           lambda path, picks, options: write_gempicker(
               path, picks[0], shape_of(path, picks[0].micrograph, options.shape)[1], options.box_size),
           ".txt", ("score", "view", "psi"), several=False, is_ours=is_gempicker),
    Format("topaz", _TEXTS, read_table, lambda path, picks, options: write_topaz(path, picks),
           ".txt", ("score",), several=True, decimals=0, is_ours=looks_like_table),
    Format("plain", _TEXTS, read_plain, lambda path, picks, options: write_plain(path, picks[0]),
           ".txt", ("score",), several=False),
)
FORMATS = {form.name: form for form in _ALL_FORMATS}


def format_of(path: Path) -> Format:
    """The format of a file that is there, by its suffix and, where several share that, its content."""
    sharing = [form for form in _ALL_FORMATS if path.suffix.lower() in form.suffixes]
    if not sharing:
        raise _unknown(path)
    return next((form for form in sharing if form.is_ours(path)), sharing[-1])


def format_to_write(path: Path) -> Format:
    """The format that a suffix stands for where a file is to be written."""
    name = "plain" if path.suffix.lower() in (".txt", ".coord", ".coords") else None
    form = FORMATS[name] if name else next(
        (form for form in _ALL_FORMATS if path.suffix.lower() == form.suffix), None)
    if form is None:
        raise _unknown(path)
    return form


_OF_OTHERS = {
    ".sqlite": "is a database of Scipion; export its coordinates as Xmipp's .pos or as a STAR file",
    ".mod": "is a model of IMOD; write its points as text by model2point, x and y in the first two columns",
}


def _unknown(path: Path) -> InputError:
    if path.suffix.lower() in _OF_OTHERS:
        return InputError(f"{path}: {_OF_OTHERS[path.suffix.lower()]}")
    extensions = ", ".join(COORDINATE_EXTENSIONS)
    return InputError(f"{path}: unknown extension '{path.suffix}'; use one of {extensions}")


def _needed_shape(path: Path, picks: Sequence[Picks], options: WriteOptions) -> Shape:
    if options.shape is None:
        name = picks[0].micrograph if picks else "the picks"
        raise InputError(f"{path}: .cs files hold fractions of the frame, and the shape of micrograph {name}"
                         " is"
                         " not known; give --micrographs DIR")
    return options.shape
