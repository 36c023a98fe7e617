"""`make gpu-bundle`: one script that holds gembench, its studies and its GPU tests, for a bare machine.

    python -m gembench.study.gpu.bundle dist/gembench-gpu-bundle.py

The same tree gives the same bytes.
"""

from __future__ import annotations

import base64
import io
import sys
import tarfile
import textwrap
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from gembench.errors import InputError
from gembench.io.atomic import atomic_text, make_folder
from gembench.study.gpu import unpack
from gembench.study.measure.provenance import commit
from gembench.study.measure.sources import PACKAGE

CHECKOUT = PACKAGE.parent
GPU_TESTS = Path("tests/engine/gpu")
SUFFIXES = (".py", ".toml", ".mplstyle", ".j2", ".cu", ".h")


def members(checkout: Path = CHECKOUT) -> Iterator[tuple[str, Path]]:
    """Name in the tree and file of everything that travels.

    Raises InputError if the checkout lacks a part of it, or a package to carry is not installed here.
    """
    for part in (Path("gembench"), Path("experiments"), GPU_TESTS):
        if not (checkout / part).is_dir():
            raise InputError(f"{checkout / part}: no such folder; build the bundle in gembench's checkout")
        yield from ((str(path.relative_to(checkout)), path) for path in _files(checkout / part))
    for name in ("pyproject.toml", "LICENSE", "tests/conftest.py", "tests/engine/conftest.py"):
        yield name, checkout / name
    for name in unpack.CARRIED:
        package = find_spec(name)
        if package is None or package.origin is None:
            raise InputError(f"{name}: not installed here, and the bundle carries it; pip install {name}")
        home = Path(package.origin).parent
        yield from ((f"carried/{name}/{name}/{path.relative_to(home)}", path) for path in _files(home))
        for licence in home.parent.glob(f"{name}-*.dist-info/**/LICENSE*"):
            yield f"carried/{name}/{licence.name}", licence


def _files(folder: Path) -> list[Path]:
    """The sources below `folder`, sorted, without what Python and editors leave there."""
    return [path for path in sorted(folder.rglob("*")) if path.suffix in SUFFIXES
            and not any(part.startswith((".", "__pycache__")) for part in path.relative_to(folder).parts)]


def tree(files: Iterable[tuple[str, Path]]) -> bytes:
    """The files as .tar.xz, without owners and times."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as archive:
        for name, path in files:
            content = path.read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def script(checkout: Path = CHECKOUT) -> str:
    """The bundle: `unpack.py` with the tree and the commit filled in."""
    head, dirty = commit(checkout)
    revision = f"{head}-dirty" if dirty else head or "unknown"
    lines = textwrap.fill(base64.b64encode(tree(members(checkout))).decode(), 110)
    text = Path(unpack.__file__).read_text(encoding="utf-8")
    for empty, filled in (('COMMIT = ""', f'COMMIT = "{revision}"'),
                          ('TREE = ""', f'TREE = """\n{lines}\n"""')):
        if text.count(f"\n{empty}") != 1:
            raise AssertionError(f"{unpack.__file__}: {empty} should stand there once")
        text = text.replace(f"\n{empty}", f"\n{filled}")
    return text


def main(arguments: list[str]) -> int:
    """Write the bundle to the path given; returns 2 if it cannot be built."""
    target = Path(arguments[0] if arguments else "dist/gembench-gpu-bundle.py")
    try:
        make_folder(target.parent)
        atomic_text(target, script())
    except InputError as error:
        print(f"gembench: error: {error}", file=sys.stderr)
        return 2
    size = target.stat().st_size / 1024
    print(f"{target}: {size:.0f} KiB; on the machine with the GPU: python3 {target.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
