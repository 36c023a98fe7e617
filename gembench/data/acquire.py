"""Bringing a real data set into the user's cache: by download or from a folder."""

from __future__ import annotations

import gzip
import json
import lzma
import re
import shutil
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from gembench.data.sets import KNOWN, RECORD, DataSet, cache_folder, data_folders, open_set
from gembench.data.target import target_of
from gembench.errors import InputError
from gembench.io.atomic import atomic_text, make_folder, part_of, remove_parts
from gembench.io.names import IMAGE_EXTENSIONS, MRC_EXTENSIONS, extension, micrograph_key

MOST_GROWTH = 20  # what an archive may unpack to, over its own size; packed micrographs grow two- to fivefold
ALLOWANCE = 256 * 2**20  # bytes that any archive may unpack to


def fetch_set(
    name: str, url: str | None = None, progress: Any = False, sha256: str | None = None
) -> tuple[DataSet, str]:
    """Download a known set into the cache; returns it and the archive's SHA-256.

    name: a key of `KNOWN` with an address
    url: another address of the same archive (.tar, .tar.gz, ...)
    progress: handed to pooch's downloader: an object with total, update, reset and close, or False
    sha256: of the archive; none is published, so that without it none is checked

    Raises InputError if the set is not known or not downloadable, already there, the download fails, the
    archive is another than `sha256` says, or it is damaged, unsafe or too large.
    """
    import pooch

    data_set = KNOWN.get(name)
    if data_set is None:
        raise InputError(f"{name}: no such data set; choose one of {', '.join(KNOWN)}")
    address = data_set.url if url is None else url
    if address is None:
        raise InputError(f"{name}: cannot be downloaded here; get it from {data_set.source} and run"
                         f" `gembench data import DIR --name {name}`")
    if not address:
        raise InputError("--url: is empty; give the archive's address, or leave it out")
    with _new_set(name) as (scratch, folder):
        archive = _download(address, scratch, name, progress)
        digest = str(pooch.file_hash(str(archive)))
        if sha256 is not None and digest != sha256.lower():
            raise InputError(f"{address}: its SHA-256 is {digest}, not {sha256}; do not use this archive")
        _unpack(archive, address, folder / "micrographs")
        _check_shapes(folder / "micrographs", address)
        atomic_text(folder / RECORD, json.dumps({"pixel_size": data_set.pixel_size, "source": address,
                                                 "sha256": digest}) + "\n")
    return open_set(cache_folder() / name), digest


def import_set(source: Path, name: str, pixel_size: float | None = None, annotations: Path | None = None,
               link: bool = False, templates: Path | None = None, masks: Path | None = None,
               record: Mapping[str, Any] | None = None) -> DataSet:
    """Bring a folder of micrographs and, if given, their annotations into the cache; returns the set.

    source: folder of MRC, TIFF, PNG or JPEG micrographs; every one is read and checked
    pixel_size: A/px; needed unless the micrographs' headers say
    annotations: coordinate file or folder of any format that names micrographs of `source`
    link: make symbolic links to the micrographs instead of copies
    templates, masks: stacks or folders of images, one a view; without masks the largest disc is every view's
    record: what else the set's record says, see `target.target_of`

    Raises InputError for a name in use, here or in GEMBENCH_DATA, or if that is no folder; for an unusable
    micrograph, several pixel sizes, annotations of micrographs that are not there or of places outside them,
    and templates, masks or a record that do not fit. Nothing is left behind then.
    """
    from gembench.io.coordinates import write_coordinates
    from gembench.io.images.micrographs import find_micrographs

    if not source.is_dir():
        raise InputError(f"{source}: not a folder; give the folder of the micrographs")
    with _new_set(name) as (_, folder):
        shapes, size = _checked(find_micrographs([source]), pixel_size)
        picks = _matched(annotations, shapes) if annotations else []
        micrographs = make_folder(folder / "micrographs")
        for path in shapes:
            if link:
                (micrographs / path.name).symlink_to(path.resolve())
            else:
                shutil.copyfile(path, micrographs / path.name)
        if templates is not None:
            _write_templates(folder, templates, masks, size)
        elif masks is not None or record:
            raise InputError(f"{masks or ', '.join(record or ())}: is of templates: give --templates too")
        if picks:
            write_coordinates(folder / "annotations.csv", picks)
        atomic_text(folder / RECORD, json.dumps({"pixel_size": size, **(record or {})}) + "\n")
        if templates is not None:
            labels = {str(label) for marks in picks for label in marks.label}
            target_of(name, record or {}, folder / "templates.mrcs", folder / "masks.mrcs", size, labels)
    return open_set(cache_folder() / name)


def _write_templates(folder: Path, templates: Path, masks: Path | None, pixel_size: float) -> None:
    """The stacks of a set, once they fit together."""
    from gembench.engine.bank import TemplateBank
    from gembench.io.images.mrc import read_stack, stack_contrast, write_stack

    views = read_stack(templates, pixel_size=pixel_size)[0]
    shapes = read_stack(masks, pixel_size=pixel_size)[0] if masks is not None else None
    try:
        bank = TemplateBank(views, shapes)
    except InputError as error:
        raise InputError(f"{templates}{f' with {masks}' if masks else ''}: {error}") from None
    assert bank.masks is not None
    write_stack(folder / "templates.mrcs", views, pixel_size, stack_contrast(templates))
    write_stack(folder / "masks.mrcs", bank.masks, pixel_size)


