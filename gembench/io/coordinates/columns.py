"""Columns of tables by their names: which holds which field, and whether x and y are a centre or a corner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gembench.errors import InputError
from gembench.io.coordinates.rows import NotCoordinatesError

# Headings of other programs, in lower case and without anything but letters and digits. Where a table has
# several of one field, the first here is taken, except for positions.
_SYNONYMS = {
    "micrograph": ("micrograph", "micrographname", "rlnmicrographname", "imagename", "micname", "mic",
                   "micrographpath", "locationmicrographpath", "micrographfile", "filename", "file", "image",
                   "imagefile", "imagepath", "filepath", "path", "micrographs", "img"),
    "x": ("x", "xcoordinate", "xcoord", "coordinatex", "coordx", "rlncoordinatex", "xpx", "xpixel", "xpixels",
          "posx", "xpos", "positionx", "xposition", "xcoor", "pickx", "xcoordpx", "px"),
    "y": ("y", "ycoordinate", "ycoord", "coordinatey", "coordy", "rlncoordinatey", "ypx", "ypixel", "ypixels",
          "posy", "ypos", "positiony", "yposition", "ycoor", "picky", "ycoordpx", "py"),
    "center_x": ("centerx", "centrex", "xcenter", "xcentre", "cx", "xc", "boxcenterx"),
    "center_y": ("centery", "centrey", "ycenter", "ycentre", "cy", "yc", "boxcentery"),
    "left": ("xmin", "x1", "left", "bboxxmin", "minx", "x0", "boxx", "cornerx", "xcorner", "bboxx"),
    "top": ("ymin", "y1", "top", "bboxymin", "miny", "y0", "boxy", "cornery", "ycorner", "bboxy"),
    "right": ("xmax", "x2", "right", "bboxxmax", "maxx"),
    "bottom": ("ymax", "y2", "bottom", "bboxymax", "maxy"),
    "width": ("w", "width", "boxwidth", "bboxwidth", "bboxw", "boxsizex", "sizex", "boxw"),
    "height": ("h", "height", "boxheight", "bboxheight", "bboxh", "boxsizey", "sizey", "boxh"),
    "fraction_x": ("locationcenterxfrac", "centerxfrac", "xfrac", "fracx", "xfraction", "xnorm",
                   "xnormalized"),
    "fraction_y": ("locationcenteryfrac", "centeryfrac", "yfrac", "fracy", "yfraction", "ynorm",
                   "ynormalized"),
    "score": ("score", "autopickfigureofmerit", "rlnautopickfigureofmerit", "figureofmerit", "fom",
              "confidence",
              "conf", "probability", "prob", "likelihood", "ncc", "nccscore", "pickstatsnccscore",
              "correlation",
              "crosscorrelation", "cc", "confidencescore", "predictedscore", "predscore", "pickscore", "peak",
              "peakvalue", "peakheight", "topazscore", "objectness", "p"),
    "template": ("template", "templateindex", "templateidx", "pickstatstemplateidx"),
    "view": ("view",),
    "class_number": ("classnumber", "rlnclassnumber"),
    "psi": ("psi", "anglepsi", "rlnanglepsi"),
    "beside": ("beside", "gembenchbeside"),
    "label": ("label", "class", "type", "classname", "category"),
    "pixel_size": ("pixelsize", "apix", "rlnmicrographpixelsize", "micrographpixelsize", "angpix"),
}
_FIELD_OF = {synonym: (name, rank) for name, synonyms in _SYNONYMS.items()
             for rank, synonym in enumerate(synonyms)}
_POSITIONS = ("x", "y", "center_x", "center_y", "left", "top", "right", "bottom", "width", "height",
              "fraction_x",
              "fraction_y")
# How x and y of a particle follow from the columns: the first whose columns are all there.
GEOMETRIES = (
    ("center_x", "center_y"), ("fraction_x", "fraction_y"), ("left", "top", "right", "bottom"),
    ("left", "top", "width", "height"), ("x", "y", "width", "height"), ("x", "y"),
)
_OWN = ("micrograph", "x", "y", "score", "template", "view", "psi", "label", "pixel_size")


@dataclass(frozen=True)
class Columns:
    """Which column holds which field, from 0.

    at: by field; of positions only those of `geometry`, one of `GEOMETRIES`
    unused: headings of the others; unknown_names: those among them that could name micrographs
    is_own: the heading is that of a table that gembench wrote
    """

    at: dict[str, int]
    geometry: tuple[str, ...]
    unused: tuple[str, ...]
    is_own: bool


def plain_name(heading: str) -> str:
    """A heading in lower case, letters and digits only."""
    return "".join(c for c in heading.lower() if c.isalnum())


def is_heading(cells: Sequence[str]) -> bool:
    """Whether these cells name at least the columns of positions."""
    fields = {_FIELD_OF[plain_name(cell)][0] for cell in cells if plain_name(cell) in _FIELD_OF}
    return any(fields.issuperset(geometry) for geometry in GEOMETRIES)


def find_columns(path: Path, heading: Sequence[str]) -> Columns:
    """The columns of a table by its heading; raises InputError if positions are missing or ambiguous."""
    at: dict[str, int] = {}
    ranks: dict[str, int] = {}
    unused: list[str] = []
    for column, name in enumerate(heading):
        field, rank = _FIELD_OF.get(plain_name(name), (None, 0))
        if field is None:
            unused.append(name)
        elif field not in at:
            at[field], ranks[field] = column, rank
        elif field in _POSITIONS or rank == ranks[field]:
            raise InputError(f"{path}: columns '{heading[at[field]]}' and '{name}' could both be {field};"
                             " rename one of them")
        elif rank < ranks[field]:
            unused.append(heading[at[field]])
            at[field], ranks[field] = column, rank
        else:
            unused.append(name)
    geometry = next((fields for fields in GEOMETRIES if at.keys() >= set(fields)), None)
    if geometry is None:
        missing = [name for name in ("x", "y") if name not in at]
        raise NotCoordinatesError(f"{path}: no column {' and '.join(missing)} among '{', '.join(heading)}';"
                                  " name the columns in the first line")
    centres = [name for name in ("center_x", "center_y") if name in at]
    if len(centres) == 1 and (other := centres[0][-1]) in at:
        raise InputError(f"{path}: columns '{heading[at[other]]}' and '{heading[at[centres[0]]]}' could"
                         f" both be {other}; rename one of them")
    unused += [heading[at.pop(name)] for name in _POSITIONS if name in at and name not in geometry]
    if "view" in at and "class_number" in at:
        unused.append(heading[at.pop("class_number")])
    return Columns(at, geometry, tuple(name for name in unused if name.strip()),
                   tuple(heading) in (_OWN, (*_OWN, "beside")))
