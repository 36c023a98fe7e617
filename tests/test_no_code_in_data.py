"""No data runs as code: nothing in the package evaluates, unpickles, or hands a line to a shell."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import gembench

FILES = sorted(Path(gembench.__file__).parent.rglob("*.py"))
CALLS = {"eval", "exec", "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
MODULES = {"pickle", "cPickle", "dill", "marshal", "shelve", "joblib"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FILES[0].parent)))
def test_no_data_runs_as_code(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name.partition(".")[0] for alias in node.names}
            assert not (names | {getattr(node, "module", None)}) & MODULES, node.lineno
        elif isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in CALLS, node.lineno
            for keyword in node.keywords:
                dangerous = keyword.arg in ("shell", "allow_pickle")
                assert not (dangerous and ast.unparse(keyword.value) != "False"), node.lineno
