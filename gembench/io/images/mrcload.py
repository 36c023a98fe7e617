"""MRC files as stored (MRC2014, Cheng et al. 2015), plain or compressed with gzip or bzip2."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gembench.errors import InputError
from gembench.io.checks import PIXEL_SIZE_TOLERANCE, log, require_file

_IMOD_STAMP = 1146047817  # 'IMOD' in bytes 152..155: the flags in bytes 156..159 are meant
_IMOD_SIGNED_BYTES = 1
_MODES = (0, 1, 2, 6, 12)
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


@contextmanager
def _opened(path: Path, *, header_only: bool) -> Iterator[Any]:
    """The open MRC file; what mrcfile warns of goes to the log, what it refuses becomes InputError."""
    import mrcfile

    require_file(path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            mrc = mrcfile.open(path, header_only=header_only)
        except (ValueError, OSError, EOFError, zlib.error, MemoryError) as error:
            mrc = _opened_old_style(path, error, header_only=header_only)
    with mrc:
        _check_header(path, mrc.header)
        for warning in caught:
            log.warning("%s: %s", path, warning.message)
        yield mrc


def _opened_old_style(path: Path, refusal: Exception, *, header_only: bool) -> Any:
    """The file opened although its header lacks identifier or machine stamp, or `refusal` as InputError."""
    import mrcfile

    reason = str(refusal).strip().splitlines()[0] if str(refusal).strip() else type(refusal).__name__
    if "Map ID" in reason or "machine stamp" in reason:
        with suppress(ValueError, OSError, MemoryError):
            mrc = mrcfile.open(path, permissive=True, header_only=header_only)
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