@contextmanager
def _new_set(name: str) -> Iterator[tuple[Path, Path]]:
    """A scratch folder and in it the set's folder, which moves into the cache if the block succeeds."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise InputError(f"--name {name!r}: use letters, digits, '-', '_' and '.' only")
    target = cache_folder() / name
    for root in data_folders():  # a set of this name in GEMBENCH_DATA would be found in its place
        if (root / name).exists():
            raise InputError(f"{root / name}: the set is there already; remove the folder or choose another"
                             " name")
    make_folder(cache_folder())
    remove_parts(cache_folder())
    scratch = make_folder(part_of(cache_folder()))
    try:
        folder = make_folder(scratch / name)
        yield scratch, folder
        folder.rename(target)
    except OSError as error:
        raise InputError(f"{target}: cannot be written: {error.strerror or error}; free space or set"
                         " another cache folder") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _download(address: str, folder: Path, name: str, progress: Any) -> Path:
    """The archive at an address, in `folder`."""
    import pooch
    import requests

    pooch.get_logger().setLevel("ERROR")  # its message about a missing checksum is ours to give
    try:
        downloader = pooch.HTTPDownloader(progressbar=progress, timeout=30)
        return Path(pooch.retrieve(address, None, fname="archive", path=folder, downloader=downloader))
    except (requests.RequestException, ValueError) as error:
        reason = type(error).__name__
        if isinstance(error, requests.HTTPError) and error.response is not None:
            reason = f"the server answers {error.response.status_code}"
        raise InputError(f"{address}: cannot be downloaded ({reason}); check the"
                         " network, or get it by hand, unpack it and run"
                         f" `gembench data import DIR --name {name}`") from error


def _unpack(archive: Path, address: str, folder: Path) -> None:
    """Write the archive's micrographs into `folder`, flat.

    Refuses names that point elsewhere, links, and more than such an archive can hold.
    """
    make_folder(folder)
    most = ALLOWANCE + MOST_GROWTH * archive.stat().st_size
    total = 0
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                _require_safe(member, address, folder)
                total += member.size
                if total > most:
                    raise InputError(f"{address}: unpacks to more than {MOST_GROWTH} times its size; do not"
                                     " use this archive")
                path = PurePosixPath(member.name)
                if not member.isfile() or extension(path.name) not in MRC_EXTENSIONS + IMAGE_EXTENSIONS:
                    continue
                content = tar.extractfile(member)
                assert content is not None  # a regular file
                with content, (folder / path.name).open("xb") as file:
                    shutil.copyfileobj(content, file)
    except FileExistsError as error:
        raise InputError(f"{address}: holds two files called {Path(error.filename).name}; unpack it by hand"
                         " and import the folder") from error
    except (tarfile.TarError, gzip.BadGzipFile, lzma.LZMAError, EOFError, ValueError, zlib.error) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{address}: not a whole tar archive ({error}); fetch again") from error


def _require_safe(member: tarfile.TarInfo, address: str, folder: Path) -> None:
    """Raise InputError for a member that is no file or folder inside `folder`."""
    path = PurePosixPath(member.name)
    is_safe = not path.is_absolute() and ".." not in path.parts and (member.isfile() or member.isdir())
    try:
        tarfile.data_filter(member, str(folder))
    except (tarfile.TarError, ValueError):  # a NUL in the name
        is_safe = False
    if not is_safe or member.size < 0:
        raise InputError(f"{address}: unsafe member '{member.name}'; do not use this archive")


def _check_shapes(folder: Path, address: str) -> None:
    """Raise InputError, naming the archive, unless the folder holds micrographs with readable headers."""
    from gembench.io.images.micrographs import find_micrographs, read_shape

    try:
        for path in find_micrographs([folder]):
            read_shape(path)
    except InputError as error:
        raise InputError(f"{address}: {str(error).replace(f'{folder}/', '')}") from error


def _checked(paths: list[Path], pixel_size: float | None) -> tuple[dict[Path, tuple[int, int]], float]:
    """Shapes of the micrographs and their one pixel size, every micrograph read and checked."""
    from gembench.io.images.micrographs import read_micrograph

    shapes: dict[Path, tuple[int, int]] = {}
    size = pixel_size
    for path in paths:
        micrograph = read_micrograph(path, pixel_size=pixel_size)
        assert micrograph.pixel_size is not None  # read_micrograph settles it
        size = size or micrograph.pixel_size
        if abs(micrograph.pixel_size / size - 1) > 1e-3:
            raise InputError(f"{path}: pixel size {micrograph.pixel_size:g} A/px, but {paths[0].name} has"
                             f" {size:g}; import them as two sets")
        shapes[path] = micrograph.shape
    assert size is not None  # there is at least one micrograph
    return shapes, size


def _matched(annotations: Path, shapes: dict[Path, tuple[int, int]]) -> list[Any]:
    """The annotations under the names of the micrographs that they belong to."""
    from gembench.io.coordinates import read_coordinates

    by_key = {micrograph_key(path.name): (path.name, shape) for path, shape in shapes.items()}
    matched = []
    for picks in read_coordinates(annotations):
        if micrograph_key(picks.micrograph) not in by_key:
            raise InputError(f"{annotations}: names {picks.micrograph}, which is not among the micrographs;"
                             " add it or take out its rows")
        file, (rows, columns) = by_key[micrograph_key(picks.micrograph)]
        inside = (picks.x >= -0.5) & (picks.x < columns) & (picks.y >= -0.5) & (picks.y < rows)
        if not inside.all():
            x, y = picks.xy[~inside][0]
            raise InputError(f"{annotations}: ({x:g}, {y:g}) lies outside {file} ({rows} x {columns} pixels);"
                             " positions are centres in pixels, y down")
        matched.append(replace(picks, micrograph=file))
    return matched
