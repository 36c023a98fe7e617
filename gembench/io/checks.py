"""What every reader checks: the file is there, its pixels are usable, its pixel size is believable."""

from __future__ import annotations

import hashlib
import logging
import math
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.errors import InputError
from gembench.io.source import require_file

FloatImage = NDArray[np.float32]

log = logging.getLogger("gembench")

_BINARY = re.compile("[\0-\x08\x0e-\x1a\ufffe\uffff]")  # no text of any encoding holds these

# Two pixel sizes that differ by no more are one: headers and people round; 1 % moves a pick 20 px over 2048.
PIXEL_SIZE_TOLERANCE = 0.01
NANOMETRE = 10.0  # A: some programs write the cell's size in nm


class Insisted(float):
    """A pixel size in A/px that holds whatever the headers of files say."""


def content_hash(path: str | Path) -> str:
    """SHA-256 of a file, or of a folder's files with their names; hidden files do not count.

    Raises InputError for a missing path and files that cannot be read.
    """
    path = Path(path)
    if not path.is_dir():
        return _file_hash(path)
    digest = hashlib.sha256()
    for file in sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith(".")):
        digest.update(f"{file.name}\0{_file_hash(file)}".encode())
    return digest.hexdigest()


def _file_hash(path: Path) -> str:
    require_file(path)
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def read_text(path: Path) -> str:
    """The text of a file with Unix line ends: UTF-8 or UTF-16 with or without byte-order mark, else Latin-1.

    Raises InputError if it is missing, empty or not text.
    """
    require_file(path)
    text = _decoded(path.read_bytes())
    if text is None:
        raise InputError(f"{path}: is not a text file; give a coordinate file")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _decoded(content: bytes) -> str | None:
    """The text, None if the bytes are none."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    elif b"\0" in content[:4096]:  # without a mark: every second byte of plain letters is 0
        encodings = ["utf-16-be" if content[:1] == b"\0" else "utf-16-le"]
    else:
        encodings = ["utf-8-sig", "latin-1"]
    for encoding in encodings:
        with suppress(UnicodeDecodeError):
            text = content.decode(encoding)
            return None if _BINARY.search(text) else text
    return None


def as_float32(path: Path, data: NDArray[Any]) -> FloatImage:
    """A float32 copy of `data`, all of whose pixels are finite.

    Raises InputError if pixels are complex, NaN or infinite.
    """
    if np.iscomplexobj(data):
        raise InputError(f"{path}: pixels are complex (a Fourier transform); give the real-space image")
    # A float64 beyond float32 becomes infinite, and a NaN that signals an error stays one: counted below
    with np.errstate(over="ignore", invalid="ignore"):
        pixels = data.astype(np.float32)
    if bad := int(np.count_nonzero(~np.isfinite(pixels))):
        raise InputError(f"{path}: {bad} of {pixels.size} pixels are NaN or infinite; repair the image")
    return pixels


def settle_pixel_size(
    path: Path, header: float | None, stated: float | None, *, required: bool = True
) -> float | None:
    """The pixel size in A/px to use, from what the file's header says and what the user gives.

    header: A/px; None, 0 or not finite if the file does not say
    stated: A/px; None if the user does not say

    The two must agree within 1 %, unless the user has `Insisted`. A header of exactly 1.0 is what many
    programs write when they do not know, and one of a tenth is in nm: a given value wins over them, with a
    warning; alone 1.0 is taken, with a warning.

    Raises InputError if the two disagree, if `stated` is not positive, or if neither is known and
    `required`.
    """
    if stated is not None and not (math.isfinite(stated) and stated > 0):
        raise InputError(f"{path}: pixel size {stated:g} A/px was given; give a positive number")
    if isinstance(stated, Insisted):
        return float(stated)
    of_header = header if header is not None and math.isfinite(header) and header > 0 else None
    if of_header is None:
        if stated is None and required:
            raise InputError(f"{path}: the file holds no pixel size; give one in A/px")
        return stated
    if stated is None:
        if of_header == 1.0:
            log.warning("%s: pixel size 1.0 A/px in the header is often a placeholder; "
                        "give the pixel size if it is not 1.0", path)
        return of_header
    if abs(of_header - stated) <= PIXEL_SIZE_TOLERANCE * stated:
        return stated
    if of_header == 1.0:
        log.warning("%s: pixel size 1.0 A/px in the header is taken for a placeholder; "
                    "the given %g A/px is used", path, stated)
        return stated
    if abs(NANOMETRE * of_header - stated) <= PIXEL_SIZE_TOLERANCE * stated:
        log.warning("%s: pixel size %g A/px in the header is taken for nm; the given %g A/px is used", path,
                    of_header, stated)
        return stated
    raise InputError(f"{path}: pixel size is {of_header:g} A/px in the header but {stated:g} A/px was given;"
                     " correct the one that is wrong, or let `gembench pick` --ignore-header")


def require_one_section(path: Path, sections: int) -> None:
    """Raise InputError for a file of several images where a micrograph is needed."""
    if sections != 1:
        raise InputError(f"{path}: holds {sections} sections where one image is needed: a movie wants motion"
                         " correction first, or the average of its frames; a stack of micrographs is to be"
                         " split")
