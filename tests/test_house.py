"""The tree: how large its rooms are, what they are called, and which way their imports point."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "gembench"
MODULES = 14  # of a folder, at most
LINES = 300  # of a module, at most
# From the top: a package imports those of its own line and below.
LAYERS = (
    {"cli", "__main__"}, {"commands", "notebook"}, {"study"}, {"peers"}, {"tuning"}, {"picking", "view"},
    {"templates", "data", "evaluate"}, {"drawing"}, {"io"}, {"engine"},
    {"machine", "progress", "text", "errors", "plugins", ""},
)


def dotted(path: Path) -> str:
    """gembench/engine/fft/__init__.py is gembench.engine.fft."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {dotted(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def imports(module: str) -> tuple[tuple[str, bool], ...]:
    """The modules of gembench that a module imports, and whether it does while it is itself imported."""
    tree = ast.parse(FILES[module].read_text())
    imported = []
    for node, early in statements(tree, True):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            assert node.level == 0, f"{module}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in FILES else str(node.module) for name in names]
        imported += [(name, early) for name in names if name in FILES and name != module]
    return tuple(dict.fromkeys(imported))


def statements(node: ast.AST, early: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """The import statements below a node, but for those of type checkers; see `imports` for `early`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, early
        elif not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from statements(child, early and not isinstance(child, ast.FunctionDef))


def layer(module: str) -> int:
    """The number of a module's line in LAYERS."""
    package = ([*module.split("."), ""])[1]
    return next(number for number, names in enumerate(LAYERS) if package in names)


@pytest.mark.parametrize("folder", sorted({path.parent for path in FILES.values()} | {ROOT / "experiments"}),
                         ids=lambda folder: str(folder.relative_to(ROOT)))
def test_a_room_holds_few_modules_with_names_of_their_own(folder):
    names = [path.name for path in folder.glob("*.py") if path.name not in ("__init__.py", "__main__.py")]
    studies = [name for name in names if not name.endswith("_figure.py")]
    assert len(studies) <= MODULES, studies
    assert not [name for name in names if name.startswith("_")]


@pytest.mark.parametrize("module", FILES)
def test_a_module_is_read_at_one_sitting(module):
    assert FILES[module].read_text().count("\n") <= LINES


def test_imports_point_one_way():
    upward = {(module, other) for module in FILES for other, _ in imports(module)
              if layer(other) < layer(module)}
    assert not upward


def test_no_module_waits_for_itself():
    """Imports while importing form no circle."""
    circles = set()

    def visit(module: str, path: list[str]) -> None:
        if module in path:
            circles.add(frozenset(path[path.index(module) :]))
        elif module not in done:
            for other, early in imports(module):
                if early:
                    visit(other, [*path, module])
            done.add(module)

    done: set[str] = set()
    for module in FILES:
        visit(module, [])
    assert not circles


def test_nothing_imports_the_experiments():
    for path in FILES.values():
        for node, _ in statements(ast.parse(path.read_text()), True):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module]
            assert not [name for name in names if str(name).split(".")[0] == "experiments"], path


def test_a_circle_and_an_upward_import_would_be_seen(monkeypatch, tmp_path):
    for name, text in (("gembench.engine.a", "from gembench.io import b\n"),
                       ("gembench.io.b", "def late():\n    import gembench.engine.a\n"),
                       ("gembench.io.c", "import gembench.io.d\n"),
                       ("gembench.io.d", "import gembench.io.c\n")):
        monkeypatch.setitem(FILES, name, tmp_path / f"{name}.py")
        FILES[name].write_text(text)
    assert imports("gembench.engine.a") == (("gembench.io.b", True),)
    assert imports("gembench.io.b") == (("gembench.engine.a", False),)
    with pytest.raises(AssertionError, match=r"gembench\.engine\.a"):
        test_imports_point_one_way()
    with pytest.raises(AssertionError, match=r"gembench\.io\.c"):
        test_no_module_waits_for_itself()
