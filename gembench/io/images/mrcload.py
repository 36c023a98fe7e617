"""MRC files as stored (MRC2014, Cheng et al. 2015), plain or compressed with gzip or bzip2."""

from __future__ import annotations

import bz2
import gzip
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gembench.errors import InputError
from gembench.io.checks import PIXEL_SIZE_TOLERANCE, log
from gembench.io.source import parsing, require_file, require_memory

_IMOD_STAMP = 1146047817  # 'IMOD' in bytes 152..155: the flags in bytes 156..159 are meant
_IMOD_SIGNED_BYTES = 1
_MODES = (0, 1, 2, 6, 12)
_BYTES = {0: 1, 1: 2, 2: 4, 3: 4, 4: 8, 6: 2, 12: 2, 101: 0.5}  # of a pixel
_HEADER, _MAP_ID = 1024, slice(208, 212)
_STAMP, _BIG_ENDIAN = 212, 0x11  # where the machine stamp is, and what it begins with
_CHUNK = 2**24  # bytes that are unpacked at once: a claim of 2 GiB costs what there is, not 2 GiB
_GZIP, _BZIP2 = b"\x1f\x8b", b"BZ"
_UNUSABLE = {3: "complex 16-bit integers", 4: "complex numbers", 101: "4-bit integers"}


class MrcContent(NamedTuple):
    """One MRC file: its array as stored, A/px (None if the header does not say) and what it calls itself."""

    data: NDArray[Any]
    pixel_size: float | None
    is_volume: bool


def load_mrc(path: Path) -> MrcContent:
    """The array of an MRC file: (H, W), or (n, H, W) if it holds more than one section.

    Modes 0 (int8), 1 (int16), 2 (float32), 6 (uint16) and 12 (float16) are read. Mode 0 is signed by the
    standard; the unsigned bytes of files that carry IMOD's stamp without its signed-bytes flag are read
    as unsigned. Headers from before the MRC2014 standard, without identifier or machine stamp, are read
    with a warning if the rest of the file fits them.

    Raises InputError if the file is missing, empty, truncated, not MRC or of another mode.
    """
    with _opened(path, header_only=False) as mrc:
        data = mrc.data
        if data.ndim > 3 and data.shape[0] == 1:  # of one volume, or of one section
            data = data[0]
        if data.ndim > 3:
            raise InputError(f"{path}: holds a stack of volumes {data.shape}; give one image or volume")
        if data.ndim == 3 and data.shape[0] == 1:
            data = data[0]
        if mrc.header.mode == 0 and _has_unsigned_bytes(mrc.header):
            data = data.view(np.uint8)
        return MrcContent(data, _pixel_size(path, mrc.header), bool(mrc.is_volume()))


def mrc_shape(path: Path) -> tuple[int, int, int]:
    """Sections, rows and columns of an MRC file, from its header alone.

    Raises InputError if the file is missing, empty or not MRC.
    """
    with _opened(path, header_only=True) as mrc:
        return int(mrc.header.nz), int(mrc.header.ny), int(mrc.header.nx)


def mrc_labels(path: Path) -> list[bytes]:
    """The labels of an MRC file, without the blanks that fill them.

    Raises InputError if the file is missing, empty or not MRC.
    """
    with _opened(path, header_only=True) as mrc:
        return [bytes(label).rstrip(b"\0 ") for label in mrc.header.label]


