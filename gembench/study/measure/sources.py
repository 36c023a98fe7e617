"""Which sources a measurement rests on: what an experiment imports, and the worker that runs it.

The imports are read from the text, those inside functions and in the packages' `__init__` included, and so on
from module to module. What only reads stored results stays out: it changes no measurement.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2]
WORKER = f"{__package__}.worker"
# They read the store, or draw.
READERS = ("cli", "commands", "drawing", "io.typed", "study.tell", "study.measure.schema",
           "study.measure.store", "text")
FIGURES = ("figure", "figures")  # the last word of a module that draws


def source_hash(experiment_file: Path, package: Path = PACKAGE) -> str:
    """SHA-256, shortened, of what the measurements of an experiment rest on: see `sources`."""
    digest = hashlib.sha256()
    for name, path in sources(experiment_file, package).items():
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def sources(experiment_file: Path, package: Path = PACKAGE) -> dict[str, Path]:
    """Name -> file of the experiment, the worker, the modules they import and the data beside these, sorted.

    package: folder of the package gembench

    Raises SyntaxError if one of them is no Python.
    """
    modules = {_dotted(path, package): path for path in package.rglob("*.py")}
    names = {path: name for name, path in modules.items()}
    names[experiment_file] = experiment_file.name
    waiting = [experiment_file, *_with_parents(WORKER, modules)]
    files: dict[str, Path] = {}
    while waiting:
        path = waiting.pop()
        if names[path] in files:
            continue
        files[names[path]] = path
        text, inside = path.read_bytes(), path.is_relative_to(package)
        home = ".".join(path.parent.relative_to(package.parent).parts) if inside else ""
        for dotted in _imports(text, home):
            waiting += [file for file in _with_parents(dotted, modules) if not _reads_only(names[file])]
            beside = path.with_name(f"{dotted}.py")
            if not inside and beside.exists() and not _reads_only(beside.stem):
                names[beside] = beside.name
                waiting.append(beside)
        if inside and b"__file__" in text:
            files |= {str(data.relative_to(package.parent)): data for data in _data(path.parent)}
    return dict(sorted(files.items()))


def _dotted(path: Path, package: Path) -> str:
    """The dotted name of a module of the package."""
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _with_parents(dotted: str, modules: Mapping[str, Path]) -> list[Path]:
    """The files that importing a name runs: a module's and those of the packages around it.

    A last part that is no module is something inside the one before.
    """
    parts = dotted.split(".")
    return [modules[name] for name in (".".join(parts[:count]) for count in range(1, len(parts) + 1))
            if name in modules]


def _reads_only(name: str) -> bool:
    """Whether a module is one of those that only read what is stored."""
    inside = name.partition(".")[2]
    return (any(f"{inside}.".startswith(f"{reader}.") for reader in READERS)
            or name.rpartition(".")[2].split("_")[-1] in FIGURES)


def _data(folder: Path) -> Iterator[Path]:
    """What a module may read beside itself: all that is no Python, in folders without Python too."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name != "__pycache__" and not any(path.glob("*.py")):
            yield from _data(path)
        elif path.is_file() and path.suffix not in (".py", ".pyc"):
            yield path


@lru_cache(maxsize=1024)
def _imports(text: bytes, package: str) -> frozenset[str]:
    """The dotted names that a module imports, or starts or imports by a name that stands in its text."""
    imported: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(text)]
    while waiting:
        node = waiting.pop()
        waiting += _run_parts(node)
        if isinstance(node, ast.Import):
            imported.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, package)
            imported.update({base, *(f"{base}.{alias.name}" for alias in node.names)} - {""})
        elif isinstance(node, ast.Constant) and _is_dotted(node.value):
            imported.add(str(node.value))  # as in import_module("gembench.engine.banded.search")
        elif isinstance(node, ast.Call) and package:
            first = getattr(node.args[0], "value", None) if node.args else None
            if isinstance(first, str) and first.isidentifier():
                imported.add(f"{package}.{first}")  # as in launch("rank_search", ...)
    return frozenset(imported)


def _is_dotted(value: object) -> bool:
    """Whether a constant is the name of a module of the package."""
    return (isinstance(value, str) and value.startswith(f"{PACKAGE.name}.")
            and all(part.isidentifier() for part in value.split(".")))


def _run_parts(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes inside, without those that are for type checkers only."""
    test = getattr(node, "test", None)
    if isinstance(node, ast.If) and getattr(test, "attr", getattr(test, "id", "")) == "TYPE_CHECKING":
        return iter(node.orelse)
    return ast.iter_child_nodes(node)


def _base(node: ast.ImportFrom, package: str) -> str:
    """The dotted name that an import takes its names from."""
    if not node.level:
        return node.module or ""
    parts = package.split(".")[: len(package.split(".")) - node.level + 1] if package else []
    return ".".join([*parts, *filter(None, [node.module])])
