"""Plug-ins: Python files of the user's, and installed packages, that add FFT libraries, peers and studies.

A plug-in is imported; what it defines registers itself, and its `experiment = Experiment(...)` is a study.
Files are named on the command line (`--plugin FILE`) or in GEMBENCH_PLUGINS, where processes that a command
starts find them too; a package names its module in the entry point group `gembench.plugins`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType

from gembench.errors import InputError

ENVIRONMENT = "GEMBENCH_PLUGINS"  # files, separated as in PATH
GROUP = "gembench.plugins"

_modules: dict[Path, ModuleType] = {}  # of this process, by their file


def load_plugins(files: Iterable[Path] = ()) -> dict[Path, ModuleType]:
    """Import `files`, those that GEMBENCH_PLUGINS names and the installed plug-ins, each once a process.

    `files` are added to GEMBENCH_PLUGINS. Returns the module of every plug-in by its file.

    Raises InputError for a plug-in that is not there or cannot be imported.
    """
    from importlib.metadata import entry_points

    named = [Path(name) for name in os.environ.get(ENVIRONMENT, "").split(os.pathsep) if name]
    paths = list(dict.fromkeys(path.resolve() for path in [*named, *files]))
    for path in paths:
        if path not in _modules:
            if not path.is_file():
                raise InputError(f"{path}: no such plug-in; give a Python file, or correct {ENVIRONMENT}")
            _modules[path] = load_module(path, "plugin")
    if paths:
        os.environ[ENVIRONMENT] = os.pathsep.join(map(str, paths))
    for point in entry_points(group=GROUP):
        try:
            module = point.load()
        except Exception as error:  # an installed plug-in may raise anything
            raise InputError(f"{GROUP}: {point.name} = {point.value}: cannot be imported: {_said(error)};"
                             " mend or remove that package") from error
        if isinstance(module, ModuleType) and module.__file__:
            _modules[Path(module.__file__).resolve()] = module
    return dict(_modules)


def load_module(path: Path, kind: str = "experiment") -> ModuleType:
    """The Python file `path` as a module, a plug-in's as it is loaded; nothing is put on the path of imports.

    kind: of file, for the module's name

    Raises InputError if it cannot be imported.
    """
    if path.resolve() in _modules:
        return _modules[path.resolve()]
    spec = importlib.util.spec_from_file_location(f"gembench_{kind}_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path}: not a Python file; {kind}s are .py files")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (Exception, SystemExit) as error:
        raise InputError(f"{path}: cannot be imported: {_said(error)}; mend the file") from error
    return module


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def hashes() -> dict[str, str]:
    """Short hash of every loaded plug-in's text, by the name of its file."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in sorted(_modules)}


def have_changed(stored: Mapping[str, str]) -> bool:
    """Whether a plug-in that is loaded now read otherwise when `stored` was noted."""
    now = hashes()
    return any(name in now and now[name] != text for name, text in stored.items())