@contextmanager
def _opened(path: Path, *, header_only: bool) -> Iterator[Any]:
    """The open MRC file; what mrcfile warns of goes to the log, what it refuses becomes InputError."""
    require_file(path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with parsing(path, "a whole MRC file"):
            mrc = _parsed(path, header_only=header_only)
    with mrc:
        _check_header(path, mrc.header)
        for warning in caught:
            log.warning("%s: %s", path, warning.message)
        yield mrc


def _parsed(path: Path, *, header_only: bool) -> Any:
    """The file as mrcfile reads it, once its size is known to be what its header says."""
    content = _decompressed(path, header_only=header_only)
    source = path if content is None else content
    try:
        return _interpreted(source, header_only=header_only)
    except ZeroDivisionError as error:
        raise InputError(f"{path}: the MRC header speaks of volumes (ispg 401) of 0 sections (mz); set mz, or"
                         " write it again") from error
    except (ValueError, EOFError, OSError) as error:
        return _opened_old_style(path, source, error, header_only=header_only)


def _interpreted(source: Path | bytes, *, header_only: bool, permissive: bool = False) -> Any:
    import mrcfile
    from mrcfile.mrcinterpreter import MrcInterpreter

    if isinstance(source, bytes):
        return MrcInterpreter(io.BytesIO(source), permissive=permissive, header_only=header_only)
    return mrcfile.open(source, permissive=permissive, header_only=header_only)


def _decompressed(path: Path, *, header_only: bool) -> bytes | None:
    """What a compressed file holds, None for a plain one; no more is unpacked than its header speaks of.

    Raises InputError if a file is shorter than its header says, or needs more memory than there is.
    """
    with path.open("rb") as file:
        start = file.read(_HEADER)
    is_plain = start[_MAP_ID] == b"MAP " or start[:2] not in (_GZIP, _BZIP2)
    if is_plain:
        size = _claimed_size(start, header_only=header_only)
        _require_size(path, start, size, path.stat().st_size)
        require_memory(path, 0 if header_only else 2 * size, f"{size} bytes")
        return None
    with (gzip.open if start[:2] == _GZIP else bz2.open)(path) as unpacked:
        start = unpacked.read(_HEADER)
        size = _claimed_size(start, header_only=header_only)
        require_memory(path, 3 * size, f"{size} bytes")
        parts = [start]
        while (left := size - sum(map(len, parts))) > 0 and (part := unpacked.read(min(left, _CHUNK))):
            parts.append(part)
        content = b"".join(parts)
        _require_size(path, start, size, len(content))
        if not header_only and unpacked.read(1):
            log.warning("%s: holds more than the %d bytes of its header's image", path, size)
    return content


def _require_size(path: Path, start: bytes, claimed: int, size: int) -> None:
    """Raise InputError if a file that begins with `start` claims more bytes than it has."""
    extended = _parts(start)[0] if len(start) == _HEADER else 0
    if extended < 0:
        raise InputError(f"{path}: the MRC header speaks of {extended} bytes of extended header (nsymbt);"
                         " write or copy it again")
    if len(start) == _HEADER and _parts(start) == (0, 0) and _stamped_extended(start) > size:
        raise InputError(f"{path}: is not a whole MRC file (its header holds no size and mode of an image);"
                         " write or copy it again")
    if claimed > size:
        part = f", {extended} of them in an extended header (nsymbt)," if extended else ","
        raise InputError(f"{path}: is not a whole MRC file (its header speaks of {claimed} bytes{part} and it"
                         f" has {size}); write or copy it again")


def _claimed_size(start: bytes, *, header_only: bool) -> int:
    """Bytes of the file that its first bytes speak of; of the first alone if they are no header."""
    if len(start) < _HEADER:
        return len(start)
    extended, pixels = _parts(start)
    return _HEADER + max(0, extended) + (0 if header_only else pixels)


def _parts(start: bytes) -> tuple[int, int]:
    """Bytes of extended header and of pixels that a header speaks of; none if it is no header."""
    for order in "<>":
        nx, ny, nz, mode = (int(n) for n in np.frombuffer(start, f"{order}i4", 4))
        if mode in _BYTES and min(nx, ny, nz) > 0:
            return int(np.frombuffer(start, f"{order}i4", 1, 92)[0]), int(_BYTES[mode] * nx * ny * nz)
    return 0, 0


def _stamped_extended(start: bytes) -> int:
    """Bytes of extended header in the byte order of the machine stamp, as mrcfile takes them unseen."""
    order = ">" if start[_STAMP] == _BIG_ENDIAN else "<"
    return int(np.frombuffer(start, f"{order}i4", 1, 92)[0])


def _opened_old_style(path: Path, source: Path | bytes, refusal: Exception, *, header_only: bool) -> Any:
    """The file opened although its header lacks identifier or machine stamp, or `refusal` as InputError."""
    reason = str(refusal).strip().splitlines()[0] if str(refusal).strip() else type(refusal).__name__
    if "Map ID" in reason or "machine stamp" in reason:
        with suppress(ValueError, OSError):
            mrc = _interpreted(source, permissive=True, header_only=header_only)
            if mrc.header.nx > 0 and int(mrc.header.mode) in _MODES and (header_only or mrc.data is not None):
                return mrc
            mrc.close()
    mode = next((m for m in _UNUSABLE if reason == f"Unrecognised mode '{m}'"), None)
    if mode is not None:
        raise InputError(f"{path}: MRC mode {mode} ({_UNUSABLE[mode]}); convert it to mode 2") from refusal
    raise InputError(f"{path}: is not a whole MRC file ({reason}); write or copy it again") from refusal


def _check_header(path: Path, header: Any) -> None:
    """Raise InputError for complex modes and sizes that no image has."""
    if int(header.mode) in _UNUSABLE:
        mode = int(header.mode)
        raise InputError(f"{path}: MRC mode {mode} ({_UNUSABLE[mode]}); convert it to mode 2")
    if min(header.nx, header.ny, header.nz) < 1:
        raise InputError(f"{path}: the MRC header gives {header.nx} x {header.ny} x {header.nz} pixels;"
                         " write or copy it again")


def _pixel_size(path: Path, header: Any) -> float | None:
    """A/px of the columns in the header's precision, None if not set; rows must agree within 1 %."""
    sizes = []
    for length, samples in ((header.cella.x, header.mx), (header.cella.y, header.my)):
        if not (samples > 0 and np.isfinite(length) and length > 0):
            return None
        sizes.append(float(f"{float(length) / int(samples):.6g}"))  # float32 holds no more digits
    if abs(sizes[0] - sizes[1]) > PIXEL_SIZE_TOLERANCE * sizes[0]:
        raise InputError(f"{path}: pixels are {sizes[0]:g} x {sizes[1]:g} A in the header;"
                         " correct it or resample the image to square pixels")
    return sizes[0]


def _has_unsigned_bytes(header: Any) -> bool:
    """Whether IMOD's stamp is set and its signed-bytes flag is not."""
    extra = header.extra2.tobytes()
    order = "little" if header.mode.dtype.newbyteorder("=") == header.mode.dtype else "big"
    stamp, flags = (int.from_bytes(extra[at:at + 4], order) for at in (40, 44))  # type: ignore[arg-type]
    return stamp == _IMOD_STAMP and not flags & _IMOD_SIGNED_BYTES
